"""Two systems by what a correct answer takes, in seconds or in dollars: ratios of totals, paired by item."""

from __future__ import annotations

import msgspec
import numpy as np

from taskpace.analysis.data.arrays import Arrays
from taskpace.analysis.stats.estimates import number
from taskpace.analysis.stats.intervals import Flags, Floats, Intervals, log_influence, of_influence
from taskpace.analysis.stats.per_correct import few_correct, none_against_some
from taskpace.analysis.stats.sequential import look_per_correct, with_claim
from taskpace.analysis.table.comparison import NOT_COMPARED, Comparison, by_totals, compared_by_log
from taskpace.analysis.until import per_correct_totals

Indices = list[tuple[int, int]]
"""Of pairs of systems, (a, b)."""


def of_time(arrays: Arrays, indices: Indices, *, anytime: bool = False) -> list[Comparison]:
    """Time per correct answer of each pair; ``anytime``: the data decided how many items there are."""
    return compared(arrays.spent_s, arrays.correct, indices, anytime=anytime)


def of_cost(arrays: Arrays, indices: Indices, *, anytime: bool = False) -> list[Comparison]:
    """Cost per correct answer of each pair, where all costs of both are known."""
    known = known_costs(arrays)
    priced = [pair for pair in indices if known[pair[0]] and known[pair[1]]]
    found = dict(zip(priced, compared(arrays.cost_usd, arrays.correct, priced, anytime=anytime), strict=True))
    return [found.get(pair, NOT_COMPARED) for pair in indices]


def known_costs(arrays: Arrays) -> list[bool]:
    """Of each system whether the cost of every trial is known and there is some."""
    recorded = ~np.isnan(arrays.correct)
    return [
        bool(there.any() and not np.isnan(costs[there]).any() and costs[there].sum() > 0)
        for costs, there in zip(arrays.cost_usd, recorded, strict=True)
    ]


def compared(amounts: Floats, correct: Floats, indices: Indices, *, anytime: bool = False) -> list[Comparison]:
    """Ratio of (amounts / correct), on its logarithm, over the items that both were asked; a bound where one of the two
    has no correct answer. Arrays are (systems, items, repeats).
    """
    if not indices:
        return []
    if anytime:
        return _at_any_time(amounts, correct, indices)
    logs, influence, counts = per_correct_logs(amounts, correct, indices)
    found = compared_by_log(of_influence(logs, influence), counts)
    return [
        each if np.isfinite(log) else _without_correct(amounts, correct, pair, items)
        for each, log, pair, items in zip(found, logs, indices, counts, strict=True)
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


def _without_correct(amounts: Floats, correct: Floats, pair: tuple[int, int], items: int) -> Comparison:
    both = _both_known(amounts, correct, *pair)
    totals = [
        tuple(np.where(both, values, 0.0).sum(axis=-1) for values in (amounts[i], correct[i], both)) for i in pair
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
    found = by_totals(change, none_against_some(totals[none], totals[1 - none]), items)
    return msgspec.structs.replace(found, leaning=None if found.p is None else "a" if none == 1 else "b")


def _both_known(amounts: Floats, correct: Floats, a: int, b: int) -> Flags:
    """Where both were asked, and what they spent is known."""
    known: Flags = ~np.isnan(correct[a] - correct[b] + amounts[a] - amounts[b])
    return known


def per_correct_logs(amounts: Floats, correct: Floats, indices: Indices) -> tuple[Floats, Floats, list[int]]:
    """Logarithms of b's amount per correct answer over a's, with what each item contributes.

    Args:
        amounts: (systems, items, repeats), seconds or dollars; NaN: unknown, and the item counts on neither side.
        correct: likewise, 1, 0, or NaN where there is no record.
        indices: of systems, at least one pair.

    Returns:
        The logarithms, (pairs,); each item's influence on them (``intervals.of_influence``), (items, pairs), NaN where
        one of the two was not asked; and how many items both were asked.
    """
    if not np.isnan(amounts + correct).any():
        # What each system contributes is the same in all its pairs.
        logs, influence = _logs(amounts.sum(axis=-1).T, correct.sum(axis=-1).T)
        one, other = np.array(indices).T
        with np.errstate(invalid="ignore"):
            ratios = logs[other] - logs[one]
        return ratios, (influence.T[other] - influence.T[one]).T, [correct.shape[1]] * len(indices)
    both = [_both_known(amounts, correct, a, b) for a, b in indices]

    def side(place: int) -> tuple[Floats, Floats]:
        spent, right = (
            np.stack(
                [
                    np.where(mask, np.nan_to_num(values[pair[place]]), 0.0).sum(axis=-1)
                    for pair, mask in zip(indices, both, strict=True)
                ]
            ).T  # sums run down the items: keep each column in one piece
            for values in (amounts, correct)
        )
        return _logs(spent, right)

    (logs_a, influence_a), (logs_b, influence_b) = side(0), side(1)
    with np.errstate(invalid="ignore"):
        logs = logs_b - logs_a
    return logs, influence_b - influence_a, [int(mask.any(axis=-1).sum()) for mask in both]


def _logs(spent: Floats, right: Floats) -> tuple[Floats, Floats]:
    """Logarithms of totals spent over totals right, (k,), and their influence, (items, k)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(spent.sum(axis=0)) - np.log(right.sum(axis=0)), log_influence(spent, right)
