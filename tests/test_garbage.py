"""Garbage collection beside a load: never all that is in flight at once."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import pytest
from tests.in_process import InProcess, instant
from tests.test_measure import job

from taskpace.engines.base import EngineInfo, EngineSpec, Generation, Stamps
from taskpace.machine.clock import RealClock
from taskpace.records import Arrival, Usage
from taskpace.worker import worker
from taskpace.worker.garbage import Portions
from taskpace.worker.messages import CellEnded, Open, RunCell


class Circle:
    """What only the collector frees."""

    def __init__(self) -> None:
        self.itself = self


@contextmanager
def walks() -> Iterator[Counter[int]]:
    """Of each generation how often it was walked."""
    seen: Counter[int] = Counter()

    def note(phase: str, info: dict[str, int]) -> None:
        seen[info["generation"]] += phase == "start"

    gc.callbacks.append(note)
    try:
        yield seen
    finally:
        gc.callbacks.remove(note)


def test_nothing_is_walked_but_in_portions():
    """What is allocated starts no walk while portions are collected, and does before and after."""

    async def main() -> list[int]:
        found = []
        for portions in (None, Portions(), None):
            with walks() as seen:
                if portions is None:
                    kept = [[each] for each in range(10_000)]
                else:
                    with portions:
                        kept = [[each] for each in range(10_000)]
            found.append(sum(seen.values()))
            del kept
        return found

    before, beside, after = asyncio.run(main())
    assert before > 0 < after
    assert beside == 0


def test_a_portion_is_what_is_young():
    """Of a minute's 3,000 portions one walks everything, 299 what outlived a walk, and the others what is new."""

    async def main() -> Counter[int]:
        with Portions() as portions, walks() as seen:
            for _ in range(3000):
                portions.collect()
        return seen

    assert asyncio.run(main()) == {0: 2700, 1: 299, 2: 1}


def test_circles_are_freed_as_time_passes():
    """A circle of objects is gone with the next portion, which comes by itself."""

    async def main() -> None:
        gone = asyncio.Event()
        with Portions():
            weakref.finalize(Circle(), gone.set)
            assert not gone.is_set()
            await gone.wait()

    asyncio.run(asyncio.wait_for(main(), 30))


def test_a_loop_that_ends_has_no_portion_left():
    """Afterwards nothing is collected any more, and a collector that was off stays off."""

    async def main() -> Counter[int]:
        with Portions():
            await asyncio.sleep(0.05)
        assert not gc.isenabled()
        with walks() as seen:
            await asyncio.sleep(0.1)
        return seen

    gc.disable()
    try:
        assert not asyncio.run(main())
    finally:
        gc.enable()


@pytest.mark.parametrize("in_process", [False, True])
def test_the_collector_rests_beside_an_endpoint_alone(in_process, monkeypatch):
    """While trials of an endpoint are carried out it is off; a model in the worker's process keeps it as it is."""
    collects: list[bool] = []

    class Elsewhere:
        def __init__(self) -> None:
            self.clock = RealClock()

        async def open(self, tell: Any) -> EngineInfo:
            del tell
            return EngineInfo(engine="e", version="1", chat_template="none", details={}, in_process=in_process)

        def prepare(self, request: Any) -> Any:
            return request

        async def ready(self, payload: Any) -> None:
            """Nothing is needed."""

        async def generate(self, payload: Any, stamps: Stamps) -> None:
            del payload
            collects.append(gc.isenabled())
            stamps.arrivals.append((self.clock.now_ns(), "answer"))

        def read(self, stamps: Stamps) -> Generation:
            ns = stamps.arrivals[0][0]
            return Generation(arrivals=(Arrival(ns, 6, 0),), text="answer", reasoning="", finish_ns=ns,
                              finish_reason="stop", usage=Usage())  # fmt: skip

        async def close(self) -> None:
            """Nothing is held."""

    monkeypatch.setattr(worker, "calibrate", instant)
    here = InProcess()
    jobs = [job(trial_id=name) for name in "abc"]
    with patch.object(worker, "create", lambda _: Elsewhere()):
        here.send(Open(spec=EngineSpec(engine="e", model="", options={}, slots=1)))
    here.send(RunCell(concurrency=1, one_at_a_time=False, timeout_s=60, jobs=jobs))
    here._worker.close()
    assert any(isinstance(each, CellEnded) for each in here.receive(0))
    assert collects == [in_process] * 3
    assert gc.isenabled()
