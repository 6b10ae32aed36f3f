"""Folders that are made once for a whole test run, whichever worker of pytest-xdist comes first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

Once = Callable[[str, Callable[[Path], object]], Path]


def make_once(shared: Path, name: str, make: Callable[[Path], object]) -> Path:
    """The folder of that name, made by ``make`` unless it is there; nothing writes into it later."""
    found, begun = shared / name, shared / f"{name}.begun"
    shared.mkdir(exist_ok=True)
    with FileLock(shared / f"{name}.lock"):
        if not found.exists():
            begun.mkdir()
            make(begun)
            begun.rename(found)
    return found
