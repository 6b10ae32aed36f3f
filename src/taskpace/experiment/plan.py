"""From an experiment to cells and trials, with ids that are content hashes. Pure: no clock, no files.

An id is a hash of everything that makes the thing what it is, so the same experiment gives the same ids on every
machine, an unfinished run can be continued, and a run file refuses trials that are not its own.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cached_property
from typing import overload

import msgspec

from taskpace.errors import ExperimentError
from taskpace.experiment.experiment import Experiment, System
from taskpace.experiment.scenario import Scenario
from taskpace.tasks import Item, Task, task_identity
from taskpace.text.strict import canonical_json, plain

ID_BYTES = 12
"""96 bits: a clash among a billion trials has a chance of about 6e-12 (birthday bound n^2 / 2^97)."""
_MOST_TRIALS = 2_000_000
"""Of a plan, which holds the id of each in memory."""
_json = msgspec.json.Encoder().encode


class PlannedSystem(msgspec.Struct, frozen=True, kw_only=True):
    """A system whose model reference has been resolved. ``path`` is where it lies here; it is not part of the id."""

    spec: System
    path: str
    sha256: str | None
    size_bytes: int | None

    @property
    def name(self) -> str:
        return self.spec.name


class PlannedItem(msgspec.Struct, frozen=True, kw_only=True, gc=False):  # as of an item
    """An item with its prompts rendered: the user's message of each turn."""

    spec: Item
    prompts: tuple[str, ...]

    @property
    def id(self) -> str:
        return self.spec.id


class PlannedTask(msgspec.Struct, frozen=True, kw_only=True):
    """A task with the items chosen for this experiment, in the order in which they will be asked."""

    spec: Task
    items: tuple[PlannedItem, ...]

    @property
    def name(self) -> str:
        return self.spec.name

    def asked(self) -> list[bytes]:
        """What each item gives to ids: its own and its prompts, as they stand in the JSON of ``content_id``."""
        return [_json((item.id, item.prompts))[1:-1] for item in self.items]


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One system x task x scenario."""

    id: str
    system: PlannedSystem
    task: PlannedTask
    scenario: Scenario


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """One item in one cell, one repeat."""

    id: str
    cell_id: str
    item: PlannedItem
    repeat: int


class Trials(Sequence[Trial]):
    """The trials of a cell in order. Only their ids are held, 12 bytes each; a trial is made when it is asked for.

    Args:
        cell_id: of the cell.
        digests: the ids as bytes, one after the other.
        items: of the trials in order; taken again from the first where there are more trials.
        repeats: of the trials; null: every item once, then every item again for the next repeat.
    """

    __slots__ = ("_cell_id", "_digests", "_items", "_repeats")

    def __init__(
        self, cell_id: str, digests: bytes, items: Sequence[PlannedItem], repeats: Sequence[int] | None = None
    ) -> None:
        self._cell_id, self._digests, self._items, self._repeats = cell_id, digests, items, repeats

    def __len__(self) -> int:
        return len(self._digests) // ID_BYTES

    @overload
    def __getitem__(self, index: int) -> Trial: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Trial, ...]: ...
    def __getitem__(self, index: int | slice) -> Trial | tuple[Trial, ...]:
        if isinstance(index, slice):
            return tuple(map(self._trial, range(*index.indices(len(self)))))
        return self._trial(range(len(self))[index])

    def __iter__(self) -> Iterator[Trial]:
        return map(self._trial, range(len(self)))

    @property
    def digests(self) -> bytes:
        """Their ids as bytes, one after the other."""
        return self._digests

    def ids(self) -> list[str]:
        """Their ids in order, without making the trials."""
        return self._digests.hex(" ", ID_BYTES).split()

    def item_ids(self) -> list[str]:
        """The ids of their items in order, likewise."""
        ids = [item.id for item in self._items]
        return ids * (len(self) // len(ids)) if ids else []

    def repeats(self) -> list[int]:
        """Their repeats in order, likewise."""
        if self._repeats is not None:
            return list(self._repeats)
        size = len(self._items)
        return [before + 1 for before in range(len(self) // size) for _ in range(size)] if size else []

    def _trial(self, index: int) -> Trial:
        begin = index * ID_BYTES
        before, item = divmod(index, len(self._items))
        return Trial(
            id=self._digests[begin : begin + ID_BYTES].hex(),
            cell_id=self._cell_id,
            item=self._items[item],
            repeat=before + 1 if self._repeats is None else self._repeats[index],
        )


def _trial_digests(cell: Cell, asked: Sequence[bytes], repeats: int) -> bytes:
    """The ids of a cell's trials as bytes: ``content_id("trial", cell.id, item.id, item.prompts, repeat)`` of each.

    ``asked``: what each of the cell's items gives to it.
    """
    head = b'["trial",%b,' % _json(cell.id)
    digests: list[bytes] = []
    for repeat in range(1, repeats + 1):
        tail = b",%d]" % repeat
        digests += [hashlib.sha256(head + each + tail).digest()[:ID_BYTES] for each in asked]
    return b"".join(digests)


class Plan(msgspec.Struct, frozen=True, kw_only=True, dict=True):  # a dict for what is cached
    """Everything a run will do."""

    id: str
    experiment: Experiment
    systems: tuple[PlannedSystem, ...]
    tasks: tuple[PlannedTask, ...]
    cells: tuple[Cell, ...]
    digests: dict[str, bytes] = {}
    """Of each cell by its id: the ids of its trials, ``ID_BYTES`` each. Made with the plan, whose own id takes the same
    content of every prompt: to make that is most of what making a plan costs."""

    def trials(self, cell: Cell) -> Trials:
        """The trials of a cell in order: every item once, then every item again for the next repeat.

        All systems get the same items in the same (seeded) order.
        """
        return self._trials[cell.id]

    @cached_property
    def _trials(self) -> dict[str, Trials]:
        return {cell.id: Trials(cell.id, self.digests[cell.id], cell.task.items) for cell in self.cells}

    def arrivals_ns(self, cell: Cell) -> dict[str, int]:
        """When each trial of an open-loop cell is due, in nanoseconds since the first; empty for a closed loop.

        A Poisson process: gaps between arrivals are exponential with mean 1/rate. It depends on the experiment's seed,
        the task and the rate, so all systems get the same arrivals, and it is absolute: no answer moves it.
        """
        rate = cell.scenario.rate
        if rate is None:
            return {}
        seed = content_id("arrivals", self.experiment.seed, cell.task.name, cell.scenario.name)
        rng = random.Random(seed)  # noqa: S311 - a simulation, not a secret
        due_s, due_ns = 0.0, {}
        for trial_id in self.trials(cell).ids():
            due_ns[trial_id] = round(due_s * 1e9)
            due_s += rng.expovariate(rate)
        return due_ns

    @property
    def trial_count(self) -> int:
        return sum(len(cell.task.items) for cell in self.cells) * self.experiment.repeats


def make_plan(experiment: Experiment, systems: tuple[PlannedSystem, ...], tasks: tuple[PlannedTask, ...]) -> Plan:
    """Expand an experiment whose models and items have been found.

    Raises:
        ExperimentError: it comes to more trials than can be planned.
    """
    count = len(systems) * len(experiment.scenarios) * experiment.repeats * sum(len(task.items) for task in tasks)
    if count > _MOST_TRIALS:
        raise ExperimentError(
            f"{experiment.name}: comes to {count:,} trials, {_MOST_TRIALS:,} at most: fewer items, repeats, scenarios "
            "or systems"
        )
    cells = tuple(
        Cell(
            id=content_id(
                "cell",
                _identity(system),
                task_identity(task.spec),
                scenario.name,
                experiment.timeout_s,
                experiment.seed,
            ),
            system=system,
            task=task,
            scenario=scenario,
        )
        for system in systems
        for task in tasks
        for scenario in experiment.scenarios
    )
    asked = {task.name: task.asked() for task in tasks}
    return Plan(
        id=_plan_id(experiment, cells, asked.values()),
        experiment=experiment,
        systems=systems,
        tasks=tasks,
        cells=cells,
        digests={cell.id: _trial_digests(cell, asked[cell.task.name], experiment.repeats) for cell in cells},
    )


def _plan_id(experiment: Experiment, cells: Sequence[Cell], asked: Iterable[Sequence[bytes]]) -> str:
    """``content_id("plan", ids of the cells, id and prompts of every item of every task, repeats, warmup)``.

    ``asked``: what the items of each task give to it.
    """
    hashed = hashlib.sha256(b'["plan",%b,[' % _json([cell.id for cell in cells]))
    for index, of_task in enumerate(asked):
        hashed.update(b",[" if index else b"[")
        if of_task:
            hashed.update(b"[")
            hashed.update(b"],[".join(of_task))
            hashed.update(b"]")
        hashed.update(b"]")
    hashed.update(b"],%d,%d]" % (experiment.repeats, experiment.warmup))
    return hashed.hexdigest()[: 2 * ID_BYTES]


def remaining(trials: Sequence[Trial], recorded: Collection[str]) -> Sequence[Trial]:
    """Those of some trials that are not among ``recorded``, in order."""
    return trials if not recorded else tuple(trial for trial in trials if trial.id not in recorded)


def count_remaining(trials: Trials, recorded: Collection[str]) -> int:
    """How many of a cell's trials are not among ``recorded``; makes none of them."""
    return sum(trial_id not in recorded for trial_id in trials.ids()) if recorded else len(trials)


def request_seed(trial_id: str, seed: int) -> int:
    """The sampling seed of one trial: the same in every run of it, another for every repeat. Fits in 31 bits."""
    digest = hashlib.sha256(f"{seed}:{trial_id}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def content_id(*parts: object) -> str:
    """The first 24 hex digits of the SHA-256 of the parts' canonical JSON."""
    return hashlib.sha256(canonical_json(parts)).hexdigest()[: 2 * ID_BYTES]


def same_system(one: PlannedSystem, other: PlannedSystem) -> bool:
    """Whether two systems differ in nothing but their names."""
    return _identity(_nameless(one)) == _identity(_nameless(other))


def _nameless(planned: PlannedSystem) -> PlannedSystem:
    return msgspec.structs.replace(planned, spec=msgspec.structs.replace(planned.spec, name=""))


def _identity(planned: PlannedSystem) -> object:
    """What makes a system itself: all of it, with the model's checksum in place of where it lies."""
    system = plain(planned.spec)
    del system["brief_of"]
    if system["max_tokens"] is None:
        # Ids of systems without a limit of their own are those of the time before there was one.
        del system["max_tokens"]
    if planned.sha256 is not None:
        system["model"] = planned.sha256
    return system
