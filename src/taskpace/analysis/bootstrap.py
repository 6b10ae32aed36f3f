"""The item-clustered bootstrap: items are drawn with replacement, each with all its repeats, for all systems at once.

Every statistic that is a smooth function of totals over items (means, ratios of sums, differences of them) is computed
for all resamples by one matrix product. Sources: Efron (1987), "Better Bootstrap Confidence Intervals", for BCa;
Davison & Hinkley (1997), "Bootstrap Methods and Their Application", 2.4 and 3.8, for resampling whole clusters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Statistic = Callable[[Floats], Floats]
"""From totals, shape (..., columns), to values, shape (..., values)."""

LEVEL = 0.95
"""Of every interval."""
RESAMPLES = 10_000
QUANTILE_RESAMPLES = 2_000
"""A resampled quantile needs a pass over all trials, not a product; its ends then move by about a tenth of their
distance from another seed to another."""
SEED = 20_250_216
"""Fixed: the same run gives the same intervals to the last digit."""

_CHUNK_CELLS = 2_000_000
_KEPT_BYTES = 256 * 2**20


class Intervals(msgspec.Struct, frozen=True):
    """Values with the ends of their 95 % intervals and the p-value of "the value is 0"; arrays of one length."""

    value: Floats
    low: Floats
    high: Floats
    p: Floats


class Resamples:
    """How often each of ``items`` items was drawn in each of ``count`` resamples of that many items.

    One instance serves all systems and measures of a table: what is compared is resampled together. The same
    arguments give the same draws, on every machine.
    """

    def __init__(self, items: int, count: int = RESAMPLES, seed: int = SEED) -> None:
        self.items = items
        self.count = count
        self._seed = seed
        self._kept: list[NDArray[np.uint8]] | None = [] if items * count <= _KEPT_BYTES else None

    def totals(self, columns: Floats) -> Floats:
        """Column totals of every resample: (items, k) -> (count, k)."""
        return np.concatenate([chunk.astype(np.float64) @ columns for chunk in self._chunks()])

    def quantiles(self, values: Floats, item_of: NDArray[np.intp], shares: tuple[float, ...]) -> Floats:
        """Quantiles (linear interpolation) of every resample, of the first ``QUANTILE_RESAMPLES`` of them.

        Args:
            values: (m,), one for a trial.
            item_of: (m,), the item of each trial, 0 to ``items`` - 1.
            shares: which quantiles, 0 to 1.

        Returns:
            (resamples, len(shares)); NaN where a resample has no trial at all.
        """
        order = np.argsort(values, kind="stable")
        ranked, item_of = values[order], item_of[order]
        rows = [
            _weighted_quantiles(ranked, np.cumsum(chunk[:, item_of], axis=1, dtype=np.int32), shares)
            for chunk in self._chunks(QUANTILE_RESAMPLES)
        ]
        return np.concatenate(rows)

    def _chunks(self, limit: int | None = None) -> Iterator[NDArray[np.uint8]]:
        size = max(1, min(self.count, _CHUNK_CELLS // max(1, self.items)))
        wanted = self.count if limit is None else min(limit, self.count)
        for number, start in enumerate(range(0, wanted, size)):
            if self._kept is not None and number < len(self._kept):
                chunk = self._kept[number]
            else:
                chunk = self._draw(number, min(size, self.count - start))
                if self._kept is not None:
                    self._kept.append(chunk)
            yield chunk[: wanted - start]

    def _draw(self, number: int, rows: int) -> NDArray[np.uint8]:
        rng = np.random.default_rng((self._seed, self.items, number))
        drawn = rng.integers(0, self.items, (rows, self.items), dtype=np.int32)
        drawn += np.arange(rows, dtype=np.int32)[:, None] * self.items
        counts = np.bincount(drawn.ravel(), minlength=rows * self.items)
        # An item is drawn once on average; 255 times never happens (a Poisson tail far below 1e-300).
        return counts.reshape(rows, self.items).astype(np.uint8)


def _weighted_quantiles(ranked: Floats, upto: NDArray[np.int32], shares: tuple[float, ...]) -> Floats:
    """``upto``: (rows, m), how many trials of the resample are among the first 1..m of ``ranked``."""
    sizes = upto[:, -1]
    found = np.empty((len(upto), len(shares)))
    for column, share in enumerate(shares):
        place = np.maximum(sizes - 1, 0) * share
        below = np.floor(place).astype(np.int32)
        lower = np.argmax(upto > below[:, None], axis=1)
        upper = np.argmax(upto > np.minimum(below + 1, np.maximum(sizes - 1, 0))[:, None], axis=1)
        found[:, column] = ranked[lower] + (place - below) * (ranked[upper] - ranked[lower])
    found[sizes == 0] = np.nan
    return found


def bca(columns: Floats, statistic: Statistic, resamples: Resamples) -> Intervals:
    """BCa intervals of smooth functions of item totals.

    Bias correction z0 from the share of resamples below the estimate (ties count half), acceleration a from the
    jackknife over items: a = sum d^3 / (6 (sum d^2)^1.5), d = mean of the leave-one-out values - each of them
    (Efron 1987). The p-value is that of the interval which just reaches 0.

    Args:
        columns: (items, k); an item that a system lacks contributes zeros.
        statistic: from totals (..., k) to values (..., v). It may return infinities (a ratio over no correct answer).
        resamples: of the same items.

    Returns:
        v values, intervals and p-values. All NaN for a value that is not finite; an end may be infinite.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        totals = columns.sum(axis=0)
        value = statistic(totals)
        drawn = statistic(resamples.totals(columns))
        left_out = statistic(totals - columns)
    return bca_from(value, drawn, left_out)


def bca_from(value: Floats, drawn: Floats, left_out: Floats) -> Intervals:
    """The same from its parts: estimates (v,), resampled (count, v) and leave-one-out values (items, v)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        drawn = np.sort(np.where(np.isnan(drawn), np.inf, drawn), axis=0)
        count = len(drawn)
        finite = np.isfinite(left_out)
        middle = np.where(finite, left_out, 0.0).sum(axis=0) / np.maximum(finite.sum(axis=0), 1)
        spread = np.where(finite, middle - left_out, 0.0)
        squares = (spread**2).sum(axis=0)
        acceleration = np.where(squares > 0, (spread**3).sum(axis=0) / (6 * squares**1.5), 0.0)
        bias = special.ndtri(_share_below(drawn, value))
        tail = special.ndtri((1 - LEVEL) / 2)
        ends = []
        for z in (tail, -tail):
            moved = bias + (bias + z) / (1 - acceleration * (bias + z))
            place = np.clip(np.rint(special.ndtr(moved) * (count + 1)) - 1, 0, count - 1)
            ends.append(np.take_along_axis(drawn, place.astype(np.intp)[None], axis=0)[0])
        w = special.ndtri(_share_below(drawn, np.zeros_like(value))) - bias
        p = np.minimum(2 * special.ndtr(-np.abs(w / (1 + acceleration * w) - bias)), 1.0)
    still = drawn[0] == drawn[-1]  # nothing varies: the value is known exactly
    p = np.where(still, np.where(value == 0, 1.0, 0.0), p)
    known = np.isfinite(value)
    return Intervals(*(np.where(known, numbers, np.nan) for numbers in (value, ends[0], ends[1], p)))


def percentile(drawn: Floats) -> tuple[float, float]:
    """The 95 % percentile interval of resampled values; NaN where there are none."""
    drawn = drawn[~np.isnan(drawn)]
    if not len(drawn):
        return np.nan, np.nan
    low, high = np.quantile(drawn, ((1 - LEVEL) / 2, (1 + LEVEL) / 2), method="closest_observation")
    return float(low), float(high)


def _share_below(drawn: Floats, value: Floats) -> Floats:
    """Share of each (sorted) column below its value, ties counting half, kept off 0 and 1 by half a resample."""
    below: Floats = (drawn < value).mean(axis=0) + (drawn == value).mean(axis=0) / 2
    edge = 0.5 / len(drawn)
    return np.clip(below, edge, 1 - edge)
