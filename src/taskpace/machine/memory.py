"""How much memory is free: of the machine, or of the control group where that is less."""

from __future__ import annotations

from pathlib import Path

from taskpace.machine.cgroups import cgroup_folders, memory_limit, whole_number
from taskpace.machine.probe import or_none


def free_bytes(root: Path = Path("/")) -> int | None:
    """Bytes that processes can still take; null: unknown on this system."""
    return min((free for free in (_of_machine(root), _of_group(root)) if free is not None), default=None)


@or_none
def _of_machine(root: Path) -> int | None:
    lines = (root / "proc/meminfo").read_text(encoding="ascii").splitlines()
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)


@or_none
def _of_group(root: Path) -> int | None:
    """The limit less what is used, without the pages of files, which the kernel gives back when they are wanted."""
    limit = memory_limit(root)
    if limit is None:
        return None
    for folder in cgroup_folders(root, "memory"):
        for usage_name, cache_name in (("memory.current", "inactive_file"), ("memory.usage_in_bytes", "cache")):
            used = whole_number(folder / usage_name)
            if used is not None:
                return max(0, limit - used + (_stat(folder, cache_name) or 0))
    return None


@or_none
def _stat(folder: Path, name: str) -> int | None:
    for line in (folder / "memory.stat").read_text(encoding="ascii").splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    return None
