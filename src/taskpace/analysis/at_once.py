"""Two threads for the tables of a run, where each has trials enough to be worth it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, Protocol, TypeVar

import numpy as np
import polars as pl

AT_ONCE = 2
"""Threads, and so tables in memory at a time. Python runs one thread at a time: a third would wait."""
LEAST = 20_000
"""Trials of a table, from which on most of its time is spent in numpy and polars, which let other threads run."""

_KEPT_BYTES = 31 << 20
"""Below the 32 MiB from which on glibc asks the system again for each array, whatever was given back before."""

Key = TypeVar("Key")
Made = TypeVar("Made")
Done = TypeVar("Done")


class Meanwhile(Protocol):
    """Takes work that another thread may do, if one has nothing else to do; what it returns gives what came of it."""

    def __call__(self, work: Callable[[], Done], /) -> Callable[[], Done]: ...


def when_asked(work: Callable[[], Done], /) -> Callable[[], Done]:
    """``Meanwhile`` without another thread: it is done, once, when somebody asks for it."""
    return work


def in_turn(make: Callable[[Key, Meanwhile], Made], keys: list[Key], *, each: int) -> Iterator[Made]:
    """What is made of each key, in their order; the first that fails in that order is the one that raises.

    Each thread takes the next table. One that finds none left takes what ``make`` gave away: tables need not come out
    even, and a table alone has two threads, too.

    Args:
        make: of a key; leaves alone what it shares with others.
        keys: one for each table.
        each: how many trials one has as a rule.
    """
    if each >= LEAST:
        _keep_memory()
    # Who gives polars one thread, as one core does, gets one here.
    if each < LEAST or pl.thread_pool_size() < AT_ONCE:
        yield from (make(key, when_asked) for key in keys)
        return
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="taskpace-table") as threads:

        def meanwhile(work: Callable[[], Done], /) -> Callable[[], Done]:
            # It queues behind all tables. If no thread has begun it when it is asked for, who asks does it.
            once = _Once(work)
            begun = threads.submit(once.do)
            return lambda: once.do() if begun.cancel() else begun.result()

        yield from threads.map(lambda key: make(key, meanwhile), keys)


class _Once(Generic[Done]):
    """Work that is forgotten when it is begun, and its arrays with it, whoever may still have it in a queue."""

    def __init__(self, work: Callable[[], Done]) -> None:
        self._work = [work]

    def do(self) -> Done:
        return self._work.pop()()


def _keep_memory() -> None:
    """Have arrays that follow each other get the same memory, instead of new pages from the system each time.

    glibc gives back what is larger than anything that was freed so far; this one it never fills. Elsewhere nothing
    comes of it.
    """
    np.empty(_KEPT_BYTES, dtype=np.uint8)
