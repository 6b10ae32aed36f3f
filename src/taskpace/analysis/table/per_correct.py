"""Two systems by what a correct answer takes, in seconds or in dollars: ratios of totals, paired by item."""

from __future__ import annotations

from functools import cached_property

import msgspec
import numpy as np

from taskpace.analysis.data.arrays import Arrays
from taskpace.analysis.stats.estimates import UNKNOWN, Estimate, number
from taskpace.analysis.stats.intervals import (
    AT_A_TIME,
    Flags,
    Floats,
    Influence,
    Intervals,
    column_blocks,
    log_influence,
)
from taskpace.analysis.stats.items import as_indices, is_one, item_counts, item_sums
from taskpace.analysis.stats.per_correct import Spent, none_against_some
from taskpace.analysis.stats.products import Indices, Products
from taskpace.analysis.stats.sequential import look_per_correct, with_claim
from taskpace.analysis.table.comparison import NOT_COMPARED, Comparison, by_totals, compared_by_log
from taskpace.analysis.until import per_correct_totals


class PerCorrect:
    """What a correct answer takes of several systems; what a system contributes is the same in all its pairs.

    Args:
        amounts: (systems, items, repeats), seconds or dollars; NaN: unknown, and the item counts on neither side.
        correct: likewise, 1, 0, or NaN where there is no record.
    """

    def __init__(self, amounts: Floats, correct: Floats) -> None:
        self.amounts, self.correct = amounts, correct
        self._found: dict[int, Spent] = {}

    @cached_property
    def _complete(self) -> list[bool]:
        """Of each system whether all its trials were asked, and are known."""
        # Of what is unknown so is the sum.
        known: list[bool] = (~np.isnan(self.amounts.sum(axis=(1, 2)) + self.correct.sum(axis=(1, 2)))).tolist()
        return known

    @cached_property
    def by_item(self) -> tuple[Floats, Floats]:
        """The sums of both over repeats, of all systems: (systems, items)."""
        return item_sums(self.amounts), item_sums(self.correct)

    def _both_known(self, a: int, b: int) -> Flags:
        """Where both were asked, and what they spent is known."""
        known: Flags = ~np.isnan(self.correct[a] - self.correct[b] + self.amounts[a] - self.amounts[b])
        return known

    def log_of_pair(self, a: int, b: int) -> tuple[float, int]:
        """Logarithm of b's amount per correct answer over a's, and how many items both were asked."""
        if self._complete[a] and self._complete[b]:
            logs, _ = self._of_each
            with np.errstate(invalid="ignore"):
                return float(logs[b] - logs[a]), self.amounts.shape[1]
        one, other = self.totals(a, b)
        return other.log - one.log, one.items

    def influence_of_pair(self, a: int, b: int, into: Floats | None = None) -> Floats:
        """Each item's influence on that logarithm (``intervals.Influence``), (items,), NaN where one of the two was not
        asked. ``into``: where to put it; null: a new array.
        """
        if self._complete[a] and self._complete[b]:
            _, influence = self._of_each
            found: Floats = np.subtract(influence[b], influence[a], out=into)
            return found
        one, other = self.totals(a, b)
        with np.errstate(invalid="ignore"):
            return np.subtract(other.influence, one.influence, out=into)

    def totals(self, a: int, b: int) -> tuple[Spent, Spent]:
        """Of both over the trials that both were asked."""
        if self._complete[a] and self._complete[b]:
            return self._of_all(a), self._of_all(b)
        both = self._both_known(a, b)
        return self._over(a, both), self._over(b, both)

    def _of_all(self, index: int) -> Spent:
        if index not in self._found:
            spent, right = (values[index] for values in self.by_item)
            asked = np.broadcast_to(float(self.correct.shape[-1]), spent.shape)
            self._found[index] = Spent(spent, right, asked)
        return self._found[index]

    def _over(self, index: int, trials: Flags) -> Spent:
        spent, right = (item_sums(np.where(trials, values[index], 0.0)) for values in (self.amounts, self.correct))
        return Spent(spent, right, item_counts(trials))

    @cached_property
    def _of_each(self) -> tuple[Floats, Floats]:
        """Of each system the logarithm of what a correct answer takes, and what its items contribute to it, (systems,
        items): 0 of an incomplete one, and of one without a correct answer, whose logarithm is not finite.
        """
        spent, right = self.by_item
        totals = spent.sum(axis=1), right.sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.log(totals[0]) - np.log(totals[1])
        influence = log_influence(spent.T, right.T, totals).T
        influence[~(np.array(self._complete, dtype=bool) & np.isfinite(logs))] = 0.0
        return logs, influence

    @cached_property
    def _products(self) -> Products | None:
        """Of what items contribute, as far as it is known; null: there are no items."""
        return Products.of_influence(self._of_each[1])

    @property
    def own_logs(self) -> Influence | None:
        """The logarithm of each system's own; null: one is incomplete."""
        if not all(self._complete) or self._products is None:
            return None
        return self._products.own(self._of_each[0])

    def logs(self, indices: Indices) -> tuple[Influence, list[int]]:
        """The logarithms of pairs, at least one, and how many items both were asked."""
        complete = all(self._complete[system] for pair in indices for system in pair)
        if complete and self._products is not None:
            (a, b), (of_each, _) = as_indices(indices), self._of_each
            with np.errstate(invalid="ignore"):
                apart = of_each[b] - of_each[a]
            return self._products.influence(apart, indices), [self.amounts.shape[1]] * len(indices)
        logs, counts = zip(*(self.log_of_pair(*pair) for pair in indices), strict=True)
        parts = []
        items = self.amounts.shape[1]
        blocks = column_blocks(items, len(indices), AT_A_TIME)
        work = np.empty((len(indices[blocks[0]]), items))
        for block in blocks:
            influence = work[: len(indices[block])]
            for pair, row in zip(indices[block], influence, strict=True):
                self.influence_of_pair(*pair, into=row)
            parts.append(Influence.of(np.array(logs[block]), influence.T))
        return Influence.together(parts), list(counts)


def of_time(arrays: Arrays) -> PerCorrect:
    """Time per correct answer."""
    return PerCorrect(arrays.spent_s, arrays.correct)


class CostPerCorrect(PerCorrect):
    """Cost per correct answer of pairs, where all costs of both are known."""

    def __init__(self, arrays: Arrays) -> None:
        super().__init__(arrays.cost_usd, arrays.correct)
        self.priced = known_costs(arrays)
        """Of each system whether they are."""

    def compared(self, indices: Indices, *, anytime: bool = False) -> list[Comparison]:
        """Each pair, as ``compared``."""
        priced = [pair for pair in indices if self.priced[pair[0]] and self.priced[pair[1]]]
        found = dict(zip(priced, compared(self, priced, anytime=anytime), strict=True))
        return [found.get(pair, NOT_COMPARED) for pair in indices]


def known_costs(arrays: Arrays) -> list[bool]:
    """Of each system whether the cost of every trial is known and there is some."""
    if is_one(arrays.cost_usd) and np.isnan(arrays.cost_usd.flat[0]):
        # No system has a price.
        return [False] * len(arrays.systems)
    totals = arrays.cost_usd.sum(axis=(1, 2))
    if np.isfinite(totals).all() and not np.isnan(arrays.correct).any():
        all_known: list[bool] = (totals > 0).tolist()
        return all_known
    known = []
    for costs, correct in zip(arrays.cost_usd, arrays.correct, strict=True):
        there = ~np.isnan(correct)
        known.append(bool(there.any() and not np.isnan(costs[there]).any() and costs[there].sum() > 0))
    return known


def compared(found: PerCorrect, indices: Indices, *, anytime: bool = False) -> list[Comparison]:
    """Ratio of (amounts / correct), on its logarithm, over the items that both were asked; a bound where one of the two
    has no correct answer. ``anytime``: the data decided how many items there are.
    """
    if not indices:
        return []
    if anytime:
        return _at_any_time(found.amounts, found.correct, indices)
    logs, counts = found.logs(indices)
    return [
        each if known else _claim_without_correct(found, pair, items)
        for each, known, pair, items in zip(
            compared_by_log(logs.tested_intervals(), counts), np.isfinite(logs.value), indices, counts, strict=True
        )
    ]


def _at_any_time(amounts: Floats, correct: Floats, indices: Indices) -> list[Comparison]:
    """Compare pairs where the data decided how many items there are; unknown with few correct answers."""
    looked = look_per_correct(per_correct_totals(amounts, correct, indices), 1)
    ends = (
        with_claim(*each)
        for each in zip(zip(looked.low, looked.high, strict=True), looked.p, looked.leaning, strict=True)
    )
    low, high = np.array(list(ends)).reshape(len(indices), 2).T
    counts = [int(n) for n in np.nan_to_num(looked.items)]
    return compared_by_log(Intervals(looked.value, low, high, looked.p), counts)


def without_correct(found: PerCorrect, pair: tuple[int, int]) -> Estimate:
    """All that is known of the ratio where one of the two has no correct answer: a bound. Unknown where neither has
    one, and where both have.
    """
    totals = found.totals(*pair)
    right = [each.all_right for each in totals]
    if not totals[0].items or not any(right) or all(right):
        return UNKNOWN
    none = right.index(0)
    least, spent = totals[none].without_correct.value, totals[1 - none].spent.sum()
    if least is None or not spent:
        return UNKNOWN
    ratio = least / float(spent / right[1 - none])
    return number(ratio, bound=">=") if none == 1 else number(1 / ratio, bound="<=")


def _claim_without_correct(found: PerCorrect, pair: tuple[int, int], items: int) -> Comparison:
    change = without_correct(found, pair)
    if change.bound is None:
        return msgspec.structs.replace(NOT_COMPARED, items=items)
    one, other = found.totals(*pair)
    none, some, leaning = (other, one, "a") if change.bound == ">=" else (one, other, "b")
    claim = by_totals(change, none_against_some(none, some), items)
    return msgspec.structs.replace(claim, leaning=None if claim.p is None else leaning)
