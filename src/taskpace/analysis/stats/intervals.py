"""95 % intervals. Items are the sampling unit: whatever an item's repeats show counts as one observation of it.

Which interval belongs to which estimate was chosen by measured coverage (docs/statistics.md): with skewed times these
hold the truth more often than the bootstrap's do, and they need no resampling.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from taskpace.analysis.stats.student import t_quantiles, ts_below

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


BLOCK_VALUES = 1 << 20
"""Of one array in a block of columns: eight megabytes, and pairs enough that what is done once a block does not count:
all pairs of ten systems with 20,000 items.
"""


AT_A_TIME = 1 << 18
"""Values that one step works on: many short columns, ten of 20,000 items, or a long one. They stay in the processor's
cache, and numpy works on them for longer than it takes two threads to hand Python over to each other: with fewer values
the threads wait for each other more than they work.
"""


def column_blocks(rows: int, columns: int, values: int = BLOCK_VALUES) -> list[slice]:
    """The columns of tall arrays in blocks of so many values; one column at least."""
    size = max(1, values // max(1, rows))
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
                mean, squares = total / n, np.empty(total.shape)
                rows, blocks = values.T, column_blocks(len(values), values.shape[1], AT_A_TIME)
                work = _work(rows, blocks)
                for block in blocks:
                    away = np.subtract(rows[block], mean[block, None], out=work[: len(rows[block])])
                    squares[block] = dots(away, away)
                known, bounded = np.full(mean.shape, n), np.ones(mean.shape, dtype=bool)
            else:
                finite = np.isfinite(values)
                known = (~np.isnan(values)).sum(axis=0).astype(np.float64)
                mean = np.where(finite, values, 0.0).sum(axis=0) / known
                away = np.where(finite, values - mean, 0.0)
                away *= away
                squares = away.sum(axis=0)
                bounded = finite.sum(axis=0) == known
            return cls(known, mean, np.sqrt(squares / np.where(known > 1, known - 1, np.nan)), bounded)

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
        half = self.half()
        return Intervals(self.mean, self.mean - half, self.mean + half, self.tested())

    def tested(self) -> Floats:
        """The p-values of ``intervals``."""
        with np.errstate(divide="ignore", invalid="ignore"):
            p = 2 * ts_below(-np.abs(self.mean) / self.error, self.n - 1)
        return np.where(self.exact, np.where(np.abs(self.mean) < 1e-12, 1.0, 0.0), p)

    def half(self) -> Floats:
        """How far the intervals reach to either side of the means."""
        with np.errstate(invalid="ignore"):
            half = t_quantiles((1 + LEVEL) / 2, self.n - 1) * self.error
        return np.where(self.exact, 0.0, half)


class Influence(msgspec.Struct, frozen=True):
    """Smooth functions of totals over items, and how far they scatter by what each item contributes: arrays (k,).

    An item contributes d, the change in the value for a small weight more on the item; it sums to 0. Intervals are
    Student's t with the standard error of the infinitesimal jackknife, sqrt(n / (n - 1) sum d^2), and with
    ``degrees_of_freedom``. Source: Jaeckel (1972), "The infinitesimal jackknife".
    """

    value: Floats
    n: Floats
    """Items that belong to the value."""
    squares: Floats
    """Sum of d^2."""
    cubes: Floats
    """Sum of d^3, the side of the tail; NaN without ``skewed``."""
    fourths: Floats
    """Sum of d^4."""

    @classmethod
    def of(cls, value: Floats, influence: Floats, *, skewed: bool = False, spent: bool = False) -> Self:
        """Of d, (items, k), NaN for an item that does not belong to the value.

        Args:
            value: what the items contribute to.
            influence: d.
            skewed: with the cubes.
            spent: d may be written over, and none is NaN.
        """
        with np.errstate(invalid="ignore"):
            powers = _powers(influence, skewed=skewed, spent=spent)
        # Of what is unknown so are the powers.
        if np.isfinite(powers[0]).all():
            return cls(value, np.full(value.shape, float(len(influence))), *powers)
        if spent:
            raise ValueError("what is written over has to be known")
        asked = ~np.isnan(influence)
        n, known = asked.sum(axis=0).astype(np.float64), np.where(asked, influence, 0.0)
        return cls(value, n, *_powers(known, skewed=skewed, spent=True))

    @classmethod
    def of_means(cls, values: Floats, *, skewed: bool = False, spent: bool = False) -> Self:
        """Means over items of (items, k): d_i = (x_i - mean) / n. NaN is left out. ``spent``: the values may be
        written over.
        """
        # Block by block from the sum to the powers: what is read again is still close to the core.
        blocks = column_blocks(len(values), values.shape[1], AT_A_TIME) or [slice(0)]
        return cls.together([cls._of_some_means(values[:, block], skewed=skewed, spent=spent) for block in blocks])

    @classmethod
    def _of_some_means(cls, values: Floats, *, skewed: bool, spent: bool) -> Self:
        with np.errstate(divide="ignore", invalid="ignore"):
            means, n = values.sum(axis=0) / len(values), np.full(values.shape[1], float(len(values)))
            # Of what is unknown so is the mean.
            if np.isfinite(means).all():
                powers = _powers(values, centre=means, skewed=skewed, spent=spent)
            else:
                there = ~np.isnan(values)
                n = there.sum(axis=0).astype(np.float64)
                means = np.where(there, values, 0.0).sum(axis=0) / n
                powers = _powers(np.where(there, values - means, 0.0), skewed=skewed, spent=True)
            return cls(means, n, *(power / n**k for k, power in enumerate(powers, 2)))

    @classmethod
    def together(cls, parts: Sequence[Self]) -> Self:
        """Some, one after the other."""
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in cls.__struct_fields__))

    def turned(self, signs: Floats) -> Self:
        """These, with the other sign where ``signs``, 1 or -1, say so."""
        # 0, and not -0, is 0 with the other sign.
        return msgspec.structs.replace(self, value=self.value * signs + 0.0, cubes=self.cubes * signs)

    @property
    def freedom(self) -> Floats:
        """``degrees_of_freedom`` of what the items contribute."""
        return _freedom(self.squares, self.fourths, self.n)

    @property
    def error(self) -> Floats:
        """Standard error; 0 where it is but rounding."""
        with np.errstate(divide="ignore", invalid="ignore"):
            error = np.sqrt(self.n / (self.n - 1) * self.squares)
        return np.where(error <= 1e-12 * np.maximum(1.0, np.abs(self.value)), 0.0, error)

    def intervals(self, reach: Reach | None = None) -> Intervals:
        """The values with their intervals; nothing is tested.

        ``reach``: null: the number of items was fixed. Else the end on the side of the tail is unknown below
        ``LEAST_FREEDOM``, and the cubes are needed. Measured: docs/statistics.md.
        """
        freedom, error = self.freedom, self.error
        half = t_quantiles((1 + LEVEL) / 2, freedom) if reach is None else reach(self.n)
        with np.errstate(invalid="ignore"):
            half = np.where(error == 0, 0.0, half * error)
        low, high = self.value - half, self.value + half
        if reach is not None:
            few = freedom < LEAST_FREEDOM
            low, high = np.where(few & (self.cubes < 0), np.nan, low), np.where(few & (self.cubes >= 0), np.nan, high)
        known = np.isfinite(self.value) & (self.n >= 2)
        nothing = np.full(self.value.shape, np.nan)
        return Intervals(self.value, np.where(known, low, np.nan), np.where(known, high, np.nan), nothing)

    def tested(self) -> Floats:
        """Two-sided p-values of "the value is 0" by Student's t; NaN for what is unknown, or of one item."""
        error = self.error
        with np.errstate(divide="ignore", invalid="ignore"):
            p = 2 * ts_below(-np.abs(self.value) / error, self.freedom)
        p = np.where(error == 0, np.where(np.abs(self.value) < 1e-12, 1.0, 0.0), p)
        return np.where(np.isfinite(self.value) & (self.n >= 2), p, np.nan)

    def tested_intervals(self) -> Intervals:
        """The values with both."""
        return msgspec.structs.replace(self.intervals(), p=self.tested())


def _powers(
    values: Floats, *, centre: Floats | None = None, skewed: bool = False, spent: bool = False
) -> tuple[Floats, Floats, Floats]:
    """Sums over items of the second, third and fourth power of ``values``, (items, k), less ``centre``: (k,) each.

    The third is NaN without ``skewed``. ``spent``: the values may be written over.
    """
    squares, cubes, fourths = np.full((3, values.shape[1]), np.nan)
    # As rows, each in one piece: it sums as it does alone, to the digit.
    rows, blocks = values.T, column_blocks(len(values), values.shape[1], AT_A_TIME)
    # What is worked on where it lies is read and written half as often.
    spent = spent and rows.flags.c_contiguous
    moved_into = None if centre is None or spent else _work(rows, blocks)
    squared_into = _work(rows, blocks) if skewed or not (spent or moved_into is not None) else None
    for block in blocks:
        d = rows[block]
        if centre is not None:
            d = np.subtract(d, centre[block, None], out=d if moved_into is None else moved_into[: len(d)])
        d = np.ascontiguousarray(d)
        squares[block] = dots(d, d)
        d2 = np.multiply(d, d, out=d if squared_into is None else squared_into[: len(d)])
        if skewed:
            cubes[block] = dots(d, d2)
        fourths[block] = dots(d2, d2)
    return squares, cubes, fourths


_LONGEST_DOT = 1 << 13
"""OpenBLAS deals longer ones out to threads, which takes more of the processor's time than it saves."""


def dots(one: Floats, other: Floats) -> Floats:
    """Sums of the products of two rows each, (k, items) -> (k,)."""
    whole = one.shape[1] - one.shape[1] % _LONGEST_DOT
    found: Floats = np.vecdot(one[:, whole:], other[:, whole:])
    if whole:
        parts = (each[:, :whole].reshape(len(each), -1, _LONGEST_DOT) for each in (one, other))
        found += np.vecdot(*parts).sum(axis=1)
    return found


def _work(rows: Floats, blocks: list[slice]) -> Floats:
    """An array to work in, block after block of rows: the same memory each time is still close to the core."""
    return np.empty((len(rows[blocks[0]]) if blocks else 0, rows.shape[1]))


def of_influence(value: Floats, influence: Floats, *, spent: bool = False) -> Intervals:
    """Intervals and tests of values, (k,), from what each item contributes to them, (items, k) (``Influence.of``)."""
    return Influence.of(value, influence, spent=spent).tested_intervals()


def degrees_of_freedom(d: Floats, n: int) -> Floats:
    """How well d, (items, k) and summing to 0 over ``n`` items, tell their own spread: (k,), at most n - 1.

    A sum of squares has an error that grows with the tail of d. These are the degrees of freedom whose chi-square has
    the variance that the d show, 2 (sum d^2)^2 / (sum d^4 - (sum d^2)^2 / n): about n for normal d, 2 where one item
    decides. Source: Satterthwaite (1946), "An approximate distribution of estimates of variance components".
    """
    squares, _, fourths = _powers(d)
    return _freedom(squares, fourths, np.full(squares.shape, float(n)))


def _freedom(squares: Floats, fourths: Floats, n: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = np.minimum(2 * squares**2 / (fourths - squares**2 / n), n - 1)
    # The variance of equal numbers is 0, or by rounding less.
    return np.where(freedom > 0, freedom, n - 1)


def of_ratios(numerators: Floats, denominators: Floats, reach: Reach | None = None) -> Intervals:
    """Ratios of totals of positive numbers: on the logarithm, d_i = x_i / sum x - c_i / sum c; see ``Influence``.

    Args:
        numerators: (items, k), not negative.
        denominators: (items, k), counts. An item with neither belongs to no system.
        reach: null: the number of items was fixed.

    Returns:
        The ratios themselves; nothing is tested. All NaN where a total is 0.
    """
    return ratios_of(log_ratios(numerators, denominators, skewed=reach is not None), reach)


def log_ratios(numerators: Floats, denominators: Floats, *, skewed: bool = False) -> Influence:
    """Logarithms of ratios of totals, of (items, k), and what each item contributes; ``skewed``: with the cubes."""
    items, columns = numerators.shape
    parts = []
    for block in column_blocks(items, columns, AT_A_TIME) or [slice(0)]:
        some = numerators[:, block], denominators[:, block]
        with np.errstate(divide="ignore", invalid="ignore"):
            above, below = (each.sum(axis=0) for each in some)
            logs = np.log(above) - np.log(below)
        parts.append(Influence.of(logs, log_influence(*some, (above, below)), skewed=skewed))
    return Influence.together(parts)


def log_means(means: Influence, count: float = 1.0) -> Influence:
    """``log_ratios`` where all denominators are ``count``, from the means of the numerators."""
    with np.errstate(divide="ignore", invalid="ignore"):
        powers = (power / means.value**k for k, power in enumerate((means.squares, means.cubes, means.fourths), 2))
        return Influence(np.log(means.value / count), means.n, *powers)


def ratios_of(logs: Influence, reach: Reach | None = None) -> Intervals:
    """``of_ratios`` from their logarithms."""
    found = logs.intervals(reach)
    with np.errstate(over="ignore", invalid="ignore"):
        values = np.where(np.isfinite(logs.value), np.exp(logs.value), np.nan)
        return Intervals(values, np.exp(found.low), np.exp(found.high), found.p)


def log_influence(numerators: Floats, denominators: Floats, totals: tuple[Floats, Floats] | None = None) -> Floats:
    """D of ln(sum x / sum c), (items, k); NaN for items with neither. ``totals``: those sums, if they are known."""
    above, below = totals or (numerators.sum(axis=0), denominators.sum(axis=0))
    with np.errstate(divide="ignore", invalid="ignore"):
        d: Floats = numerators / above
        d -= denominators / below
    # Numerators first: hardly any of them is 0.
    neither = numerators == 0
    if neither.any():
        d[neither & (denominators == 0)] = np.nan
    return d


def of_means(values: Floats, reach: Reach | None = None) -> Intervals:
    """Means over items, (items, k) -> k, with their intervals; see ``Influence``. NaN is left out; no tests."""
    return Influence.of_means(values, skewed=reach is not None).intervals(reach)
