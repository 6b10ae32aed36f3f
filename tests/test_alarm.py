"""Waiting for a moment to some microseconds: who is woken, how seldom the loop runs meanwhile, and what is left."""

from __future__ import annotations

import asyncio
import gc
import selectors
import sys
from pathlib import Path

import pytest

from taskpace.machine import alarm as alarms
from taskpace.machine.alarm import alarm_of
from taskpace.machine.clock import FastClock, RealClock

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="timers that are descriptors are Linux's")

MS = 1_000_000


class Selector(selectors.DefaultSelector):
    """Counts how often a loop looks for what is to be done."""

    def __init__(self) -> None:
        super().__init__()
        self.looks = 0

    def select(self, timeout=None):
        self.looks += 1
        return super().select(timeout)


@pytest.mark.parametrize("clock", [RealClock(), FastClock()])
def test_all_who_wait_are_woken_in_order_and_none_early(clock):
    """Whoever is due first wakes first, whichever asked first, and never before its moment."""
    woken: list[int] = []

    async def wait(ns: int) -> None:
        await clock.sleep_until(ns)
        assert clock.now_ns() >= ns
        woken.append(ns)

    async def main() -> list[int]:
        begun = clock.now_ns()
        due = [begun + each * MS for each in (30, 10, 20, 10, 0)]
        await asyncio.gather(*map(wait, due))
        return sorted(due)

    with asyncio.Runner(loop_factory=clock.new_event_loop) as runner:
        assert runner.run(main()) == woken


def test_a_loop_does_not_run_while_an_alarm_waits():
    """From the call to the wake-up a loop looks three times at most; one that spins looks as often as it can."""
    selector = Selector()

    async def main() -> int:
        alarm = alarm_of(asyncio.get_running_loop())
        assert alarm is not None
        before = selector.looks
        await alarm.wait(RealClock.now_ns() + 30 * MS)
        return selector.looks - before

    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        assert runner.run(main()) <= 3


def test_the_clock_spins_for_its_last_moment_alone(monkeypatch):
    """Of a wait in which the clock counts 0.01 ms at each reading, 0.1 ms are spun: all the rest is the alarm's."""
    now = [0]
    slept: list[float] = []
    sleep = asyncio.sleep

    def read() -> int:
        now[0] += MS // 100
        return now[0]

    async def wait(_alarm: alarms.Alarm, ns: int) -> None:
        now[0] = ns

    async def spin(seconds: float) -> None:
        slept.append(seconds)
        await sleep(0)

    clock = RealClock()
    monkeypatch.setattr(clock, "now_ns", read)
    monkeypatch.setattr(alarms.Alarm, "wait", wait)
    monkeypatch.setattr(asyncio, "sleep", spin)
    with asyncio.Runner() as runner:
        runner.run(clock.sleep_until(500 * MS))
    assert now[0] >= 500 * MS
    assert 0 < len(slept) <= 10


def test_without_an_alarm_the_clock_spins_as_event_loops_need(monkeypatch):
    """Where there is no such timer a wait still ends, and not early."""
    monkeypatch.setattr(alarms, "alarm_of", lambda _loop: None)
    clock = RealClock()

    async def main() -> None:
        ns = clock.now_ns() + 5 * MS
        await clock.sleep_until(ns)
        assert clock.now_ns() >= ns

    asyncio.run(main())


def test_whoever_is_cancelled_is_forgotten_and_others_are_woken():
    """A wait that is cancelled delays no other, and leaves nothing behind."""

    async def main() -> None:
        alarm = alarm_of(asyncio.get_running_loop())
        assert alarm is not None
        begun = RealClock.now_ns()
        gone = asyncio.create_task(alarm.wait(begun + 5 * MS))
        stays = asyncio.create_task(alarm.wait(begun + 10 * MS))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.wait_for(stays, 10)
        assert gone.cancelled()
        assert not alarm._due

    asyncio.run(main())


@pytest.mark.parametrize("clock", [RealClock(), FastClock()])
def test_a_loop_that_is_gone_leaves_no_descriptor(clock):
    """Each loop has one timer, however often it waits, and gives it back."""

    def timers() -> int:
        return sum("timerfd" in str(each.readlink()) for each in Path("/proc/self/fd").iterdir() if each.is_symlink())

    async def main() -> int:
        for _ in range(3):
            await clock.sleep_until(clock.now_ns() + MS)
        return timers()

    gc.collect()
    before = timers()
    for _ in range(2):
        with asyncio.Runner(loop_factory=clock.new_event_loop) as runner:
            assert runner.run(main()) == before + 1
        del runner
        gc.collect()
    assert timers() == before
