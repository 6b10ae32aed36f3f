"""Shares of trials, of correct answers as a rule: of one system with its interval, and of two, paired by item."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Self

import msgspec
import numpy as np

from taskpace.analysis.stats.intervals import LEVEL, Floats, Intervals, Reach
from taskpace.analysis.stats.items import as_indices
from taskpace.analysis.stats.products import Indices, sums_of_products
from taskpace.analysis.stats.significance import mcnemar
from taskpace.analysis.stats.student import normal_below, normal_quantile


def effective_trials(hits: Floats, trials: Floats) -> float:
    """How many independent trials tell as much about a share as these do.

    The variance of the share over items, against that of as many independent trials, is the design effect, by which
    the number of trials is divided. Source: Korn & Graubard (1998), "Confidence intervals for proportions with small
    expected number of positive counts".

    Args:
        hits: (items,), of each item's trials.
        trials: (items,), not 0.
    """
    n, items = float(trials.sum()), len(trials)
    if n == items:
        return n
    share = float(hits.sum()) / n
    if items < 2 or not 0 < share < 1:
        return float(items)
    residuals = hits - share * trials
    variance = items / (items - 1) * float((residuals**2).sum()) / n**2
    # Clustering can leave no more than the trials there are, and no less than one for each item.
    return min(n, max(share * (1 - share) / variance, float(items))) if variance > 0 else n


def reached(n: float, reach: Reach | None) -> float:
    """In standard errors of a share."""
    return normal_quantile((1 + LEVEL) / 2) if reach is None else float(reach(np.array([n]))[0])


def share_interval(hits: Floats, trials: Floats, reach: Reach | None = None) -> tuple[float, float, float]:
    """A share with its 95 % interval: Wilson's, on ``effective_trials``. NaN without trials.

    Args:
        hits: (items,), of each item's trials.
        trials: (items,), not 0.
        reach: null: the number of items was fixed.

    Source: Wilson (1927), "Probable inference, the law of succession, and statistical inference".
    """
    if not len(trials):
        return math.nan, math.nan, math.nan
    share = hits.sum(keepdims=True) / trials.sum()
    low, high = wilson(share, effective_trials(hits, trials), reach)
    return float(share[0]), float(low[0]), float(high[0])


def wilson(shares: Floats, n: float, reach: Reach | None = None) -> tuple[Floats, Floats]:
    """``share_interval``'s ends of shares, (k,), each of ``n`` independent trials."""
    z2 = reached(n, reach) ** 2
    if not math.isfinite(z2):
        return np.zeros(shares.shape), np.ones(shares.shape)
    middle = (shares + z2 / (2 * n)) / (1 + z2 / n)
    half = np.sqrt(z2 * shares * (1 - shares) / n + z2**2 / (4 * n**2)) / (1 + z2 / n)
    return np.maximum(0.0, middle - half), np.minimum(1.0, middle + half)


class PairedShares(msgspec.Struct, frozen=True):
    """Pairs, each over the items that both were asked: an item's difference is b's share of its repeats less a's.
    Arrays (pairs,).
    """

    n: Floats
    """Items."""
    above: Floats
    """Items that b has more right of."""
    below: Floats
    """Items that a has more right of."""
    total: Floats
    """Sum of the differences."""
    squares: Floats
    """Sum of their squares."""

    @classmethod
    def of(cls, differences: Sequence[Floats]) -> Self:
        """Of each pair's differences from -1 to 1, one an item."""
        found = [
            (len(each), np.count_nonzero(each > 0), np.count_nonzero(each < 0), each.sum(), (each**2).sum())
            for each in differences
        ]
        return cls(*np.array(found, dtype=np.float64).reshape(-1, 5).T)

    def difference(self, reach: Reach | None = None) -> Intervals:
        """The mean differences with their 95 % intervals; NaN without items; nothing is tested.

        Wald's interval after one imaginary item has been added for either system: it stays sensible where the systems
        disagree on few items. ``reach``: null: the number of items was fixed. Source: Bonett & Price (2012), "Adjusted
        Wald confidence interval for a difference of binomial proportions based on paired data"; with repeats the item's
        mean takes the place of -1, 0 or 1.
        """
        n = self.n + 2
        middle = self.total / n
        errors = normal_quantile((1 + LEVEL) / 2) if reach is None else reach(self.n)
        half = errors * np.sqrt((self.squares + 2 - self.total * middle) / n / n)
        nothing = np.full(n.shape, np.nan)
        value = np.divide(self.total, self.n, out=nothing.copy(), where=self.n > 0)
        low, high = (np.where(self.n > 0, end, np.nan) for end in (middle - half, middle + half))
        return Intervals(value, np.maximum(-1.0, low), np.minimum(1.0, high), nothing)

    def mcnemar(self) -> Floats:
        """P-values of McNemar's test, of items that were asked once (``significance.mcnemar``)."""
        return mcnemar(self.below.astype(np.intp), self.above.astype(np.intp))

    def clustered_mcnemar(self) -> list[float]:
        """P-values of McNemar's test for repeats.

        z = sum d / sqrt(sum d^2), normal when neither is better. Source: Durkalski et al. (2003), "Analysis of
        clustered matched-pair data", Statistics in Medicine 22, with clusters (items) weighted alike.
        """
        return [
            2 * normal_below(-abs(total) / math.sqrt(squares)) if squares else 1.0
            for total, squares in zip(self.total.tolist(), self.squares.tolist(), strict=True)
        ]


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

    def shares(self, indices: Indices) -> PairedShares:
        """Of pairs (a, b)."""
        (a, b), (alone, both) = as_indices(indices), self._counts
        above, below = alone[a, b], alone[b, a]
        return PairedShares(both[a, b], above, below, above - below, above + below)
