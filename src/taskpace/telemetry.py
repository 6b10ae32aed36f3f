"""What is recorded of the measuring itself: the harness's own cost, how the client fared, and energy read meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

Covers = Literal["GPU", "CPU package"]
POWER_LIMIT = "power limit"


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """What measuring costs by itself, in this process on this machine. Nanoseconds."""

    clock_read_ns: float
    """Mean cost of one clock reading."""
    clock_step_ns: int
    """Smallest step between two different readings."""
    harness_median_ns: int
    """Task time of an engine that answers at once: what the harness adds to a trial."""
    harness_p99_ns: int
    trials: int


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What one counter reports about a window."""

    name: str
    covers: Covers
    joules: float
    """Gross, from the window's begin to its end."""
    idle_before_w: float | None
    """Mean power before the window, with the model loaded and nothing to do."""
    idle_after_w: float | None
    """Mean power after the window, with the model loaded and nothing to do."""
    temperature_max_c: float | None
    """The greatest that was seen, once a second."""
    throttling: tuple[str, ...]
    """What held the clock back at any of those moments."""


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """The energy of some trials, and what could not be read."""

    trials: int
    """How many were finished in it."""
    seconds: float
    readings: tuple[Reading, ...] = ()
    missing: tuple[str, ...] = ()
    """Why a kind of counter shows nothing, with the remedy."""


class ClockOffset(msgspec.Struct, frozen=True, kw_only=True):
    """How far a machine's monotonic clock is ahead of another's, from messages between them. Nanoseconds."""

    offset_ns: int
    error_ns: int
    """The true offset is at most so far from that."""


class ClientMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """How the client itself fared over a segment: an uninterrupted part of one cell."""

    loop_lag_median_ns: int | None
    """How late the event loop woke up; as the 99th percentile, each look once for each trial in flight."""
    loop_lag_p99_ns: int | None
    loop_lag_max_ns: int | None
    lag_samples: int
    """Looks at the event loop, each once."""
    client_cpu_ns: int
    """CPU time of the whole worker process; for an engine in process that includes the model's own."""
    wall_ns: int
    peak_rss_bytes: int | None
    """The most that the process had resident meanwhile; where that cannot be told, since its start."""
    steal_ticks: int | None
    """Processor time that the hypervisor gave to others meanwhile, of ``cpu_ticks`` in all."""
    cpu_ticks: int | None
    throttled_ns: int | None
    """Time that the control group's quota held this process's group back meanwhile."""
    device_peak_bytes: int | None = None
    """The most memory of a GPU that the engine had in use meanwhile; null without one."""
    processes: int = 1
    """How many shared the load; times and memory are of all together, lags of the worst."""
    energy: Window | None = None
    """Null: it was not asked for."""
    node: int | None = None
    """Of a load that several nodes of a cluster shared: which of them. Null: one machine had it."""
    clock: ClockOffset | None = None
    """Of that node: what has been taken off its readings, so that what it observed is on the driver's clock."""


def worst(parts: Sequence[ClientMetrics], name: str) -> int | None:
    """The greatest of one metric over parts; null where none of them knows it."""
    return max((value for part in parts if (value := getattr(part, name)) is not None), default=None)


def joined(parts: Sequence[ClientMetrics]) -> ClientMetrics:
    """How the client fared over parts of a cell that one worker carried out one after the other; at least one.

    Times are sums, lags, memory and the clock those of the worst part.
    """
    if len(parts) == 1:
        return parts[0]

    def total(name: str) -> int | None:
        found = [getattr(part, name) for part in parts]
        return None if None in found else sum(found)

    return ClientMetrics(
        **{name: worst(parts, name) for name in _WORST},
        **{name: total(name) for name in _TOTAL_IF_KNOWN},
        lag_samples=sum(part.lag_samples for part in parts),
        client_cpu_ns=sum(part.client_cpu_ns for part in parts),
        wall_ns=sum(part.wall_ns for part in parts),
        processes=parts[0].processes,
        energy=_joined_windows([part.energy for part in parts if part.energy is not None]),
        node=parts[0].node,
        clock=max((part.clock for part in parts if part.clock), key=lambda clock: clock.error_ns, default=None),
    )


_WORST = ("loop_lag_median_ns", "loop_lag_p99_ns", "loop_lag_max_ns", "peak_rss_bytes", "device_peak_bytes")
_TOTAL_IF_KNOWN = ("steal_ticks", "cpu_ticks", "throttled_ns")


def _joined_windows(windows: Sequence[Window]) -> Window | None:
    """Energy of each system's own trials: what lies between its turns is the others', and was not counted.

    The power at rest is that before the first and after the last.
    """
    if not windows:
        return None
    readings = [
        tuple(reading for window in windows for reading in window.readings if reading.name == name)
        for name in dict.fromkeys(reading.name for window in windows for reading in window.readings)
    ]
    return Window(
        trials=sum(window.trials for window in windows),
        seconds=sum(window.seconds for window in windows),
        readings=tuple(_joined_readings(each) for each in readings if len(each) == len(windows)),
        missing=tuple(dict.fromkeys(word for window in windows for word in window.missing)),
    )


def _joined_readings(readings: Sequence[Reading]) -> Reading:
    temperatures = [each.temperature_max_c for each in readings if each.temperature_max_c is not None]
    return msgspec.structs.replace(
        readings[0],
        joules=sum(each.joules for each in readings),
        idle_before_w=next((each.idle_before_w for each in readings if each.idle_before_w is not None), None),
        idle_after_w=next((each.idle_after_w for each in reversed(readings) if each.idle_after_w is not None), None),
        temperature_max_c=max(temperatures, default=None),
        throttling=tuple(dict.fromkeys(word for each in readings for word in each.throttling)),
    )
