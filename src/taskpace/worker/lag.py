"""How late the client's event loop wakes up: a client that is late does not measure the server."""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import Self

from taskpace.machine.clock import Clock, RealClock

_LAG_INTERVAL_S = 0.02
_BOOT = getattr(time, "CLOCK_BOOTTIME", None)
"""Linux's clock that goes on while the machine is suspended; the monotonic one stands still meanwhile."""


class LagMonitor:
    """Samples how late the event loop wakes up. A late loop dispatches late.

    In virtual time there is no lag and nothing is sampled.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._samples: list[int] = []
        self._open: dict[str, int] = {}
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        if isinstance(self._clock, RealClock):
            self._task = asyncio.get_running_loop().create_task(self._sample())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _sample(self) -> None:
        interval_ns = round(_LAG_INTERVAL_S * 1e9)
        asleep_ns = _asleep_ns()
        while True:
            due = self._clock.now_ns() + interval_ns
            await asyncio.sleep(_LAG_INTERVAL_S)
            before_ns, asleep_ns = asleep_ns, _asleep_ns()
            # The two clocks are read one after the other, so that they differ by a little each time.
            slept_ns = asleep_ns - before_ns if asleep_ns - before_ns > interval_ns else 0
            self._samples.append(max(0, self._clock.now_ns() - due) + slept_ns)

    def begin(self, trial_id: str) -> None:
        """Start watching for a trial."""
        self._open[trial_id] = len(self._samples)

    def end(self, trial_id: str) -> int | None:
        """The greatest lag since ``begin``, in nanoseconds; null when there was no sample."""
        return max(self._samples[self._open.pop(trial_id) :], default=None)

    @property
    def samples(self) -> list[int]:
        return self._samples


def _asleep_ns() -> int:
    """How long the machine has been suspended since it was started; where that is unknown, 0."""
    return 0 if _BOOT is None else time.clock_gettime_ns(_BOOT) - time.clock_gettime_ns(time.CLOCK_MONOTONIC)


def summarise_lag(samples: list[int]) -> tuple[int | None, int | None, int | None]:
    """Median, 99th percentile (nearest rank) and maximum, in nanoseconds; null without samples."""
    if not samples:
        return None, None, None
    ranked = sorted(samples)
    return round(statistics.median(ranked)), ranked[-(-99 * len(ranked) // 100) - 1], ranked[-1]
