"""A worker: opens one system's engine, carries out its cells, and sends what it measures.

It is free of what ties it to this machine: it takes messages and gives messages.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc

from taskpace.engines import create
from taskpace.engines.base import Engine, EngineInfo
from taskpace.errors import EngineError, TaskpaceError
from taskpace.machine.clock import Clock, RealClock
from taskpace.machine.energy import Found, find
from taskpace.records import Failure
from taskpace.worker.calibrate import calibrate
from taskpace.worker.cell import CellRun, Link, Reach
from taskpace.worker.garbage import Portions
from taskpace.worker.messages import Closed, Open, Opened, OpenFailed, Opening, RunCell
from taskpace.worker.refusals import Refusals
from taskpace.worker.trial import failure_of


class Worker:
    """Carries out one system's cells, and reports to ``run``."""

    def __init__(self, run: Link) -> None:
        self._run = run
        self._records_sent = 0
        self._reach = Reach()
        self._refusals = Refusals()
        self._open: tuple[Engine, EngineInfo, asyncio.Runner] | None = None

    def open(self, message: Open) -> bool:
        """Calibrate, then load the engine. Returns whether it is ready."""
        with asyncio.Runner(loop_factory=RealClock().new_event_loop) as runner:
            calibration = runner.run(calibrate())
        wall: Clock = RealClock()
        begun = wall.now_ns()
        try:
            engine = create(message.spec)
            runner = asyncio.Runner(loop_factory=engine.clock.new_event_loop)
            info = runner.run(engine.open(lambda text: self._run.send(Opening(text=text), True)))
            if not isinstance(info, EngineInfo):
                raise EngineError(f"the engine's open gives {type(info).__name__}, not EngineInfo")  # noqa: TRY301 - as what open raises
            self._open = engine, info, runner
            # What is loaded by now stays: keep the garbage collector from walking it during a trial.
            gc.collect()
            gc.freeze()
            self._run.send(Opened(info=info, load_ns=wall.now_ns() - begun, calibration=calibration), True)
        except BaseException as exc:  # noqa: BLE001 - whatever an engine raises, it would again: no reason to end
            failure = failure_of(exc)
            if isinstance(exc, TaskpaceError):
                failure = Failure(kind="open", message=str(exc))
            self._run.send(OpenFailed(failure=failure), True)
            return False
        return True

    def run_cell(self, message: RunCell) -> None:
        """Carry out one cell, or what is left of it."""
        assert self._open is not None, "open comes first"  # noqa: S101 - a broken protocol, not a user's error
        engine, info, runner = self._open
        runner.run(self._run_cell(message, engine, info))

    def close(self) -> None:
        """Give the engine back."""
        if self._open is not None:
            engine, _, runner = self._open
            runner.run(engine.close())
        self._run.send(Closed(), True)
        if self._open is not None:
            runner.close()  # which waits for threads, such as one that looks up a host's name

    async def _run_cell(self, message: RunCell, engine: Engine, info: EngineInfo) -> None:
        cell = CellRun(
            message,
            engine,
            self._run,
            reach=self._reach,
            refusals=self._refusals,
            records_sent=self._records_sent,
        )
        # A model that runs in this process may leave more behind than a portion is meant for.
        with contextlib.nullcontext() if info.in_process else Portions():
            ended = await cell.run(_counters(engine, info) if message.energy else None)
        self._run.send(ended, True)
        self._records_sent = cell.records_sent


def _counters(engine: Engine, info: EngineInfo) -> Found:
    """The machine's, if what they count is the model's work."""
    if not isinstance(engine.clock, RealClock):
        return Found((), ("time is virtual, and nothing is computed",))
    if not info.on_this_machine:
        return Found((), ("the model runs elsewhere: measure on its machine, or let taskpace start its server",))
    return find()
