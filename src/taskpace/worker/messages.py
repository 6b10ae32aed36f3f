"""What a run and its worker say to each other: frozen, tagged, and the same over a pipe or to another machine."""

from __future__ import annotations

from typing import IO, Any

import msgspec

from taskpace.engines.base import EngineInfo, EngineSpec, Sampling
from taskpace.records import Failure, Phase, Record
from taskpace.telemetry import Calibration, ClientMetrics


class _Said(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Tagged by its class name, so that a frame shows what it is."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One trial (or warm-up) as the worker needs it: no task, no scorer, no right answer."""

    trial_id: str
    attempt: int
    phase: Phase
    system_prompt: str | None
    prompts: tuple[str, ...]
    max_tokens: int
    stop: tuple[str, ...]
    sampling: Sampling
    seed: int
    think_ns: int = 0
    """Between the end of an answer and the next turn; outside every timed region."""
    due_ns: int | None = None
    """Open loop: when it is due, since the first of its cell's jobs. Null: closed loop, when a slot is free."""
    script: tuple[str, str] | None = None
    """A right and a wrong answer, for an engine that scripts its output; no real engine is ever sent one."""


class Open(_Said, frozen=True, kw_only=True):
    """To the worker: load the engine, measure the harness's own cost."""

    spec: EngineSpec


class RunCell(_Said, frozen=True, kw_only=True):
    """To the worker: carry out these jobs, the warm-ups first."""

    cell: str = ""
    """Which cell's they are."""
    concurrency: int
    """In flight, in a closed loop; jobs that have a due time come by that, however many are in flight."""
    one_at_a_time: bool
    """Wait after each trial until it is stored, so that nothing else goes on in a timed region."""
    batch: int | None = None
    """Static batches of so many; null: none."""
    timeout_s: float
    retries: int = 0
    """How often a trial that failed for a passing reason is tried again."""
    start_ns: int | None = None
    """The machine's monotonic clock when the first measured job is due, in a closed loop: when the slots become free.
    Null: as soon as can be."""
    energy: bool = False
    """Read this machine's energy counters over the measured jobs."""
    rest_before: bool = True
    """With a pause before them, to see what the machine takes with nothing to do. Likewise after them: of a cell that
    is carried out in many parts the first and the last."""
    rest_after: bool = True
    jobs: list[Job]
    """The worker empties it, and drops each job when it is done: a load begins with thousands."""
    more: bool = False
    """Others follow while these are carried out."""


class MoreJobs(_Said, frozen=True, kw_only=True):
    """To the worker: jobs that follow those which it has of the part under way."""

    jobs: tuple[Job, ...]
    last: bool
    """None follow these."""


class Stored(_Said, frozen=True, kw_only=True):
    """To the worker in a one-at-a-time cell: one more record is on disk."""


class Stop(_Said, frozen=True, kw_only=True):
    """To the worker: dispatch nothing more, finish what is in flight."""


class Close(_Said, frozen=True, kw_only=True):
    """To the worker: give everything back and end."""


class Opening(_Said, frozen=True, kw_only=True):
    """From the worker: it is still loading, and how far it is."""

    text: str


class Opened(_Said, frozen=True, kw_only=True):
    """From the worker: the engine is ready."""

    info: EngineInfo
    load_ns: int
    calibration: Calibration


class OpenFailed(_Said, frozen=True, kw_only=True):
    """From the worker: the engine could not be opened."""

    failure: Failure


class Dispatched(_Said, frozen=True, kw_only=True):
    """From the worker, before the clock starts: these are in flight if you do not hear of me again."""

    trial_id: str
    attempt: int


class Finished(_Said, frozen=True, kw_only=True):
    """From the worker: one attempt at a trial, whole."""

    record: Record


class CellEnded(_Said, frozen=True, kw_only=True):
    """From the worker: nothing of this cell is in flight any more."""

    client: ClientMetrics
    others: tuple[ClientMetrics, ...] = ()
    """Of other machines that had a share of the cell; never from a worker that is one process."""
    unreachable: str | None = None
    """Why the cell was ended early: no connection could be opened any more. Null: it was not."""
    refused: str | None = None
    """Why it was ended early: the server refused what it was asked, and would go on so. Null: it was not."""
    out_of_memory: str | None = None
    """Why it was ended early: a static batch did not fit. Null: it was not."""


class Closed(_Said, frozen=True, kw_only=True):
    """From the worker: the engine is closed; the process ends now."""


ToWorker = Open | RunCell | MoreJobs | Stored | Stop | Close
FromWorker = Opening | Opened | OpenFailed | Dispatched | Finished | CellEnded | Closed

_HEADER_BYTES = 4

_encoder = msgspec.msgpack.Encoder()
_to_worker: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(ToWorker)
_from_worker: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(FromWorker)


def encode(message: ToWorker | FromWorker) -> bytes:
    """A frame: ``_HEADER_BYTES`` of length, little-endian, then MessagePack."""
    body = _encoder.encode(message)
    return len(body).to_bytes(_HEADER_BYTES, "little") + body


def read_frame(source: IO[bytes]) -> bytes | None:
    """The body of the next frame; null when the other side is gone, also in the middle of one."""
    header = source.read(_HEADER_BYTES)
    size = int.from_bytes(header, "little")
    body = source.read(size) if len(header) == _HEADER_BYTES else b""
    return body if body and len(body) == size else None


def take_frames(unread: bytearray) -> list[bytearray]:
    """Take the whole frames from the beginning of what was read; returns their bodies."""
    bodies: list[bytearray] = []
    at = 0
    while (begin := at + _HEADER_BYTES) <= len(unread):
        end = begin + int.from_bytes(unread[at:begin], "little")
        if end > len(unread):
            break
        bodies.append(unread[begin:end])
        at = end
    del unread[:at]
    return bodies


def decode_to_worker(body: bytes) -> ToWorker:
    message: ToWorker = _to_worker.decode(body)
    return message


def decode_from_worker(body: bytes | bytearray) -> FromWorker:
    message: FromWorker = _from_worker.decode(body)
    return message
