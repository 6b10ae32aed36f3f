"""One cell in a worker: warm-ups, trials with their retries, static batches; and how the client fared meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import NamedTuple, Protocol

import msgspec

from taskpace.engines.base import NO_CONNECTION, BatchEngine, DeviceEngine, Engine
from taskpace.errors import EngineMemoryError
from taskpace.machine.clock import RealClock
from taskpace.machine.energy import Found, Meter, Spent
from taskpace.machine.host import Load, peak_rss_bytes, reset_peak_rss, steal_and_load
from taskpace.records import Record
from taskpace.telemetry import ClientMetrics
from taskpace.worker.batch import measure_batch
from taskpace.worker.lag import LagMonitor
from taskpace.worker.messages import CellEnded, Dispatched, Finished, FromWorker, Job, RunCell
from taskpace.worker.refusals import Refusals
from taskpace.worker.retries import may_pass, wait_s
from taskpace.worker.schedule import LEAD_NS, AtHand, batched, closed_loop, open_loop, wait_until
from taskpace.worker.supply import Source, Supply
from taskpace.worker.trial import Gates, measure

_UNREACHABLE_IN_A_ROW = 3
"""So many trials without a connection, and none with one in between: the server is down for good."""
_LOOK_EVERY_S = 0.5


class Link(Source, Protocol):
    """The run, as its worker sees it."""

    def send(self, message: FromWorker, urgent: bool) -> None:
        """Hand over a message, one that is not urgent together with others. Does not block."""
        ...

    def send_now(self, message: FromWorker) -> None:
        """Hand over a message and return when it has left this process."""
        ...

    def wait_stored(self, records: int) -> None:
        """Block until so many records of this worker, since its start, are on disk."""
        ...

    def stopping(self) -> bool:
        """Whether the run has asked to stop."""
        ...


class CellRun:
    """Carries out one cell, or what is left of it.

    Args:
        message: which trials, and how.
        engine: open.
        run: hears of every trial.
        reach: of the worker, whose cells may be of one trial each.
        refusals: likewise.
        records_sent: by this worker so far, in cells whose records the run answers.
    """

    def __init__(
        self, message: RunCell, engine: Engine, run: Link, *, reach: Reach, refusals: Refusals, records_sent: int
    ) -> None:
        self._message, self._engine, self._run, self._reach, self._refusals = message, engine, run, reach, refusals
        self._device = engine if isinstance(engine, DeviceEngine) else None
        self.records_sent = records_sent
        self._lag = LagMonitor(engine.clock)
        self._gates = Gates()
        self._out_of_memory: str | None = None
        self._measured = 0
        self._waited_ns = 0
        self._next_look: asyncio.TimerHandle | None = None

    async def run(self, counters: Found | None) -> CellEnded:
        """All of it. ``counters``: of energy, to be read over the measured trials; null: none."""
        meter = None if counters is None else Meter(counters)
        rested = await self._rest(meter) if self._message.rest_before else []
        before = self._look()
        async with self._lag:
            if isinstance(self._engine.clock, RealClock):
                self._look_up()
            try:
                spent = await self._run_jobs(meter)
            finally:
                if self._next_look is not None:
                    self._next_look.cancel()
        client = self._client_metrics(before)
        if meter:
            after = await self._rest(meter) if self._message.rest_after else []
            window = meter.window(self._measured, rested, spent, after)
            client = msgspec.structs.replace(client, energy=window)
        why = self._reach.why if self._reach.lost else None
        refused = self._refusals.why(self._message.cell)
        return CellEnded(client=client, unreachable=why, refused=refused, out_of_memory=self._out_of_memory)

    async def _rest(self, meter: Meter | None) -> list[Spent | None]:
        return await meter.rest() if meter and not self._stopping() else []

    def _look_up(self) -> None:
        """Called now and then: stop waiting for connections once the run is to end."""
        if self._stopping():
            for task in self._gates.unsent.copy():
                task.cancel()
        self._next_look = asyncio.get_running_loop().call_later(_LOOK_EVERY_S, self._look_up)

    async def _run_jobs(self, meter: Meter | None) -> list[Spent | None]:
        message, clock = self._message, self._engine.clock
        await self._run_at_hand([job for job in message.jobs if job.phase == "warm-up"])
        if meter:
            meter.begin()
        due = any(job.due_ns is not None for job in message.jobs)
        if message.start_ns is not None:
            await self._wait_for(message.start_ns - LEAD_NS if due else message.start_ns)
        if message.batch is not None:
            await self._run_at_hand([job for job in message.jobs if job.phase == "measured"])
        else:
            supply = Supply(message, self._run, clock, self._lag.add, self._stopping)
            if due:
                await open_loop(supply, _offset_ns, clock, self._run_trial, self._stopping, start_ns=message.start_ns)
            else:
                await closed_loop(supply, message.concurrency, self._run_trial, self._stopping)
        return meter.end() if meter else []

    async def _wait_for(self, start_ns: int) -> None:
        """Until others have their part of the cell, too; the client could not have been busy meanwhile."""
        clock = self._engine.clock
        begun_ns = clock.now_ns()
        await wait_until(start_ns, clock, self._stopping)
        self._waited_ns = clock.now_ns() - begun_ns

    async def _run_at_hand(self, jobs: Sequence[Job]) -> None:
        if self._message.batch is None:
            await closed_loop(AtHand(jobs), self._message.concurrency, self._run_trial, self._stopping)
        else:
            await closed_loop(AtHand(batched(jobs, self._message.batch)), 1, self._run_batch, self._stopping)

    async def _run_trial(self, job: Job, due_ns: int | None = None) -> None:
        clock = self._engine.clock
        record = await self._attempt(job, due_ns)
        while job.attempt <= self._message.retries and may_pass(record):
            # Whatever ends the run now, the record reports that the trial is still to be done.
            record = msgspec.structs.replace(record, final=False)
            self._tell(Finished(record=record))
            if not await wait_until(clock.now_ns() + round(wait_s(record) * 1e9), clock, self._stopping):
                return
            # The wait does not start again: the clock runs from the first dispatch.
            due_ns = record.turns[0].dispatch_ns + _thought_ns(record, job) if record.turns else due_ns
            job = msgspec.structs.replace(job, attempt=job.attempt + 1)
            record = await self._attempt(job, due_ns)
        self._tell(Finished(record=record))
        if self._message.one_at_a_time:
            # Nothing is in flight: let scoring and the disk be done before the next clock starts.
            await asyncio.to_thread(self._run.wait_stored, self.records_sent)

    async def _run_batch(self, jobs: Sequence[Job]) -> None:
        assert isinstance(self._engine, BatchEngine), "the plan allows no other"  # noqa: S101 - see engines.create
        for record in await measure_batch(self._engine, jobs, self._message.timeout_s, self._lag, self._announce):
            self._tell(Finished(record=record))
            if record.failure is not None and record.failure.kind == EngineMemoryError.kind:
                self._out_of_memory = record.failure.message
        await asyncio.to_thread(self._run.wait_stored, self.records_sent)

    async def _attempt(self, job: Job, due_ns: int | None) -> Record:
        record = await measure(
            self._engine,
            job,
            self._message.timeout_s,
            self._lag,
            self._announce,
            due_ns=due_ns,
            gates=self._gates,
            stopping=self._stopping,
        )
        self._reach.see(record)
        self._refusals.see(self._message.cell, record)
        return record

    def _announce(self, job: Job) -> None:
        # If this trial kills the process, the run must already know that it was in flight.
        self._run.send_now(Dispatched(trial_id=job.trial_id, attempt=job.attempt))

    def _tell(self, finished: Finished) -> None:
        self._measured += finished.record.final and finished.record.phase == "measured"
        self._run.send(finished, self._message.one_at_a_time)
        self.records_sent += self._message.one_at_a_time  # the run answers in such a cell alone

    def _stopping(self) -> bool:
        refused = self._refusals.why(self._message.cell) is not None
        return self._reach.lost or refused or self._out_of_memory is not None or self._run.stopping()

    def _look(self) -> _Moment:
        """Read what is counted from here on."""
        reset_peak_rss()
        if self._device is not None:
            self._device.take_device_peak()
        return _Moment(time.process_time_ns(), RealClock.now_ns(), steal_and_load())

    def _client_metrics(self, before: _Moment) -> ClientMetrics:
        after = _Moment(time.process_time_ns(), RealClock.now_ns(), steal_and_load())
        lag = self._lag.so_far()
        in_real_time = isinstance(self._engine.clock, RealClock)

        def grown(name: str) -> int | None:
            """What the machine did meanwhile; it shows nothing about a time that it did not pass in."""
            first, last = getattr(before.load, name), getattr(after.load, name)
            return None if first is None or last is None or not in_real_time else last - first

        return ClientMetrics(
            loop_lag_median_ns=lag.median_ns,
            loop_lag_p99_ns=lag.p99_ns,
            loop_lag_max_ns=lag.max_ns,
            lag_samples=lag.samples,
            client_cpu_ns=after.cpu_ns - before.cpu_ns,
            wall_ns=after.wall_ns - before.wall_ns - self._waited_ns,
            peak_rss_bytes=peak_rss_bytes(),
            device_peak_bytes=None if self._device is None else self._device.take_device_peak(),
            steal_ticks=grown("steal_ticks"),
            cpu_ticks=grown("cpu_ticks"),
            throttled_ns=grown("throttled_ns"),
        )


def _offset_ns(job: Job) -> int:
    assert job.due_ns is not None, "all jobs of an open loop are due"  # noqa: S101 - see runner.jobs
    return job.due_ns


def _thought_ns(record: Record, job: Job) -> int:
    """What the think times of an attempt that failed took: one before each turn that it came to, but the first."""
    unsent = record.failure is not None and record.failure.kind.startswith(NO_CONNECTION)
    return job.think_ns * max(0, len(record.turns) + unsent - 1)


class _Moment(NamedTuple):
    """What this process and the machine have spent by now."""

    cpu_ns: int
    wall_ns: int
    load: Load


class Reach:
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
