"""A worker in the process of a test: for what no process of its own is the point of."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from taskpace.engines.base import EngineSpec
from taskpace.runner.events import Event, TrialFinished
from taskpace.runner.runner import run_plan
from taskpace.runner.worker_process import WorkerProcess
from taskpace.telemetry import Calibration
from taskpace.worker import worker
from taskpace.worker.messages import Close, FromWorker, Open, RunCell, ToWorker


async def instant() -> Calibration:
    """In place of ``worker.calibrate``, which takes real time, and so is never quite the same."""
    return Calibration(clock_read_ns=1, clock_step_ns=1, harness_median_ns=1, harness_p99_ns=1, trials=1)


class InProcess:
    """A worker in this process: a message is carried out before ``send`` returns."""

    takes_more = False

    def __init__(self) -> None:
        self._said: list[FromWorker] = []
        self._worker = worker.Worker(self)

    # What the run needs of a worker.

    def send(self, message: Any, urgent: bool | None = None) -> None:
        if urgent is not None:
            self._said.append(message)
        else:
            self._carry_out(message)

    def receive(self, timeout_s: float, gather_s: float = 0.0) -> list[FromWorker]:
        del timeout_s, gather_s  # all that there will be is there
        said, self._said = self._said, []
        return said

    def end(self) -> None:
        """There is no process to end."""

    # What a worker needs of the run.

    def send_now(self, message: FromWorker) -> None:
        self._said.append(message)

    def wait_stored(self, records: int) -> None:
        """The run stores when the cell is done."""

    def stopping(self) -> bool:
        return False

    def _carry_out(self, message: ToWorker) -> None:
        match message:
            case Open():
                made: list[asyncio.Runner] = []

                def runner(**keys: Any) -> asyncio.Runner:
                    made.append(asyncio.Runner(**keys))
                    return made[-1]

                with (
                    patch.object(worker, "gc"),  # this process holds more than a worker: a second for each walk
                    patch.object(worker, "asyncio", SimpleNamespace(Runner=runner)),
                ):
                    if not self._worker.open(message):
                        made[-1].close()  # a worker leaves that to the end of its process
            case RunCell():
                self._worker.run_cell(message)
            case Close():
                self._worker.close()


class Nearest:
    """A worker in this process for an endpoint, and for a system in virtual time; for others one of its own."""

    takes_more = False

    def __init__(self) -> None:
        self._worker: InProcess | WorkerProcess | None = None

    def send(self, message: Any) -> None:
        if self._worker is None:
            self._worker = InProcess() if may_be_here(message.spec) and not loop_runs() else WorkerProcess()
        self._worker.send(message)

    def receive(self, timeout_s: float, gather_s: float = 0.0) -> list[FromWorker]:
        assert self._worker is not None
        return self._worker.receive(timeout_s, gather_s)

    def end(self) -> None:
        if self._worker is not None:
            self._worker.end()


def may_be_here(spec: EngineSpec) -> bool:
    """Whether a system neither computes nor ends its process, nor starts others that must end with it."""
    if spec.engine == "openai":
        return "server" not in spec.options
    crashes = any(fault["kind"] == "crash" for fault in spec.options.get("faults", ()))
    return spec.options.get("time") == "virtual" and not crashes


def loop_runs() -> bool:
    """Whether this thread has an event loop already, as it has beside playwright's browser."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


@contextmanager
def workers_here() -> Iterator[None]:
    """Endpoints and systems in virtual time are asked in this process, uncalibrated: a quarter second less for each."""
    defaults = run_plan.__kwdefaults__
    with patch.object(worker, "calibrate", instant), patch.dict(defaults, {"launch": Nearest}):
        yield


class StopAfter:
    """Asks a run to stop after so many trials."""

    def __init__(self, trials: int) -> None:
        self._left = trials

    def __call__(self, event: Event) -> None:
        self._left -= isinstance(event, TrialFinished)

    @property
    def requested(self) -> bool:
        return self._left <= 0
