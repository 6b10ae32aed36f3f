"""The table per task: who finishes first, who only looks fast. Plain medians and counts."""

from __future__ import annotations

import msgspec
import polars as pl

from taskpace.analysis.frame import Source, last_attempts, load_frame
from taskpace.records import OUTCOMES, Outcome

P90_FLOOR = 64
"""Fewer samples give no p90: the least that MLPerf Inference's early-stopping rule takes for a 90th percentile."""


TRUNCATION_LIMIT = 0.02
"""A larger share of truncated trials makes a row invalid: its task times are cut short."""


class SystemRow(msgspec.Struct, frozen=True, kw_only=True):
    """One cell in the table. Times in seconds, unknown is null."""

    system: str
    planned: int
    n: int
    """Trials recorded."""
    outcomes: dict[Outcome, int]
    task_time_median_s: float | None
    """Over the trials that ended, timeouts at their limit; errors have no task time."""
    task_time_p90_s: float | None
    ttft_median_s: float | None
    committed_median_s: float | None
    output_tokens_median: float | None
    output_bytes_median: float | None
    tokens_per_s_median: float | None
    accuracy: float | None
    """Correct / recorded; null for a task without a right answer."""
    time_per_correct_s: float | None
    """Sum of the time of all trials / number correct."""
    makespan_s: float | None
    """First dispatch to last end; null when the cell was interrupted and resumed."""
    invalid: tuple[str, ...]
    """Why this row's numbers are shown and not ranked, and what to do; empty: they are valid."""
    rank_task_time: int | None
    rank_tokens_per_s: int | None
    rank_time_per_correct: int | None


class TaskTable(msgspec.Struct, frozen=True, kw_only=True):
    """The systems on one task in one scenario, in the experiment's order."""

    task: str
    scenario: str
    rows: tuple[SystemRow, ...]


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    planned: int
    done: int
    tables: tuple[TaskTable, ...]


def summarise(source: Source) -> Summary:
    """The summary of a run file, finished or not."""
    name = source.query("SELECT name FROM run")[1][0][0]
    cells = source.query(
        "SELECT cell.system, cell.task, cell.scenario, (SELECT count(*) FROM trial WHERE cell_id = cell.id),"
        " json_extract(task.spec, '$.scorer') IS NOT NULL"
        " FROM cell JOIN task ON task.name = cell.task ORDER BY cell.position"
    )[1]
    trials = last_attempts(load_frame(source))
    found = dict(trials.group_by("system", "task", "scenario", maintain_order=True))
    empty = trials.clear()
    tables: dict[tuple[str, str], list[SystemRow]] = {}
    for system, task, scenario, planned, graded in cells:
        row = summarise_cell(system, planned, found.get((system, task, scenario), empty), graded=bool(graded))
        tables.setdefault((task, scenario), []).append(row)
    return Summary(
        name=name,
        planned=sum(cell[3] for cell in cells),
        done=trials.height,
        tables=tuple(_table(task, scenario, rows) for (task, scenario), rows in tables.items()),
    )


def summarise_cell(system: str, planned: int, trials: pl.DataFrame, *, graded: bool) -> SystemRow:
    """One row, not yet ranked, from a cell's trials (columns of ``load_frame``); ``graded``: the task has a scorer."""
    outcomes: dict[Outcome, int] = {
        outcome: count for outcome in OUTCOMES if (count := int((trials["outcome"] == outcome).sum()))
    }
    ended = trials.filter(pl.col("outcome") != "error")
    times = ended["task_time_s"].drop_nulls()
    correct = outcomes.get("correct", 0)
    return SystemRow(
        system=system,
        planned=planned,
        n=trials.height,
        outcomes=outcomes,
        task_time_median_s=_median(times),
        task_time_p90_s=_number(times.quantile(0.9, "linear")) if len(times) >= P90_FLOOR else None,
        ttft_median_s=_median(ended["ttft_s"]),
        committed_median_s=_median(ended["committed_s"]),
        output_tokens_median=_median(ended["output_tokens"]),
        output_bytes_median=_median(ended["output_bytes"]),
        tokens_per_s_median=_median(ended["tokens_per_s"]),
        accuracy=correct / trials.height if graded and trials.height else None,
        time_per_correct_s=float(trials["task_time_s"].sum()) / correct if correct else None,
        makespan_s=_makespan_s(trials, planned),
        invalid=_invalid(outcomes, trials.height, planned),
        rank_task_time=None,
        rank_tokens_per_s=None,
        rank_time_per_correct=None,
    )


def _invalid(outcomes: dict[Outcome, int], n: int, planned: int) -> tuple[str, ...]:
    reasons = []
    if n < planned:
        reasons.append(f"{planned - n} of {planned} not run: run the same command again")
    if errors := outcomes.get("error"):
        reasons.append(f"{errors} of {n} ended in an error: see `taskpace show RUN --outcome error`")
    if (truncated := outcomes.get("truncated", 0)) > TRUNCATION_LIMIT * n:
        reasons.append(f"{truncated} of {n} truncated: raise max_tokens")
    return tuple(reasons)


def _makespan_s(trials: pl.DataFrame, planned: int) -> float | None:
    """Only a cell that one worker carried out whole has one: clocks do not compare across workers."""
    if trials.height < planned or trials["worker"].n_unique() != 1 or trials["dispatch_ns"].null_count():
        return None
    return (int(trials["end_clock_ns"].max()) - int(trials["dispatch_ns"].min())) / 1e9  # type: ignore[arg-type]


def _table(task: str, scenario: str, rows: list[SystemRow]) -> TaskTable:
    by_time = _ranks([None if row.invalid else row.task_time_median_s for row in rows], smallest_first=True)
    by_speed = _ranks([None if row.invalid else row.tokens_per_s_median for row in rows], smallest_first=False)
    by_correct = _ranks([None if row.invalid else row.time_per_correct_s for row in rows], smallest_first=True)
    ranked = tuple(
        msgspec.structs.replace(row, rank_task_time=t, rank_tokens_per_s=s, rank_time_per_correct=c)
        for row, t, s, c in zip(rows, by_time, by_speed, by_correct, strict=True)
    )
    return TaskTable(task=task, scenario=scenario, rows=ranked)


def _ranks(values: list[float | None], *, smallest_first: bool) -> list[int | None]:
    """1 for the best; equal values share the better rank; unknown has none."""
    known = [value for value in values if value is not None]
    sign = 1 if smallest_first else -1
    return [None if value is None else 1 + sum(sign * other < sign * value for other in known) for value in values]


def _median(values: pl.Series) -> float | None:
    return _number(values.median())


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
