"""The two rankings, by tokens per second and by task time, as every picture of them has it."""

from __future__ import annotations

from collections.abc import Sequence

from taskpace.analysis.schema.summary import SystemRow, TaskTable
from taskpace.analysis.table.pairs import Pair, is_inverted


def ranked(table: TaskTable) -> list[SystemRow]:
    """The rows that have a place."""
    return [row for row in table.rows if row.rank_task_time]


def firsts_of(table: TaskTable) -> tuple[str, ...]:
    """Who has the first place; none where fewer than two are ranked."""
    rows = ranked(table)
    return tuple(row.system for row in rows if row.rank_task_time == 1) if len(rows) > 1 else ()


def looking_fast(table: TaskTable) -> list[str]:
    """Systems with more tokens per second than one that finishes sooner."""
    return list(dict.fromkeys(pair.b for pair in inverted_pairs(table, with_both_ranks(table))))


def with_both_speeds(table: TaskTable) -> list[SystemRow]:
    """The rows that have tokens per second and a task time."""
    return [row for row in table.rows if row.tokens_per_s_median.value and row.task_time_median_s.value]


def with_both_ranks(table: TaskTable) -> list[SystemRow]:
    """The rows that are ranked by both."""
    return [row for row in table.rows if row.rank_task_time and row.rank_tokens_per_s]


def inverted_pairs(table: TaskTable, rows: Sequence[SystemRow]) -> list[Pair]:
    """The pairs of valid ``rows`` that tokens per second rank wrongly: ``b`` only looks faster than ``a``."""
    names = {row.system for row in rows if row.valid and not any(r.invalidates == "token counts" for r in row.reasons)}
    return [pair for pair in table.pairs if {pair.a, pair.b} <= names and is_inverted(pair)]


def by_tokens_per_s(rows: Sequence[SystemRow]) -> list[SystemRow]:
    """The first first; within a shared rank by the median."""
    return sorted(rows, key=lambda row: (row.rank_tokens_per_s, -(row.tokens_per_s_median.value or 0.0)))


def by_task_time(rows: Sequence[SystemRow]) -> list[SystemRow]:
    """The first first; within a shared rank by the median."""
    return sorted(rows, key=lambda row: (row.rank_task_time, row.task_time_median_s.value or 0.0))


def unlike_medians(table: TaskTable) -> Pair | None:
    """A pair whose first is claimed to finish sooner, item by item, though its median task time is the longer one."""
    medians = {row.system: row.task_time_median_s.value for row in table.rows if row.rank_task_time}
    for pair in table.pairs:
        first, second = medians.get(pair.a), medians.get(pair.b)
        if pair.task_time.lower == "a" and first is not None and second is not None and first > second:
            return pair
    return None
