"""Two systems' shares of correct answers, paired by item: what an interval and a test of their difference need."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Self

import msgspec
import numpy as np

from taskpace.analysis.stats.intervals import Flags, Floats, Reach, reached
from taskpace.analysis.stats.student import normal_below


class Answered(msgspec.Struct, frozen=True, dict=True):
    """One system's answers to items that were asked once: arrays (items,); neither where there is no record."""

    right: Flags
    wrong: Flags

    @cached_property
    def bits(self) -> tuple[int, int]:
        """Both as whole numbers with a bit for each item: Python counts the bits of a pair at once."""
        right, wrong = (int.from_bytes(np.packbits(each).tobytes()) for each in (self.right, self.wrong))
        return right, wrong


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

    @classmethod
    def of_once(cls, a: Answered, b: Answered) -> Self:
        """Of items that were asked once, where counting is all."""
        (right_a, wrong_a), (right_b, wrong_b) = a.bits, b.bits
        above, below = (wrong_a & right_b).bit_count(), (right_a & wrong_b).bit_count()
        both = ((right_a | wrong_a) & (right_b | wrong_b)).bit_count()
        return cls(both, above, below, float(above - below), float(above + below))

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
