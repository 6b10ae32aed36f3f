"""The table of an answer: a row for each task and system, or for each task."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from taskpace.analysis.schema.summary import Summary, SystemRow, TaskTable
from taskpace.analysis.stats.estimates import UNKNOWN, Estimate
from taskpace.report.words.advice import joined
from taskpace.report.words.block import INVALID, Cell, Column, Name, Number, Words
from taskpace.report.words.figures import PERCENT_ALONE, SECONDS_ALONE, THREE_DIGITS
from taskpace.report.words.rankings import firsts_of, looking_fast, ranked

_MOST_ROWS = 12
_PLACES = ("first", "second", "third")


def answer_columns(summary: Summary) -> tuple[Column, ...]:
    """A row for each task and system; with more than a page has room for, a row for each task."""
    if len(summary.tables) > 1 and sum(len(table.rows) for table in summary.tables) > _MOST_ROWS:
        return _by_task(summary)
    cells = [(table, row) for table in summary.tables for row in table.rows][:_MOST_ROWS]

    def numbers(read: Callable[[SystemRow], Estimate]) -> tuple[Number, ...]:
        return tuple(Number(read(row), first=row.rank_task_time == 1) for _, row in cells)

    return (
        *_task_column([table for table, _ in cells], summary),
        Column(heading="system", kind="text", cells=tuple(Name(row.system) for _, row in cells)),
        Column(heading="task time", form=SECONDS_ALONE, cells=numbers(lambda row: row.task_time_median_s)),
        Column(heading="tok/s", form=THREE_DIGITS, cells=numbers(lambda row: row.tokens_per_s_median)),
        Column(heading="correct", form=PERCENT_ALONE, optional=True, cells=numbers(lambda row: row.accuracy)),
        Column(
            heading="s/correct", form=SECONDS_ALONE, optional=True, cells=numbers(lambda row: row.time_per_correct_s)
        ),
        Column(heading="finishes", kind="text", cells=tuple(Words(_place(table, row)) for table, row in cells)),
    )


def _task_column(tables: Sequence[TaskTable], summary: Summary) -> tuple[Column, ...]:
    if len(summary.tables) == 1:
        return ()
    several = len({table.scenario for table in summary.tables}) > 1
    names = tuple(Name(f"{table.task} {table.scenario}" if several else table.task) for table in tables)
    return (Column(heading="task", kind="text", cells=names),)


def _place(table: TaskTable, row: SystemRow) -> str:
    if not row.n:
        return "not run"
    if not row.valid:
        return INVALID
    if row.rank_task_time is None:
        return "unknown" if row.task_time_median_s.value is None else "not compared"
    if row.system in looking_fast(table):
        return "looks fast"
    if len(ranked(table)) < 2:
        return "alone"
    if row.rank_task_time == 1 and len(firsts_of(table)) > 1:
        return "shared first"
    rank = row.rank_task_time
    if sum(each.rank_task_time < rank for each in ranked(table) if each.rank_task_time) >= rank:
        # Slower than some of those before it, and than others perhaps not.
        return "not first"
    return _PLACES[rank - 1] if rank <= len(_PLACES) else f"{rank}th"


def _by_task(summary: Summary) -> tuple[Column, ...]:
    tables = summary.tables[:_MOST_ROWS]
    first = [next((row for row in table.rows if (row.system,) == firsts_of(table)), None) for table in tables]

    def names(read: Callable[[TaskTable], Sequence[str]]) -> tuple[Cell, ...]:
        return tuple(Words(joined(found) if (found := read(table)) else None) for table in tables)

    def winner(table: TaskTable) -> Cell:
        firsts = firsts_of(table)
        return Words("not decided" if len(firsts) == len(table.rows) > 1 else joined(firsts) if firsts else None)

    def numbers(read: Callable[[SystemRow], Estimate]) -> tuple[Number, ...]:
        return tuple(Number(UNKNOWN if row is None else read(row)) for row in first)

    return (
        *_task_column(tables, summary),
        Column(heading="finishes first", kind="text", cells=tuple(map(winner, tables))),
        Column(heading="task time", form=SECONDS_ALONE, cells=numbers(lambda row: row.task_time_median_s)),
        Column(heading="correct", form=PERCENT_ALONE, optional=True, cells=numbers(lambda row: row.accuracy)),
        Column(heading="only looks fast", kind="text", cells=names(looking_fast)),
    )
