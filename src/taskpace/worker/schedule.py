"""How requests are issued: the dispatch schedules. Knows nothing of engines, tasks or records."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from typing import Any, Generic, Self, TypeVar

from taskpace.machine.clock import Clock

Job = TypeVar("Job")
LEAD_NS = 50_000_000
"""How long before it is due a job of an open loop is handed out: time to render it and to open a connection."""


LOOK_UP_NS = 200_000_000
"""How often whoever waits looks up whether the run is to end."""


async def wait_until(ns: int, clock: Clock, stopping: Callable[[], bool]) -> bool:
    """Return at the clock's reading ``ns``, or soon after ``stopping()`` has become true; true: it has not."""
    while not stopping():
        if (now_ns := clock.now_ns()) >= ns:
            return True
        await clock.sleep_until(min(ns, now_ns + LOOK_UP_NS))
    return False


class Turnstile:
    """Lets one through at each turn of the event loop; in between the loop sends, reads and stamps for all.

    Of a hundred answers that end together the first to be parsed would keep the others' next arrivals waiting, and of a
    hundred requests that start together the last would be sent well after its clock has started.
    """

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    async def wait(self) -> None:
        """Return when it is the caller's turn."""
        async with self._lock:
            await asyncio.sleep(0)


class AtHand(Generic[Job]):
    """Jobs that are there already, so that taking one is never a wait."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        self._jobs = iter(jobs)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Job:
        for job in self._jobs:
            return job
        raise StopAsyncIteration


async def closed_loop(
    jobs: AsyncIterable[Job],
    concurrency: int,
    start: Callable[[Job], Awaitable[None]],
    stopping: Callable[[], bool],
) -> bool:
    """Keep ``concurrency`` jobs in flight until there are none left; with 1, one at a time.

    Each slot takes its next job the moment it is free. Once ``stopping()`` is true no further job starts, those in
    flight are finished.

    Returns:
        Whether every job was carried out.
    """
    queue = aiter(jobs)
    unfinished = False

    async def slot() -> None:
        nonlocal unfinished
        async for job in queue:  # one iterator for all slots: whoever is free takes the next
            if stopping():
                unfinished = True
                return
            await start(job)

    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(slot())
    return not unfinished


def batched(jobs: Sequence[Job], size: int) -> Iterator[Sequence[Job]]:
    """Static batches of ``size`` in order, the last one smaller where they do not divide."""
    for begin in range(0, len(jobs), size):
        yield jobs[begin : begin + size]


async def open_loop(
    jobs: AsyncIterable[Job],
    offset_ns: Callable[[Job], int],
    clock: Clock,
    start: Callable[[Job, int], Coroutine[Any, Any, None]],
    stopping: Callable[[], bool],
    *,
    start_ns: int | None = None,
) -> bool:
    """Hand out each job ``LEAD_NS`` before it is due, whether those before it have ended or not.

    Args:
        jobs: in order of arrival.
        offset_ns: when a job is due, in nanoseconds since the loop's start.
        clock: whose time that is.
        start: gets the job and the clock's reading at which it is due.
        stopping: once true, no further job starts; those in flight are finished.
        start_ns: the reading at which an offset of 0 is due; null: as soon as can be.

    Returns:
        Whether every job was carried out.
    """
    start_ns = clock.now_ns() + LEAD_NS if start_ns is None else start_ns
    async with asyncio.TaskGroup() as group:
        async for job in jobs:
            due_ns = start_ns + offset_ns(job)
            if not await wait_until(due_ns - LEAD_NS, clock, stopping):
                return False
            group.create_task(start(job, due_ns))
    return True
