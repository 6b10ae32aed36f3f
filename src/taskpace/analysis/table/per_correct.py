"""Two systems by what a correct answer takes, in seconds or in dollars: ratios of totals, paired by item."""

from __future__ import annotations

from functools import cached_property

import msgspec
import numpy as np

from taskpace.analysis.data.arrays import Arrays
from taskpace.analysis.stats.estimates import number
from taskpace.analysis.stats.intervals import Flags, Floats, Intervals, log_influence, of_influence
from taskpace.analysis.stats.items import any_of_item, item_sums
from taskpace.analysis.stats.per_correct import few_correct, none_against_some
from taskpace.analysis.stats.sequential import look_per_correct, with_claim
from taskpace.analysis.table.comparison import NOT_COMPARED, Comparison, by_totals, compared_by_log
from taskpace.analysis.until import per_correct_totals

Indices = list[tuple[int, int]]
"""Of pairs of systems, (a, b)."""


class PerCorrect:
    """What a correct answer takes of several systems; what a system contributes is the same in all its pairs.

    Args:
        amounts: (systems, items, repeats), seconds or dollars; NaN: unknown, and the item counts on neither side.
        correct: likewise, 1, 0, or NaN where there is no record.
    """

    def __init__(self, amounts: Floats, correct: Floats) -> None:
        self.amounts, self.correct = amounts, correct
        self._found: dict[int, tuple[float, Floats]] = {}

    @cached_property
    def _complete(self) -> list[bool]:
        """Of each system whether all its trials were asked, and are known."""
        return [
            not (np.isnan(spent).any() or np.isnan(right).any())
            for spent, right in zip(self.amounts, self.correct, strict=True)
        ]

    def _of_system(self, index: int) -> tuple[float, Floats]:
        if index not in self._found:
            self._found[index] = _log(*(item_sums(values[index]) for values in (self.amounts, self.correct)))
        return self._found[index]

    def both_known(self, a: int, b: int) -> Flags:
        """Where both were asked, and what they spent is known."""
        known: Flags = ~np.isnan(self.correct[a] - self.correct[b] + self.amounts[a] - self.amounts[b])
        return known

    def logs(self, indices: Indices) -> tuple[Floats, Floats, list[int]]:
        """Logarithms of b's amount per correct answer over a's, with what each item contributes.

        Args:
            indices: of systems, at least one pair.

        Returns:
            The logarithms, (pairs,); each item's influence on them (``intervals.of_influence``), (items, pairs), NaN
            where one of the two was not asked; and how many items both were asked.
        """
        influence = np.empty((len(indices), self.correct.shape[1]))
        logs, counts = zip(
            *(self._of_pair(a, b, into=row) for (a, b), row in zip(indices, influence, strict=True)), strict=True
        )
        return np.array(logs), influence.T, list(counts)

    def _of_pair(self, a: int, b: int, *, into: Floats) -> tuple[float, int]:
        """The logarithm and the items of a pair; its items' influence goes ``into`` an array."""
        if self._complete[a] and self._complete[b]:
            sides, items = [self._of_system(index) for index in (a, b)], self.correct.shape[1]
        else:
            both = self.both_known(a, b)
            sides = [
                _log(*(item_sums(np.where(both, values[index], 0.0)) for values in (self.amounts, self.correct)))
                for index in (a, b)
            ]
            items = int(np.count_nonzero(any_of_item(both)))
        (log_a, influence_a), (log_b, influence_b) = sides
        with np.errstate(invalid="ignore"):
            np.subtract(influence_b, influence_a, out=into)
            return log_b - log_a, items


def _log(spent: Floats, right: Floats) -> tuple[float, Floats]:
    """The logarithm of a total spent over a total right, (items,) each, and its influence."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(spent.sum()) - np.log(right.sum()), log_influence(spent, right)


def of_time(arrays: Arrays) -> PerCorrect:
    """Time per correct answer."""
    return PerCorrect(arrays.spent_s, arrays.correct)


class CostPerCorrect:
    """Cost per correct answer of pairs, where all costs of both are known."""

    def __init__(self, arrays: Arrays) -> None:
        self._known = known_costs(arrays)
        self._per_correct = PerCorrect(arrays.cost_usd, arrays.correct)

    def compared(self, indices: Indices, *, anytime: bool = False) -> list[Comparison]:
        """Each pair, as ``compared``."""
        priced = [pair for pair in indices if self._known[pair[0]] and self._known[pair[1]]]
        found = dict(zip(priced, compared(self._per_correct, priced, anytime=anytime), strict=True))
        return [found.get(pair, NOT_COMPARED) for pair in indices]


def known_costs(arrays: Arrays) -> list[bool]:
    """Of each system whether the cost of every trial is known and there is some."""
    return [
        bool((there := ~np.isnan(correct)).any() and not np.isnan(costs[there]).any() and costs[there].sum() > 0)
        for costs, correct in zip(arrays.cost_usd, arrays.correct, strict=True)
    ]


def compared(found: PerCorrect, indices: Indices, *, anytime: bool = False) -> list[Comparison]:
    """Ratio of (amounts / correct), on its logarithm, over the items that both were asked; a bound where one of the two
    has no correct answer. ``anytime``: the data decided how many items there are.
    """
    if not indices:
        return []
    if anytime:
        return _at_any_time(found.amounts, found.correct, indices)
    logs, influence, counts = found.logs(indices)
    ratios = compared_by_log(of_influence(logs, influence), counts)
    return [
        each if np.isfinite(log) else _without_correct(found, pair, items)
        for each, log, pair, items in zip(ratios, logs, indices, counts, strict=True)
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


def _without_correct(found: PerCorrect, pair: tuple[int, int], items: int) -> Comparison:
    both = found.both_known(*pair)
    totals = [
        tuple(np.where(both, values, 0.0).sum(axis=-1) for values in (found.amounts[i], found.correct[i], both))
        for i in pair
    ]
    right = [each[1].sum() for each in totals]
    if items == 0 or not any(right) or all(right):
        return msgspec.structs.replace(NOT_COMPARED, items=items)
    none = right.index(0)
    least = few_correct(*totals[none]).value
    spent, some, _ = totals[1 - none]
    if least is None or not spent.sum():
        return msgspec.structs.replace(NOT_COMPARED, items=items)
    ratio = least / float(spent.sum() / some.sum())
    change = number(ratio, bound=">=") if none == 1 else number(1 / ratio, bound="<=")
    claim = by_totals(change, none_against_some(totals[none], totals[1 - none]), items)
    return msgspec.structs.replace(claim, leaning=None if claim.p is None else "a" if none == 1 else "b")
