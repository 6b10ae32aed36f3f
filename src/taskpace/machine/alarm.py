"""Waking an event loop at a reading of the monotonic clock, to some microseconds and without spinning (Linux).

Event loops count in milliseconds. A timer of the kernel's (``timerfd``) is a descriptor that can be read when it is
due, and they wait for those anyway. Python has had it since 3.13.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import heapq
import itertools
import os
import sys
import time
import weakref

_MONOTONIC, _ABSOLUTE = 1, 1
"""``CLOCK_MONOTONIC`` and ``TFD_TIMER_ABSTIME``."""


class _Spec(ctypes.Structure):
    """``struct itimerspec``, of 64-bit systems."""

    _fields_ = [(name, ctypes.c_long) for name in ("every_s", "every_ns", "due_s", "due_ns")]


class Alarm:
    """Wakes whoever waits on one event loop, by one timer."""

    def __init__(self, libc: ctypes.CDLL, loop: asyncio.AbstractEventLoop) -> None:
        """Raises ``OSError`` where the system gives no timer."""
        self._libc = libc
        self._fd = libc.timerfd_create(_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError("no timer")
        weakref.finalize(self, os.close, self._fd)
        loop.add_reader(self._fd, self.ring)
        self._due: list[tuple[int, int, asyncio.Future[None]]] = []
        """Due time in nanoseconds, a number in the order of asking, and the future that is waited for."""
        self._number = itertools.count()

    async def wait(self, ns: int) -> None:
        """Return once ``time.perf_counter_ns()`` is ``ns``."""
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (ns, next(self._number), waiting)
        heapq.heappush(self._due, entry)
        if self._due[0] is entry:
            self._set()
        try:
            await waiting
        except asyncio.CancelledError:
            if entry in self._due:  # it would keep the loop in memory
                self._due.remove(entry)
                heapq.heapify(self._due)
            raise

    def ring(self) -> None:
        """The timer is due: wake whose time has come, and set it for the next."""
        with contextlib.suppress(BlockingIOError):  # it has been set again since
            os.read(self._fd, 8)
        now_ns = time.perf_counter_ns()
        while self._due and self._due[0][0] <= now_ns:
            waiting = heapq.heappop(self._due)[2]
            if not waiting.done():  # cancelled
                waiting.set_result(None)
        if self._due:
            self._set()

    def _set(self) -> None:
        due_s, due_ns = divmod(max(1, self._due[0][0]), 10**9)
        spec = _Spec(0, 0, due_s, due_ns)
        self._libc.timerfd_settime(self._fd, _ABSOLUTE, ctypes.byref(spec), None)


_alarms: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Alarm | None] = weakref.WeakKeyDictionary()


def alarm_of(loop: asyncio.AbstractEventLoop) -> Alarm | None:
    """The one of this loop, made when it is first asked for; null where there is none: not Linux, or no descriptor."""
    if loop not in _alarms:
        _alarms[loop] = None
        if sys.platform == "linux" and sys.maxsize > 2**32:
            with contextlib.suppress(OSError, AttributeError, NotImplementedError):
                _alarms[loop] = Alarm(ctypes.CDLL(None), loop)
    return _alarms[loop]
