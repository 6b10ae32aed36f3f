"""A run file as a file: made for its owner alone, locked by whoever writes it, taken away whole."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import filelock

from taskpace.errors import StoreError


def make_file(path: Path) -> bool:
    """Make a file that its owner alone may read, as a run holds prompts and answers; returns whether it is new."""
    try:
        os.close(os.open(path.resolve(), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return False
    except OSError as exc:
        raise _not_written(path, exc) from None
    return True


def remove_file(path: Path) -> None:
    """Take a file of SQLite's away with what SQLite keeps beside it; none is there: nothing happens."""
    for end in ("", "-wal", "-shm", "-journal"):
        with contextlib.suppress(OSError):
            Path(f"{path.resolve()}{end}").unlink()


def take_lock(path: Path) -> filelock.BaseFileLock:
    """The lock of a run file, whose folder is made if need be: one lock, whatever link leads to the file."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as exc:
        raise StoreError(f"{path}: its folder cannot be made: {exc.strerror or exc}: choose another -o") from None
    if path.is_dir():
        raise StoreError(f"{path}: this is a folder: give -o a file name, such as {path / 'run.db'}")
    try:
        real = path.resolve()
        if real.exists() and not real.is_file():
            raise StoreError(f"{path}: this is not a regular file: choose another -o")
        if real.exists() and (names := real.stat().st_nlink) > 1:
            # SQLite keeps its log beside the name that it was opened by: by two names it would destroy the file.
            raise StoreError(f"{path}: the file has {names} names (hard links): continue a copy, or choose another -o")
        lock = filelock.FileLock(f"{real}.lock", mode=0o600, blocking=False)
        lock.acquire()
    except filelock.Timeout:
        if not Path(f"{real}.lock").exists():  # as where no file can be made at all, such as in /proc
            raise StoreError(f"{path}: no file can be made in its folder: choose another -o") from None
        raise StoreError(
            f"{path}: another `taskpace run` is writing to it: wait for it, or choose another -o"
        ) from None
    except (OSError, RuntimeError) as exc:  # a RuntimeError: links that lead in a circle
        raise _not_written(path, exc) from None
    return lock


def _not_written(path: Path, exc: Exception) -> StoreError:
    return StoreError(f"{path}: cannot be written: {getattr(exc, 'strerror', None) or exc}: choose another -o")
