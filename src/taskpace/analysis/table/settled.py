"""A task that ended when its ranking was settled: how it stands, and what was not asked for that reason."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, TypeVar

import msgspec
import numpy as np
import polars as pl

from taskpace.analysis.data.arrays import Arrays
from taskpace.analysis.data.cells import CellPlan
from taskpace.analysis.data.sample import Sample, take_sample
from taskpace.analysis.until import standing_of
from taskpace.experiment.until import By, PairStanding, Until

if TYPE_CHECKING:
    from taskpace.analysis.schema.summary import MeasuredRow

Measure = Literal["task_time", "time_per_correct"]
_MEASURES: dict[By, Measure] = {"task-time": "task_time", "s-per-correct": "time_per_correct"}


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """Every two systems of a task asked until its ranking is settled; error 5 % over all that is ever claimed."""

    measure: Measure
    """What ranks the systems."""
    margin: float | None
    """Systems whose ratio is within 1 + margin either way are equivalent; null: none ever are."""
    items: int
    """Asked of one system at least."""
    pairs: tuple[PairStanding, ...]
    gate: tuple[str, ...] = ()
    """Conditions of a gate that ended the run in place of a ranking; `taskpace compare --fail-if` judges them. Then
    there are no pairs here."""
    needed: tuple[str, ...]
    """Systems that would be asked more, as a pair of theirs is open; none: the ranking is settled."""


ASKS_FOR_MORE = frozenset({"too-few", "few-items", "few-correct"})
"""Codes of cautions whose remedy is more items. Where the data decided how many there are they say nothing: the
intervals allow for it, and what is open says how many more it would take."""


_Row = TypeVar("_Row", bound="MeasuredRow")


def without_asking_for_more(rows: Sequence[_Row]) -> list[_Row]:
    """Rows without the cautions ``ASKS_FOR_MORE``."""
    return [
        msgspec.structs.replace(row, reasons=tuple(each for each in row.reasons if each.code not in ASKS_FOR_MORE))
        for row in rows
    ]


def find_settled(arrays: Arrays, until: Until) -> Settled:
    """``arrays``: of one task, with the items in the order in which they were asked."""
    if until.gate is not None:
        items = int((~np.isnan(arrays.correct)).any(axis=(0, 2)).sum())
        return Settled(measure="task_time", margin=None, items=items, pairs=(), gate=until.gate.conditions, needed=())
    standing = standing_of(arrays, until)
    return Settled(
        measure=_MEASURES[until.by],
        margin=until.margin,
        items=standing.items,
        pairs=standing.pairs,
        needed=tuple(sorted(standing.needed())),
    )


def as_asked(cells: list[CellPlan], sample: Sample, settled: Settled) -> list[CellPlan]:
    """The cells with what was planned less what was not needed: that is not missing."""
    asked = dict(sample.trials["system"].value_counts().iter_rows())
    return [
        cell if cell.system in settled.needed else msgspec.structs.replace(cell, planned=asked.get(cell.system, 0))
        for cell in cells
    ]


def all_as_asked(cells: list[CellPlan], trials: pl.DataFrame, until: Until) -> list[CellPlan]:
    """The same of all cells of a run; ``trials``: last attempts, columns of ``load_frame``."""
    found = []
    for key in dict.fromkeys((cell.task, cell.scenario.name) for cell in cells):
        table = [cell for cell in cells if (cell.task, cell.scenario.name) == key]
        own = trials.filter((pl.col("task") == key[0]) & (pl.col("scenario") == key[1]))
        sample = take_sample(own, tuple(cell.system for cell in table), batched=table[0].batched, in_order=True)
        found += as_asked(table, sample, find_settled(sample.own, until))
    return found
