"""One monotonic nanosecond clock, real or virtual, and the event loop that goes with it."""

from __future__ import annotations

import asyncio
import selectors
import time
from importlib.util import find_spec
from typing import Protocol

_SPIN_NS = 2_000_000
"""Before a moment: event loops count in milliseconds."""
_LAST_NS = 100_000
"""Before it, where an alarm of the system's wakes the loop."""


class Clock(Protocol):
    """Monotonic nanoseconds, and an event loop whose timers run on the same time."""

    def now_ns(self) -> int:
        """The present reading, in nanoseconds from an arbitrary origin; never decreases."""
        ...

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        """An event loop whose ``time()`` is this clock."""
        ...

    async def sleep_until(self, ns: int) -> None:
        """Return at the reading ``ns``, or at once if it has passed."""
        ...


class RealClock:
    """``time.perf_counter_ns``: monotonic, the finest resolution that the platform has."""

    # Bound as a plain attribute: a stamp is then one C call, without a Python frame around it.
    now_ns = staticmethod(time.perf_counter_ns)

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.SelectorEventLoop()

    async def sleep_until(self, ns: int) -> None:
        """The last moments are spun, giving way to whatever arrives; few, as each request at a rate has its own."""
        if ns - self.now_ns() > _LAST_NS:
            from taskpace.machine.alarm import alarm_of  # with ctypes, for which few runs need wait

            if (alarm := alarm_of(asyncio.get_running_loop())) is not None:
                await alarm.wait(ns - _LAST_NS)
        while (left_ns := ns - self.now_ns()) > 0:  # noqa: ASYNC110 - time is what is waited for
            await asyncio.sleep(max(0, left_ns - _SPIN_NS) / 1e9)


class FastClock(RealClock):
    """The real clock with uvloop's event loop where there is one: it costs half the processor time per arrival."""

    @property
    def loop_name(self) -> str:
        return "asyncio" if find_spec("uvloop") is None else "uvloop"

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        if self.loop_name == "asyncio":
            return super().new_event_loop()
        import uvloop

        loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        return loop


class VirtualClock:
    """Time that passes only while the event loop sleeps, and then at once.

    A simulated experiment of an hour takes the time of its Python code, and every duration comes back exactly.
    """

    def __init__(self) -> None:
        self._now_ns = 0

    def now_ns(self) -> int:
        return self._now_ns

    def advance_to(self, ns: int) -> None:
        """Move to ``ns``; a moment that has passed already changes nothing."""
        self._now_ns = max(self._now_ns, ns)

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        return _VirtualLoop(self)

    async def sleep_until(self, ns: int) -> None:
        """A float of seconds cannot hold every nanosecond: the clock is set to the very one."""
        await asyncio.sleep(max(0, ns - self._now_ns) / 1e9)
        self.advance_to(ns)


class _SkippingSelector(selectors.DefaultSelector):
    """Never waits: a wait of n seconds moves the virtual clock n seconds on."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        if not ready and timeout is None:
            # Nothing is scheduled, so only a thread's wake-up can continue: wait for it while time stands still.
            ready = super().select(None)
        elif not ready and timeout is not None and timeout > 0:
            self._clock.advance_to(self._clock.now_ns() + round(timeout * 1e9))
        return ready


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(_SkippingSelector(clock))
        self._clock = clock

    def time(self) -> float:
        return self._clock.now_ns() / 1e9
