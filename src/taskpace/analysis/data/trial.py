"""One trial, whole: what was asked, what came back and when."""

from __future__ import annotations

from typing import Protocol

import msgspec
import polars as pl

from taskpace.analysis.data.frame import last_attempts, load_frame
from taskpace.errors import StoreError
from taskpace.experiment.imported import Unknown
from taskpace.records import Grade, Record
from taskpace.store import queries
from taskpace.store.imported import by_cell, load_imported
from taskpace.store.queries import Reader
from taskpace.text.strict import did_you_mean


class TrialSource(Reader, Protocol):
    """A run file whose records can be had whole."""

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
    imported: str | None = None
    """Tool and log that it comes from; null: taskpace measured it."""
    unknown: tuple[Unknown, ...] = ()
    """What that log does not have."""


def view_trial(source: TrialSource, trial_id: str) -> TrialView:
    """Everything about a trial that is in the plan, carried out or not."""
    planned = queries.trial(source, trial_id)
    by, log = by_cell(load_imported(source)).get((planned.system, planned.task, planned.scenario), (None, None))
    return TrialView(
        imported=None if by is None or log is None else f"{by.by}: {log.file}",
        unknown=() if log is None else log.unknown,
        trial_id=trial_id,
        system=planned.system,
        system_prompt=msgspec.json.decode(planned.system_spec)["system_prompt"],
        task=planned.task,
        scenario=planned.scenario,
        repeat=planned.repeat,
        prompts=tuple(msgspec.json.decode(planned.prompts)),
        attempts=tuple(source.attempts(trial_id)),
    )


def list_trials(
    reader: Reader, *, system: str | None = None, task: str | None = None, outcome: str | None = None
) -> pl.DataFrame:
    """The recorded trials (last attempts), narrowed down, with what a list of them shows.

    Raises:
        StoreError: the run has no system or task of that name.
    """
    frame = last_attempts(load_frame(reader))
    for column, value in (("system", system), ("task", task), ("outcome", outcome)):
        if value is None:
            continue
        if column != "outcome":
            rows = queries.systems(reader) if column == "system" else queries.tasks(reader)
            names = [row.name for row in rows]
            if value not in names:
                raise StoreError(f'--{column} "{value}": unknown in this run{did_you_mean(value, names)}')
        frame = frame.filter(pl.col(column) == value)
    return frame.select("trial_id", "system", "task", "scenario", "outcome", "task_time_s", "answer")
