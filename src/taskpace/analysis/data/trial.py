"""One trial, whole: what was asked, what came back and when."""

from __future__ import annotations

from typing import Protocol

import msgspec
import polars as pl

from taskpace.analysis.data.frame import Source, last_attempts, load_frame
from taskpace.errors import StoreError
from taskpace.records import Grade, Record
from taskpace.text.strict import did_you_mean


class TrialSource(Source, Protocol):
    def attempts(self, trial_id: str) -> list[tuple[Record, Grade | None]]: ...


class TrialView(msgspec.Struct, frozen=True, kw_only=True):
    """A trial for a reader."""

    trial_id: str
    system: str
    system_prompt: str | None
    task: str
    scenario: str
    repeat: int
    prompts: tuple[str, ...]
    attempts: tuple[tuple[Record, Grade | None], ...]
    """Empty when it has not been carried out."""


def view_trial(source: TrialSource, trial_id: str) -> TrialView:
    """Everything about a trial that is in the plan, carried out or not."""
    rows = source.query(
        "SELECT cell.system, system.spec, cell.task, cell.scenario, trial.repeat, item.prompts"
        " FROM trial JOIN cell ON cell.id = trial.cell_id JOIN system ON system.name = cell.system"
        " JOIN item ON item.task = cell.task AND item.id = trial.item_id WHERE trial.id = ?",
        trial_id,
    )[1]
    system, spec, task, scenario, repeat, prompts = rows[0]
    return TrialView(
        trial_id=trial_id,
        system=system,
        system_prompt=msgspec.json.decode(spec)["system_prompt"],
        task=task,
        scenario=scenario,
        repeat=repeat,
        prompts=tuple(msgspec.json.decode(prompts)),
        attempts=tuple(source.attempts(trial_id)),
    )


def list_trials(
    source: Source, *, system: str | None = None, task: str | None = None, outcome: str | None = None
) -> pl.DataFrame:
    """The recorded trials (last attempts), narrowed down, with what a list of them shows.

    Raises:
        StoreError: the run has no system or task of that name.
    """
    frame = last_attempts(load_frame(source))
    for column, value in (("system", system), ("task", task), ("outcome", outcome)):
        if value is None:
            continue
        if column != "outcome":
            names = [row[0] for row in source.query(f"SELECT name FROM {column} ORDER BY position")[1]]  # noqa: S608 - one of two words
            if value not in names:
                raise StoreError(f'--{column} "{value}": the run has none of that name{did_you_mean(value, names)}')
        frame = frame.filter(pl.col(column) == value)
    return frame.select("trial_id", "system", "task", "scenario", "outcome", "task_time_s", "answer")
