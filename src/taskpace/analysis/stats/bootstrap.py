"""The item-clustered bootstrap: items are drawn with replacement, each with all its repeats, for all systems at once.

For what has no formula: rankings, and the order of two systems in two measures at once. Source: Davison & Hinkley
(1997), "Bootstrap Methods and Their Application", 2.4 and 3.8 (resampling whole clusters).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from taskpace.analysis.stats.intervals import LEVEL, Floats

RESAMPLES = 10_000
SEED = 20_250_216
"""Fixed: the same run gives the same intervals to the last digit."""

_CHUNK_CELLS = 2_000_000
_KEPT_BYTES = 256 * 2**20


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

    def _chunks(self) -> Iterator[NDArray[np.uint8]]:
        size = max(1, min(self.count, _CHUNK_CELLS // max(1, self.items)))
        for number, start in enumerate(range(0, self.count, size)):
            if self._kept is not None and number < len(self._kept):
                yield self._kept[number]
                continue
            chunk = self._draw(number, min(size, self.count - start))
            if self._kept is not None:
                self._kept.append(chunk)
            yield chunk

    def _draw(self, number: int, rows: int) -> NDArray[np.uint8]:
        rng = np.random.default_rng((self._seed, self.items, number))
        drawn = rng.integers(0, self.items, (rows, self.items), dtype=np.int32)
        drawn += np.arange(rows, dtype=np.int32)[:, None] * self.items
        counts = np.bincount(drawn.ravel(), minlength=rows * self.items)
        # An item is drawn once on average; 255 times never happens (a Poisson tail far below 1e-300).
        return counts.reshape(rows, self.items).astype(np.uint8)


def percentile(drawn: Floats) -> tuple[float, float]:
    """The 95 % percentile interval of resampled values; NaN where there are none."""
    drawn = drawn[~np.isnan(drawn)]
    if not len(drawn):
        return np.nan, np.nan
    low, high = np.quantile(drawn, ((1 - LEVEL) / 2, (1 + LEVEL) / 2), method="closest_observation")
    return float(low), float(high)
