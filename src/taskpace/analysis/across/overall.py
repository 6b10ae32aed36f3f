"""Over the tasks of a run: each system's time and cost per correct answer against a reference, a number for a suite.

A number over tasks is easily misread, so it is given only where every task counts: a task that is INVALID for the
system or for the reference leaves it out, one without a single correct answer makes it a bound, and the accuracy always
goes with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple, Self

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from taskpace.analysis.data.sample import Sample
from taskpace.analysis.schema.across import Overall, OverallRow
from taskpace.analysis.schema.summary import SystemRow, TaskTable
from taskpace.analysis.stats.estimates import UNKNOWN, Bound, Estimate, number
from taskpace.analysis.stats.intervals import LEVEL, Flags, Floats, column_blocks, of_influence
from taskpace.analysis.stats.items import is_one
from taskpace.analysis.stats.student import normal_quantile
from taskpace.analysis.table.comparison import NOT_COMPARED, Comparison, adjusted, compared_by_log
from taskpace.analysis.table.pairs import Pair, Pairing
from taskpace.analysis.table.per_correct import CostPerCorrect, PerCorrect, without_correct
from taskpace.analysis.table.validity import can_be_compared
from taskpace.errors import TaskpaceError
from taskpace.text.strict import did_you_mean

LEAST_TASKS = 2

Key = tuple[str, str]
"""Task and scenario."""


class Answers(msgspec.Struct, frozen=True):
    """What a view over tasks takes of one task: of its trials no more than it needs."""

    systems: tuple[str, ...]
    items: pl.Series
    """What is one observation of a time."""
    seconds: PerCorrect
    dollars: CostPerCorrect
    right: list[float]
    """Of each system the items' shares of correct trials, summed; of all that were asked: what is compared may be less
    (``within_nodes``)."""
    asked: list[int]
    """Likewise how many items these are."""

    @classmethod
    def of(cls, sample: Sample, paired: Sample, pairing: Pairing) -> Self:
        """``paired``: the sample ``within_nodes``; ``pairing``: of it."""
        timed = paired.shared
        right, trials = sample.own.answers
        if is_one(trials):
            # All were asked as often.
            shares, asked = right.sum(axis=1) / trials.flat[0], [trials.shape[1]] * len(trials)
        else:
            each = np.divide(right, trials, out=np.zeros(right.shape), where=trials > 0)
            shares, asked = each.sum(axis=1), np.count_nonzero(trials, axis=1).tolist()
        return cls(
            timed.systems,
            timed.items if isinstance(timed.items, pl.Series) else pl.Series(values=timed.items, dtype=pl.String),
            pairing.seconds,
            pairing.costs,
            shares.tolist(),
            asked,
        )


class _Graded(msgspec.Struct, frozen=True):
    """One task with right answers."""

    name: str
    rows: dict[str, SystemRow]
    answers: Answers
    pairs: tuple[Pair, ...]
    place: NDArray[np.intp] | slice
    """Of each of ``answers.items`` among the items of all tasks; a slice where they follow each other."""

    @property
    def end(self) -> int:
        """Past the last of these places."""
        return self.place.stop if isinstance(self.place, slice) else 1 + int(self.place.max())

    def index(self, system: str) -> int:
        return self.answers.systems.index(system)


def find_overall(
    tables: tuple[TaskTable, ...], answers: Mapping[Key, Answers], *, reference: str | None
) -> tuple[Overall, ...]:
    """One view for each scenario with two or more tasks that have right answers.

    Args:
        tables: of the run, made.
        answers: of those that have right answers, and trials.
        reference: the system that the others are compared with; null: the first.

    Raises:
        TaskpaceError: there is no such system.
    """
    systems = list(dict.fromkeys(row.system for table in tables for row in table.rows))
    if reference is not None and reference not in systems:
        raise TaskpaceError(f'--reference: unknown system "{reference}" in the run{did_you_mean(reference, systems)}')
    scenarios: dict[str, list[TaskTable]] = {}
    for table in tables:
        if (table.task, table.scenario) in answers:
            scenarios.setdefault(table.scenario, []).append(table)
    found = []
    for scenario, graded in scenarios.items():
        if len(graded) < LEAST_TASKS:
            continue
        tasks = _graded(graded, [answers[table.task, scenario] for table in graded])
        # Of imported logs a system may have some of the tasks only.
        everywhere = [name for name in systems if all(name in task.rows for task in tasks)]
        if everywhere:
            found.append(_overall(scenario, tasks, everywhere, reference if reference in everywhere else everywhere[0]))
    return tuple(found)


def _graded(tables: list[TaskTable], answers: list[Answers]) -> list[_Graded]:
    places = _places([each.items for each in answers])
    return [
        _Graded(
            name=table.task,
            rows={row.system: row for row in table.rows},
            answers=each,
            pairs=table.pairs,
            place=_as_slice(place),
        )
        for table, each, place in zip(tables, answers, places, strict=True)
    ]


def _as_slice(place: NDArray[np.intp]) -> NDArray[np.intp] | slice:
    first = int(place[0]) if len(place) else 0
    return slice(first, first + len(place)) if (place == np.arange(first, first + len(place))).all() else place


def _places(items: list[pl.Series]) -> list[NDArray[np.intp]]:
    """Of the items of each task their places among those of all tasks, in the order in which these first come."""
    try:
        # To ask a column for its type is to make the names of all its codes again.
        together = pl.concat(items).to_physical()
    except pl.exceptions.SchemaError:
        # Of parts that were read one by one, each with codes of its own.
        together = pl.concat([each.cast(pl.String) for each in items])
    if together.dtype == pl.String:
        together = together.cast(pl.Enum(together.unique(maintain_order=True))).to_physical()
    codes = together.to_numpy()
    index = np.arange(len(codes))
    first = np.empty(int(codes.max(initial=0)) + 1, dtype=np.intp)
    first[codes[::-1]] = index[::-1]
    number = np.cumsum(first[codes] == index) - 1
    ends = np.cumsum([len(each) for each in items])
    return np.split(number[first[codes]], ends[:-1])


def _overall(scenario: str, tasks: list[_Graded], systems: list[str], reference: str) -> Overall:
    family = [system != reference and all(_comparable(task, system, reference) for task in tasks) for system in systems]
    missing = {system: _missing(system, tasks, reference) for system in systems}
    able = [system for system in systems if missing[system] is None]
    compared = []
    for amounts_of in (_of_seconds, _of_dollars):
        found = dict(zip(able, _mean_ratios(able, tasks, reference, amounts_of), strict=True))
        if amounts_of is _of_seconds:
            missing |= {system: why for system, (_, why) in found.items()}
        compared.append(adjusted([found[name][0] if name in found else NOT_COMPARED for name in systems], family))
    return Overall(
        scenario=scenario,
        tasks=tuple(task.name for task in tasks),
        reference=reference,
        rows=tuple(
            OverallRow(
                system=system,
                time_per_correct=time,
                cost_per_correct=cost,
                accuracy=_mean_accuracy(system, tasks),
                missing=missing[system],
            )
            for system, time, cost in zip(systems, *compared, strict=True)
        ),
    )


def _comparable(task: _Graded, system: str, reference: str) -> bool:
    pair = next(pair for pair in task.pairs if {pair.a, pair.b} == {system, reference})
    return can_be_compared(pair, task.rows[system], task.rows[reference])


def _missing(system: str, tasks: list[_Graded], reference: str) -> str | None:
    """What stands against a mean over the tasks, of a system or of the reference; null: nothing."""
    missing = _invalid(system, tasks)
    if missing is None and system != reference and (why := _invalid(reference, tasks)):
        missing = f"of {reference}, the reference, {why}"
    return missing


def _invalid(system: str, tasks: list[_Graded]) -> str | None:
    """What stands against a mean over the tasks, of one system; null: nothing."""
    invalid = []
    for task in tasks:
        row = task.rows[system]
        if row.n and row.time_per_correct_s.value is None and row.accuracy.value:
            return f"its time in {task.name} is unknown"
        if not row.valid:
            why = next(
                (reason.text for reason in row.reasons if reason.invalidates == "result"), "nothing was recorded"
            )
            invalid.append(f"{task.name} ({why})")
    return f"INVALID are {', '.join(invalid)}" if invalid else None


Amounts = Callable[[_Graded, tuple[int, int]], PerCorrect | None]
"""What a correct answer takes; null where one of two systems has none."""


def _of_seconds(task: _Graded, _pair: tuple[int, int]) -> PerCorrect:
    return task.answers.seconds


def _of_dollars(task: _Graded, pair: tuple[int, int]) -> PerCorrect | None:
    dollars = task.answers.dollars
    return dollars if all(dollars.priced[index] for index in pair) else None


class _Sum(NamedTuple):
    """Over all tasks, of one system."""

    mean: float
    """Of ln(ratio)."""
    items: int
    """That both were asked, task by task."""


def _mean_ratios(
    systems: list[str], tasks: list[_Graded], reference: str, amounts_of: Amounts
) -> list[tuple[Comparison, str | None]]:
    """Of each system the mean over tasks of ln(ratio), or why there is none. An item that several tasks ask about is
    one observation: what it does to each is summed, so that tasks over one data set do not count as independent.

    A system without a correct answer in a task has a lower bound there, and so has the mean; without one of the
    reference it is an upper bound. A bound has no interval and claims nothing.
    """
    items = max(task.end for task in tasks)
    found: list[tuple[Comparison, str | None]] = []
    for block in column_blocks(items, len(systems)):
        some = systems[block]
        influence, met = np.zeros((len(some), items)), np.zeros((len(some), items), dtype=bool)
        sums = [
            _sum_up(system, tasks, reference, amounts_of, influence=one, met=there)
            for system, one, there in zip(some, influence, met, strict=True)
        ]
        known = {index: each for index, each in enumerate(sums) if isinstance(each, _Sum)}
        compared: dict[int, Comparison] = {}
        if known:
            if len(known) < len(some):
                influence, met = influence[list(known)], met[list(known)]
            if not (whole := bool(met.all())):
                influence[~met] = np.nan
            influence /= len(tasks)
            means, counts = np.array([each.mean for each in known.values()]), [each.items for each in known.values()]
            intervals = of_influence(means, influence.T, spent=whole)
            compared = dict(zip(known, compared_by_log(intervals, counts), strict=True))
        found += [(compared[index], None) if isinstance(each, _Sum) else each for index, each in enumerate(sums)]
    return found


def _sum_up(
    system: str, tasks: list[_Graded], reference: str, amounts_of: Amounts, *, influence: Floats, met: Flags
) -> _Sum | tuple[Comparison, str | None]:
    """One system's mean, with each item's ``influence`` on the sum, (items,) of all tasks, and which were ``met``; or
    a bound, or why there is none.
    """
    total, pairs = 0.0, 0
    bounds: dict[Bound, str] = {}
    able: list[tuple[_Graded, PerCorrect, int, int]] = []
    for task in tasks:
        a, b = task.index(reference), task.index(system)
        amounts = amounts_of(task, (a, b))
        if amounts is None:
            return NOT_COMPARED, f"of {task.name} nothing is known"
        log, count = amounts.log_of_pair(a, b)
        if not count:
            return NOT_COMPARED, f"no item of {task.name} was asked of it and {reference} in one session"
        pairs += count
        if not math.isfinite(log):
            ratio = without_correct(amounts, (a, b))
            if not ratio.value or ratio.bound is None:
                who = "it has no" if system == reference else f"neither it nor {reference} has a"
                return NOT_COMPARED, f"{who} correct answer in {_but_late(task, a, b)}"
            log = math.log(ratio.value)
            bounds.setdefault(ratio.bound, _but_late(task, b if ratio.bound == ">=" else a))
        total += log / len(tasks)
        able.append((task, amounts, a, b))
    if len(bounds) > 1:
        return NOT_COMPARED, f"it has no correct answer in {bounds['>=']}, and {reference} none in {bounds['<=']}"
    if bounds:
        (bound,) = bounds
        return msgspec.structs.replace(NOT_COMPARED, change=number(math.exp(total), bound=bound), items=pairs), None
    for task, amounts, a, b in able:
        found = amounts.influence_of_pair(a, b)
        unknown = np.isnan(found)
        if unknown.any():
            found[unknown] = 0.0
            met[task.place] |= ~unknown
        else:
            met[task.place] = True
        influence[task.place] += found
    return _Sum(total, pairs)


def _but_late(task: _Graded, *without: int) -> str:
    """A task's name, of systems without a correct answer that counts; those that have one, had it late."""
    return f"{task.name}, late ones aside" if any(task.answers.right[index] for index in without) else task.name


def _mean_accuracy(system: str, tasks: list[_Graded]) -> Estimate:
    """Mean over tasks of the share of correct trials; unknown where a task has no trials.

    The interval is that of Price & Bonett (2004), "An improved confidence interval for a linear function of binomial
    proportions": with k tasks each share is moved to (x + 2/k) / (n + 4/k), so that it stays sensible where all answers
    are right or all are wrong. With repeats the item's mean takes the place of 0 or 1. Tasks count as independent.
    """
    k = len(tasks)
    shares, moved, variance = [], [], 0.0
    for task in tasks:
        index = task.index(system)
        right, asked = task.answers.right[index], task.answers.asked[index]
        if not asked:
            return UNKNOWN
        shares.append(right / asked)
        n = asked + 4 / k
        share = (right + 2 / k) / n
        moved.append(share)
        variance += share * (1 - share) / n / k**2
    middle, half = float(np.mean(moved)), normal_quantile((1 + LEVEL) / 2) * math.sqrt(variance)
    return number(float(np.mean(shares)), max(0.0, middle - half), min(1.0, middle + half))
