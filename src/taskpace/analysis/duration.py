"""How long a plan may take."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import polars as pl

from taskpace.analysis.data.frame import load_frame
from taskpace.experiment.plan import Cell, Plan
from taskpace.store.queries import Reader


class CellEstimate(msgspec.Struct, frozen=True, kw_only=True):
    """One cell: how many trials, and how long they take all together."""

    system: str
    task: str
    scenario: str
    trials: int
    seconds: float
    measured: bool
    """From trials of this very cell; else a ceiling: every answer as long as its limit allows."""


def estimate(plan: Plan, source: Reader | None, tokens_per_s: float) -> tuple[CellEstimate, ...]:
    """Seconds per cell.

    Where ``source`` holds trials of a cell: trials x their mean task time / concurrency. Elsewhere: trials x the task's
    token limit / ``tokens_per_s`` / concurrency, a ceiling that leaves prompts and loading out. Under an arrival rate:
    until the last arrival.
    """
    means = {} if source is None else _mean_times(source)
    return tuple(_cell(plan, cell, means, tokens_per_s) for cell in plan.cells)


def _cell(plan: Plan, cell: Cell, means: Mapping[tuple[str, str, str], float], tokens_per_s: float) -> CellEstimate:
    key = (cell.system.name, cell.task.name, cell.scenario.name)
    requests = [len(planned.prompts) for planned in cell.task.items]
    trials = len(requests) * plan.experiment.repeats
    ceiling = sum(requests) / len(requests) * cell.task.spec.max_tokens / tokens_per_s
    per_trial = means.get(key, min(ceiling, plan.experiment.timeout_s))
    return CellEstimate(
        system=key[0],
        task=key[1],
        scenario=key[2],
        trials=trials,
        seconds=trials / rate if (rate := cell.scenario.rate) else trials * per_trial / cell.scenario.concurrency,
        measured=key in means,
    )


def _mean_times(source: Reader) -> dict[tuple[str, str, str], float]:
    times = load_frame(source).filter(pl.col("task_time_s").is_not_null())
    means = times.group_by("system", "task", "scenario").agg(pl.col("task_time_s").mean())
    return {(system, task, scenario): mean for system, task, scenario, mean in means.iter_rows()}
