"""What is recorded of the measuring itself: the harness's own cost, how the client fared, and energy read meanwhile."""

from __future__ import annotations

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
    """What one counter says of a window."""

    name: str
    covers: Covers
    joules: float
    """Gross, from the window's begin to its end."""
    idle_before_w: float | None
    """Mean power before the window, with the model loaded and nothing to do."""
    idle_after_w: float | None
    """The same after it."""
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
    """Why a kind of counter says nothing, with the remedy."""


class ClientMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """How the client itself fared over a segment: an unbroken stretch of one cell."""

    loop_lag_median_ns: int | None
    loop_lag_p99_ns: int | None
    loop_lag_max_ns: int | None
    lag_samples: int
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
