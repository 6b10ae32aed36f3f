"""Folders that are made once for a whole test run, whichever worker of pytest-xdist comes first."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

Once = Callable[[str, Callable[[Path], object]], Path]


def make_once(shared: Path, name: str, make: Callable[[Path], object]) -> Path:
    """The folder of that name, made by ``make`` unless it is there; nothing writes into it later.

    It is made where it stays, for programs that know where they lie; what a worker left unfinished is made again.
    """
    found, whole = shared / name, shared / f"{name}.made"
    shared.mkdir(exist_ok=True)
    with FileLock(shared / f"{name}.lock"):
        if not whole.exists():
            shutil.rmtree(found, ignore_errors=True)
            found.mkdir()
            make(found)
            whole.touch()
    return found
