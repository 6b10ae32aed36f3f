"""What is said of systems one by one, where no two of them are ranked, and why they are not."""

from __future__ import annotations

from taskpace.analysis.schema.summary import Summary, SystemRow, TaskTable
from taskpace.report.words.advice import on_tasks, short
from taskpace.report.words.figures import SECONDS_ALONE, seconds_of, written

_MOST_TASKS = 3
_NOTHING_IN_COMMON = "the systems have no items in common in one session"


def nothing_ranked(summary: Summary) -> str:
    """What the answer of a run says in place of who finishes first."""
    parts = []
    for table in summary.tables[:_MOST_TASKS]:
        for row in [row for row in table.rows if row.valid and row.task_time_median_s.value is not None][:1]:
            cost = row.time_per_correct_s
            per_correct = f", a correct answer takes {written(cost, SECONDS_ALONE).value}" if cost.value else ""
            where = on_tasks([(table.task, table.scenario)], summary)
            time = written(row.task_time_median_s, SECONDS_ALONE).value
            parts.append(f"{short(row.system)} finishes in {time} (median){where}{per_correct}")
    if not parts:
        return "No ranking: no system has a valid result."
    alone = all(len(table.rows) == 1 for table in summary.tables)
    why = "there is one system" if alone else "one valid result at most"
    if any(map(_not_compared, summary.tables)):
        why = _NOTHING_IN_COMMON
    elif alone and len({row.system for table in summary.tables for row in table.rows}) > 1:
        why = "no two systems have a task and a load in common"  # of imported logs
    return f"No ranking: {why}. {'; '.join(parts)}."


def no_ranking(table: TaskTable, ranked: list[SystemRow]) -> str:
    """What a table reports where fewer than two systems are ranked; ``ranked``: those that are."""
    if not ranked:
        why = _NOTHING_IN_COMMON if _not_compared(table) else "no system has a valid result"
        return f"No ranking: {why}."
    (row,) = ranked
    time = f"{row.system} finishes in {seconds_of(row.task_time_median_s)} (median)"
    if row.time_per_correct_s.value is not None:
        time += f", a correct answer takes {seconds_of(row.time_per_correct_s)}"
    alone = "it is the only system" if len(table.rows) == 1 else "no other system's result is valid"
    return f"No ranking: {alone}. {time}."


def _not_compared(table: TaskTable) -> bool:
    """Whether valid systems whose times are known have no rank, as they have no items in common with the others."""
    known = [row for row in table.rows if row.valid and row.task_time_median_s.value is not None]
    return any(row.rank_task_time is None for row in known)
