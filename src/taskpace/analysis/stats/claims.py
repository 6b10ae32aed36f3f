"""Which of two systems is claimed to have the smaller value, when of some answers only a lower bound is known.

A truncated, timed out or failed trial took what was recorded, or any longer time. For the claim "A is smaller than B"
the worst case of the log ratio ln(B / A) is minus infinity where A was cut, and the recorded one elsewhere: B's own cut
answers can only be longer. Of a trial during which the client stood still it is the other way round: it took what was
recorded, or any shorter time. A claim is made when it holds in this worst case. Source: Manski (2003), "Partial
Identification of Probability Distributions", 1 and 2 (worst-case bounds without assumptions on what is missing).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from taskpace.analysis.stats.intervals import Flags, Floats, Moments
from taskpace.analysis.stats.items import any_of_item, any_of_system, differences, item_means
from taskpace.analysis.stats.products import Products
from taskpace.analysis.stats.special import fair_at_most
from taskpace.analysis.stats.student import ts_below

LEAST_FOR_MEAN = 10
"""Items; of fewer, skewed as times are, Student's t errs too often, and most items are all that can be spoken of."""


class Claims(msgspec.Struct, frozen=True):
    """Many pairs (a, b) at once: arrays (pairs,)."""

    p: Floats
    """Two-sided, in the worst case; NaN without two common items."""
    p_least: Floats
    """The least that the cut answers leave possible."""
    leaning: Floats
    """1: p supports that A is the smaller, -1: B, 0: neither."""
    on_most: Flags
    """The claim that p supports is about more than half of the items (sign test); else about the mean."""


class LogRatios(msgspec.Struct, frozen=True, dict=True):
    """ln(b / a) of pairs of systems, item by item: (items, pairs), NaN where an item is not common."""

    logs: Logs
    pairs: list[tuple[int, int]]

    @cached_property
    def exact(self) -> bool:
        """Nothing is bounded: ``low`` and ``high`` are what was recorded."""
        return not any(self.logs.bounded[system] for pair in self.pairs for system in pair)

    @cached_property
    def _bounded(self) -> _Bounded:
        columns = [_ratios_of(self.logs.values, self.logs.cut, self.logs.late, a, b) for a, b in self.pairs]
        return _Bounded(*(np.stack(each).T for each in zip(*columns, strict=True)))

    @cached_property
    def recorded(self) -> Floats:
        """Mean over the repeats that both have, of what was recorded; -inf or inf where a failed trial has no time."""
        if not self.exact:
            return self._bounded.recorded
        values = self.logs.values
        rows = np.empty((len(self.pairs), values.shape[1]))
        if values.shape[-1] == 1:
            differences(values[..., 0], self.pairs, rows)
        else:
            for row, (a, b) in zip(rows, self.pairs, strict=True):
                row[:] = item_means(values[b] - values[a])
        return rows.T

    @property
    def low(self) -> Floats:
        """The least that it may be: -inf where a repeat of A was cut, or one of B late."""
        return self.recorded if self.exact else self._bounded.low

    @property
    def high(self) -> Floats:
        """The most: inf where a repeat of B was cut, or one of A late."""
        return self.recorded if self.exact else self._bounded.high

    @property
    def whole(self) -> Floats:
        """What was recorded of the items without a bound."""
        found = self._bounded
        return np.where(~(found.cut_a | found.cut_b) & np.isfinite(found.recorded), found.recorded, np.nan)

    @cached_property
    def bounds(self) -> tuple[list[int], list[int]]:
        """How many items of each pair have a bound of A, and of B."""
        if self.exact:
            none = [0] * len(self.pairs)
            return none, none
        return self._bounded.cut_a.sum(axis=0).tolist(), self._bounded.cut_b.sum(axis=0).tolist()

    @cached_property
    def moments(self) -> Moments:
        """Of what was recorded."""
        products = self.logs.products if self.exact else None
        return Moments.of(self.recorded) if products is None else products.moments(self.pairs)

    @cached_property
    def means(self) -> list[tuple[float, float, float]]:
        """The means of what was recorded, each with the ends of its interval."""
        mean, half = self.moments.mean, self.moments.half()
        return list(zip(*(each.tolist() for each in (mean, mean - half, mean + half)), strict=True))

    @cached_property
    def finite(self) -> list[tuple[bool, bool]]:
        """Of each pair whether the least that its items may be is known of each, and the most."""
        return list(zip(*(each.bounded.tolist() for each in (self.moments_low, self.moments_high)), strict=True))

    @cached_property
    def moments_low(self) -> Moments:
        """Of the least that they may be."""
        return self.moments if self.exact else Moments.of(self.low)

    @cached_property
    def moments_high(self) -> Moments:
        """Of the most."""
        return self.moments if self.exact else Moments.of(self.high)


class _Bounded(NamedTuple):
    """``LogRatios`` some of which are bounds: (items, pairs)."""

    recorded: Floats
    low: Floats
    high: Floats
    cut_a: Flags
    """A repeat of A was cut, or late: its value is a bound."""
    cut_b: Flags
    """Likewise."""


class Logs(msgspec.Struct, frozen=True, dict=True):
    """Logarithms of one measure of several systems, made once for all pairs: arrays (systems, items, repeats)."""

    values: Floats
    """NaN where there is none; -inf where a failed trial has no time."""
    cut: Flags
    """Of the value only a lower bound is known."""
    late: Flags
    """Only an upper bound."""
    known: list[bool]
    """Of each system whether there is any value."""
    bounded: list[bool]
    """Of each system whether there is a bound among them."""

    @classmethod
    def of(cls, values: Floats, cut: Flags, late: Flags | None = None) -> Self:
        """Of values as recorded, (systems, items, repeats); see ``log_ratios``."""
        # As a rule all are there; or none, as of reasoning.
        there: Flags = values > 0
        if there.all():
            return cls.of_logs(np.log(values), cut, late)
        logs = np.full(values.shape, np.nan)
        np.log(values, out=logs, where=there)
        logs[cut & (values == 0)] = -np.inf
        return cls.of_logs(logs, cut, late)

    @classmethod
    def of_logs(cls, logs: Floats, cut: Flags, late: Flags | None = None) -> Self:
        """Of their logarithms; not finite where there is no value above 0."""
        there, some_cut = logs > -np.inf, cut.any()
        if some_cut:
            there |= cut & (logs == -np.inf)
        if not there.all():
            logs = np.where(there, logs, np.nan)
        late = np.broadcast_to(np.False_, cut.shape) if late is None else late
        bounded = any_of_system(cut | late).tolist() if some_cut or late.any() else [False] * len(logs)
        return cls(logs, cut, late, any_of_system(there).tolist(), bounded)

    @cached_property
    def products(self) -> Products | None:
        """Null: some are not known."""
        return Products.of(self.values)

    def ratios(self, indices: list[tuple[int, int]]) -> LogRatios:
        """Of pairs (a, b) of systems."""
        return LogRatios(self, indices)


def log_ratios(values: Floats, cut: Flags, indices: list[tuple[int, int]], late: Flags | None = None) -> LogRatios:
    """Compare systems item by item.

    Args:
        values: (systems, items, repeats), recorded; NaN where there is none. 0 counts where it was cut, else as none.
        cut: the same shape: only a lower bound.
        indices: pairs (a, b) of systems.
        late: the same shape as ``cut``: only an upper bound; null: nowhere.
    """
    return Logs.of(values, cut, late).ratios(indices)


def _ratios_of(logs: Floats, cut: Flags, late: Flags, a: int, b: int) -> tuple[Floats, Floats, Floats, Flags, Flags]:
    both = ~np.isnan(logs[a]) & ~np.isnan(logs[b])
    cut_a, cut_b, late_a, late_b = (each[system] & both for each in (cut, late) for system in (a, b))
    with np.errstate(invalid="ignore"):
        ratios = np.where(both, logs[b] - logs[a], np.nan)
    # Two failed trials without a time: nothing is known of their ratio.
    ratios = np.where(both & np.isnan(ratios), 0.0, ratios)
    # A failed trial without a time may have taken none: the other side's ratio is unbounded then, too.
    low = np.where(cut_a | late_b | (both & np.isneginf(logs[b])), -np.inf, ratios)
    high = np.where(cut_b | late_a | (both & np.isneginf(logs[a])), np.inf, ratios)
    bound_a, bound_b = any_of_item(cut_a | late_a), any_of_item(cut_b | late_b)
    with np.errstate(invalid="ignore"):
        # Of an item's repeats one may be unbounded above and one below: then their mean is unknown.
        return item_means(ratios), item_means(low), item_means(high), bound_a, bound_b


Test = Callable[[Floats], tuple[Floats, Flags]]
"""Lower ends of log ratios, (items, pairs), to one-sided p-values and whether they are about most items, (pairs,)."""


def decide(found: LogRatios, test: Test | None = None) -> Claims:
    """Test every pair, two-sided: p = min(1, 2 x the smaller one-sided p); ``test``: null for ``one_sided``."""
    if test is None and found.exact and (found.moments.bounded & (found.moments.n >= LEAST_FOR_MEAN)).all():
        # The other direction's p-value is 1 less this one's.
        p = found.moments.tested()
        return Claims(p, p, np.where(p < 1, np.sign(found.moments.mean), 0.0), np.zeros(p.shape, dtype=bool))
    if test is None:
        a_lower, a_most = _one_sided(found.moments_low, lambda: (found.low > 0).sum(axis=0))
        b_lower, b_most = _one_sided(found.moments_high.mirrored(), lambda: (found.high < 0).sum(axis=0))
    else:
        a_lower, a_most = test(found.low)
        b_lower, b_most = test(-found.high)
    p = np.minimum(1.0, 2 * np.minimum(a_lower, b_lower))
    least = p
    if any(map(any, found.bounds)):
        test = test or one_sided
        without = found.whole
        best = [test(each)[0] for each in (without, -without, found.recorded, -found.recorded, found.high, -found.low)]
        least = np.minimum(p, 2 * np.nan_to_num(np.array(best), nan=1.0).min(axis=0))
    leaning = np.sign(b_lower - a_lower)
    return Claims(p, np.where(np.isnan(p), np.nan, least), leaning, np.where(leaning < 0, b_most, a_most))


def one_sided(lows: Floats) -> tuple[Floats, Flags]:
    """P-values of "the log ratios are not above 0", (items, pairs) -> (pairs,), and whether it is the sign test's.

    - Where all are finite and there are ten or more: Student's t, on their mean. Source: Student (1908).
    - Else the sign test: P(Binomial(n, 1/2) >= number above 0), on more than half of the items; ties count against it,
      so does minus infinity. Source: Dixon & Mood (1946), "The statistical sign test".

    With fewer than two items the p-value is NaN.
    """
    return _one_sided(Moments.of(lows), lambda: (lows > 0).sum(axis=0))


def _one_sided(moments: Moments, wins: Callable[[], NDArray[np.intp]]) -> tuple[Floats, Flags]:
    """``wins``: items of each pair that support it."""
    n, mean = moments.n, moments.mean
    on_most = ~moments.bounded | (n < LEAST_FOR_MEAN)
    signs = _signs(wins(), n.astype(np.intp)) if on_most.any() else np.ones(n.shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = ts_below(-mean / moments.error, n - 1)
    t = np.where(moments.exact, np.where(np.abs(mean) < 1e-12, 0.5, np.where(mean > 0, 0.0, 1.0)), t)
    return np.where(n < 2, np.nan, np.where(on_most, signs, t)), on_most


def _signs(above: NDArray[np.intp], n: NDArray[np.intp]) -> Floats:
    """The sign test's p-values."""
    return fair_at_most(n - above, n)
