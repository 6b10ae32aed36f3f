"""One process for one system: opens the engine, carries out cells, sends back records.

``Worker`` is free of what ties it to this machine: it takes messages and gives messages. ``main`` is the local form, a
process that reads frames from standard input and writes frames to standard output. It ends when its standard input
does, so a parent that is killed leaves nobody behind.
"""

from __future__ import annotations

import asyncio
import gc
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from typing import BinaryIO

import msgspec

from taskpace.clock import Clock, RealClock
from taskpace.engines import create
from taskpace.engines.base import NO_CONNECTION, DeviceEngine, Engine
from taskpace.errors import EngineError, EngineMemoryError, TaskpaceError
from taskpace.host import peak_rss_bytes, reset_peak_rss, steal_and_load
from taskpace.measure import Gates, LagMonitor, calibrate, measure, summarise_lag
from taskpace.measure_batch import measure_batch
from taskpace.messages import (
    CellEnded,
    Close,
    Closed,
    Dispatched,
    Finished,
    FromWorker,
    Job,
    Open,
    Opened,
    OpenFailed,
    Opening,
    RunCell,
    Stop,
    Stored,
    Stretch,
    ToWorker,
    decode_to_worker,
    encode,
)
from taskpace.records import Failure, Record
from taskpace.retries import may_pass, wait_s
from taskpace.scenarios import batched, closed_loop, open_loop

_SWITCH_INTERVAL_S = 0.00005
_GATHER_S = 0.02
"""How long records under load wait for each other on their way to the run."""
_UNREACHABLE_IN_A_ROW = 3
"""So many trials without a connection, and none with one in between: the server is down for good."""


class Worker:
    """Carries out one system's cells.

    Args:
        send: hands a message to the run, those that are not urgent with others; called from the event loop, must not
            block.
        send_now: the same, but the message has left this process when it returns.
        wait_stored: blocks until so many records of this worker are on disk.
        stopping: whether the run has asked to stop.
    """

    def __init__(
        self,
        send: Callable[[FromWorker, bool], None],
        send_now: Callable[[FromWorker], None],
        wait_stored: Callable[[int], None],
        stopping: Callable[[], bool],
    ) -> None:
        self._send = send
        self._send_now = send_now
        self._wait_stored = wait_stored
        self._stopping = stopping
        self._records_awaited = 0
        self._engine: Engine | None = None
        self._runner: asyncio.Runner | None = None

    def open(self, message: Open) -> bool:
        """Calibrate, then load the engine. Returns whether it is ready."""
        with asyncio.Runner(loop_factory=RealClock().new_event_loop) as runner:
            calibration = runner.run(calibrate())
        wall: Clock = RealClock()
        begun = wall.now_ns()
        try:
            engine = create(message.spec)
            self._runner = asyncio.Runner(loop_factory=engine.clock.new_event_loop)
            info = self._runner.run(engine.open(lambda text: self._send(Opening(text=text), True)))
        except TaskpaceError as bad:
            self._send(OpenFailed(failure=Failure(kind="open", message=str(bad))), True)
            return False
        except (EngineError, MemoryError, OSError, RuntimeError) as bad:
            kind = bad.kind if isinstance(bad, EngineError) else "open"
            self._send(OpenFailed(failure=Failure(kind=kind, message=f"{type(bad).__name__}: {bad}")), True)
            return False
        self._engine = engine
        # What is loaded by now stays: keep the garbage collector from walking it during a trial.
        gc.collect()
        gc.freeze()
        self._send(Opened(info=info, load_ns=wall.now_ns() - begun, calibration=calibration), True)
        return True

    def run_cell(self, message: RunCell) -> None:
        """Carry out one cell, or what is left of it."""
        assert self._engine is not None, "open comes first"  # noqa: S101 - a broken protocol, not a user's error
        assert self._runner is not None  # noqa: S101
        self._runner.run(self._run_cell(message, self._engine))

    def close(self) -> None:
        """Give the engine back."""
        if self._engine is not None and self._runner is not None:
            self._runner.run(self._engine.close())
            self._runner.close()
        self._send(Closed(), True)

    async def _run_cell(self, message: RunCell, engine: Engine) -> None:
        arrivals = [(job.due_ns, job) for job in message.jobs if job.due_ns is not None]
        in_real_time = isinstance(engine.clock, RealClock)
        real = RealClock()
        cpu_ns, wall_ns, load = time.process_time_ns(), real.now_ns(), steal_and_load()

        reach, gates = _Reach(), Gates()
        reset_peak_rss()
        if isinstance(engine, DeviceEngine):
            engine.take_device_peak()

        out_of_memory: str | None = None

        def stopping() -> bool:
            return reach.lost or out_of_memory is not None or self._stopping()

        async with LagMonitor(engine.clock) as lag:

            async def attempt(job: Job, due_ns: int | None) -> Record:
                record = await measure(engine, job, message.timeout_s, lag, self._announce, due_ns=due_ns, gates=gates)
                reach.see(record)
                return record

            def tell(finished: Finished) -> None:
                self._send(finished, message.one_at_a_time)
                self._records_awaited += message.one_at_a_time  # the run answers in such a cell alone

            async def carry_out(job: Job, due_ns: int | None = None) -> None:
                record = await attempt(job, due_ns)
                while job.attempt <= message.retries and may_pass(record) and not stopping():
                    tell(Finished(record=record, final=False))
                    await engine.clock.sleep_until(engine.clock.now_ns() + round(wait_s(record) * 1e9))
                    # Nobody starts to wait anew: the clock runs from the first dispatch.
                    due_ns = record.turns[0].dispatch_ns if record.turns else due_ns
                    job = msgspec.structs.replace(job, attempt=job.attempt + 1)
                    record = await attempt(job, due_ns)
                tell(Finished(record=record))
                if message.one_at_a_time:
                    # Nothing is in flight: let scoring and the disk be done before the next clock starts.
                    await asyncio.to_thread(self._wait_stored, self._records_awaited)

            async def carry_out_batch(jobs: Sequence[Job]) -> None:
                nonlocal out_of_memory
                for record in await measure_batch(engine, jobs, message.timeout_s, lag, self._announce):
                    tell(Finished(record=record))
                    if record.failure is not None and record.failure.kind == EngineMemoryError.kind:
                        out_of_memory = record.failure.message
                await asyncio.to_thread(self._wait_stored, self._records_awaited)

            warm_ups = [job for job in message.jobs if job.phase == "warm-up"]
            measured = [job for job in message.jobs if job.phase == "measured" and job.due_ns is None]
            if message.batch is not None:
                for jobs in (warm_ups, measured):
                    await closed_loop(batched(jobs, message.batch), 1, carry_out_batch, stopping)
            else:
                await closed_loop(warm_ups, message.concurrency, carry_out, stopping)
                await closed_loop(measured, message.concurrency, carry_out, stopping)
                await open_loop(arrivals, engine.clock, carry_out, stopping, message.start_ns)
        after = steal_and_load()
        median, p99, greatest = summarise_lag(lag.samples)
        stretch = Stretch(
            loop_lag_median_ns=median,
            loop_lag_p99_ns=p99,
            loop_lag_max_ns=greatest,
            lag_samples=len(lag.samples),
            client_cpu_ns=time.process_time_ns() - cpu_ns,
            wall_ns=real.now_ns() - wall_ns,
            peak_rss_bytes=peak_rss_bytes(),
            device_peak_bytes=engine.take_device_peak() if isinstance(engine, DeviceEngine) else None,
            # What the machine did meanwhile says nothing about a time that it did not pass in.
            steal_ticks=_grown(load.steal_ticks, after.steal_ticks) if in_real_time else None,
            cpu_ticks=_grown(load.cpu_ticks, after.cpu_ticks) if in_real_time else None,
            throttled_ns=_grown(load.throttled_ns, after.throttled_ns) if in_real_time else None,
        )
        why = reach.why if reach.lost else None
        self._send(CellEnded(stretch=stretch, unreachable=why, out_of_memory=out_of_memory), True)

    def _announce(self, job: Job) -> None:
        # If this trial kills the process, the run must already know that it was in flight.
        self._send_now(Dispatched(trial_id=job.trial_id, attempt=job.attempt))


class _Reach:
    """Whether connections can still be opened, as the records tell."""

    def __init__(self) -> None:
        self._failed = 0
        self.why = ""

    @property
    def lost(self) -> bool:
        return self._failed >= _UNREACHABLE_IN_A_ROW

    def see(self, record: Record) -> None:
        if record.failure is not None and record.failure.kind.startswith(NO_CONNECTION):
            self._failed += 1
            self.why = record.failure.message
        elif not self.lost:
            self._failed = 0


def _grown(before: int | None, after: int | None) -> int | None:
    return None if before is None or after is None else after - before


class _Pipes:
    """Frames over two pipes, each with a thread of its own, so that neither side ever waits in a timed region."""

    def __init__(self, source: BinaryIO, sink: BinaryIO) -> None:
        self._source = source
        self._sink = sink
        self._writing = threading.Lock()
        self.inbox: queue.SimpleQueue[ToWorker] = queue.SimpleQueue()
        self._outbox: queue.SimpleQueue[tuple[FromWorker | None, bool]] = queue.SimpleQueue()
        self._stored = 0
        self._stored_changed = threading.Condition()
        self.stopping = threading.Event()
        threading.Thread(target=self._read, name="taskpace-inbox", daemon=True).start()
        self._writer = threading.Thread(target=self._write, name="taskpace-outbox")
        self._writer.start()

    def send(self, message: FromWorker, urgent: bool) -> None:
        self._outbox.put((message, urgent))

    def send_now(self, message: FromWorker) -> None:
        self._send_bytes(encode(message))

    def _send_bytes(self, frames: bytes) -> None:
        with self._writing:
            try:
                self._sink.write(frames)
                self._sink.flush()
            except BrokenPipeError:
                os._exit(3)

    def wait_stored(self, records: int) -> None:
        with self._stored_changed:
            self._stored_changed.wait_for(lambda: self._stored >= records)

    def finish(self) -> None:
        """Flush what was sent."""
        self._outbox.put((None, True))
        self._writer.join()

    def _read(self) -> None:
        while True:
            header = self._source.read(4)
            body = self._source.read(int.from_bytes(header, "little")) if len(header) == 4 else b""
            if not body:
                # The run is gone. Nobody will hear of what is in flight; do not let a model run on for nobody.
                os._exit(3)
            match decode_to_worker(body):
                case Stored():
                    with self._stored_changed:
                        self._stored += 1
                        self._stored_changed.notify_all()
                case Stop():
                    self.stopping.set()
                case message:
                    self.inbox.put(message)

    def _write(self) -> None:
        """Gather what is not urgent: at each turn this thread takes Python's lock from the one that stamps."""
        last = False
        while not last:
            message, urgent = self._outbox.get()
            if not urgent:
                time.sleep(_GATHER_S)
            messages = [message]
            while not self._outbox.empty():
                messages.append(self._outbox.get()[0])
            last = messages[-1] is None
            try:
                frames = b"".join(encode(message) for message in messages if message is not None)
            except BaseException:  # noqa: BLE001 - else the run would wait for ever for a thread that is gone
                traceback.print_exc()
                sys.stderr.flush()
                os._exit(1)
            self._send_bytes(frames)


def main() -> None:
    """Serve one system over standard input and output until told to close."""
    # Ctrl-C in a terminal, and a supervisor's SIGTERM, reach the whole process group; the run decides what they mean
    # and says so with Stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # A callback that wants to stamp an arrival waits for Python's lock: at most this long, not the usual 5 ms.
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    # Frames keep the real standard output to themselves; whatever a library prints goes to the log.
    sink = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    pipes = _Pipes(sys.stdin.buffer, sink)
    try:
        _serve(Worker(pipes.send, pipes.send_now, pipes.wait_stored, pipes.stopping.is_set), pipes)
    except BaseException:  # noqa: BLE001 - the run reads it as this worker's last words
        traceback.print_exc()
        pipes.finish()
        sys.stderr.flush()
        # An engine's threads may still be at work; nobody is left to wait for them.
        os._exit(1)
    pipes.finish()


def _serve(worker: Worker, pipes: _Pipes) -> None:
    while True:
        match pipes.inbox.get():
            case Open() as message:
                if not worker.open(message):
                    return
            case RunCell() as message:
                worker.run_cell(message)
            case Close():
                worker.close()
                return
            case _:  # Stored and Stop never reach the inbox
                raise AssertionError


if __name__ == "__main__":
    main()
