"""The limits of the control groups that this process is in (Linux, version 1 and 2)."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from taskpace.machine.probe import or_none

# cgroup version 1 writes "no limit" as a number close to 2**63.
_NO_LIMIT = 1 << 60


@cache
def cgroup_folders(root: Path, controller: str) -> list[Path]:
    """The cgroup of this process and those around it, innermost first: the smallest of their limits counts.

    Looked up once: counters are read before and after each turn, and differences are taken within one group. Inside a
    container the path that the kernel names is often not mounted; the mounted root is then its own.
    """
    for line in (root / "proc/self/cgroup").read_text(encoding="utf-8", errors="replace").splitlines():
        number, controllers, path = line.split(":", 2)
        if controller in controllers.split(","):
            mount = root / "sys/fs/cgroup" / controller
        elif number == "0" and (root / "sys/fs/cgroup/cgroup.controllers").exists():
            mount = root / "sys/fs/cgroup"
        else:
            continue
        steps = [part for part in path.split("/") if part not in ("", "..")]
        return [mount.joinpath(*steps[:count]) for count in range(len(steps), -1, -1)]
    return []


@or_none
def whole_number(path: Path) -> int | None:
    """What a file of one number says."""
    return int(path.read_text(encoding="ascii"))


@or_none
def quota_cores(root: Path) -> float | None:
    """How many processors' worth of time the group may use; null: no quota."""
    quotas = [_quota_of(folder) for folder in cgroup_folders(root, "cpu")]
    return min((quota for quota in quotas if quota is not None), default=None)


@or_none
def _quota_of(folder: Path) -> float | None:
    if (folder / "cpu.max").exists():
        quota, period = (folder / "cpu.max").read_text(encoding="ascii").split()
        return None if quota == "max" else int(quota) / int(period)
    quota_us, period_us = whole_number(folder / "cpu.cfs_quota_us"), whole_number(folder / "cpu.cfs_period_us")
    return quota_us / period_us if quota_us and period_us and quota_us > 0 else None


@or_none
def memory_limit(root: Path) -> int | None:
    """Bytes that the group may use; null: no limit."""
    found = [
        whole_number(folder / name)
        for folder in cgroup_folders(root, "memory")
        for name in ("memory.max", "memory.limit_in_bytes")
    ]
    return min((limit for limit in found if limit is not None and 0 < limit < _NO_LIMIT), default=None)
