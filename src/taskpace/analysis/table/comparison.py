"""One measure of two systems: the change, how sure, and what is claimed."""

from __future__ import annotations

import math
from typing import Literal

import msgspec
import numpy as np

from taskpace.analysis.stats.anytime import FIRST_MEAN, mean_sequence, median_ends, one_sided
from taskpace.analysis.stats.claims import LEAST_FOR_MEAN, Claims, LogRatios, decide
from taskpace.analysis.stats.estimates import UNKNOWN, Estimate, number
from taskpace.analysis.stats.intervals import LEVEL, Floats, Intervals
from taskpace.analysis.stats.quantiles import at_share
from taskpace.analysis.stats.sequential import with_claim
from taskpace.analysis.stats.significance import ALPHA, holm_of_known
from taskpace.analysis.stats.special import fair_at_most

System = Literal["a", "b"]


class Comparison(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One measure of two systems, B against A: a ratio B/A, or for accuracy the difference B - A.

    The direction of a claim is ``lower`` and must not be inferred from ``change``, which may be a bound or a ratio of
    means beside a claim about most items.
    """

    change: Estimate
    p: float | None
    """Two-sided, of "no difference", whatever the cut answers would have taken; null: not tested."""
    p_holm: float | None
    """``p``, adjusted for all pairs that were compared in this family."""
    items: int
    """Items on which both are known; of task time, that both were asked."""
    basis: Literal["mean", "most"] | None = None
    """What ``p`` is about. ``mean``: the mean ratio (Student's t), for accuracy and time per correct answer the totals.
    ``most``: more than half of the items (sign test), where the quicker side has cut answers or items are few."""
    leaning: System | None = None
    """Which of the two ``p`` suggests is smaller, claimed or not; null: neither."""
    lower: System | None = None
    """Whose smaller value is claimed, at 5 % after Holm; null: no claim."""
    open: bool = False
    """No claim, and the cut answers decide: with some values of theirs, or without them, there would be one."""
    p_least: float | None = None
    """The least p that the cut answers leave possible; equal to ``p`` where nothing is cut."""
    cut_a: int = 0
    """Items with a cut or failed trial of A, or a late one: of their value only a bound is known."""
    cut_b: int = 0
    """Items with a cut or failed trial of B, or a late one: of their value only a bound is known."""

    @property
    def significant(self) -> bool:
        """Significant at the 5 % level, the whole family considered; what is not prints ``~``."""
        return self.p_holm is not None and self.p_holm <= ALPHA


NOT_COMPARED = Comparison(change=UNKNOWN, p=None, p_holm=None, items=0)


def compared_by_item(found: LogRatios, *, anytime: bool = False) -> list[Comparison]:
    """Ratios of geometric means, or where most items are all that can be claimed about and answers were cut, medians of
    the items' ratios; with the claims that hold whatever the cut answers would have come to.

    ``anytime``: the data decided how many items there are, which come in the order in which they were asked.
    """
    claims = decide(found, one_sided if anytime else None)
    made = _of_pairs(found, claims)
    return [_at_any_time(found, claims, index, fixed) for index, fixed in enumerate(made)] if anytime else made


def _at_any_time(found: LogRatios, claims: Claims, index: int, fixed: Comparison) -> Comparison:
    """The comparison of a pair with ends that one may stop by: a median's too where items are few."""
    known = ~np.isnan(found.low[:, index])
    recorded, low, high = (each[known, index] for each in (found.recorded, found.low, found.high))
    if not len(low):
        return fixed
    on_most = fixed.basis != "mean" or len(low) < FIRST_MEAN
    if on_most or not (np.isfinite(low).all() or np.isfinite(high).all()):
        ends, change = median_ends(low, high, ALPHA), _median_ratio(low, high)
    else:
        sequence = mean_sequence(recorded[:, None], ALPHA)
        ends = float(sequence.low[-1, 0]), float(sequence.high[-1, 0])
        change = _change(found, index, on_most=False)
    least, most = (
        _known(_ratio(end)) for end in with_claim(ends, float(claims.p[index]), float(claims.leaning[index]))
    )
    bounded = change.bound if not on_most else None
    return msgspec.structs.replace(
        fixed,
        change=Estimate(
            change.value, None if bounded == "<=" else least, None if bounded == ">=" else most, change.bound
        ),
    )


def _of_pairs(found: LogRatios, claims: Claims) -> list[Comparison]:
    # As lists: to ask an array for one value after the other takes longer than all that is done with it.
    each = (claims.p, claims.p_least, claims.leaning, claims.on_most, found.moments_low.n)
    return [
        Comparison(
            change=_change(found, index, on_most=on_most),
            p=_known(p),
            p_holm=None,
            items=int(items),
            basis=None if math.isnan(p) else "most" if on_most else "mean",
            leaning=_leaning(leaning),
            p_least=_known(p_least),
            cut_a=cut_a,
            cut_b=cut_b,
        )
        for index, (p, p_least, leaning, on_most, items, cut_a, cut_b) in enumerate(
            zip(*(values.tolist() for values in each), *found.bounds, strict=True)
        )
    ]


def _leaning(sign: float) -> System | None:
    return "a" if sign > 0 else "b" if sign < 0 else None


def _known(p: float) -> float | None:
    return None if math.isnan(p) else p


def _change(found: LogRatios, index: int, *, on_most: bool) -> Estimate:
    bounded_below, bounded_above = found.finite[index]
    if not (bounded_below and bounded_above) and (on_most or not (bounded_below or bounded_above)):
        known = ~np.isnan(found.low[:, index])
        return _median_ratio(found.low[known, index], found.high[known, index])
    mean, least, most = (math.exp(end) if math.isfinite(end) else end for end in found.means[index])
    if bounded_below and bounded_above:
        return number(mean, least, most)
    return number(mean, least, bound=">=") if bounded_below else number(mean, high=most, bound="<=")


def _median_ratio(low: Floats, high: Floats) -> Estimate:
    """Median of ratios that each lie somewhere between two ends, with the sign test's interval.

    The ends are the k-th least of the lower ends and the k-th greatest of the upper ones, k the largest with
    P(Binomial(n, 1/2) < k) <= 2.5 %. Source: Conover (1999), "Practical Nonparametric Statistics", 3.2. Where the ends
    disagree on the median itself, it is a bound; unknown where they disagree on its side of 1.
    """
    least, most = np.sort(low), np.sort(high)
    n = len(least)
    k = int((fair_at_most(np.arange(n), np.array(n)) <= (1 - LEVEL) / 2).sum())
    ends = (float(least[k - 1]), float(most[n - k])) if k else (-math.inf, math.inf)
    low_end, high_end = (_ratio(end) for end in ends)
    below, above = at_share(least, 0.5), at_share(most, 0.5)
    if below == above:
        return number(_ratio(below), low_end, high_end)
    if math.isfinite(below) and (below > 0 or not math.isfinite(above)):
        return number(math.exp(below), low_end, high_end, bound=">=")
    if math.isfinite(above) and (above < 0 or not math.isfinite(below)):
        return number(math.exp(above), low_end, high_end, bound="<=")
    return Estimate(None, None if math.isnan(low_end) else low_end, None if math.isnan(high_end) else high_end)


def _ratio(log: float) -> float:
    return math.exp(log) if math.isfinite(log) else math.nan


def compared_by_log(found: Intervals, counts: list[int]) -> list[Comparison]:
    """Logarithms of ratios of totals with their intervals as ratios; ``counts``: the items behind each.

    With fewer than ten items there is no claim: the error of a total is not known well enough.
    """
    with np.errstate(over="ignore"):
        ends = [np.exp(each).tolist() for each in (found.value, found.low, found.high)]
    return [
        by_totals(number(value, low, high) if value else UNKNOWN, _known(p), n)
        for value, low, high, p, n in zip(*ends, found.p.tolist(), counts, strict=True)
    ]


def by_totals(change: Estimate, p: float | None, items: int, *, nothing: float = 1.0) -> Comparison:
    """A comparison on means or totals; ``nothing``: the change that is none, 1 of a ratio, 0 of a difference."""
    p = p if items >= LEAST_FOR_MEAN else None
    leaning = None if change.value is None or p is None else _leaning(change.value - nothing)
    return Comparison(
        change=change,
        p=p,
        p_holm=None,
        items=items,
        basis=None if p is None else "mean",
        leaning=leaning,
        p_least=p,
    )


def adjusted(comparisons: list[Comparison], family: list[bool], *, shared: bool = False) -> list[Comparison]:
    """Holm's adjustment over those that ``family`` marks, and what is then claimed; the others claim nothing.

    ``shared``: each has its share of the error, for it could have been claimed to be equivalent, too
    (``stats.sequential``).
    """

    def over_family(p_values: list[float | None]) -> list[float | None]:
        if shared:
            return [
                min(1.0, len(p_values) * p) if member and p is not None else None
                for p, member in zip(p_values, family, strict=True)
            ]
        return holm_of_known([p if member else None for p, member in zip(p_values, family, strict=True)])

    holm = over_family([each.p for each in comparisons])
    least = over_family([each.p_least for each in comparisons])
    return [
        each
        if p is None and each.p_holm is None
        else msgspec.structs.replace(
            each,
            p_holm=p,
            lower=each.leaning if p is not None and p <= ALPHA else None,
            open=p is not None and p > ALPHA and best is not None and best <= ALPHA and (each.cut_a + each.cut_b) > 0,
        )
        for each, p, best in zip(comparisons, holm, least, strict=True)
    ]
