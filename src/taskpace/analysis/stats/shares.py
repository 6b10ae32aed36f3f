"""Two systems' shares of correct answers, paired by item: what an interval and a test of their difference need."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Self

import msgspec
import numpy as np

from taskpace.analysis.stats.intervals import Floats, Reach, reached
from taskpace.analysis.stats.products import Indices, sums_of_products
from taskpace.analysis.stats.student import normal_below


class PairedShares(msgspec.Struct, frozen=True):
    """One pair, over the items that both were asked: an item's difference is b's share of its repeats less a's."""

    n: int
    above: int
    """Items that b has more right of."""
    below: int
    """Items that a has more right of."""
    total: float
    """Sum of the differences."""
    squares: float
    """Sum of their squares."""

    @classmethod
    def of(cls, differences: Floats) -> Self:
        """Of differences from -1 to 1, one an item."""
        above, below = (int(np.count_nonzero(each)) for each in (differences > 0, differences < 0))
        return cls(len(differences), above, below, float(differences.sum()), float((differences**2).sum()))

    def difference(self, reach: Reach | None = None) -> tuple[float, float, float]:
        """The mean difference with its 95 % interval; NaN without items.

        Wald's interval after one imaginary item has been added for either system: it stays sensible where the systems
        disagree on few items. ``reach``: null: the number of items was fixed. Source: Bonett & Price (2012), "Adjusted
        Wald confidence interval for a difference of binomial proportions based on paired data"; with repeats the item's
        mean takes the place of -1, 0 or 1.
        """
        if not self.n:
            return math.nan, math.nan, math.nan
        n = self.n + 2
        middle = self.total / n
        half = reached(float(self.n), reach) * math.sqrt((self.squares + 2 - self.total * middle) / n / n)
        return self.total / self.n, max(-1.0, middle - half), min(1.0, middle + half)

    def clustered_mcnemar(self) -> float:
        """P-value of McNemar's test for repeats.

        z = sum d / sqrt(sum d^2), normal when neither is better. Source: Durkalski et al. (2003), "Analysis of
        clustered matched-pair data", Statistics in Medicine 22, with clusters (items) weighted alike.
        """
        return 2 * normal_below(-abs(self.total) / math.sqrt(self.squares)) if self.squares else 1.0


class AskedOnce:
    """Systems that were asked each item once: counting is all that their differences need.

    Args:
        correct: (systems, items), 1, 0, or NaN where there is no record.
    """

    def __init__(self, correct: Floats) -> None:
        unknown = np.isnan(correct)
        self._known = ~unknown if unknown.any() else None
        self._right = correct if self._known is None else np.where(unknown, 0.0, correct)

    @cached_property
    def _counts(self) -> tuple[Floats, Floats]:
        """Of every two systems the items that the second alone has right, and those that both were asked."""
        systems, items = self._right.shape
        known = np.ones(self._right.shape) if self._known is None else self._known.astype(np.float64)
        both = np.full((systems, systems), float(items)) if self._known is None else sums_of_products(known, known)
        return sums_of_products(known - self._right, self._right), both

    def shares(self, indices: Indices) -> list[PairedShares]:
        """Of pairs (a, b)."""
        (a, b), (alone, both) = np.array(indices, dtype=np.intp).reshape(-1, 2).T, self._counts
        counts = (each.astype(np.intp).tolist() for each in (both[a, b], alone[a, b], alone[b, a]))
        return [
            PairedShares(n, above, below, float(above - below), float(above + below))
            for n, above, below in zip(*counts, strict=True)
        ]
