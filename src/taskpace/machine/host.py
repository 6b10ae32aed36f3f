"""The machine and the versions a run was made with. Nothing here raises: what cannot be known is None.

The machine's name, its users and its serial numbers are left out on purpose: reports get published.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import msgspec

from taskpace.installing import install_command
from taskpace.machine.cgroups import cgroup_folders, memory_limit, quota_cores
from taskpace.machine.probe import or_none

LIBRARIES = (
    *("msgspec", "polars", "numpy", "click", "rich", "jinja2", "filelock", "platformdirs", "altair"),
    *("xllamacpp", "huggingface_hub", "transformers", "torch", "tokenizers", "accelerate"),
    *("bitsandbytes", "torchao", "vllm", "aiohttp", "httptools", "uvloop", "nvidia-ml-py", "ray"),
)
_VERSION = re.compile(r"^Version: *(\S+)", re.MULTILINE)
"""In a distribution's core metadata."""
_PROBE_LIMIT_S = 5.0
# A plain string: a type checker takes sys.platform for its own, and the code for others for unreachable.
_SYSTEM: str = sys.platform


class Gpu(msgspec.Struct, frozen=True, kw_only=True):
    """One graphics processor, as its driver names it."""

    name: str
    memory_bytes: int | None
    driver: str | None


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """The machine and the software. ``usable_cores``, what affinity and quota leave, may be a fraction."""

    platform: str | None
    kernel: str | None
    python: str | None
    cpu: str | None
    physical_cores: int | None
    logical_cores: int | None
    usable_cores: float | None
    cpu_governor: str | None
    virtualised: bool | None
    memory_total_bytes: int | None
    gpus: tuple[Gpu, ...]
    taskpace: str | None
    libraries: dict[str, str | None]


class ClockResolution(msgspec.Struct, frozen=True, kw_only=True):
    """What the clock can resolve. ``read_cost_ns`` is the median cost of a reading, the loop included."""

    clock: str
    declared_resolution_ns: float | None
    read_cost_ns: float | None
    smallest_step_ns: int | None


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """Counters to be read before and after a run; the difference shows what others took meanwhile.

    ``steal_ticks`` of ``cpu_ticks`` went to other virtual machines; ``throttled_ns`` is how long the quota of
    this process's cgroup held it back. ``load_*`` are the load averages over 1, 5 and 15 minutes.
    """

    steal_ticks: int | None
    cpu_ticks: int | None
    throttled_ns: int | None
    load_1: float | None
    load_5: float | None
    load_15: float | None


class Extra(msgspec.Struct, frozen=True, kw_only=True):
    """An optional part of taskpace: the libraries it needs, and whether all of them are installed."""

    name: str
    enables: str
    libraries: tuple[str, ...]
    installed: bool
    install: str


# name -> (what it enables, distributions); a test holds this against pyproject.toml.
_EXTRAS = {
    "llamacpp": ("run GGUF models in this process, the default engine", ("xllamacpp",)),
    "charts": ("charts and the HTML report", ("altair", "vl-convert-python")),
    "hub": ("fetch models from the Hugging Face hub (hf:owner/repo/file)", ("huggingface_hub",)),
    "transformers": (
        "run hub models in this process, in static batches; compare tokenizers",
        ("accelerate", "bitsandbytes", "gguf", "torch", "transformers"),
    ),
    "quality": (
        "grade translations, summaries, JSON and meaning: the tasks translate, summarise, extract",
        ("jsonschema", "model2vec", "rouge-score", "sacrebleu"),
    ),
    "energy": ("joules per task on NVIDIA cards (processor packages need nothing)", ("nvidia-ml-py",)),
    "import": ("read logs of Inspect that are compressed", ("zstandard",)),
    "prices": ("prices of providers' models by name: dollars per task", ("genai-prices",)),
    "ray": ("deal a run out over many machines (taskpace run --ray)", ("ray",)),
}


def describe() -> Host:
    """The machine and the versions of what matters here. Takes milliseconds; seconds if a driver sleeps."""
    return _describe(Path("/"))


def usable_cores() -> float | None:
    """Cores that affinity and the control group's quota leave to this process; may be a fraction."""
    return _usable_cores(Path("/"))


def clock_resolution() -> ClockResolution:
    """The resolution of the clock that all durations are measured with, measured here and now."""
    declared = _declared_resolution_ns()
    return ClockResolution(
        clock="perf_counter",
        declared_resolution_ns=declared,
        read_cost_ns=_read_cost_ns(),
        smallest_step_ns=_smallest_step_ns(),
    )


def steal_and_load() -> Load:
    """The counters as they stand now; None each where the system has none."""
    return _load(Path("/"))


def peak_rss_bytes(pid: int | None = None) -> int | None:
    """The most memory that a process has had resident, in bytes; this process unless ``pid`` says another."""
    return _peak_of(Path("/"), os.getpid() if pid is None else pid) or (_own_peak() if pid is None else None)


def reset_peak_rss() -> None:
    """Begin to count this process's peak again, where the system lets one (Linux); elsewhere it goes on."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_bytes(b"5")


def extras() -> tuple[Extra, ...]:
    """Every optional part of taskpace, with what is installed of it."""
    return tuple(
        Extra(
            name=name,
            enables=enables,
            libraries=libraries,
            installed=all(_version(library) for library in libraries),
            install=install_command(libraries, name),
        )
        for name, (enables, libraries) in _EXTRAS.items()
    )


def _describe(root: Path) -> Host:
    import platform

    return Host(
        platform=or_none(platform.platform)(),
        kernel=or_none(platform.release)(),
        python=_python(),
        cpu=_cpu(root),
        physical_cores=_physical_cores(root),
        logical_cores=os.cpu_count(),
        usable_cores=_usable_cores(root),
        cpu_governor=_governor(root),
        virtualised=_virtualised(root),
        memory_total_bytes=_memory_total(root),
        gpus=_gpus() or (),
        taskpace=_version("taskpace"),
        libraries={name: _version(name) for name in LIBRARIES},
    )


@or_none
def _python() -> str:
    import platform

    return f"{platform.python_implementation()} {platform.python_version()}"


@cache
@or_none
def _version(distribution: str) -> str | None:
    from importlib import metadata  # slow to import

    found = metadata.distribution(distribution)
    # Of some hundred lines one is wanted: all are parsed as an e-mail otherwise, which takes longer than finding them.
    stated = _VERSION.search(found.read_text("METADATA") or "")
    return stated[1] if stated else found.version


def _cpuinfo(root: Path) -> str:
    return (root / "proc/cpuinfo").read_text(encoding="utf-8", errors="replace")


def _values(cpuinfo: str, key: str) -> list[str]:
    pairs = (line.partition(":") for line in cpuinfo.splitlines())
    return [value.strip() for name, _, value in pairs if name.strip() == key]


@or_none
def _cpu(root: Path) -> str | None:
    import platform

    if _SYSTEM == "darwin":
        return _output("sysctl", "-n", "machdep.cpu.brand_string")
    if _SYSTEM == "win32":
        return platform.processor() or None
    text = _cpuinfo(root)
    names = _values(text, "model name") or _values(text, "Model") or [platform.processor() or platform.machine()]
    return names[0] or None


@or_none
def _physical_cores(root: Path) -> int | None:
    if _SYSTEM == "darwin":
        return int(_output("sysctl", "-n", "hw.physicalcpu") or "") or None
    cpus = (root / "sys/devices/system/cpu").glob("cpu[0-9]*/topology/thread_siblings_list")
    # Threads of one core all name the same siblings.
    return len({path.read_text(encoding="ascii") for path in cpus}) or None


@or_none
def _usable_cores(root: Path) -> float | None:
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    limits = [limit for limit in (affinity, quota_cores(root)) if limit is not None]
    return float(min(limits)) if limits else None


@or_none
def _governor(root: Path) -> str | None:
    paths = (root / "sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_governor")
    return ", ".join(sorted({path.read_text(encoding="ascii").strip() for path in paths})) or None


@or_none
def _virtualised(root: Path) -> bool | None:
    flags = _values(_cpuinfo(root), "flags")
    if flags:
        return "hypervisor" in flags[0].split()
    # Other processors than x86 have no such flag; a guest may still say so elsewhere, a host shows nothing.
    return True if (root / "sys/hypervisor/type").exists() else None


@or_none
def _memory_total(root: Path) -> int | None:
    amounts = [amount for amount in (_machine_memory(root), memory_limit(root)) if amount is not None]
    return min(amounts, default=None)


@or_none
def _machine_memory(root: Path) -> int | None:
    meminfo = root / "proc/meminfo"
    if meminfo.exists():
        lines = meminfo.read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemTotal:"))
    sysconf: Callable[[str], int] | None = getattr(os, "sysconf", None)  # not on every system
    return sysconf("SC_PHYS_PAGES") * sysconf("SC_PAGE_SIZE") if sysconf else None


@or_none
def _gpus() -> tuple[Gpu, ...]:
    output = _output("nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader,nounits")
    return tuple(_gpu(line) for line in (output or "").splitlines() if line.count(",") >= 2)


def has_gpu() -> bool:
    """Whether this machine has a GPU that the NVIDIA driver knows."""
    return bool(_gpus())


def gpu_memory_bytes() -> int | None:
    """Of the smallest GPU; null: none, or the driver does not say."""
    return min((gpu.memory_bytes for gpu in _gpus() or () if gpu.memory_bytes is not None), default=None)


def _gpu(line: str) -> Gpu:
    name, memory, driver = (field.strip() for field in line.rsplit(",", 2))
    mebibytes = int(memory) if memory.isdecimal() else None
    return Gpu(
        name=name,
        memory_bytes=None if mebibytes is None else mebibytes << 20,
        driver=driver if driver and not driver.startswith("[") else None,
    )


@or_none
def _output(program: str, *arguments: str) -> str | None:
    """What a program prints, if it is on PATH, succeeds, and is done in time."""
    import shutil
    import subprocess

    found = shutil.which(program)
    if found is None:
        return None
    done = subprocess.run(  # noqa: S603  # a fixed command
        [found, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=_PROBE_LIMIT_S,
        check=True,
    )
    return done.stdout.strip() or None


def _load(root: Path) -> Load:
    ticks = _cpu_ticks(root)
    loads = _load_averages(root) or (None, None, None)
    return Load(
        steal_ticks=ticks[0] if ticks else None,
        cpu_ticks=ticks[1] if ticks else None,
        throttled_ns=_throttled_ns(root),
        load_1=loads[0],
        load_5=loads[1],
        load_15=loads[2],
    )


@or_none
def _cpu_ticks(root: Path) -> tuple[int, int]:
    with (root / "proc/stat").open(encoding="ascii") as file:
        name, *ticks = file.readline().split()
    if name != "cpu":
        raise ValueError(name)
    # user nice system idle iowait irq softirq steal; what follows (guest) is counted in user already.
    counted = [int(tick) for tick in ticks[:8]]
    return counted[7], sum(counted)


@or_none
def _load_averages(root: Path) -> tuple[float, float, float]:
    first, second, third, *_ = (root / "proc/loadavg").read_text(encoding="ascii").split()
    return float(first), float(second), float(third)


@or_none
def _throttled_ns(root: Path) -> int | None:
    text = (cgroup_folders(root, "cpu")[0] / "cpu.stat").read_text(encoding="ascii")
    counters = dict(line.split() for line in text.splitlines())
    if "throttled_usec" in counters:
        return int(counters["throttled_usec"]) * 1000
    return int(counters["throttled_time"])


@or_none
def _peak_of(root: Path, pid: int) -> int | None:
    text = (root / f"proc/{int(pid)}/status").read_text(encoding="utf-8", errors="replace")
    return next(int(line.split()[1]) * 1024 for line in text.splitlines() if line.startswith("VmHWM:"))


@or_none
def _own_peak() -> int | None:
    from importlib import import_module

    resource = import_module("resource")  # not on every system
    peak = int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return peak if _SYSTEM == "darwin" else peak * 1024


@or_none
def _declared_resolution_ns() -> float:
    return time.get_clock_info("perf_counter").resolution * 1e9


@or_none
def _read_cost_ns() -> float:
    now, readings, batches = time.perf_counter_ns, 100, 51
    costs = []
    for _ in range(batches):
        start = now()
        for _ in range(readings):
            now()
        costs.append((now() - start) / (readings + 1))
    return sorted(costs)[batches // 2]


@or_none
def _smallest_step_ns() -> int | None:
    now = time.perf_counter_ns
    stamps = [now() for _ in range(5000)]
    return min((b - a for a, b in itertools.pairwise(stamps) if b > a), default=None)
