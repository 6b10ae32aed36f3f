"""What a swept setting does: each point of a sweep against its first, item by item."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from taskpace.analysis.across.sweeps import Sweep
from taskpace.analysis.schema.across import Change, Effect
from taskpace.analysis.schema.summary import TaskTable
from taskpace.analysis.stats.estimates import Estimate, mirrored
from taskpace.analysis.table.comparison import Comparison
from taskpace.analysis.table.pairs import Pair


def find_effects(sweeps: tuple[Sweep, ...], tables: tuple[TaskTable, ...]) -> tuple[Effect, ...]:
    """By sweep and table: how task time, length, speed and accuracy move from the first value to each other.

    Systems that have not been asked yet are left out.
    """
    return tuple(effect for sweep in sweeps for table in tables for effect in _effects(sweep, table))


def _effects(sweep: Sweep, table: TaskTable) -> Iterator[Effect]:
    first, *others = sweep.points
    valid = {row.system for row in table.rows if row.valid}
    asked = {row.system for row in table.rows if row.n}
    for point in others:
        pair = find_pair(table, first.system, point.system)
        if pair is None or not {first.system, point.system} <= asked:
            continue
        yield Effect(
            setting=sweep.setting,
            task=table.task,
            scenario=table.scenario,
            base_system=first.system,
            base_value=first.value,
            system=point.system,
            value=point.value,
            valid={first.system, point.system} <= valid,
            task_time=ratio(pair, pair.task_time, first.system),
            output_bytes=ratio(pair, pair.output_bytes, first.system),
            tokens_per_s=ratio(pair, pair.tokens_per_s, first.system),
            accuracy=difference(pair, pair.accuracy, first.system),
        )


def find_pair(table: TaskTable, one: str, other: str) -> Pair | None:
    """The two systems compared, whichever stands first; null where they are not."""
    return next((pair for pair in table.pairs if {pair.a, pair.b} == {one, other}), None)


def ratio(pair: Pair, comparison: Comparison, base: str) -> Change:
    """New over base; a pair stands the other way round where the new one is the quicker."""
    change = comparison.change
    if pair.a != base:
        value, high, low = (None if not end else 1 / end for end in (change.value, change.low, change.high))
        change = Estimate(value, low, high, mirrored(change.bound))
    return _change(pair, comparison, change, base)


def difference(pair: Pair, comparison: Comparison, base: str) -> Change:
    """New less base, likewise."""
    return _change(pair, comparison, less_base(pair, comparison.change, base), base)


def _change(pair: Pair, comparison: Comparison, change: Estimate, base: str) -> Change:
    lower: Literal["base", "new"] | None = None
    if comparison.lower is not None:
        lower = "base" if getattr(pair, comparison.lower) == base else "new"
    return Change(
        change=change,
        significant=comparison.significant,
        lower=lower,
        open=comparison.open,
        items=comparison.items,
    )


def less_base(pair: Pair, difference: Estimate, base: str) -> Estimate:
    """A difference b - a as new less base."""
    if pair.a == base:
        return difference
    value, high, low = (None if end is None else -end for end in (difference.value, difference.low, difference.high))
    return Estimate(value, low, high, mirrored(difference.bound))
