"""What a run and its worker say to each other: frozen, tagged, and the same over a pipe or to another machine."""

from __future__ import annotations

from typing import Any

import msgspec

from taskpace.engines.base import EngineInfo, EngineSpec, Sampling
from taskpace.machine.energy import Window
from taskpace.records import Failure, Phase, Record


class _Said(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Tagged by its class name, so that a frame says what it is."""


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
    """Open loop: the machine's monotonic clock when the first job is due. Null: as soon as can be."""
    energy: bool = False
    """Read this machine's energy counters, with a pause before and after the measured jobs."""
    jobs: tuple[Job, ...]


class Stored(_Said, frozen=True, kw_only=True):
    """To the worker in a one-at-a-time cell: one more record is on disk."""


class Stop(_Said, frozen=True, kw_only=True):
    """To the worker: dispatch nothing more, finish what is in flight."""


class Close(_Said, frozen=True, kw_only=True):
    """To the worker: give everything back and end."""


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """What measuring costs by itself, in this process on this machine. Nanoseconds."""

    clock_read_ns: float
    """Mean cost of one clock reading."""
    clock_step_ns: int
    """Smallest step between two different readings."""
    harness_median_ns: int
    """Task time of an engine that answers at once: what the harness adds to a trial."""
    harness_p99_ns: int
    trials: int


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
    final: bool = True
    """Whether it is the trial's last attempt."""


class ClientMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """How the client itself fared while it carried out (part of) a cell."""

    loop_lag_median_ns: int | None
    loop_lag_p99_ns: int | None
    loop_lag_max_ns: int | None
    lag_samples: int
    client_cpu_ns: int
    """CPU time of the whole worker process; for an engine in process that includes the model's own."""
    wall_ns: int
    peak_rss_bytes: int | None
    """The most that the process had resident meanwhile; where that cannot be told, since its start."""
    steal_ticks: int | None
    """Processor time that the hypervisor gave to others meanwhile, of ``cpu_ticks`` in all."""
    cpu_ticks: int | None
    throttled_ns: int | None
    """Time that the control group's quota held this process's group back meanwhile."""
    device_peak_bytes: int | None = None
    """The most memory of a GPU that the engine had in use meanwhile; null without one."""
    processes: int = 1
    """How many shared the load; times and memory are of all together, lags of the worst."""
    energy: Window | None = None
    """Null: it was not asked for."""


class CellEnded(_Said, frozen=True, kw_only=True):
    """From the worker: nothing of this cell is in flight any more."""

    client: ClientMetrics
    unreachable: str | None = None
    """Why the cell was ended early: no connection could be opened any more. Null: it was not."""
    out_of_memory: str | None = None
    """Why it was ended early: a static batch did not fit. Null: it was not."""


class Closed(_Said, frozen=True, kw_only=True):
    """From the worker: the engine is closed; the process ends now."""


ToWorker = Open | RunCell | Stored | Stop | Close
FromWorker = Opening | Opened | OpenFailed | Dispatched | Finished | CellEnded | Closed

_encoder = msgspec.msgpack.Encoder()
_to_worker: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(ToWorker)
_from_worker: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(FromWorker)


def encode(message: ToWorker | FromWorker) -> bytes:
    """A frame: four bytes of length, little-endian, then MessagePack."""
    body = _encoder.encode(message)
    return len(body).to_bytes(4, "little") + body


def decode_to_worker(body: bytes) -> ToWorker:
    message: ToWorker = _to_worker.decode(body)
    return message


def decode_from_worker(body: bytes) -> FromWorker:
    message: FromWorker = _from_worker.decode(body)
    return message
