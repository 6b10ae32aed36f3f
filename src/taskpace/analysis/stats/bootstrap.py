"""The item-clustered bootstrap: items are drawn with replacement, each with all its repeats, for all systems at once.

For what has no formula: rankings, and the order of two systems in two measures at once. Source: Davison & Hinkley
(1997), "Bootstrap Methods and Their Application", 2.4 and 3.8 (resampling whole clusters).

Many items are dealt out to ``MOST_UNITS`` groups at random first, and the groups are drawn: totals of groups vary as
totals of their items do, so that the bootstrap's cost does not grow with the number of items. The spread of a mean is
then known to 1 / sqrt(2 x 4,096) = 1.1 %, next to 0.7 % by which 10,000 resamples scatter in any case.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from taskpace.analysis.stats.intervals import LEVEL, Floats

RESAMPLES = 10_000
SEED = 20_250_216
"""Fixed: the same run gives the same intervals to the last digit."""

MOST_UNITS = 4096
"""Items or groups of them that are drawn from; with fewer items each is drawn for itself."""
_CHUNK_CELLS = 2_000_000
_KEPT_BYTES = 256 * 2**20


class Resamples:
    """How often each of ``items`` items, or each group of them, was drawn in each of ``count`` resamples of as many.

    One instance serves all systems and measures of a table: what is compared is resampled together. The same
    arguments give the same draws, on every machine.

    Args:
        items: how many there are.
        count: of the resamples.
        seed: of the draws.
        order: the places of the items in the order in which they are drawn; null: as they stand.
    """

    def __init__(
        self, items: int, count: int = RESAMPLES, seed: int = SEED, *, order: NDArray[np.intp] | None = None
    ) -> None:
        self.items = items
        self.count = count
        self._seed = seed
        self._order = order
        self._units = min(items, MOST_UNITS)
        self._group_of = None if items <= MOST_UNITS else _dealt_out(items, seed)
        self._kept: list[NDArray[np.uint8]] | None = [] if self._units * count <= _KEPT_BYTES else None

    def totals(self, columns: Floats) -> Floats:
        """Column totals of every resample: (items, k) -> (count, k)."""
        if self._order is not None:
            columns = columns[self._order]
        if self._group_of is not None:
            columns = np.array([np.bincount(self._group_of, column, self._units) for column in columns.T]).T
        return np.concatenate([chunk.astype(np.float64) @ columns for chunk in self._chunks()])

    def _chunks(self) -> Iterator[NDArray[np.uint8]]:
        size = max(1, min(self.count, _CHUNK_CELLS // max(1, self._units)))
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
        drawn = rng.integers(0, self._units, (rows, self._units), dtype=np.int32)
        drawn += np.arange(rows, dtype=np.int32)[:, None] * self._units
        counts = np.bincount(drawn.ravel(), minlength=rows * self._units)
        # An item is drawn once on average; 255 times never happens (a Poisson tail far below 1e-300).
        return counts.reshape(rows, self._units).astype(np.uint8)


def _dealt_out(items: int, seed: int) -> NDArray[np.intp]:
    """The group of each item: equally many in each, or one more, at random."""
    return np.random.default_rng((seed, items)).permutation(items) % MOST_UNITS


def percentile(drawn: Floats) -> tuple[float, float]:
    """The 95 % percentile interval of resampled values; NaN where there are none."""
    drawn = drawn[~np.isnan(drawn)]
    if not len(drawn):
        return np.nan, np.nan
    low, high = np.quantile(drawn, ((1 - LEVEL) / 2, (1 + LEVEL) / 2), method="closest_observation")
    return float(low), float(high)
