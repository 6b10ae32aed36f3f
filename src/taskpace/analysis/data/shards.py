"""A run in one file or in several: those of its tasks, say, of its systems, or of the machines that asked its items.

Files are of one run where whatever they have in common is the same in both. Their trials are read for some tables at a
time, so that no more of them is in memory than those tables need.
"""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import polars as pl

from taskpace.analysis.data.cells import CellPlan, load_cells
from taskpace.analysis.data.costs import with_costs
from taskpace.analysis.data.frame import compact, last_attempts, load_anchors, load_numbers
from taskpace.analysis.data.nodes import with_nodes
from taskpace.errors import StoreError
from taskpace.experiment.experiment import Experiment, System
from taskpace.experiment.scenario import recorded_scenario
from taskpace.prices.given import check_systems
from taskpace.prices.price import Price
from taskpace.store import queries, tables
from taskpace.store.decoding import decoded
from taskpace.store.queries import Reader, name_of
from taskpace.tasks import LeftOut, Task, task_identity

TOGETHER = 2_000_000
"""Trials that are read at a time, in whole tables: as many as one plan may have."""
_APART = 2**32
"""Between the numbers of sessions and workers of two files; exact in arrays of floats."""
_TRIAL = ("system", "task", "scenario", "item_id", "repeat")

Key = tuple[str, str, str]
"""System, task and scenario of a cell."""


class Part(NamedTuple):
    """Tables that are made at a time, with all that is recorded of them."""

    cells: Sequence[CellPlan]
    trials: pl.DataFrame
    """Last attempts: columns of ``compact``, and of ``with_nodes``; ``shard`` where a run has several files."""
    anchors: pl.DataFrame | None
    """Trials that were asked again beside a system that was added later; null: none were."""


class _Shard(NamedTuple):
    """One of the files."""

    reader: Reader
    file: str
    name: str
    """Of the experiment."""
    experiment: Experiment
    systems: dict[str, dict[str, Any]]
    cells: dict[Key, CellPlan]
    ids: dict[Key, str]
    """Of the cells."""


class _Trait(NamedTuple):
    """What must be the same in all files that have it."""

    what: str
    value: object
    remedy: str = ""
    """Where it differs; empty: the files are of two experiments."""


class Shards:
    """A run, from all of its files.

    Args:
        sources: the run files.
        prices: by system, in place of those that the experiment gives.
        deadline_s: for goodput, in place of the experiment's own.

    Raises:
        TaskpaceError: the files are not of one run; a price is of no system of the run.
    """

    def __init__(
        self, sources: Sequence[Reader], prices: Mapping[str, Price] | None = None, *, deadline_s: float | None = None
    ) -> None:
        prices = prices or {}
        names = [[system.name for system in queries.systems(source)] for source in sources]
        check_systems(prices, list(dict.fromkeys(chain.from_iterable(names))))
        self._shards = [
            _shard(source, {name: prices[name] for name in own if name in prices})
            for source, own in zip(sources, names, strict=True)
        ]
        if len(sources) > 1:
            _check_one_run(self._shards, prices, deadline_s)
        self.experiment = self._shards[0].experiment
        self.deadline_s = self.experiment.deadline_s if deadline_s is None else deadline_s
        self.cells = _joined_cells(self._shards)

    @property
    def name(self) -> str:
        """Of the experiment; of files with other names that of the first, and how many others there are."""
        first, *others = dict.fromkeys(shard.name for shard in self._shards)
        return f"{first} and {len(others)} more" if others else first

    def parts(self) -> Iterator[Part]:
        """All tables in the experiment's order, some at a time.

        Raises:
            StoreError: a trial is in two of the files.
        """
        for cells in _together(self.cells, self._shards):
            yield self._part(cells)

    def _part(self, cells: Sequence[CellPlan]) -> Part:
        keys = set(map(_key, cells))
        trials: list[pl.DataFrame] = []
        anchors: list[pl.DataFrame] = []
        for number, shard in enumerate(self._shards):
            wanted = [cell_id for key, cell_id in shard.ids.items() if key in keys]
            if wanted:
                ids = None if len(wanted) == len(shard.ids) else wanted
                trials += self._placed(number, load_numbers(shard.reader, ids))
                anchors += self._placed(number, load_anchors(shard.reader, ids))
        count = len(trials)
        frames = compact(*trials, *anchors)
        trials.clear()  # the wide ones go before all are one
        # Of several files some may have nodes, and others none.
        narrow, again = (pl.concat(each, how="diagonal", rechunk=True) for each in (frames[:count], frames[count:]))
        if len(self._shards) > 1:
            _check_recorded_once(narrow)
        return Part(cells, narrow, again)

    def _placed(self, number: int, frames: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        """Last attempts of one of the files, with their costs and with where they were asked."""
        shard = self._shards[number]
        for frame in frames:
            trials = with_nodes(last_attempts(with_costs(frame, list(shard.cells.values()))), shard.reader)
            if len(self._shards) > 1:
                trials = trials.with_columns(
                    *(pl.col(name) + number * _APART for name in ("worker", "session")), shard=pl.lit(shard.file)
                )
            yield trials


def files_of_cells(sources: Iterable[Reader]) -> dict[Key, tuple[str, ...]]:
    """The names of the run files that have each cell."""
    having: dict[Key, tuple[str, ...]] = {}
    for source in sources:
        for key in _ids(source):
            having[key] = (*having.get(key, ()), name_of(source))
    return having


def _key(cell: CellPlan) -> Key:
    return cell.system, cell.task, cell.scenario.name


def _shard(reader: Reader, prices: Mapping[str, Price]) -> _Shard:
    run = queries.run_row(reader)
    specs = {each.name: (msgspec.json.decode(each.spec, type=System), each.sha256) for each in queries.systems(reader)}
    return _Shard(
        reader=reader,
        file=name_of(reader),
        name=run.name,
        experiment=msgspec.json.decode(run.experiment, type=Experiment),
        # The path of a model is not part of a system whose checksum is known.
        systems={
            name: msgspec.structs.asdict(spec) | {"brief_of": None, "model": sha256 or spec.model}
            for name, (spec, sha256) in specs.items()
        },
        cells={_key(cell): cell for cell in load_cells(reader, prices)},
        ids=_ids(reader),
    )


def _ids(reader: Reader) -> dict[Key, str]:
    return {
        (system, task, recorded_scenario(scenario).name): cell_id
        for cell_id, _, system, task, scenario in tables.cells(reader)
    }


# -- whether they are of one run ---------------------------------------------------------------------------------------


def check_given_once(files: Iterable[str]) -> None:
    """Raises ``StoreError``: a run file is given twice, by its name or by another."""
    seen: dict[Path, str] = {}
    for file in files:
        if (path := Path(file).resolve()) in seen:
            other = "" if seen[path] == file else f", as {seen[path]}, too"
            raise StoreError(f"{file}: given twice{other}: leave it out once")
        seen[path] = file


def _check_one_run(shards: Sequence[_Shard], prices: Collection[str], deadline_s: float | None) -> None:
    """Raises ``StoreError``: a file is given twice, ends when the data say so, or differs in what it has in common."""
    seen: dict[str, tuple[str, object]] = {}
    check_given_once([shard.file for shard in shards])
    for shard in shards:
        if shard.experiment.until is not None:
            raise StoreError(
                f"{shard.file}: holds a run that ends when its ranking is settled, or a gate can say: read it alone, "
                f"`taskpace summary {shlex.quote(shard.file)}`"
            )
        for what, value, remedy in _traits(shard, prices, deadline_s):
            file, before = seen.setdefault(what, (shard.file, value))
            if value != before:
                both = f"{shlex.quote(file)} {shlex.quote(shard.file)}"
                raise StoreError(
                    f"{shard.file}: its {what} is not that of {file}{_difference(value, before)}: "
                    + (remedy or f"these are two runs: `taskpace compare {both}` compares them")
                )


def _traits(shard: _Shard, prices: Collection[str], deadline_s: float | None) -> Iterator[_Trait]:
    yield _Trait("timeout", shard.experiment.timeout_s)
    yield _Trait("seed", shard.experiment.seed)
    for name, system in shard.systems.items():
        yield _Trait(f'system "{name}"', system)
    for task in queries.tasks(shard.reader):
        yield _Trait(f'task "{task.name}"', task_identity(decoded(task.spec, Task, shard.reader, "task")))
    if deadline_s is None:
        yield _Trait("deadline", shard.experiment.deadline_s, "give one for all with --deadline")
    for name in shard.systems:
        if name not in prices:
            price = shard.experiment.prices.get(name)
            yield _Trait(f'price of "{name}"', price, f"give one for all with --price {shlex.quote(name)}=PRICE")


def _difference(value: object, before: object) -> str:
    """Which key of two tables differs, in brackets; empty: these are other values."""
    if not isinstance(value, dict) or not isinstance(before, dict):
        return ""
    return f" ({next(key for key in sorted({*value, *before}) if value.get(key, ...) != before.get(key, ...))} differs)"


def _check_recorded_once(trials: pl.DataFrame) -> None:
    """Raises ``StoreError``: a trial is in two of the files."""
    if trials["shard"].n_unique() < 2:
        return
    twice = trials.filter(trials.select(_TRIAL).is_duplicated())
    if not twice.height:
        return
    one, other = twice.join(twice.head(1), on=_TRIAL, how="semi")["shard"].head(2)
    system, task, _, item, _ = twice.select(_TRIAL).row(0)
    count = twice.select(_TRIAL).n_unique()
    raise StoreError(
        f'{other}: {count:,} of its trials are in {one}, too, such as item {item} of "{task}" asked of "{system}": '
        f"leave one of the files out; `taskpace compare {shlex.quote(one)} {shlex.quote(other)}` compares them"
    )


# -- as one ------------------------------------------------------------------------------------------------------------


def _joined_cells(shards: Sequence[_Shard]) -> list[CellPlan]:
    """Each cell once, in the order in which the files have them."""
    having: dict[Key, list[_Shard]] = {}
    for shard in shards:
        for key in shard.cells:
            having.setdefault(key, []).append(shard)
    return [
        found[0].cells[key] if len(found) == 1 else _joined_cell([each.cells[key] for each in found], key, found)
        for key, found in having.items()
    ]


def _joined_cell(cells: Sequence[CellPlan], key: Key, shards: Sequence[_Shard]) -> CellPlan:
    """One cell whose trials are in several files: all that any of them planned."""
    planned = {place for shard in shards for place in tables.planned(shard.reader, shard.ids[key])}
    trips = [cell.round_trip_s for cell in cells if cell.round_trip_s is not None]
    left_out = list(dict.fromkeys(cell.left_out for cell in cells if cell.left_out is not None))
    return msgspec.structs.replace(
        cells[0],
        planned=len(planned),
        segments=tuple(chain.from_iterable(cell.segments for cell in cells)),
        lost_node=any(cell.lost_node for cell in cells),
        not_opened=next((cell.not_opened for cell in cells if cell.not_opened is not None), None),
        in_process=all(cell.in_process for cell in cells),
        round_trip_s=max(trips, default=None),
        starter_items=cells[0].starter_items if len({cell.starter_items for cell in cells}) == 1 else None,
        left_out=LeftOut(
            rows=sum(each.rows for each in left_out), of=sum(each.of for each in left_out), first=left_out[0].first
        )
        if left_out
        else None,
    )


def _together(cells: Iterable[CellPlan], shards: Sequence[_Shard]) -> Iterator[list[CellPlan]]:
    """The cells of whole tables: of files that have nothing else, of ``TOGETHER`` trials at most or of one table.

    A file is read again for each group that has tables of it, so those of one file are together as far as may be.
    """
    by_table: dict[tuple[str, str], list[CellPlan]] = {}
    for cell in cells:
        by_table.setdefault((cell.task, cell.scenario.name), []).append(cell)
    group: list[CellPlan] = []
    files: set[int] = set()
    for table in by_table.values():
        own = {number for number, shard in enumerate(shards) if any(_key(cell) in shard.ids for cell in table)}
        if group and (own.isdisjoint(files) or sum(cell.planned for cell in (*group, *table)) > TOGETHER):
            yield group
            group, files = [], set()
        group = [*group, *table]
        files |= own
    if group:
        yield group
