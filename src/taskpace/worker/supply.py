"""The jobs of a part as its schedule takes them: those that it began with, then those that the run sends on."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol, Self

from taskpace.machine.clock import Clock, RealClock
from taskpace.worker.messages import Job, MoreJobs, RunCell
from taskpace.worker.schedule import LOOK_UP_NS


class Source(Protocol):
    """Where further jobs come from."""

    def more_jobs(self, timeout_s: float) -> MoreJobs | None:
        """The next of them, once they are there; null: none have come by then."""
        ...


class Supply:
    """Jobs in order, taken one by one by whoever is free.

    The run sends them far ahead, so that taking one is nothing but that. Should the run be late all the same, who asks
    waits, and ``late`` hears for how long: fewer were in flight than there should have been.

    Args:
        message: with the first jobs, which are taken out of it; warm-ups among them are dropped.
        source: of the others.
        clock: the engine's.
        late: hears of nanoseconds.
        stopping: once true, waiting ends.
    """

    def __init__(
        self,
        message: RunCell,
        source: Source,
        clock: Clock,
        late: Callable[[int], None],
        stopping: Callable[[], bool],
    ) -> None:
        self._jobs = deque(job for job in message.jobs if job.phase == "measured")
        message.jobs.clear()
        self._more = message.more
        self._source, self._clock, self._late, self._stopping = source, clock, late, stopping
        self._fetching = asyncio.Lock()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Job:
        if not self._jobs and self._more:
            await self._fetch()
        if not self._jobs:
            raise StopAsyncIteration
        return self._jobs.popleft()

    async def _fetch(self) -> None:
        """Take in what has come; wait for it where nothing has."""
        async with self._fetching:
            begun_ns = RealClock.now_ns()
            waited = False
            while not self._jobs and self._more and not self._stopping():
                if (found := self._source.more_jobs(0.0)) is None:
                    waited = True
                    found = await self._wait()
                if found is not None:
                    self._jobs += found.jobs
                    self._more = not found.last
            if waited and isinstance(self._clock, RealClock):
                self._late(RealClock.now_ns() - begun_ns)

    async def _wait(self) -> MoreJobs | None:
        if isinstance(self._clock, RealClock):
            return await asyncio.to_thread(self._source.more_jobs, LOOK_UP_NS / 1e9)
        # Virtual time goes on whenever the event loop waits, so it is not let.
        return self._source.more_jobs(LOOK_UP_NS / 1e9)
