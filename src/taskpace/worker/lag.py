"""How late the client's event loop wakes up: a client that is late does not measure the server."""

from __future__ import annotations

import asyncio
import itertools
import time
from array import array
from collections import defaultdict
from typing import NamedTuple, Self

from taskpace.machine.clock import Clock, RealClock

_INTERVAL_NS = 20_000_000
_MOST_MISSED = 100
"""Looks that a late one stands for at most. Of a longer standstill each trial shows the whole."""
_DIGITS = 10
_BINS = 1 << (_DIGITS - 1)
_BOOT = getattr(time, "CLOCK_BOOTTIME", None)
"""Linux's clock that goes on while the machine is suspended; the monotonic one stands still meanwhile."""


class Lag(NamedTuple):
    """How late the loop was, in nanoseconds; null without samples.

    Median and 99th percentile are those of the trials in flight: a sample counts once for each of them.
    """

    samples: int
    median_ns: int | None = None
    p99_ns: int | None = None
    """Nearest rank."""
    max_ns: int | None = None


class LagMonitor:
    """Samples how late the event loop wakes up. A late loop dispatches late.

    In virtual time there is no lag and nothing is sampled. Memory does not grow with time: samples are kept one by one
    only while a trial that saw them is in flight, and counted otherwise.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._counts = Histogram()
        self._recent: list[int] = []
        """Samples since the oldest trial in flight began."""
        self._first = 0
        """The number of the first of them, of all samples."""
        self._open: dict[str, int] = {}
        """How many samples there were when a trial began, in order."""
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
        asleep_ns = _asleep_ns()
        while True:
            due = self._clock.now_ns() + _INTERVAL_NS
            await asyncio.sleep(_INTERVAL_NS / 1e9)
            before_ns, asleep_ns = asleep_ns, _asleep_ns()
            # The two clocks are read one after the other, so that they differ by a little each time.
            slept_ns = asleep_ns - before_ns if asleep_ns - before_ns > _INTERVAL_NS else 0
            self.look(max(0, self._clock.now_ns() - due) + slept_ns)

    def look(self, lag_ns: int) -> None:
        """Take a look into account, and those that were due while it was late: less late by an interval each.

        Without them a standstill would count for no more than a short lag. Source: Tene, "How NOT to Measure Latency"
        (coordinated omission), and HdrHistogram's ``recordValueWithExpectedInterval``.
        """
        self.add(lag_ns)
        least_ns = max(0, lag_ns - _MOST_MISSED * _INTERVAL_NS)
        for missed_ns in range(lag_ns - _INTERVAL_NS, least_ns, -_INTERVAL_NS):
            self._counts.add(missed_ns, len(self._open) or 1)

    def add(self, lag_ns: int) -> None:
        """Take a lag into account, once for each trial in flight: the more there are, the more it makes late."""
        self._counts.add(lag_ns, len(self._open) or 1)
        if self._open:
            self._recent.append(lag_ns)
        else:
            self._first += 1

    def begin(self, trial_id: str) -> None:
        """Start watching for a trial."""
        self._open.pop(trial_id, None)  # set again, a key keeps its old place in the order
        self._open[trial_id] = self._first + len(self._recent)

    def end(self, trial_id: str) -> int | None:
        """The greatest lag since ``begin``, in nanoseconds; null when there was no sample."""
        worst = max(self._recent[self._open.pop(trial_id) - self._first :], default=None)
        oldest = next(iter(self._open.values()), self._first + len(self._recent))
        del self._recent[: oldest - self._first]
        self._first = oldest
        return worst

    def so_far(self) -> Lag:
        """All samples together."""
        return self._counts.summary()


class Histogram:
    """Counts of lags to ten binary digits (0.2 %), which bounds its memory; the greatest is exact.

    The way of HdrHistogram: the width of a bin grows with what it holds. Bins come by the octave, 4 KiB each, so that
    memory stops growing with the first few samples. A key for each lag that was seen would go on for hours.
    """

    def __init__(self) -> None:
        self._counts: defaultdict[int, array[int]] = defaultdict(_octave)
        self._samples = 0
        self._greatest = -1

    def add(self, lag_ns: int, weight: int = 1) -> None:
        """Count a lag, as if it had been seen so many times."""
        bits = max(0, lag_ns.bit_length() - _DIGITS)
        octave, at = divmod(bits * _BINS + (lag_ns >> bits), _BINS)
        self._counts[octave][at] += weight
        self._samples += 1
        self._greatest = max(self._greatest, lag_ns)

    def summary(self) -> Lag:
        """Median (of an even number the lower), 99th percentile (nearest rank) and maximum."""
        if not self._samples:
            return Lag(0)
        count = sum(map(sum, self._counts.values()))
        return Lag(self._samples, self._at(-(-count // 2)), self._at(-(-99 * count // 100)), self._greatest)

    def _at(self, rank: int) -> int:
        """The lag of that rank, from 1."""
        octaves = sorted(self._counts)
        upto = itertools.accumulate(itertools.chain.from_iterable(self._counts[octave] for octave in octaves))
        number, at = divmod(next(place for place, reached in enumerate(upto) if reached >= rank), _BINS)
        octave = octaves[number]
        bits = max(0, octave - 1)
        return (octave * _BINS + at - bits * _BINS) << bits


def _octave() -> array[int]:
    return array("Q", bytes(8 * _BINS))


def _asleep_ns() -> int:
    """How long the machine has been suspended since it was started; where that is unknown, 0."""
    return 0 if _BOOT is None else time.clock_gettime_ns(_BOOT) - time.clock_gettime_ns(time.CLOCK_MONOTONIC)
