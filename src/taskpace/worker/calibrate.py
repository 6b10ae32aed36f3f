"""What measuring costs by itself: trials through the harness on an engine that answers at once."""

from __future__ import annotations

import statistics
from itertools import pairwise
from typing import Any

from taskpace.engines.base import EngineInfo, Generation, Request, Sampling, Stamps, Tell, nobody
from taskpace.engines.threads import SlotThreads
from taskpace.machine.clock import Clock, RealClock
from taskpace.records import Arrival, Usage
from taskpace.telemetry import Calibration
from taskpace.worker.lag import LagMonitor
from taskpace.worker.messages import Job
from taskpace.worker.trial import measure

_CALIBRATION_TRIALS = 200
_CLOCK_READINGS = 2000


class _InstantEngine:
    """Answers at once, from a thread, as an engine in process does: what is left is the harness."""

    def __init__(self, clock: RealClock, threads: SlotThreads) -> None:
        self.clock: Clock = clock
        self._threads = threads

    async def open(self, tell: Tell = nobody) -> EngineInfo:
        raise NotImplementedError

    def prepare(self, request: Request) -> Any:
        return request

    async def ready(self, payload: Any) -> None:
        """Nothing is needed."""

    async def generate(self, payload: Any, stamps: Stamps) -> None:
        del payload
        now_ns = self.clock.now_ns
        await self._threads.run(lambda _cancelled: stamps.arrivals.append((now_ns(), "x")))

    def read(self, stamps: Stamps) -> Generation:
        stamp = stamps.arrivals[-1][0]
        return Generation(
            arrivals=(Arrival(stamp, 1, 0),),
            text="x",
            reasoning="",
            finish_ns=stamp,
            finish_reason="stop",
            usage=Usage(),
        )

    async def close(self) -> None:
        raise NotImplementedError


async def calibrate() -> Calibration:
    """Measure the harness with its own means: trials through ``measure`` on an engine that answers at once."""
    clock = RealClock()
    readings = [clock.now_ns() for _ in range(_CLOCK_READINGS)]
    steps = [b - a for a, b in pairwise(readings) if b > a]
    threads = SlotThreads(1)
    engine = _InstantEngine(clock, threads)
    times: list[int] = []
    try:
        async with LagMonitor(clock) as lag:
            for number in range(_CALIBRATION_TRIALS):
                job = Job(
                    trial_id=f"calibration-{number}",
                    attempt=1,
                    phase="warm-up",
                    system_prompt=None,
                    prompts=("x",),
                    max_tokens=1,
                    stop=(),
                    sampling=Sampling(),
                    seed=0,
                )
                record = await measure(engine, job, 10.0, lag, lambda _job: None)
                times.append(record.turns[0].end_ns)
    finally:
        threads.close()
    times.sort()
    return Calibration(
        clock_read_ns=(readings[-1] - readings[0]) / (_CLOCK_READINGS - 1),
        clock_step_ns=min(steps, default=0),
        harness_median_ns=round(statistics.median(times)),
        harness_p99_ns=times[int(0.99 * len(times))],
        trials=len(times),
    )
