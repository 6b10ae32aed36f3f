"""What a run reports as it goes: the terminal shows it, ``--progress json`` prints it, a library user reads it."""

from __future__ import annotations

import msgspec

from taskpace.engines.base import EngineInfo
from taskpace.experiment.until import Judged, PairStanding
from taskpace.records import Outcome


class _Event(msgspec.Struct, frozen=True, kw_only=True, tag=True, tag_field="event"):
    """Tagged with its class name under ``event``."""


class RunStarted(_Event, frozen=True, kw_only=True):
    path: str
    planned: int
    done: int
    """Trials that an earlier session has recorded already."""
    cells: tuple[tuple[str, str, str, int, int], ...]
    """Per cell: system, task, scenario, trials planned, trials recorded already."""


class OrderChanged(_Event, frozen=True, kw_only=True):
    """The systems cannot be open at once: they alternate in blocks of a few items."""

    reason: str


class WorkerStarting(_Event, frozen=True, kw_only=True):
    system: str
    model: str


class WorkerOpening(_Event, frozen=True, kw_only=True):
    system: str
    text: str
    """How far it is with loading, in a few words."""


class WorkerReady(_Event, frozen=True, kw_only=True):
    system: str
    load_s: float
    info: EngineInfo


class CellStarted(_Event, frozen=True, kw_only=True):
    system: str
    task: str
    scenario: str
    left: int
    """Trials of this cell still to do."""


class TrialFinished(_Event, frozen=True, kw_only=True):
    trial_id: str
    system: str
    task: str
    scenario: str
    item_id: str
    outcome: Outcome
    task_time_s: float | None
    """Null when nothing was dispatched or the worker crashed."""
    output_tokens: int | None
    detail: str | None
    """Why, for an error or a timeout."""


class PairsStand(_Event, frozen=True, kw_only=True):
    """How every two systems of a task stand after a round, or the conditions of a gate, in a run that ends by these."""

    task: str
    scenario: str
    items: int
    """Asked so far."""
    pairs: tuple[PairStanding, ...]
    needed: tuple[str, ...]
    """Systems that are asked more; none: the task has ended."""
    judged: tuple[Judged, ...] = ()
    """In a run with a gate, in place of pairs."""


class WorkerDied(_Event, frozen=True, kw_only=True):
    system: str
    reason: str
    lost: int
    """Trials in flight, now recorded as errors."""


class CellGivenUp(_Event, frozen=True, kw_only=True):
    """The server refuses this cell's requests: the rest of its trials was not carried out; other cells go on."""

    system: str
    task: str
    scenario: str
    reason: str
    left: int


class SystemGivenUp(_Event, frozen=True, kw_only=True):
    """A system whose remaining trials were not carried out; the other systems go on."""

    system: str
    reason: str
    left: int


class NodeJoined(_Event, frozen=True, kw_only=True):
    """A machine of a cluster is ready to measure."""

    node: int
    """Its number, which the run file has too."""
    address: str
    """As the cluster knows it; the run file has it not."""
    cpu: str | None
    beside: int | None = None
    """Another node at the same address: a machine where Ray was started twice. Null: there is none."""


class NodeSilent(_Event, frozen=True, kw_only=True):
    """A node does not answer, and is not known to have ended: its machine or the network may be gone, or come back."""

    node: int
    address: str
    silent_s: float
    """So far; told of again each time that it has doubled."""
    started: bool
    """False: it has never answered, as when its machine's resources are taken."""


class NodeBack(_Event, frozen=True, kw_only=True):
    """A node answers that was told of as silent."""

    node: int
    address: str
    silent_s: float


class HeadSilent(_Event, frozen=True, kw_only=True):
    """The cluster does not say which machines there are: nodes go on, and none is started."""

    silent_s: float
    """So far; told of again each time that it has doubled."""


class HeadBack(_Event, frozen=True, kw_only=True):
    """The cluster says so again."""

    silent_s: float


class NodeLeftOut(_Event, frozen=True, kw_only=True):
    """A machine of a cluster cannot take part; the others go on."""

    node: int
    address: str
    reason: str


class NodeLost(_Event, frozen=True, kw_only=True):
    """A node has ended without being asked to; the rest of its rounds goes to others."""

    node: int
    address: str
    reason: str
    lost: int
    """Trials in flight of its blocks, now recorded as errors; those of its share of a load come with ``WorkerDied``."""


class RunEnded(_Event, frozen=True, kw_only=True):
    path: str
    planned: int
    done: int
    interrupted: bool
    given_up: tuple[str, ...]
    """Systems that were given up."""
    spared: int = 0
    """Trials that were not asked, as the ranking was settled without them."""


Event = (
    RunStarted
    | OrderChanged
    | WorkerStarting
    | WorkerOpening
    | WorkerReady
    | CellStarted
    | TrialFinished
    | PairsStand
    | WorkerDied
    | CellGivenUp
    | SystemGivenUp
    | NodeJoined
    | NodeSilent
    | NodeBack
    | HeadSilent
    | HeadBack
    | NodeLeftOut
    | NodeLost
    | RunEnded
)
