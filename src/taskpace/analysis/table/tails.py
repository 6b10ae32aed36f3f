"""A few long answers that decide every mean, and with it time per correct answer and the seconds of a split."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np

from taskpace.analysis.schema.summary import Finding
from taskpace.analysis.stats.intervals import Floats, degrees_of_freedom
from taskpace.analysis.stats.items import item_means
from taskpace.analysis.stats.products import Products
from taskpace.analysis.stats.quantiles import at_share

LEAST_FOR_TAIL = 64
HEAVY_TAIL = 2.0
"""Tail index below which the variance, and with it the usual error of a mean, is infinite."""
FEW_DECIDE = 8.0
"""Degrees of freedom of a mean's error below which a few items decide it (docs/statistics.md says how often)."""
LEAST_TO_DECIDE = 12
LONG = 4.0
"""Times the median: the longest task below it moves no mean by much."""


class Tails:
    """The longest answers of each system of a table.

    Args:
        times: (systems, items, repeats), NaN where unknown.
        ranked: those of each system in ascending order, unknown ones last: (systems, trials).
        products: of ``times``; null: some are unknown.
    """

    def __init__(self, times: Floats, ranked: Floats, products: Products | None) -> None:
        self._times, self._ranked, self._products = times, ranked, products

    def heavy(self, index: int) -> Iterator[Finding]:
        """Where a mean of a system's task times is not to be trusted. docs/statistics.md says how often it sees a tail
        that is there.
        """
        ranked = self._ranked[index]
        known = ranked[ranked.searchsorted(0, "right") : ranked.searchsorted(np.inf, "right")]
        freedom, items = self._freedom[index]
        if items < LEAST_TO_DECIDE or not len(known):
            return
        greatest = float(known[-1]) / at_share(known, 0.5)
        if greatest < LONG:
            return
        tail = tail_index(known) if len(known) >= LEAST_FOR_TAIL else float("inf")
        if freedom < FEW_DECIDE or tail < HEAVY_TAIL:
            yield Finding(
                code="heavy-tail",
                text=f"a few answers take so long (up to {greatest:.1f} times the median) that they decide every mean; "
                "its true error is larger than its interval",
                evidence={"degrees_of_freedom": freedom, "max_over_median": greatest}
                | ({"tail_index": tail} if tail < float("inf") else {}),
                remedy="compare medians instead; see what the longest answers are: `taskpace show RUN`",
            )

    @cached_property
    def _freedom(self) -> list[tuple[float, int]]:
        """Of each system the degrees of freedom of the mean over items, and how many items have a time."""
        if self._products is not None:
            means = self._products.own_means
            return list(zip(means.freedom.tolist(), map(int, means.n.tolist()), strict=True))
        return [_freedom_of(own[~np.isnan(own)]) for own in item_means(self._times)]


def _freedom_of(means: Floats) -> tuple[float, int]:
    """Of one system's items that have a time."""
    if not len(means):
        return float("nan"), 0
    return float(degrees_of_freedom((means - means.mean())[:, None], len(means))[0]), len(means)


def tail_index(ranked: Floats) -> float:
    """Hill's estimator from the largest tenth: the smaller, the heavier; below 2 the variance is infinite.

    1 / mean of ln(x_i / x_k) over the k largest. Source: Hill (1975), "A Simple General Approach to Inference About
    the Tail of a Distribution".

    Args:
        ranked: the values, ascending.
    """
    k = len(ranked) // 10
    excess = float(np.log(ranked[len(ranked) - k :] / ranked[len(ranked) - k - 1]).mean())
    return 1 / excess if excess > 0 else float("inf")
