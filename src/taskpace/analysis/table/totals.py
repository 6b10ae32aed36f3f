"""Ratios of totals of every system of a table: mean time and tokens, time and tokens per correct answer, PAR-2."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

import numpy as np

from taskpace.analysis.data.arrays import Arrays
from taskpace.analysis.stats.estimates import UNKNOWN, Estimate, numbers, par2_values
from taskpace.analysis.stats.intervals import (
    Floats,
    Influence,
    Reach,
    log_means,
    log_ratios,
    ratios_of,
)
from taskpace.analysis.stats.items import any_of_system, is_one, item_totals
from taskpace.analysis.stats.per_correct import FEW_CORRECT, few_correct
from taskpace.analysis.table.per_correct import PerCorrect


def time_totals(
    arrays: Arrays, limit_s: float, reach: Reach | None, seconds: PerCorrect
) -> tuple[list[Estimate], list[Estimate], list[Estimate]]:
    """Per system: mean task time, time per correct answer, PAR-2. ``seconds``: ``of_time`` of the arrays."""
    spent, right = seconds.by_item
    # Sums that pairs need, too; intervals with a ``reach`` need the cubes, which these do not have.
    times = arrays.times if reach is None and arrays.recorded_s is arrays.task_time_s else None
    own = seconds.own_logs if reach is None else None
    means, per_correct, penalised = _estimates(
        [
            _logs(item_totals(arrays.recorded_s), reach) if times is None else log_means(times.own_means),
            _logs((spent, right), reach) if own is None else own,
            _logs(item_totals(par2_values(arrays.task_time_s, arrays.correct, limit_s)), reach, spent=True),
        ],
        reach,
    )
    return (
        _at_least_where(any_of_system(arrays.is_cut), means),
        _or_of_few(per_correct, spent, arrays, reach),
        penalised,
    )


def token_totals(arrays: Arrays, reach: Reach | None) -> tuple[list[Estimate], list[Estimate]]:
    """Per system: mean output tokens, and output tokens per correct answer. What an error wrote is unknown."""
    tokens, missing = arrays.output_tokens, np.isnan(arrays.task_time_s)
    uncounted = np.isnan(tokens)
    failed = np.zeros(len(tokens), dtype=bool)
    if missing.any():
        failed = any_of_system(missing & ~np.isnan(arrays.correct))
        tokens = np.where(missing, np.nan, tokens)
    unknown = missing.all(axis=(1, 2)) | any_of_system(uncounted & ~missing)
    spent, counted = item_totals(tokens)
    means, per_correct = _estimates([_logs((spent, counted), reach), _logs((spent, arrays.answers[0]), reach)], reach)
    per_correct = _or_of_few(per_correct, spent, arrays, reach)
    means, per_correct = (
        [UNKNOWN if lost else each for lost, each in zip(unknown, estimates, strict=True)]
        for estimates in (means, per_correct)
    )
    return _at_least_where(any_of_system(arrays.is_cut), means), _at_least_where(failed, per_correct)


def at_least(estimate: Estimate) -> Estimate:
    """Of cut answers only a lower bound is known, and so of their mean."""
    return UNKNOWN if estimate.value is None else Estimate(estimate.value, estimate.low, bound=">=")


def _logs(ratio: tuple[Floats, Floats], reach: Reach | None, *, spent: bool = False) -> Influence:
    """Of each system the logarithm of the ratio of its totals, of numerators and denominators, (systems, items).

    ``spent``: the numerators may be written over.
    """
    above, below = ratio
    if is_one(below):
        means = Influence.of_means(above.T, skewed=reach is not None, spent=spent)
        return log_means(means, float(below.flat[0]))
    return log_ratios(above.T, below.T, skewed=reach is not None)


def _estimates(kinds: Sequence[Influence], reach: Reach | None) -> list[list[Estimate]]:
    """The ratios of each kind, system by system: what follows from the sums is worked out once."""
    values = iter(numbers(ratios_of(Influence.together(kinds), reach)))
    return [list(islice(values, len(each.value))) for each in kinds]


def _or_of_few(estimates: list[Estimate], spent: Floats, arrays: Arrays, reach: Reach | None) -> list[Estimate]:
    """With what is known of systems that have hardly a correct answer."""
    right, asked = arrays.answers
    return [
        few_correct(spent[index], right[index], asked[index], anytime=reach is not None) if few else each
        for index, (each, few) in enumerate(zip(estimates, right.sum(axis=1) < FEW_CORRECT, strict=True))
    ]


def _at_least_where(bounds: Iterable[bool], estimates: list[Estimate]) -> list[Estimate]:
    return [at_least(each) if bound else each for bound, each in zip(bounds, estimates, strict=True)]
