"""Sums over items of the powers of differences between systems, from the products of what each system brings.

Two systems differ on an item by b - a, and sum (b - a)^2 = sum a^2 - 2 sum a b + sum b^2; likewise with fourth powers.
So a few products of matrices, (systems, items) by (items, systems), have what all pairs need, and no pair's items are
looked at one by one.
"""

from __future__ import annotations

from functools import cached_property
from typing import Self

import msgspec
import numpy as np

from taskpace.analysis.stats.intervals import AT_A_TIME, Flags, Floats, Influence, Moments, column_blocks, dots
from taskpace.analysis.stats.items import as_indices, differences, item_means

Indices = list[tuple[int, int]]
"""Of pairs of systems, (a, b)."""

_STEP = 1 << 18
"""Multiplications at a time: for more OpenBLAS takes several threads, and then digits depend on how many it finds."""
_LEAST_LEFT = 1e-4
"""Of the squares that are added up: where less is left of them, as of systems that are alike, rounding would show."""


class Products:
    """What the pairs of some systems need of each: its values less their mean, (systems, items), and that mean."""

    def __init__(self, values: Floats, means: Floats) -> None:
        self._values, self._means = values, means

    @classmethod
    def of(cls, values: Floats) -> Self | None:
        """Of (systems, items, repeats), an item's repeats as their mean; null: not all are finite, or there is none."""
        by_item = item_means(values)
        if not by_item.size:
            return None
        means = by_item.sum(axis=1) / by_item.shape[1]
        # Of what is infinite so is the sum; an unknown one of several repeats is left out of the item's mean.
        if not np.isfinite(means).all() or (values.shape[-1] > 1 and np.isnan(values).any()):
            return None
        return cls(by_item - means[:, None], means)

    @classmethod
    def of_influence(cls, influence: Floats) -> Self | None:
        """Of what items contribute, (systems, items), which sums to 0, and is not copied; null: not all of it is
        finite, or there are no items.
        """
        totals = influence.sum(axis=1)
        return cls(influence, np.zeros(len(totals))) if influence.size and np.isfinite(totals).all() else None

    @cached_property
    def _squares(self) -> Floats:
        """Sums of a b."""
        return sums_of_products(self._values, self._values)

    @cached_property
    def _fourths(self) -> tuple[Floats, Floats]:
        """Sums of a^2 b^2, and of a^3 b."""
        squares = self._values * self._values
        even = sums_of_products(squares, squares)
        squares *= self._values
        return even, sums_of_products(squares, self._values)

    def moments(self, pairs: Indices) -> Moments:
        """Of the differences b - a of each pair (a, b) over the items."""
        squares, _ = self._sums(pairs)
        items = self._values.shape[1]
        with np.errstate(invalid="ignore", divide="ignore"):
            deviation = np.sqrt(squares / (items - 1 if items > 1 else np.nan))
        n = np.full(squares.shape, float(items))
        return Moments(n, self._apart(pairs), deviation, np.ones(squares.shape, dtype=bool))

    @property
    def own_means(self) -> Influence:
        """Of each system's own values: ``Influence.of_means``."""
        return _as_means(self.own(self._means))

    def own(self, value: Floats) -> Influence:
        """Of values, (systems,), to which each item contributes the system's own: ``Influence.of``."""
        squares, fourths = np.diagonal(self._squares), np.diagonal(self._fourths[0])
        n = np.full(squares.shape, float(self._values.shape[1]))
        return Influence(value, n, squares, np.full(n.shape, np.nan), fourths)

    def mean_differences(self, pairs: Indices) -> Influence:
        """Means over items of the differences, and what each item contributes: ``Influence.of_means``."""
        return _as_means(self.influence(self._apart(pairs), pairs))

    def influence(self, value: Floats, pairs: Indices) -> Influence:
        """Of values, (pairs,), to which each item contributes the difference: ``Influence.of``."""
        squares, fourths = self._sums(pairs, fourths=True)
        n = np.full(squares.shape, float(self._values.shape[1]))
        return Influence(value, n, squares, np.full(n.shape, np.nan), fourths)

    def _apart(self, pairs: Indices) -> Floats:
        a, b = as_indices(pairs)
        return self._means[b] - self._means[a]

    def _sums(self, pairs: Indices, *, fourths: bool = False) -> tuple[Floats, Floats]:
        """Sums of the second and of the fourth power of the differences about their means."""
        a, b = as_indices(pairs)
        whole = self._squares[a, a] + self._squares[b, b]
        squares = whole - 2 * self._squares[a, b]
        lost: Flags = squares < _LEAST_LEFT * whole
        found = np.full(squares.shape, np.nan)
        if fourths:
            even, odd = self._fourths
            whole = even[a, a] + even[b, b]
            found = whole + 6 * even[a, b] - 4 * (odd[a, b] + odd[b, a])
            lost |= found < _LEAST_LEFT**2 * whole
        for index in np.flatnonzero(lost).tolist():
            row = differences(self._values, [pairs[index]], np.empty((1, self._values.shape[1])))
            squares[index] = dots(row, row)[0]
            row *= row
            found[index] = dots(row, row)[0]
        return squares, found


def _as_means(sums: Influence) -> Influence:
    """Of what items contribute to a sum, to its mean."""
    return msgspec.structs.replace(sums, squares=sums.squares / sums.n**2, fourths=sums.fourths / sums.n**4)


def sums_of_products(one: Floats, other: Floats) -> Floats:
    """Each row by each other row, summed over items: (k, items), (k, items) -> (k, k)."""
    k, items = one.shape
    step = max(1, min(items, _STEP // k**2))
    whole = items - items % step
    parts = (each[:, :whole].reshape(k, -1, step) for each in (one, other))
    left, right = (np.moveaxis(part, 1, 0) for part in parts)
    found = np.zeros((k, k))
    # Each step has a result of its own, which of many systems is large.
    for some in column_blocks(k**2, len(left), AT_A_TIME):
        found += np.matmul(left[some], right[some].swapaxes(1, 2)).sum(axis=0)
    found += np.matmul(one[:, whole:], other[:, whole:].T)
    return found
