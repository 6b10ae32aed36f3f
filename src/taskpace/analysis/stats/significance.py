"""Are two systems different? Paired tests on items, and what many of them together may claim.

Items are the sampling unit: repeats of an item are averaged first, so every test here is one over clusters.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from taskpace.analysis.stats.intervals import AT_A_TIME, LEVEL, Flags, Floats, column_blocks, dots
from taskpace.analysis.stats.special import Counts, fair_at_most
from taskpace.analysis.stats.student import normal_below, normal_quantile, ts_below

ALPHA = 1 - LEVEL
POWER = 0.8
_LEAST_IN_A_THIRD = 3
_EXACT_WILCOXON = 25
"""Up to so many differences the null distribution is counted out."""
_INFINITE = int(np.array(np.inf).view(np.uint64))
"""Bits of infinity; of NaN they are more, without the sign."""
_ONE = int(np.array(1.0).view(np.uint64))
Sizes = NDArray[np.uint64]


class Groups(msgspec.Struct, frozen=True):
    """Groups of values, by what Welch's test needs of each: arrays of one shape."""

    n: Floats
    mean: Floats
    """Of no value: anything."""
    squares: Floats
    """Sum of the squares about the mean."""

    @classmethod
    def of(cls, *groups: Floats) -> Self:
        """Of the values of each, one or more."""
        means = [values.mean() for values in groups]
        squares = [((values - mean) ** 2).sum() for values, mean in zip(groups, means, strict=True)]
        return cls(np.array([float(len(values)) for values in groups]), np.array(means), np.array(squares))

    def together(self, members: Flags) -> Self:
        """Those of the last axis that ``members`` marks, as one group."""
        n = np.where(members, self.n, 0.0)
        whole = n.sum(axis=-1)
        mean = (n * self.mean).sum(axis=-1) / np.maximum(whole, 1)
        between = n * (self.mean - mean[..., None]) ** 2
        return type(self)(whole, mean, (np.where(members, self.squares, 0.0) + between).sum(axis=-1))


def welch(a: Groups, b: Groups) -> tuple[Floats, Floats]:
    """Differences of means, a - b, and two-sided p-values of "there is none"; NaN where one has fewer than two values.

    Source: Welch (1947), "The generalization of 'Student's' problem when several different population variances are
    involved".
    """
    difference = a.mean - b.mean
    variance, freedom = error_of_difference(a, b)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = 2 * ts_below(-np.abs(difference) / np.sqrt(variance), freedom)
    exact = variance <= 1e-24 * np.maximum(1.0, difference**2)
    p = np.where(exact, np.where(np.abs(difference) < 1e-12, 1.0, 0.0), p)
    return difference, np.where(np.minimum(a.n, b.n) < 2, np.nan, p)


def error_of_difference(a: Groups, b: Groups) -> tuple[Floats, Floats]:
    """Variance of the difference of the means, and its degrees of freedom (Welch and Satterthwaite)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        va, vb = (each.squares / (each.n - 1) / each.n for each in (a, b))
        return va + vb, (va + vb) ** 2 / (va**2 / (a.n - 1) + vb**2 / (b.n - 1))


def growth(values: Floats, least: float = 0.0) -> tuple[float, float] | None:
    """The last third of ``values`` against the first: difference of the mean logarithms, and Welch's p.

    What is unknown or not positive is left out; null where a third has fewer than three left, and where the difference
    is less than ``least`` either way, which is then not tested.
    """
    third = len(values) // 3
    first, last = (_logs(part) for part in (values[:third], values[len(values) - third :]))
    if min(len(first), len(last)) < _LEAST_IN_A_THIRD or abs(last.mean() - first.mean()) < least:
        return None
    difference, p = welch(Groups.of(last), Groups.of(first))
    return float(difference[0]), float(p[0])


def growths(values: Floats, least: float) -> list[tuple[float, float] | None]:
    """``growth`` of each row of values, (k, n)."""
    third = values.shape[1] // 3
    if third < _LEAST_IN_A_THIRD:
        return [None] * len(values)
    with np.errstate(divide="ignore", invalid="ignore"):
        first, last = (np.log(part).mean(axis=1) for part in (values[:, :third], values[:, -third:]))
        # Not so where something is unknown or not positive, which is left out.
        below = np.abs(last - first) < least
    return [None if known else growth(row, least) for known, row in zip(below.tolist(), values, strict=True)]


def _logs(values: Floats) -> Floats:
    """Logarithms of what is known and positive."""
    able = np.isfinite(values) & (values > 0)
    return np.log(values if able.all() else values[able])


def wilcoxon(differences: Floats) -> float:
    """``wilcoxons`` of one row of differences, (items,)."""
    return wilcoxons(differences[None])[0]


def wilcoxons(differences: Floats, *, spent: bool = False) -> list[float]:
    """Two-sided p-values of Wilcoxon's signed-rank test of each row of differences, (k, items): a check on the t-test
    that no outlier can sway. ``spent``: the differences may be written over.

    NaN and zero differences are dropped. Up to 25 differences without ties the p-value is exact, else by the normal
    approximation with the tie correction and no continuity correction. Nothing but zeros is 1.
    Source: Wilcoxon (1945), "Individual Comparisons by Ranking Methods".
    """
    count, items = differences.shape
    if not items:
        return [1.0] * count
    found: list[float] = []
    all_keys = (np.ascontiguousarray(differences) if spent else differences.copy()).view(np.uint64)
    blocks = column_blocks(items, count, AT_A_TIME)
    work = np.empty((len(all_keys[blocks[0]]) if blocks else 0, items), dtype=np.uint64)
    ranks = np.broadcast_to(np.arange(1.0, items + 1), work.shape)
    for block in blocks:
        keys = all_keys[block]
        signs = work[: len(keys)]
        # The bits of a positive double are in its order. With the sign moved to the end one sort has sizes and signs.
        np.right_shift(keys, 63, out=signs)
        keys <<= 1
        keys |= signs
        keys.sort(axis=1)
        # 1.0 or -1.0.
        np.left_shift(keys, 63, out=signs)
        signs |= _ONE
        by_rank = dots(signs.view(np.float64), ranks[: len(signs)]).tolist()
        # Equal sizes are 1 apart at most; of others that are, one after the other in the order of all doubles, hardly
        # any follow each other.
        steps = np.subtract(keys[:, 1:], keys[:, :-1], out=signs[:, 1:])
        plain = (keys[:, 0] > 1) & (keys[:, -1] >> 1 <= _INFINITE) & (steps > 1).all(axis=1)
        found += [
            _signed_ranks_p(items, (items * (items + 1) / 2 - signed) / 2) if known else _dropping(row >> 1, row & 1)
            for known, signed, row in zip(plain.tolist(), by_rank, keys, strict=True)
        ]
    return found


def _dropping(sizes: Sizes, negative: Sizes) -> float:
    """``wilcoxon`` of sorted sizes, as bits, among which are zeros, NaN or equal ones; ``negative``: 1 or 0."""
    known = slice(*np.searchsorted(sizes, [1, _INFINITE + 1]))
    sizes, negative = sizes[known], negative[known]
    n = len(sizes)
    if n == 0:
        return 1.0
    # Equal ones share the mean of their ranks.
    begins = np.flatnonzero(np.append(True, sizes[1:] != sizes[:-1]))
    ties = np.diff(np.append(begins, n))
    statistic = float((np.add.reduceat(negative, begins) * (begins + (ties + 1) / 2)).sum())
    return _signed_ranks_p(n, statistic, None if len(begins) == n else ties)


def _signed_ranks_p(n: int, statistic: float, ties: Counts | None = None) -> float:
    """``statistic``: sum of the ranks of one sign; ``ties``: how many are equal to each other; null: none are."""
    if n <= _EXACT_WILCOXON and ties is None:
        least = round(min(statistic, n * (n + 1) / 2 - statistic))
        return min(1.0, 2 * float(_signed_ranks_at_most(n)[least]))
    variance = n * (n + 1) * (2 * n + 1) / 24
    if ties is not None:
        variance -= float((ties**3 - ties).sum()) / 48
    return 2 * normal_below(-abs(statistic - n * (n + 1) / 4) / math.sqrt(variance))


@cache
def _signed_ranks_at_most(n: int) -> Floats:
    """The probabilities that the sum of the positive ones among n signed ranks is at most 0, 1, ..., by counting."""
    ways = np.zeros(n * (n + 1) // 2 + 1)
    ways[0] = 1.0
    for rank in range(1, n + 1):
        ways[rank:] = ways[rank:] + ways[:-rank]
    return np.cumsum(ways) / 2.0**n


def mcnemar(first_only: Counts, second_only: Counts) -> Floats:
    """Two-sided exact p-values of McNemar's test: items that only one of two systems answers correctly.

    The smaller count is binomial with 1/2 when neither is better. Source: McNemar (1947), "Note on the sampling error
    of the difference between correlated proportions or percentages"; exact form as in Fleiss, "Statistical Methods for
    Rates and Proportions", 13.1.
    """
    return sign_tests(first_only, second_only)


def sign_tests(above: Counts, below: Counts) -> Floats:
    """Two-sided exact p-values of "above is as likely as below", of so many either way; what is neither does not count.

    Source: Dixon & Mood (1946), "The statistical sign test".
    """
    n = above + below
    return np.where(n == 0, 1.0, np.minimum(1.0, 2 * fair_at_most(np.minimum(above, below), n)))


def sign_test(above: int, below: int) -> float:
    """``sign_tests`` of one pair of counts."""
    return float(sign_tests(np.array(above), np.array(below)))


def holm(p_values: list[float]) -> list[float]:
    """``holms`` of one family."""
    adjusted: list[float] = holms(np.array(p_values)).tolist()
    return adjusted


def holms(p_values: Floats) -> Floats:
    """Adjusted p-values of families, each along the last axis: significant at 5 % where at most 0.05, with at most 5 %
    false alarms in all of a family.

    NaN stays NaN and does not count. Source: Holm (1979), "A Simple Sequentially Rejective Multiple Test Procedure".
    """
    # NaN comes last.
    order = p_values.argsort(axis=-1)
    left = np.count_nonzero(~np.isnan(p_values), axis=-1, keepdims=True) - np.arange(p_values.shape[-1])
    stepped = np.minimum(1.0, left * np.take_along_axis(p_values, order, axis=-1))
    adjusted = np.empty(p_values.shape)
    np.put_along_axis(adjusted, order, np.maximum.accumulate(stepped, axis=-1), axis=-1)
    return adjusted


def holm_of_known(p_values: list[float | None]) -> list[float | None]:
    """Holm's adjusted p, with null for what is not tested."""
    adjusted = holm([math.nan if p is None else p for p in p_values])
    return [None if math.isnan(p) else p for p in adjusted]


def items_needed(deviation: float, change: float) -> int | None:
    """Items that a paired comparison needs to find a relative change, in four of five cases at the 5 % level.

    n = ((z_0.975 + z_0.8) deviation / ln(1 + change))^2, plus z_0.975^2 / 2 for the t distribution. ``deviation`` is
    that of the paired log ratios over items; none when it is unknown. Source: Guenther (1981), "Sample Size Formulas
    for Normal Theory T Tests".
    """
    if not math.isfinite(deviation):
        return None
    z = normal_quantile((1 + LEVEL) / 2)
    needed = ((z + normal_quantile(POWER)) * deviation / math.log1p(change)) ** 2
    return max(2, math.ceil(needed + z**2 / 2))


def average_ranks(values: Floats) -> Floats:
    """Ranks from 1 along the (short) last axis; equal values share the mean of their ranks."""
    less = (values[..., :, None] > values[..., None, :]).sum(axis=-1)
    same = (values[..., :, None] == values[..., None, :]).sum(axis=-1)
    ranks: Floats = less + (same + 1) / 2
    return ranks
