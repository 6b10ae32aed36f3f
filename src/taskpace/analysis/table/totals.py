"""Ratios of totals of every system of a table: mean time and tokens, time and tokens per correct answer, PAR-2."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

import numpy as np

from taskpace.analysis.data.arrays import Arrays
from taskpace.analysis.stats.estimates import UNKNOWN, Estimate, numbers, par2_values
from taskpace.analysis.stats.intervals import (
    AT_A_TIME,
    Flags,
    Floats,
    Influence,
    Reach,
    column_blocks,
    log_ratios,
    ratios_of,
)
from taskpace.analysis.stats.items import item_counts, item_sums, item_totals
from taskpace.analysis.stats.per_correct import FEW_CORRECT, few_correct

_Ratio = tuple[Floats, Floats]
"""Numerators and denominators, (systems, items)."""


def time_totals(
    arrays: Arrays, limit_s: float, reach: Reach | None
) -> tuple[list[Estimate], list[Estimate], list[Estimate]]:
    """Per system: mean task time, time per correct answer, PAR-2."""
    few: dict[int, Estimate] = {}

    def some_at_a_time() -> Iterator[tuple[_Ratio, ...]]:
        for some in _few_systems(arrays):
            recorded_s, correct = arrays.recorded_s[some], arrays.correct[some]
            recorded, (right, asked) = item_totals(recorded_s), item_totals(correct)
            spent = recorded[0] if arrays.spent_s is arrays.recorded_s else item_sums(arrays.spent_s[some])
            few.update(_with_few_correct(some, spent, right, asked, reach))
            yield (
                recorded,
                (spent, right),
                item_totals(par2_values(arrays.task_time_s[some], correct, limit_s)),
            )

    means, per_correct, par2 = _together(some_at_a_time(), 3, reach)
    return _at_least_where(_any(arrays.is_cut), means), _with(few, per_correct), par2


def token_totals(arrays: Arrays, reach: Reach | None) -> tuple[list[Estimate], list[Estimate]]:
    """Per system: mean output tokens, and output tokens per correct answer. What an error wrote is unknown."""
    unknown: dict[int, Estimate] = {}
    few: dict[int, Estimate] = {}
    failed: list[bool] = []

    def some_at_a_time() -> Iterator[tuple[_Ratio, ...]]:
        for some in _few_systems(arrays):
            tokens, correct = arrays.output_tokens[some], arrays.correct[some]
            missing = np.isnan(arrays.task_time_s[some])
            known = ~np.isnan(tokens)
            there = ~missing
            for index, all_known in enumerate(_any(there) & ~_any(there & ~known), some.start):
                if not all_known:
                    unknown[index] = UNKNOWN
            right, asked = item_totals(correct)
            failed.extend(_any(missing & ~np.isnan(correct)))
            spent, counted = item_sums(np.where(there, tokens, 0.0)), item_counts(there)
            few.update(_with_few_correct(some, spent, right, asked, reach))
            yield (spent, counted), (spent, right)

    means, per_correct = _together(some_at_a_time(), 2, reach)
    means, per_correct = _with(unknown, means), _with(few | unknown, per_correct)
    return _at_least_where(_any(arrays.is_cut), means), _at_least_where(failed, per_correct)


def at_least(estimate: Estimate) -> Estimate:
    """Of cut answers only a lower bound is known, and so of their mean."""
    return UNKNOWN if estimate.value is None else Estimate(estimate.value, estimate.low, bound=">=")


def _few_systems(arrays: Arrays) -> list[slice]:
    """Some systems at a time, whose totals stay in the processor's cache from one step to the next."""
    return column_blocks(len(arrays.items) * arrays.repeats, len(arrays.systems), AT_A_TIME)


def _together(some: Iterable[tuple[_Ratio, ...]], kinds: int, reach: Reach | None) -> list[list[Estimate]]:
    """The ratios of each kind, system by system: what follows from the sums is worked out once."""
    parts, systems = [], []
    for ratios in some:
        above, below = (np.concatenate(each) for each in zip(*ratios, strict=True))
        parts.append(log_ratios(above.T, below.T, skewed=reach is not None))
        systems.append(len(above) // kinds)
    found: list[list[Estimate]] = [[] for _ in range(kinds)]
    if parts:
        values = iter(numbers(ratios_of(Influence.together(parts), reach)))
        for count in systems:
            for of_kind in found:
                of_kind.extend(islice(values, count))
    return found


def _with_few_correct(
    some: slice, spent: Floats, right: Floats, asked: Floats, reach: Reach | None
) -> Iterator[tuple[int, Estimate]]:
    """What is known of those of some systems that have hardly a correct answer, by their index."""
    for index, each in enumerate(zip(spent, right, asked, strict=True), some.start):
        if each[1].sum() < FEW_CORRECT:
            yield index, few_correct(*each, anytime=reach is not None)


def _with(others: Mapping[int, Estimate], estimates: list[Estimate]) -> list[Estimate]:
    return [others.get(index, each) for index, each in enumerate(estimates)]


def _any(flags: Flags) -> Flags:
    """By system."""
    return np.asarray(flags.any(axis=(1, 2)))


def _at_least_where(bounds: Iterable[bool], estimates: list[Estimate]) -> list[Estimate]:
    return [at_least(each) if bound else each for bound, each in zip(bounds, estimates, strict=True)]
