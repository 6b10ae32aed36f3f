"""A task that ended when its ranking was settled: how it stands, and what was not asked for that reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Literal, TypeVar

import msgspec
import numpy as np
import polars as pl

from taskpace.analysis.data.arrays import Arrays
from taskpace.analysis.data.cells import CellPlan
from taskpace.analysis.data.sample import Sample, take_sample
from taskpace.analysis.until import standing_of
from taskpace.experiment.gate import BESIDE
from taskpace.experiment.until import By, Gate, PairStanding, Standing, Until

if TYPE_CHECKING:
    from taskpace.analysis.schema.summary import MeasuredRow

Measure = Literal["task_time", "time_per_correct"]
_MEASURES: dict[By, Measure] = {"task-time": "task_time", "s-per-correct": "time_per_correct"}


_LOOKS = 30
"""Moments that a path has, the closer the earlier: what happens late happens slowly."""


class PathLook(msgspec.Struct, frozen=True):
    """How two systems stood at one moment."""

    items: int
    """That both had been asked."""
    ratio: float | None
    """B's seconds over A's; null: unknown."""
    low: float | None
    """Of the interval that one may stop by; null: unknown."""
    high: float | None
    """Upper end of that interval; null: unknown."""


class PairPath(msgspec.Struct, frozen=True, kw_only=True):
    """How two systems came to where they stand."""

    looks: tuple[PathLook, ...]
    """In the order of time, 30 at most."""
    settled_after: int | None
    """Items that both had been asked when the pair was settled, for good; null: it is open."""


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """Every two systems of a task asked until its ranking is settled; error 5 % over all that is ever claimed."""

    measure: Measure
    """What ranks the systems."""
    margin: float | None
    """Systems whose ratio is within 1 + margin either way are equivalent; null: none ever are."""
    items: int
    """Asked of one system at least."""
    pairs: tuple[PairStanding, ...]
    paths: tuple[PairPath, ...]
    """Of each of the pairs."""
    gate: tuple[str, ...] = ()
    """Conditions of a gate that ended the run in place of a ranking; `taskpace compare --fail-if` judges them. Then
    there are no pairs here."""
    gate_base: str | None = None
    """What that gate held the new systems against, as `taskpace compare` takes it: FILE, or FILE:SYSTEM."""
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


def _side(gate: Gate) -> str:
    """A system that has another name in the baseline is named: that alone may be held against it."""
    named = [each.base.removesuffix(BESIDE) for each in gate.against if each.base.removesuffix(BESIDE) != each.new]
    return f"{gate.base}:{named[0]}" if len(gate.against) == 1 and named else gate.base


def find_settled(arrays: Arrays, until: Until) -> Settled:
    """``arrays``: of one task, with the items in the order in which they were asked."""
    if until.gate is not None:
        items = int((~np.isnan(arrays.correct)).any(axis=(0, 2)).sum())
        return Settled(
            measure="task_time",
            margin=None,
            items=items,
            pairs=(),
            paths=(),
            gate=until.gate.conditions,
            gate_base=_side(until.gate),
            needed=(),
        )

    @cache
    def after(items: int) -> Standing:
        return standing_of(arrays, until, items)

    standing = after(len(arrays.items))
    return Settled(
        measure=_MEASURES[until.by],
        margin=until.margin,
        items=standing.items,
        pairs=standing.pairs,
        paths=_paths(after, len(arrays.items)),
        needed=tuple(sorted(standing.needed())),
    )


def _paths(after: Callable[[int], Standing], items: int) -> tuple[PairPath, ...]:
    """``after``: how all pairs stood after so many items, 2 to ``items``."""
    if items < 2:
        return tuple(PairPath(looks=(), settled_after=None) for _ in after(items).pairs)
    moments = np.unique(np.geomspace(2, items, _LOOKS).round().astype(int)).tolist()
    found = []
    for index in range(len(after(items).pairs)):
        # A pair that rests has no more items: of those moments the last one counts, which knows of all claims.
        looks = {pair.items: pair for pair in (after(moment).pairs[index] for moment in moments)}
        found.append(
            PairPath(
                looks=tuple(PathLook(pair.items, pair.ratio, pair.low, pair.high) for pair in looks.values()),
                settled_after=_settled_after(after, moments, index),
            )
        )
    return tuple(found)


def _settled_after(after: Callable[[int], Standing], moments: list[int], index: int) -> int | None:
    """Items after which a pair was no longer open, and stayed so: between two of the moments by bisection."""
    is_open = [after(moment).pairs[index].verdict == "open" for moment in moments]
    if is_open[-1]:
        return None
    last = max((place for place, each in enumerate(is_open) if each), default=-1)
    low, high = moments[last] if last >= 0 else moments[0] - 1, moments[last + 1]
    while high - low > 1:
        middle = (low + high) // 2
        if after(middle).pairs[index].verdict == "open":
            low = middle
        else:
            high = middle
    return after(high).pairs[index].items


def as_asked(cells: list[CellPlan], sample: Sample, settled: Settled) -> list[CellPlan]:
    """The cells with what was planned less what was not needed: that is not missing."""
    asked = dict(sample.trials["system"].value_counts().iter_rows())
    return [
        cell if cell.system in settled.needed else msgspec.structs.replace(cell, planned=asked.get(cell.system, 0))
        for cell in cells
    ]


def all_as_asked(cells: list[CellPlan], trials: pl.DataFrame, until: Until) -> list[CellPlan]:
    """``as_asked`` for all cells of a run; ``trials``: last attempts, columns of ``load_frame``."""
    found = []
    for key in dict.fromkeys((cell.task, cell.scenario.name) for cell in cells):
        table = [cell for cell in cells if (cell.task, cell.scenario.name) == key]
        own = trials.filter((pl.col("task") == key[0]) & (pl.col("scenario") == key[1]))
        sample = take_sample(own, tuple(cell.system for cell in table), batched=table[0].batched, in_order=True)
        found += as_asked(table, sample, find_settled(sample.own, until))
    return found
