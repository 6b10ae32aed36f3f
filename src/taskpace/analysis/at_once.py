"""Two tables at a time, where each has trials enough to be worth a thread of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import polars as pl

AT_ONCE = 2
"""Tables in memory at a time. Python runs one thread at a time: a third would wait, and its arrays, too."""
LEAST = 20_000
"""Trials of a table, from which on most of its time is spent in numpy and polars, which let other threads run."""

_KEPT_BYTES = 31 << 20
"""Below the 32 MiB from which on glibc asks the system again for each array, whatever was given back before."""

Key = TypeVar("Key")
Made = TypeVar("Made")


def in_turn(make: Callable[[Key], Made], keys: list[Key], *, each: int) -> Iterator[Made]:
    """What is made of each key, in their order; the first that fails in that order is the one that raises.

    Args:
        make: leaves alone what it shares with others.
        keys: one for each table.
        each: how many trials one has as a rule.
    """
    if each >= LEAST:
        _keep_memory()
    # Who gives polars one thread, as one core does, gets one here.
    if len(keys) < AT_ONCE or each < LEAST or pl.thread_pool_size() < AT_ONCE:
        yield from map(make, keys)
        return
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="taskpace-table") as threads:
        yield from threads.map(make, keys)


def _keep_memory() -> None:
    """Have arrays that follow each other get the same memory, instead of new pages from the system each time.

    glibc gives back what is larger than anything that was freed so far; this one it never fills. Elsewhere nothing
    comes of it.
    """
    np.empty(_KEPT_BYTES, dtype=np.uint8)
