"""What the driver and a node tell each other, in bytes.

A node answers each ``Orders`` with all that has happened since the last one, in order.
"""

from __future__ import annotations

import msgspec

from taskpace.engines.base import EngineInfo
from taskpace.machine.host import Host
from taskpace.runner.events import Event
from taskpace.store.rows import Kept
from taskpace.telemetry import Calibration, ClientMetrics
from taskpace.worker.messages import FromWorker, ToWorker


class Turn(msgspec.Struct, frozen=True, array_like=True):
    """A part of a block: trials of one cell."""

    cell: int
    """Index among the plan's."""
    trials: tuple[int, ...]
    """Indices among the cell's."""
    round: int | None
    place: int | None
    anchor: bool


class Block(msgspec.Struct, frozen=True):
    """Rounds of one table, whole: no pair of theirs is asked on two nodes."""

    number: int
    turns: tuple[Turn, ...]
    attempts: dict[str, int] = {}
    """The last attempt at those of its trials that were tried before."""


class ForGenerator(msgspec.Struct, frozen=True, array_like=True):
    """A message to a load generator: a worker that the node has for the driver. The first one starts it."""

    generator: int
    """Its number, of the driver's making."""
    message: ToWorker | None
    """Null: it is to end at once."""


class Orders(msgspec.Struct, frozen=True, kw_only=True):
    """What a node is told, each time it is asked what has happened."""

    session: int = 0
    """Of this node in the run file; 0: there is none yet."""
    together: bool = True
    """All systems are open at once on every node; else one at a time."""
    blocks: tuple[Block, ...] = ()
    stop: bool = False
    close: bool = False
    """There is nothing more to be done."""
    wait_s: float = 0.5
    """How long to wait for something to tell."""
    gather_s: float = 0.02
    """How long to wait for more once there is something."""
    for_generators: tuple[ForGenerator, ...] = ()
    stamped: bool = False
    """Say when the orders came and the answer went: ``Stamped`` is the last of it."""


class _Said(msgspec.Struct, frozen=True, tag=True):
    """Tagged with its class name."""


class Ready(_Said, frozen=True):
    """The node has all that the plan needs."""

    host: Host
    apart: str | None
    """Why its systems cannot be open at once; null: they can."""


class Unfit(_Said, frozen=True):
    """The node cannot take part, and why, with what to do."""

    problem: str


class Asked(_Said, frozen=True):
    """An attempt is in flight."""

    trial_id: str
    attempt: int


class WorkerAdded(_Said, frozen=True):
    number: int
    """On this node, from 1."""
    system: str
    load_ns: int
    info: EngineInfo
    calibration: Calibration


class WorkerLost(_Said, frozen=True):
    worker: int | None
    system: str
    reason: str


class SegmentAdded(_Said, frozen=True):
    worker: int
    cell_id: str
    client: ClientMetrics


class RecordsAdded(_Said, frozen=True):
    cell_id: str
    worker: int | None
    records: tuple[Kept, ...]


class Told(_Said, frozen=True):
    event: Event


class BlockDone(_Said, frozen=True):
    number: int


class OfGenerator(_Said, frozen=True):
    """What a load generator says."""

    generator: int
    message: FromWorker


class GeneratorLost(_Said, frozen=True):
    """A load generator has crashed; all that it said has been told."""

    generator: int
    reason: str


class Stamped(_Said, frozen=True):
    """Two readings of the node's monotonic clock."""

    received_ns: int
    """When these orders came."""
    answered_ns: int
    """When this answer went."""


class Failed(_Said, frozen=True):
    """An unexpected error has ended the node's work."""

    reason: str


class Closed(_Said, frozen=True):
    """All has been told."""


Said = (
    Ready
    | Unfit
    | Asked
    | WorkerAdded
    | WorkerLost
    | SegmentAdded
    | RecordsAdded
    | Told
    | BlockDone
    | OfGenerator
    | GeneratorLost
    | Stamped
    | Failed
    | Closed
)

_encoder = msgspec.msgpack.Encoder()
_orders = msgspec.msgpack.Decoder(Orders)
_said = msgspec.msgpack.Decoder(list[Said])


def encode(message: Orders | list[Said]) -> bytes:
    """A message in bytes."""
    return _encoder.encode(message)


def decode_orders(data: bytes) -> Orders:
    """What ``encode`` made of orders."""
    return _orders.decode(data)


def decode_said(data: bytes) -> list[Said]:
    """What ``encode`` made of a node's answer."""
    return _said.decode(data)
