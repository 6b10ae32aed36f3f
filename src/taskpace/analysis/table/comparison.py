"""One measure of two systems: the change, how sure, and what is claimed."""

from __future__ import annotations

import math
from typing import Literal

import msgspec
import numpy as np

from taskpace.analysis.stats.anytime import FIRST_MEAN, mean_sequence, median_ends, one_sided
from taskpace.analysis.stats.claims import LEAST_FOR_MEAN, Claims, LogRatios, decide
from taskpace.analysis.stats.estimates import UNKNOWN, Estimate, number, numbers
from taskpace.analysis.stats.intervals import LEVEL, Floats, Intervals
from taskpace.analysis.stats.quantiles import at_share
from taskpace.analysis.stats.sequential import with_claim
from taskpace.analysis.stats.significance import ALPHA, holms
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
    of_each = [values.tolist() for values in each]
    return [
        Comparison(
            change=change,
            p=_known(p),
            p_holm=None,
            items=int(items),
            basis=None if math.isnan(p) else "most" if on_most else "mean",
            leaning=_leaning(leaning),
            p_least=_known(p_least),
            cut_a=cut_a,
            cut_b=cut_b,
        )
        for change, p, p_least, leaning, on_most, items, cut_a, cut_b in zip(
            _changes(found, claims), *of_each, *found.bounds, strict=True
        )
    ]


def _changes(found: LogRatios, claims: Claims) -> list[Estimate]:
    if all(map(all, found.finite)):
        return _as_ratios(*np.array(found.means).reshape(-1, 3).T)
    return [_change(found, index, on_most=on_most) for index, on_most in enumerate(claims.on_most.tolist())]


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
    changes = _as_ratios(found.value, found.low, found.high)
    return [
        by_totals(change if change.value else UNKNOWN, _known(p), n)
        for change, p, n in zip(changes, found.p.tolist(), counts, strict=True)
    ]


def _as_ratios(*logs: Floats) -> list[Estimate]:
    """Of logarithms: of values, and of their lower and upper ends."""
    with np.errstate(over="ignore"):
        value, low, high = map(np.exp, logs)
    return numbers(Intervals(value, low, high, np.full(value.shape, np.nan)))


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


def adjusted(comparisons: list[Comparison], family: list[bool]) -> list[Comparison]:
    """``adjusted_together`` of one measure."""
    return adjusted_together([comparisons], family)[0]


def adjusted_together(
    measures: list[list[Comparison]], family: list[bool], *, shared: int | None = None
) -> list[list[Comparison]]:
    """Holm's adjustment of each measure over the pairs that ``family`` marks, and what is then claimed; the others
    claim nothing.

    ``shared``: of this measure each has its share of the error, for it could have been claimed to be equivalent, too
    (``stats.sequential``).
    """
    every = [each for pairs in measures for each in pairs]
    # Null becomes NaN.
    p_values = np.array([each.p for each in every] + [each.p_least for each in every], dtype=np.float64)
    p_values = np.where(family, p_values.reshape(2, len(measures), len(family)), np.nan)
    found = holms(p_values)
    if shared is not None:
        found[:, shared] = np.minimum(1.0, len(family) * p_values[:, shared])
    claimed, least = found <= ALPHA
    claims = zip(measures, *(each.tolist() for each in (found[0], claimed, least)), strict=True)
    return [[_claiming(*each) for each in zip(*of_measure, strict=True)] for of_measure in claims]


def _claiming(found: Comparison, p: float, claimed: bool, least: bool) -> Comparison:
    """``p``: adjusted, NaN where it is not tested; ``claimed``: it is small enough; ``least``: it may be."""
    untested = math.isnan(p)
    if untested and found.p_holm is None:
        return found
    return msgspec.structs.replace(
        found,
        p_holm=None if untested else p,
        lower=found.leaning if claimed else None,
        open=least and not (claimed or untested) and (found.cut_a + found.cut_b) > 0,
    )
