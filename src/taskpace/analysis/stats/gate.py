"""Whether a change is known to be above or below a limit, at any stopping time: one-sided tests, and the ends that they
leave.

A limit divides all changes in two, so of "above" and "below" one at most can be claimed wrongly. Every ``Evidence`` is
a pair of e-processes against a limit (``stats.anytime``), and the ends of the change are the limits that they do not
exclude.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import msgspec
import numpy as np

from taskpace.analysis.stats.anytime import FIRST_MEAN, RATIO_SPREAD, SPREAD, Totals, running
from taskpace.analysis.stats.intervals import Floats
from taskpace.analysis.stats.quantiles import at_share
from taskpace.analysis.stats.sequential import Looked, items_more
from taskpace.analysis.stats.special import log_sum_exp

_HALVINGS = 14
"""Of the range of limits, until the end of an interval is found: to a two-thousandth."""
_WIDEST_LOG = math.log(32)
"""A ratio beyond which no end of an interval is told."""
_BETS = np.linspace(0.02, 0.98, 25)
"""Shares of what can be lost that are bet on a mean of bounded values; the mixture has no need to know the best."""


class Evidence(Protocol):
    """What is known of one change. Values and limits are logarithms of ratios, or differences of shares."""

    value: float
    """NaN where unknown."""
    items: int
    on_most: bool
    widest: float
    """The largest limit, either way, that there may be."""

    def log_p_above(self, limit: float) -> float:
        """Logarithm of the p-value, at any stopping time, of "no more than the limit"."""
        ...

    def log_p_below(self, limit: float) -> float:
        """Likewise of "no less than the limit"."""
        ...

    def more(self, limit: float, error: float) -> int | None:
        """About how many items more settle it, if it goes on as it is; null: too many, or unknown."""
        ...


class OfItems:
    """Of log ratios, item by item in the order in which they were asked.

    Args:
        recorded: (items,), NaN where one of the two was not asked.
        lows: the least that each may be; minus infinity where the base was cut.
        highs: the most.
    """

    widest = _WIDEST_LOG

    def __init__(self, recorded: Floats, lows: Floats, highs: Floats) -> None:
        known = ~np.isnan(recorded)
        self._lows, self._highs = lows[known], highs[known]
        self.items = int(known.sum())
        whole = bool(np.isfinite(self._lows).all() and np.isfinite(self._highs).all())
        self._recorded = recorded[known]
        self.on_most = not whole or self.items < FIRST_MEAN
        self.value = self._middle()

    def _middle(self) -> float:
        if not self.items:
            return math.nan
        if not self.on_most:
            return float(self._recorded.mean())
        # Where cut answers leave the median open it is unknown.
        least, most = (at_share(np.sort(ends), 0.5) for ends in (self._lows, self._highs))
        return float(least) if least == most else math.nan

    def log_p_above(self, limit: float) -> float:
        return _running(self._lows - limit)

    def log_p_below(self, limit: float) -> float:
        return _running(limit - self._highs)

    def more(self, limit: float, error: float) -> int | None:
        if self.on_most:
            wins = max((self._lows > limit).sum(), (self._highs < limit).sum())
            return _more(self.items, float(wins) / max(1, self.items), error, on_most=True)
        scatter = float(self._recorded.std(ddof=1))
        return _more(self.items, abs(self.value - limit) / scatter if scatter > 0 else math.inf, error)


class OfTotals:
    """Of a ratio of totals, one pair (``Totals``)."""

    widest = _WIDEST_LOG
    on_most = False

    def __init__(self, totals: Totals) -> None:
        self._totals = totals
        known = len(totals.n) and totals.look[-1, 0]
        self.value = float(totals.value[-1, 0]) if known else math.nan
        self.items = int(totals.n[-1, 0]) if len(totals.n) else 0

    def log_p_above(self, limit: float) -> float:
        return self._log_p(limit, 1)

    def log_p_below(self, limit: float) -> float:
        return self._log_p(limit, -1)

    def _log_p(self, limit: float, sign: int) -> float:
        found = self._totals
        if not len(found.n):
            return 0.0
        beyond = found.value - limit
        log_e = Totals(found.n, beyond, found.error, found.look).log_e
        # Of both directions together 1 / e: of either half of it.
        best = float(np.where(sign * beyond > 0, log_e, 0.0).max())
        return min(0.0, -best - math.log(2)) if best > 0 else 0.0

    def more(self, limit: float, error: float) -> int | None:
        if math.isnan(self.value):
            return None
        scatter = float(self._totals.error[-1, 0]) * math.sqrt(self.items)
        effect = abs(self.value - limit) / scatter if scatter > 0 else math.inf
        return _more(self.items, effect, error, spread=RATIO_SPREAD)


class OfShares:
    """Of the difference of two paired shares, by betting on it.

    Each item's difference d is -1, 0 or 1. Under "the mean is at most m" the capital of who bets a part b of it on
    more, the product of 1 + b (d - m) / (1 + m), has a mean of 1 at most, whenever one stops; so has the mean over many
    b. Exact for any number of items. Source: Waudby-Smith & Ramdas (2024), "Estimating means of bounded random
    variables by betting".

    Args:
        differences: (items,), NaN where one of the two was not asked.
    """

    widest = 1.0
    on_most = False

    def __init__(self, differences: Floats) -> None:
        self._differences = differences[~np.isnan(differences)]
        self.items = len(self._differences)
        self.value = float(self._differences.mean()) if self.items else math.nan

    def log_p_above(self, limit: float) -> float:
        return _betting(self._differences, limit)

    def log_p_below(self, limit: float) -> float:
        return _betting(-self._differences, -limit)

    def more(self, limit: float, error: float) -> int | None:
        if not self.items:
            return None
        sign = 1 if self.value > limit else -1
        values, mean = sign * self._differences, sign * limit
        growth = float(np.log1p(_stakes(mean) * (values[:, None] - mean)).mean(axis=0).max())
        left = -math.log(error) + _betting(values, mean)
        return max(1, math.ceil(left / growth)) if growth > 0 else None


def _running(beyond: Floats) -> float:
    return float(running(beyond[:, None]).log_p[-1, 0]) if len(beyond) else 0.0


def _stakes(limit: float) -> Floats:
    """(bets,): so much for each unit by which a value exceeds the limit, and never all of the capital."""
    return _BETS / max(1.0 + limit, 1e-9)


def _betting(values: Floats, limit: float) -> float:
    """Logarithm of the p-value of "the mean is not above the limit"."""
    if not len(values):
        return 0.0
    capital = np.cumsum(np.log1p(_stakes(limit) * (values[:, None] - limit)), axis=0)
    return min(0.0, -float(log_sum_exp(capital).max() - math.log(len(_BETS))))


def _more(items: int, effect: float, error: float, *, on_most: bool = False, spread: float = SPREAD) -> int | None:
    """``items_more`` of one side of a single value."""
    unknown = np.array([math.nan])
    found = Looked(
        items=np.array([float(items)]),
        p=unknown,
        leaning=unknown,
        on_most=np.array([on_most]),
        value=unknown,
        low=unknown,
        high=unknown,
        close=unknown,
        effect=np.array([effect]),
        spread=spread,
    )
    return items_more(found, 0, min(1.0, 2 * error), None)


class Bounds(msgspec.Struct, frozen=True):
    """Where a change lies, against a limit."""

    above: bool
    """More than the limit, at its error."""
    below: bool
    """No more than the limit, or just it, at its error."""
    least: float
    """The change is no less, at the error of ``above``; minus infinity: unknown."""
    most: float
    """Likewise."""


def bounds(found: Evidence, limit: float, *, above: float, below: float) -> Bounds:
    """``above``, ``below``: the error of saying so."""
    return Bounds(
        above=found.log_p_above(limit) <= math.log(above),
        below=found.log_p_below(limit) <= math.log(below),
        least=_end(found.log_p_above, found.widest, math.log(above)),
        most=-_end(lambda limit: found.log_p_below(-limit), found.widest, math.log(below)),
    )


def _end(log_p: Callable[[float], float], widest: float, log_error: float) -> float:
    """The largest limit that is excluded, with all smaller ones; minus infinity: none."""
    low, high = -widest, widest
    if log_p(low) > log_error:
        return -math.inf
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if log_p(middle) <= log_error else (low, middle)
    return low
