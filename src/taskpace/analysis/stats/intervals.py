"""95 % intervals. Items are the sampling unit: whatever an item's repeats show counts as one observation of it.

Which interval belongs to which estimate was chosen by measured coverage (docs/statistics.md): with skewed times these
hold the truth more often than the bootstrap's do, and they need no resampling.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import chain
from typing import Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from taskpace.analysis.stats.student import normal_quantile, t_quantiles, ts_below

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

LEVEL = 0.95
"""Of every interval."""
Reach = Callable[[Floats], Floats]
"""How many standard errors an interval reaches, by the number of observations, for a run that its data ended
(``stats.anytime``). In its place: quantiles of Student's t or of the normal distribution."""
LEAST_FREEDOM = 50
"""Degrees of freedom that a mean needs before the end of its interval on the side of the tail is claimed at any
stopping time: of fewer, a few items decide how far it scatters, and the next one may lie far outside."""


class Intervals(msgspec.Struct, frozen=True):
    """Values with the ends of their 95 % intervals and two-sided p-values of "the value is 0": arrays of one length.

    NaN is unknown.
    """

    value: Floats
    low: Floats
    high: Floats
    p: Floats


class Quantiles(Intervals, frozen=True):
    """Quantiles of values that may be lower bounds; ``value`` and ``low`` take those as they are."""

    most: Floats
    """The quantiles if they are as great as they may be."""


BLOCK_VALUES = 1 << 17
"""Of one array in a block of columns: what the processor's cache holds of a few of them."""


def column_blocks(rows: int, columns: int) -> list[slice]:
    """The columns of tall arrays in blocks that stay in the processor's cache from one step to the next."""
    size = max(1, BLOCK_VALUES // max(1, rows))
    return [slice(start, min(start + size, columns)) for start in range(0, columns, size)]


class Moments(msgspec.Struct, frozen=True):
    """Columns of values by what Student's t needs of them: arrays (k,)."""

    n: Floats
    """Values that are known."""
    mean: Floats
    """Of the finite ones over n; NaN without any."""
    deviation: Floats
    """Standard deviation about it, of the finite ones; NaN with fewer than two."""
    bounded: Flags
    """Every known value is finite."""

    @classmethod
    def of(cls, values: Floats) -> Self:
        """Of (items, k), NaN where nothing is known."""
        n = float(len(values))
        with np.errstate(divide="ignore", invalid="ignore"):
            # Of what is infinite or unknown so is the sum.
            total = values.sum(axis=0)
            if np.isfinite(total).all():
                mean = total / n
                away = values - mean
                known, bounded = np.full(mean.shape, n), np.ones(mean.shape, dtype=bool)
            else:
                finite = np.isfinite(values)
                known = (~np.isnan(values)).sum(axis=0).astype(np.float64)
                mean = np.where(finite, values, 0.0).sum(axis=0) / known
                away = np.where(finite, values - mean, 0.0)
                bounded = finite.sum(axis=0) == known
            away *= away
            return cls(known, mean, np.sqrt(away.sum(axis=0) / np.where(known > 1, known - 1, np.nan)), bounded)

    def mirrored(self) -> Self:
        """Of the same values with the other sign."""
        return msgspec.structs.replace(self, mean=-self.mean)

    @property
    def error(self) -> Floats:
        """Standard error of the mean."""
        with np.errstate(divide="ignore", invalid="ignore"):
            found: Floats = self.deviation / np.sqrt(self.n)
        return found

    @property
    def exact(self) -> Flags:
        """Without any spread the mean is known."""
        found: Flags = self.error <= 1e-12 * np.maximum(1.0, np.abs(self.mean))
        return found

    def intervals(self) -> Intervals:
        """Means, 95 % intervals and two-sided p-values of "the mean is 0" by Student's t.

        On logarithms of paired task times this is the paired t-test; exp(mean) is the ratio of geometric means. Without
        any spread the mean is known exactly: p is 1 at 0, else 0. With fewer than two items the ends and p are NaN.
        Source: Student (1908), "The probable error of a mean".
        """
        freedom = self.n - 1
        with np.errstate(divide="ignore", invalid="ignore"):
            half = t_quantiles((1 + LEVEL) / 2, freedom) * self.error
            p = 2 * ts_below(-np.abs(self.mean) / self.error, freedom)
        half = np.where(self.exact, 0.0, half)
        p = np.where(self.exact, np.where(np.abs(self.mean) < 1e-12, 1.0, 0.0), p)
        return Intervals(self.mean, self.mean - half, self.mean + half, p)


def of_influence(value: Floats, influence: Floats, reach: Reach | None = None) -> Intervals:
    """Intervals of smooth functions of totals over items, from what each item contributes to the error.

    Student's t with the standard error of the infinitesimal jackknife, sqrt(n / (n - 1) sum d^2), and with
    ``degrees_of_freedom``. Source: Jaeckel (1972), "The infinitesimal jackknife".

    Args:
        value: (k,).
        influence: (items, k): d, the change in the value for a small weight more on the item; it sums to 0. NaN for an
            item that does not belong to the value.
        reach: null: the number of items was fixed. Else there are no p-values, and the end on the side to which the
            influence is skewed is unknown below ``LEAST_FREEDOM``. Measured: docs/statistics.md.
    """
    with np.errstate(invalid="ignore"):
        complete = np.isfinite(influence.sum(axis=0)).all()
    if complete:
        return _of_all(value, influence, np.full(influence.shape[1], len(influence)), reach)
    asked = ~np.isnan(influence)
    return _of_all(value, np.where(asked, influence, 0.0), asked.sum(axis=0), reach)


def _of_all(value: Floats, d: Floats, n: NDArray[np.intp], reach: Reach | None) -> Intervals:
    """``of_influence`` of what ``n`` items contribute, 0 for others."""
    squares, freedom = _squares_and_freedom(d, n)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.sqrt(n / (n - 1) * squares)
        half = (t_quantiles((1 + LEVEL) / 2, freedom) if reach is None else reach(n.astype(np.float64))) * error
        p = 2 * ts_below(-np.abs(value) / error, freedom)
    exact = error <= 1e-12 * np.maximum(1.0, np.abs(value))
    half = np.where(exact, 0.0, half)
    p = np.where(exact, np.where(np.abs(value) < 1e-12, 1.0, 0.0), p)
    low, high = value - half, value + half
    if reach is not None:
        p = np.full(value.shape, np.nan)
        tail, few = (d**3).sum(axis=0), freedom < LEAST_FREEDOM
        low, high = np.where(few & (tail < 0), np.nan, low), np.where(few & (tail >= 0), np.nan, high)
    known = np.isfinite(value) & (n >= 2)
    return Intervals(value, *(np.where(known, numbers, np.nan) for numbers in (low, high, p)))


def degrees_of_freedom(d: Floats, n: NDArray[np.intp] | int) -> Floats:
    """How well d, (items, k) and summing to 0 over ``n`` items, tell their own spread: (k,), at most n - 1.

    A sum of squares has an error that grows with the tail of d. These are the degrees of freedom whose chi-square has
    the variance that the d show, 2 (sum d^2)^2 / (sum d^4 - (sum d^2)^2 / n): about n for normal d, 2 where one item
    decides. Source: Satterthwaite (1946), "An approximate distribution of estimates of variance components".
    """
    return _squares_and_freedom(d, n)[1]


def _squares_and_freedom(d: Floats, n: NDArray[np.intp] | int) -> tuple[Floats, Floats]:
    """Sum d^2 of each column, and ``degrees_of_freedom``."""
    d2 = d * d
    squares = d2.sum(axis=0)
    d2 *= d2
    fourth = d2.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = np.minimum(2 * squares**2 / (fourth - squares**2 / n), n - 1.0)
    # The variance of equal numbers is 0, or by rounding less.
    return squares, np.where(freedom > 0, freedom, n - 1.0)


def of_ratios(numerators: Floats, denominators: Floats, reach: Reach | None = None) -> Intervals:
    """Ratios of totals of positive numbers: on the logarithm, d_i = x_i / sum x - c_i / sum c; see ``of_influence``.

    Args:
        numerators: (items, k), not negative.
        denominators: (items, k), counts. An item with neither belongs to no system.
        reach: null: the number of items was fixed.

    Returns:
        The ratios themselves; ``p`` is that of a ratio of 1. All NaN where a total is 0.
    """
    blocks = column_blocks(*numerators.shape)
    if len(blocks) > 1:
        apart = [of_ratios(numerators[:, block], denominators[:, block], reach) for block in blocks]
        return Intervals(
            *(np.concatenate([getattr(each, end) for each in apart]) for end in Intervals.__struct_fields__)
        )
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(numerators.sum(axis=0)) - np.log(denominators.sum(axis=0))
        found = of_influence(logs, log_influence(numerators, denominators), reach)
        values = np.where(np.isfinite(logs), np.exp(logs), np.nan)
    with np.errstate(over="ignore"):
        return Intervals(values, np.exp(found.low), np.exp(found.high), found.p)


def log_influence(numerators: Floats, denominators: Floats) -> Floats:
    """D of ln(sum x / sum c), (items, k); NaN for items with neither."""
    with np.errstate(divide="ignore", invalid="ignore"):
        d: Floats = numerators / numerators.sum(axis=0)
        d -= denominators / denominators.sum(axis=0)
    neither = (numerators == 0) & (denominators == 0)
    if neither.any():
        d[neither] = np.nan
    return d


def of_means(values: Floats, reach: Reach | None = None) -> Intervals:
    """Means over items, (items, k) -> k: d_i = (x_i - mean) / n; see ``of_influence``. NaN is left out."""
    with np.errstate(divide="ignore", invalid="ignore"):
        total = values.sum(axis=0)
        if np.isfinite(total).all():
            n = np.full(total.shape, len(values))
            means = total / n
            d = values - means
            d /= n
            return _of_all(means, d, n, reach)
        n = (~np.isnan(values)).sum(axis=0)
        means = np.nansum(values, axis=0) / n
        return of_influence(means, (values - means) / n, reach)


def of_quantiles(
    values: Floats,
    item_of: NDArray[np.intp] | None,
    shares: tuple[float, ...],
    most: Floats | None = None,
    reach: Reach | None = None,
) -> Quantiles:
    """Quantiles over trials, linear interpolation, with Woodruff's intervals, from the values at a few ranks.

    The ends are the order statistics at the shares p -+ z sqrt(p (1 - p) / n): n is the number of trials, divided by
    the design effect of items with several repeats. No assumption about the distribution. Sources: Woodruff (1952),
    "Confidence intervals for medians and other position measures"; the design effect as in ``share_interval``.

    Args:
        values: (m,), one for a trial, at least one.
        item_of: (m,), the item of each trial, from 0; null: each is of an item of its own.
        shares: which quantiles, 0 to 1.
        most: (m,), how great each value may be where ``values`` are lower bounds; null: they are exact.
        reach: null: the number of items was fixed.

    Returns:
        One for each share; ends are NaN for a single value, p is NaN. With ``most`` the values and lower ends are
        those of the least values, the upper ends those of the greatest: inf where these have none.
    """
    m = len(values)
    trials = None if item_of is None else np.bincount(item_of)
    middles = [share * (m - 1) for share in shares]
    if item_of is None or trials is None or trials.max() == 1:
        # Where the ends are is known before any value is.
        ends = [_ends(share, float(m), m, reach) for share in shares]
        ranked = _ranked_at(values, [*middles, *chain(*ends)])
    else:
        ranked = np.sort(values)
        below = (_trials_below(values, _at(ranked, middle), item_of, trials) for middle in middles)
        ends = [_ends(share, n, m, reach) for share, n in zip(shares, below, strict=True)]
    greatest = ranked if most is None else _ranked_at(most, [*middles, *chain(*ends)])
    found, beyond = (np.array([_at(each, middle) for middle in middles]) for each in (ranked, greatest))
    low = np.array([_at(ranked, end[0]) if end else math.nan for end in ends])
    high = np.array([_at(greatest, end[1]) if end else math.nan for end in ends])
    return Quantiles(found, low, high, np.full(len(shares), np.nan), beyond)


def _ends(share: float, n: float, m: int, reach: Reach | None) -> tuple[float, ...]:
    """Positions of the ends of a quantile's interval among ``m`` ascending values, which tell as much as ``n``
    independent ones; none: they are not known.
    """
    half = _reached(n, reach) * math.sqrt(share * (1 - share) / n)
    if m < 2 or not math.isfinite(half):
        return ()
    return tuple(min(max((share + side) * m - 0.5, 0.0), m - 1.0) for side in (-half, half))


def _ranked_at(values: Floats, positions: list[float]) -> Floats:
    """The values with the right ones at some positions, as if they were in order.

    One place at a time parts what is left, as numpy's partition by several places is slower than a sort; places that
    are near to each other, as those of an interval, lie in a range that is sorted.
    """
    last = len(values) - 1
    ranked, begin = values.copy(), 0
    for first, end in _ranges({min(place, last) for at in positions for place in (math.floor(at), math.floor(at) + 1)}):
        ranked[begin:].partition(first - begin)
        ranked[first:].partition(end - first)
        ranked[first:end].sort()
        begin = end + 1
    return ranked


_NEAR = 1024
"""Places this close to each other share one range."""


def _ranges(places: set[int]) -> list[tuple[int, int]]:
    """First and last of places that follow each other closely, in order."""
    found: list[tuple[int, int]] = []
    for place in sorted(places):
        if found and place - found[-1][1] <= _NEAR:
            found[-1] = (found[-1][0], place)
        else:
            found.append((place, place))
    return found


def _trials_below(values: Floats, value: float, item_of: NDArray[np.intp], trials: NDArray[np.intp]) -> float:
    """``effective_trials`` of the share of values up to ``value``; ``trials``: of each item, 0 or more."""
    below = np.bincount(item_of, weights=values <= value, minlength=len(trials)).astype(np.float64)
    return effective_trials(below[trials > 0], trials[trials > 0].astype(np.float64))


def at_share(ranked: Floats, share: float) -> float:
    """A quantile of ascending values, the last of which may be infinite; linear interpolation."""
    return _at(ranked, share * (len(ranked) - 1))


def _at(ranked: Floats, position: float) -> float:
    before = math.floor(position)
    part = position - before
    if part == 0 or before + 1 >= len(ranked):
        return float(ranked[before])
    one, other = float(ranked[before]), float(ranked[before + 1])
    if math.isinf(one) or math.isinf(other):
        return one if math.isinf(one) else other
    # As numpy does it, to the last digit.
    return one + part * (other - one) if part < 0.5 else other - (1 - part) * (other - one)


def effective_trials(hits: Floats, trials: Floats) -> float:
    """How many independent trials tell as much about a share as these do.

    The variance of the share over items, against that of as many independent trials, is the design effect, by which
    the number of trials is divided. Source: Korn & Graubard (1998), "Confidence intervals for proportions with small
    expected number of positive counts".

    Args:
        hits: (items,), of each item's trials.
        trials: (items,), not 0.
    """
    n, items = float(trials.sum()), len(trials)
    if n == items:
        return n
    share = float(hits.sum()) / n
    if items < 2 or not 0 < share < 1:
        return float(items)
    residuals = hits - share * trials
    variance = items / (items - 1) * float((residuals**2).sum()) / n**2
    # Clustering can leave no more than the trials there are, and no less than one for each item.
    return min(n, max(share * (1 - share) / variance, float(items))) if variance > 0 else n


def _reached(n: float, reach: Reach | None) -> float:
    """In standard errors of a share."""
    return normal_quantile((1 + LEVEL) / 2) if reach is None else float(reach(np.array([n]))[0])


def share_interval(hits: Floats, trials: Floats, reach: Reach | None = None) -> tuple[float, float, float]:
    """A share with its 95 % interval: Wilson's, on ``effective_trials``. NaN without trials.

    Args:
        hits: (items,), of each item's trials.
        trials: (items,), not 0.
        reach: null: the number of items was fixed.

    Source: Wilson (1927), "Probable inference, the law of succession, and statistical inference".
    """
    if not len(trials):
        return math.nan, math.nan, math.nan
    return wilson(float(hits.sum() / trials.sum()), effective_trials(hits, trials), reach)


def wilson(share: float, n: float, reach: Reach | None = None) -> tuple[float, float, float]:
    """A share of ``n`` independent trials with ``share_interval``'s ends."""
    z2 = _reached(n, reach) ** 2
    if not math.isfinite(z2):
        return share, 0.0, 1.0
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = math.sqrt(z2 * share * (1 - share) / n + z2**2 / (4 * n**2)) / (1 + z2 / n)
    return share, max(0.0, middle - half), min(1.0, middle + half)


def share_difference(differences: Floats) -> tuple[float, float, float]:
    """Difference of two paired shares with its 95 % interval; ``differences``: one an item, from -1 to 1.

    Wald's interval after one imaginary item has been added for either system: it stays sensible where the systems
    disagree on few items. Source: Bonett & Price (2012), "Adjusted Wald confidence interval for a difference of
    binomial proportions based on paired data"; with repeats the item's mean takes the place of -1, 0 or 1.
    """
    n = len(differences)
    if n == 0:
        return math.nan, math.nan, math.nan
    moved = np.concatenate([differences, (1.0, -1.0)])
    half = normal_quantile((1 + LEVEL) / 2) * float(moved.std()) / math.sqrt(n + 2)
    middle = float(moved.mean())
    return float(differences.mean()), max(-1.0, middle - half), min(1.0, middle + half)
