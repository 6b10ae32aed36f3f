"""How long all of a cell took, where several requests were in flight: one at a time it is the sum of the task times."""

from __future__ import annotations

from taskpace.analysis.schema.summary import Summary, SystemRow, TaskTable
from taskpace.report.words.advice import on_tasks, short
from taskpace.report.words.block import INVALID
from taskpace.report.words.figures import digits, seconds

_ONE_AT_A_TIME = "single"
_MOST_SYSTEMS = 3


def makespan_lines(table: TaskTable) -> list[str]:
    """The makespans of a load or of static batches, with the tasks an hour that they make; none: nothing to tell."""
    told = ", ".join(
        f"{row.system} {seconds(row.makespan_s)} ({digits(row.tasks_per_hour, 3)} tasks an hour"
        f"{'' if row.valid else f', {INVALID}'})"
        for row in _with_makespan(table)
    )
    return [f"Makespan, from the first dispatch to the last end: {told}."] if told else []


def makespan_in_brief(summary: Summary, shown: TaskTable | None) -> str:
    """Those of the table that the answer is about, or else of the first one with several requests in flight."""
    first = () if shown is None else (shown,)
    table = next((table for table in (*first, *summary.tables) if _with_makespan(table)), None)
    if table is None:
        return ""
    rows = _with_makespan(table)
    told = ", ".join(
        f"{short(row.system)} {seconds(row.makespan_s)}{'' if row.valid else f' ({INVALID})'}"
        for row in rows[:_MOST_SYSTEMS]
    )
    others = f" and {len(rows) - _MOST_SYSTEMS} more" if len(rows) > _MOST_SYSTEMS else ""
    return f"Makespan{on_tasks([(table.task, table.scenario)], summary)}: {told}{others}."


def _with_makespan(table: TaskTable) -> list[SystemRow]:
    return [row for row in table.rows if row.makespan_s is not None and table.scenario != _ONE_AT_A_TIME]
