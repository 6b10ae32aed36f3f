from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from taskpace.machine import cgroups, host

PYPROJECT = Path(__file__).parent.parent / "pyproject.toml"


def plant(root, files):
    """A made-up machine: its files under ``root``."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


X86 = "processor : 0\nmodel name : Some CPU\nflags : fpu hypervisor sse\n\nprocessor : 1\nmodel name : Some CPU\n"


def test_this_machine_is_described_and_can_be_stored():
    """The description of the machine at hand is sound and survives JSON."""
    described = host.describe()
    assert described.python.endswith(".".join(map(str, sys.version_info[:3])))
    assert 0 < described.usable_cores <= described.logical_cores
    assert described.memory_total_bytes > 1 << 20
    assert described.libraries["msgspec"] == msgspec.__version__
    assert msgspec.json.decode(msgspec.json.encode(described), type=host.Host) == described


def test_the_machines_name_is_left_out():
    """Neither the host's name nor the user's home is in a description, because reports get published."""
    text = msgspec.json.encode(host.describe()).decode()
    name = socket.gethostname()
    assert len(name) < 5 or name not in text
    assert str(Path.home()) not in text


def test_an_unknown_machine_is_none_throughout(tmp_path, monkeypatch):
    """Where nothing can be read, everything is None and nothing raises."""
    monkeypatch.setenv("PATH", str(tmp_path))
    described = host._describe(tmp_path)
    assert (described.cpu, described.physical_cores, described.cpu_governor, described.virtualised) == (None,) * 4
    assert described.gpus == ()
    unknown = host.Load(steal_ticks=None, cpu_ticks=None, throttled_ns=None, load_1=None, load_5=None, load_15=None)
    assert host._load(tmp_path) == unknown
    assert host._peak_of(tmp_path, 1) is None


PATHS = (
    *("proc/cpuinfo", "proc/meminfo", "proc/stat", "proc/loadavg", "proc/self/cgroup", "proc/1/status"),
    *("sys/fs/cgroup/cpu.max", "sys/fs/cgroup/cpu.stat", "sys/fs/cgroup/memory.max"),
    *("sys/fs/cgroup/cgroup.controllers", "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(
        st.sampled_from([b"", b"\xff\xfe", b"0::/\n", b"cpu 1 2\n", b"MemTotal: x kB\n", b"max -1", b":"]), min_size=11
    )
)
def test_garbage_never_raises(tmp_path, contents):
    """Whatever the system's files hold, a description comes back."""
    for name, content in zip(PATHS, contents, strict=False):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    assert isinstance(host._describe(tmp_path), host.Host)
    assert isinstance(host._load(tmp_path), host.Load)
    assert host._peak_of(tmp_path, 1) is None


def test_a_linux_machine_is_read(tmp_path):
    """Processor, cores, governor, memory and the hypervisor's flag come from the kernel's files."""
    cpu = "sys/devices/system/cpu"
    files = {"proc/cpuinfo": X86, "proc/meminfo": "MemFree: 5 kB\nMemTotal: 2048 kB\n"}
    for number in range(4):
        files[f"{cpu}/cpu{number}/topology/thread_siblings_list"] = f"{number % 2},{number % 2 + 2}\n"
        files[f"{cpu}/cpu{number}/cpufreq/scaling_governor"] = "performance\n"
    described = host._describe(plant(tmp_path, files))
    assert described.physical_cores == 2
    assert described.cpu_governor == "performance"
    if sys.platform == "linux":
        assert described.cpu == "Some CPU"
    assert described.virtualised is True
    assert described.memory_total_bytes == 2048 * 1024


@pytest.mark.parametrize(
    ("cpuinfo", "files", "expected"),
    [
        (X86, {}, True),
        (X86.replace("hypervisor ", ""), {}, False),
        ("processor : 0\nFeatures : fp asimd\n", {}, None),
        ("processor : 0\nFeatures : fp asimd\n", {"sys/hypervisor/type": "xen"}, True),
    ],
)
def test_a_guest_is_told_from_a_host(tmp_path, cpuinfo, files, expected):
    """Virtualised is true or false only where the processor says so, else unknown."""
    assert host._virtualised(plant(tmp_path, {"proc/cpuinfo": cpuinfo, **files})) is expected


def test_limits_of_cgroup_2_count(tmp_path):
    """Of this process's cgroup and those around it, the smallest limit counts; max is none."""
    base = "sys/fs/cgroup"
    files = {
        "proc/self/cgroup": "0::/outer/inner\n",
        "proc/meminfo": "MemTotal: 1000000 kB\n",
        f"{base}/cgroup.controllers": "cpu memory\n",
        f"{base}/outer/inner/cpu.max": "max 100000\n",
        f"{base}/outer/cpu.max": "50000 100000\n",
        f"{base}/outer/inner/memory.max": "4096\n",
        f"{base}/outer/memory.max": "max\n",
        f"{base}/outer/inner/cpu.stat": "usage_usec 5\nthrottled_usec 7\n",
    }
    plant(tmp_path, files)
    assert host._usable_cores(tmp_path) == 0.5
    assert host._memory_total(tmp_path) == 4096
    assert host._throttled_ns(tmp_path) == 7000


def test_limits_of_cgroup_1_count(tmp_path):
    """The older layout is read too, also in a container where the named path is not mounted."""
    base = "sys/fs/cgroup"
    files = {
        "proc/self/cgroup": "4:memory:/not/mounted\n3:cpu,cpuacct:/\n0::/\n",
        "proc/meminfo": "MemTotal: 1000000 kB\n",
        f"{base}/cpu/cpu.cfs_quota_us": "25000\n",
        f"{base}/cpu/cpu.cfs_period_us": "100000\n",
        f"{base}/cpu/cpu.stat": "nr_periods 1\nthrottled_time 9\n",
        f"{base}/memory/memory.limit_in_bytes": "8192\n",
    }
    plant(tmp_path, files)
    assert host._usable_cores(tmp_path) == 0.25
    assert host._memory_total(tmp_path) == 8192
    assert host._throttled_ns(tmp_path) == 9
    plant(
        tmp_path, {f"{base}/cpu/cpu.cfs_quota_us": "-1\n", f"{base}/memory/memory.limit_in_bytes": f"{2**63 - 4096}\n"}
    )
    assert cgroups.quota_cores(tmp_path) is None
    assert host._memory_total(tmp_path) == 1000000 * 1024


def test_steal_and_load_are_read(tmp_path):
    """Steal is the eighth counter of the first line, and guest time is not counted twice."""
    plant(tmp_path, {"proc/stat": "cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 1\n", "proc/loadavg": "0.5 1.5 2.5 1/99 42\n"})
    load = host._load(tmp_path)
    assert (load.steal_ticks, load.cpu_ticks) == (8, 36)
    assert (load.load_1, load.load_5, load.load_15) == (0.5, 1.5, 2.5)


def test_steal_and_load_of_this_machine_never_run_backwards():
    """Two readings of the counters at hand are in order."""
    before, after = host.steal_and_load(), host.steal_and_load()
    assert (before.cpu_ticks or 0) <= (after.cpu_ticks or 0)
    assert (before.steal_ticks or 0) <= (after.steal_ticks or 0)


@pytest.fixture
def fake_smi(tmp_path, monkeypatch):
    if os.name != "posix":
        pytest.skip("the stand-in is a shell script")

    def make(script):
        path = tmp_path / "nvidia-smi"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    return make


def test_gpus_are_read(fake_smi):
    """Each line of nvidia-smi is a GPU; what it does not know is None."""
    fake_smi("echo 'NVIDIA H200, 143771, 550.90'; echo 'Odd, name, [N/A], [N/A]'")
    assert host._gpus() == (
        host.Gpu(name="NVIDIA H200", memory_bytes=143771 << 20, driver="550.90"),
        host.Gpu(name="Odd, name", memory_bytes=None, driver=None),
    )


@pytest.mark.parametrize("script", ["exit 9", "echo; echo No devices were found", "exec sleep 600"])
def test_a_gpu_tool_that_fails_is_no_gpu(fake_smi, monkeypatch, script):
    """A driver that fails, finds nothing or hangs leaves the list empty."""
    monkeypatch.setattr(host, "_PROBE_LIMIT_S", 0.2)
    fake_smi(script)
    assert (host._gpus() or ()) == ()


def test_the_clock_is_measured():
    """The clock's declared resolution, cost and smallest step are positive."""
    clock = host.clock_resolution()
    assert clock.declared_resolution_ns > 0
    assert clock.read_cost_ns > 0
    assert clock.smallest_step_ns > 0


def test_peak_memory_of_this_and_other_processes():
    """The peak of this process and of a child is known, that of a process that is not there is None."""
    assert host.peak_rss_bytes() > 1 << 20
    assert host.peak_rss_bytes(2**30) is None
    assert host.peak_rss_bytes(-1) is None
    if sys.platform == "linux":
        with subprocess.Popen([sys.executable, "-c", "print(1, flush=True); input()"], stdin=-1, stdout=-1) as child:
            child.stdout.readline()
            assert host.peak_rss_bytes(child.pid) > 1 << 20
            child.communicate(b"\n")


def test_the_table_of_extras_is_the_projects_own():
    """Every extra that pyproject.toml declares is in the table, with the same libraries, and no other."""
    declared = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    names = {
        extra: tuple(re.match(r"[\w.-]+", line)[0] for line in lines)
        for extra, lines in declared.items()
        if extra not in ("all", "dev", "docs")
    }
    assert {extra.name: extra.libraries for extra in host.extras()} == names


def test_an_extra_says_whether_it_is_installed(monkeypatch):
    """An extra counts as installed when all of its libraries are, and names the command that installs it."""
    monkeypatch.setattr(host, "_EXTRAS", {"a": ("one", ("msgspec",)), "b": ("two", ("msgspec", "no-such-library"))})
    there, missing = host.extras()
    assert (there.installed, missing.installed) == (True, False)
    assert missing.install.endswith("-m pip install msgspec no-such-library")
    assert missing.enables == "two"
