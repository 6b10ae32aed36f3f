"""A thread for each slot, for engines whose call blocks until the answer is complete.

One hop to the thread and one back per trial: stamps are taken in the thread, so neither hop is in what it measures
beyond the first.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class SlotThreads:
    """``slots`` threads, started at once so that none is started inside a timed region."""

    def __init__(self, slots: int) -> None:
        self._pool = ThreadPoolExecutor(max_workers=slots, thread_name_prefix="taskpace-slot")
        # A pool starts a thread only when no idle one is left: hold all until each has started.
        together = threading.Barrier(slots)
        try:
            for started in [self._pool.submit(together.wait) for _ in range(slots)]:
                started.result()
        except RuntimeError:
            # The system gives no more threads: let those go that wait for the missing one.
            together.abort()
            self._pool.shutdown()
            raise

    async def run(self, call: Callable[[Callable[[], bool]], T]) -> T:
        """Run ``call(cancelled)`` in a slot's thread, as soon as one is free, and await its end.

        When the awaiting task is cancelled, ``cancelled()`` turns true in the thread; the cancellation goes on only
        when the thread has come to its end, so that the slot is free again.
        """
        flag = threading.Event()
        waiting = self._pool.submit(call, flag.is_set)
        future = asyncio.wrap_future(waiting)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            flag.set()
            if not waiting.cancel():  # in an open loop it may not have begun
                await asyncio.wait([future])
            raise

    def close(self) -> None:
        """Wait for the threads and end them."""
        self._pool.shutdown()
