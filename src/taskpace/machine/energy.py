"""Joules: the energy counters of this machine's GPUs and processor packages, read over windows. Never raises.

GPUs: NVML's total energy counter (``nvmlDeviceGetTotalEnergyConsumption``, millijoules since the driver was loaded;
Volta and later), through nvidia-ml-py. Processors: RAPL through Linux's powercap files (``energy_uj``, microjoules,
begins again at ``max_energy_range_uj``; https://docs.kernel.org/power/powercap/powercap.html). A package's counter
covers cores and caches, and neither memory nor the power supply.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from taskpace.telemetry import POWER_LIMIT, Covers, Reading, Window

IDLE_S = 2.0
"""How long idle power is measured before and after a cell: some twenty updates of the slowest counter."""
_PERIOD_S = 1.0
"""How often counters are read in a window: a package at 300 W begins again after 14 minutes at the earliest."""
_READABLE = "may be read by root alone: run `sudo chmod a+r /sys/class/powercap/intel-rapl:*/energy_uj`"


class Counter(Protocol):
    """A counter of energy that only grows. Its methods may raise anything."""

    name: str
    covers: Covers

    def read_j(self) -> float:
        """Joules since some moment in the past. To be called more often than the hardware's counter begins again."""
        ...

    def temperature_c(self) -> float | None:
        """Now, in degrees Celsius; null where it cannot be told."""
        ...

    def throttling(self) -> tuple[str, ...]:
        """What holds the clock back now."""
        ...


class Found(NamedTuple):
    """The counters of this machine, and why there are no others."""

    counters: tuple[Counter, ...]
    missing: tuple[str, ...]


def find(root: Path = Path("/")) -> Found:
    """All counters that can be read. ``root``: of the file system."""
    gpus, why_no_gpu = _gpus()
    packages, why_no_package = _packages(root / "sys/class/powercap")
    return Found((*gpus, *packages), tuple(why for why in (why_no_gpu, why_no_package) if why))


class Spent(NamedTuple):
    """One counter between two moments."""

    joules: float
    seconds: float
    temperature_max_c: float | None
    throttling: tuple[str, ...]


class Meter:
    """Reads all counters from ``begin`` to ``end``, with a thread that looks once a second in between."""

    def __init__(self, found: Found, now_s: Callable[[], float] = time.perf_counter) -> None:
        self.found = found
        self._now_s = now_s
        self._watches: list[_Watch] = []
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Start to count."""
        self._watches = [_Watch(counter, self._now_s) for counter in self.found.counters]
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._watch, args=(self._ending,), name="taskpace-energy", daemon=True)
        self._thread.start()

    def end(self) -> list[Spent | None]:
        """What was spent since ``begin``, counter by counter; null for one that could not be read."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join()
        return [watch.end() for watch in self._watches]

    async def rest(self) -> list[Spent | None]:
        """Two seconds in which nothing is asked of the model; at once where there is no counter."""
        self.begin()
        if self.found.counters:
            await asyncio.sleep(IDLE_S)
        return self.end()

    def window(
        self,
        trials: int,
        before: Sequence[Spent | None],
        during: Sequence[Spent | None],
        after: Sequence[Spent | None],
    ) -> Window:
        """What is recorded of ``trials``: the energy of the second of three measurements.

        The first and the third may be empty: then the power at rest is unknown there.
        """
        missing = list(self.found.missing)
        readings = []
        unknown = [None] * len(self.found.counters)
        for counter, idle_before, spent, idle_after in zip(
            self.found.counters, before or unknown, during, after or unknown, strict=True
        ):
            if spent is None:
                missing.append(f"{counter.name} could not be read while the trials ran: run again")
                continue
            readings.append(
                Reading(
                    name=counter.name,
                    covers=counter.covers,
                    joules=spent.joules,
                    idle_before_w=_power_w(idle_before),
                    idle_after_w=_power_w(idle_after),
                    temperature_max_c=spent.temperature_max_c,
                    throttling=spent.throttling,
                )
            )
        seconds = max((spent.seconds for spent in during if spent is not None), default=0.0)
        return Window(trials=trials, seconds=seconds, readings=tuple(readings), missing=tuple(missing))

    def _watch(self, ending: threading.Event) -> None:
        while not ending.wait(_PERIOD_S):
            for watch in self._watches:
                watch.look()


def _power_w(spent: Spent | None) -> float | None:
    return None if spent is None or spent.seconds <= 0 else spent.joules / spent.seconds


class _Watch:
    """One counter from now on; a counter that fails once is lost for the window."""

    def __init__(self, counter: Counter, now_s: Callable[[], float]) -> None:
        self._counter = counter
        self._now_s = now_s
        self._broken = False
        self._hottest: float | None = None
        self._throttling: dict[str, None] = {}
        self._begun_s = now_s()
        self._begun_j = self._last_j = self._read_j()

    def look(self) -> None:
        self._last_j = self._read_j()
        try:
            temperature, throttling = self._counter.temperature_c(), self._counter.throttling()
        except Exception:  # noqa: BLE001 - a driver may raise anything, and joules are worth having without it
            return
        if temperature is not None:
            self._hottest = max(temperature, temperature if self._hottest is None else self._hottest)
        self._throttling |= dict.fromkeys(throttling)

    def end(self) -> Spent | None:
        seconds = self._now_s() - self._begun_s
        self.look()
        if self._broken:
            return None
        return Spent(self._last_j - self._begun_j, seconds, self._hottest, tuple(self._throttling))

    def _read_j(self) -> float:
        try:
            return self._counter.read_j()
        except Exception:  # noqa: BLE001 - as above
            self._broken = True
            return 0.0


class _Package:
    """One processor package, by its powercap folder."""

    covers: Covers = "CPU package"

    def __init__(self, folder: Path, name: str) -> None:
        self.name = f"CPU {name}"
        self._energy = folder / "energy_uj"
        self._range_uj = int((folder / "max_energy_range_uj").read_text())
        self._last_uj = int(self._energy.read_text())
        self._rounds = 0

    def read_j(self) -> float:
        now_uj = int(self._energy.read_text())
        self._rounds += now_uj < self._last_uj
        self._last_uj = now_uj
        return (self._rounds * self._range_uj + now_uj) / 1e6

    def temperature_c(self) -> float | None:
        return None

    def throttling(self) -> tuple[str, ...]:
        return ()


def _packages(powercap: Path) -> tuple[list[Counter], str]:
    """Whole packages: parts of them (cores, memory) would be counted twice, and so would the platform (psys)."""
    found: list[Counter] = []
    why = "CPU package: this machine shows no RAPL counter (virtual machines hide it; on a Linux machine see that the "
    why += f"module intel_rapl_common is loaded and {powercap} is there)"
    try:
        folders = sorted(powercap.glob("intel-rapl:*"))
    except OSError:
        folders = []
    for folder in folders:
        try:
            name = (folder / "name").read_text().strip()
            if folder.name.count(":") == 1 and name.startswith("package"):
                found.append(_Package(folder, name))
        except PermissionError:
            why = f"CPU package: its RAPL counter {_READABLE}"
        except (OSError, ValueError):
            continue
    return found, "" if found else why


_HELD_BACK = {
    "SwPowerCap": POWER_LIMIT,
    "HwSlowdown": "hardware slowdown",
    "SwThermalSlowdown": "heat (driver)",
    "HwThermalSlowdown": "heat (hardware)",
    "HwPowerBrakeSlowdown": "power brake",
}
"""NVML's reasons that the workload did not choose itself, in words."""


class _Gpu:
    """One GPU, through NVML."""

    covers: Covers = "GPU"

    def __init__(self, nvml: Any, handle: Any, number: int) -> None:
        self._nvml, self._handle = nvml, handle
        name = nvml.nvmlDeviceGetName(handle)
        self.name = f"GPU {number}: {name.decode() if isinstance(name, bytes) else name}"
        self.read_j()

    def read_j(self) -> float:
        millijoules: int = self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle)
        return millijoules / 1e3

    def temperature_c(self) -> float | None:
        return float(self._nvml.nvmlDeviceGetTemperature(self._handle, self._nvml.NVML_TEMPERATURE_GPU))

    def throttling(self) -> tuple[str, ...]:
        now = self._nvml.nvmlDeviceGetCurrentClocksThrottleReasons(self._handle)
        names = {name: getattr(self._nvml, f"nvmlClocksThrottleReason{name}", 0) for name in _HELD_BACK}
        return tuple(words for name, words in _HELD_BACK.items() if now & names[name])


def _gpus() -> tuple[list[Counter], str]:
    try:
        import pynvml
    except ImportError:
        return [], "GPU: nvidia-ml-py is not installed (extra energy): `taskpace doctor` shows how to install it"
    try:
        pynvml.nvmlInit()
        chosen = _visible(pynvml, os.environ.get("CUDA_VISIBLE_DEVICES"))
    except pynvml.NVMLError as exc:
        return [], f"GPU: none that NVML can see ({exc})"
    found: list[Counter] = []
    why = "GPU: CUDA_VISIBLE_DEVICES names none" if not chosen else ""
    for number, handle in chosen:
        try:
            found.append(_Gpu(pynvml, handle, number))
        except pynvml.NVMLError as exc:
            why = f"GPU: no energy counter, which cards have from Volta on ({exc})"
    return found, why


def _visible(nvml: Any, said: str | None) -> list[tuple[int, Any]]:
    """The GPUs that this process may use; ``CUDA_VISIBLE_DEVICES`` has numbers or identifiers, up to a wrong one."""
    count = nvml.nvmlDeviceGetCount()
    every = [(number, nvml.nvmlDeviceGetHandleByIndex(number)) for number in range(count)]
    if said is None:
        return every
    chosen = []
    for word in (part.strip() for part in said.split(",")):
        if word.isdigit() and int(word) < count:
            chosen.append(every[int(word)])
        elif word.startswith("GPU-"):
            chosen += [each for each in every if _uuid(nvml, each[1]).startswith(word)]
        else:
            break
    return chosen


def _uuid(nvml: Any, handle: Any) -> str:
    said = nvml.nvmlDeviceGetUUID(handle)
    return said.decode() if isinstance(said, bytes) else str(said)
