"""How requests are issued: the dispatch schedules. Knows nothing of engines, tasks or records."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

Job = TypeVar("Job")


async def closed_loop(
    jobs: Iterable[Job],
    concurrency: int,
    carry_out: Callable[[Job], Awaitable[None]],
    stopping: Callable[[], bool],
) -> bool:
    """Keep ``concurrency`` jobs in flight until there are none left; with 1, one at a time.

    Each slot takes its next job the moment it is free. Once ``stopping()`` is true no further job starts, those in
    flight are finished.

    Returns:
        Whether every job was carried out.
    """
    queue = iter(jobs)
    unfinished = False

    async def slot() -> None:
        nonlocal unfinished
        for job in queue:  # one iterator for all slots: whoever is free takes the next
            if stopping():
                unfinished = True
                return
            await carry_out(job)

    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(slot())
    return not unfinished
