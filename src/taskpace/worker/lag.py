"""How late the client's event loop wakes up: a client that is late does not measure the server."""

from __future__ import annotations

import asyncio
import statistics
from typing import Self

from taskpace.machine.clock import Clock, RealClock

_LAG_INTERVAL_S = 0.02


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
        while True:
            due = self._clock.now_ns() + interval_ns
            await asyncio.sleep(_LAG_INTERVAL_S)
            self._samples.append(max(0, self._clock.now_ns() - due))

    def begin(self, trial_id: str) -> None:
        """Start watching for a trial."""
        self._open[trial_id] = len(self._samples)

    def end(self, trial_id: str) -> int | None:
        """The greatest lag since ``begin``, in nanoseconds; null when there was no sample."""
        return max(self._samples[self._open.pop(trial_id) :], default=None)

    @property
    def samples(self) -> list[int]:
        return self._samples


def summarise_lag(samples: list[int]) -> tuple[int | None, int | None, int | None]:
    """Median, 99th percentile (nearest rank) and maximum, in nanoseconds; null without samples."""
    if not samples:
        return None, None, None
    ranked = sorted(samples)
    return round(statistics.median(ranked)), ranked[-(-99 * len(ranked) // 100) - 1], ranked[-1]
