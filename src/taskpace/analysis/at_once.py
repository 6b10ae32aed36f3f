"""Two tables at a time, where each has trials enough to be worth a thread of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import polars as pl

AT_ONCE = 2
"""Tables in memory at a time. Python runs one thread at a time: a third would wait for the others, and its arrays too."""
LEAST = 20_000
"""Trials of a table, from which on most of its time is spent in numpy and polars, which let other threads run."""

Key = TypeVar("Key")
Made = TypeVar("Made")


def in_turn(make: Callable[[Key], Made], keys: list[Key], *, each: int) -> Iterator[Made]:
    """What is made of each key, in their order; the first that fails in that order is the one that raises.

    Args:
        make: leaves alone what it shares with others.
        keys: one for each table.
        each: how many trials one has as a rule.
    """
    # Who gives polars one thread, as one core does, gets one here.
    if len(keys) < AT_ONCE or each < LEAST or pl.thread_pool_size() < AT_ONCE:
        yield from map(make, keys)
        return
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="taskpace-table") as threads:
        yield from threads.map(make, keys)
