"""The cache folder: where fetched models lie, who may write there, and the digests already computed."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import msgspec

from taskpace.errors import ModelError
from taskpace.models.entries import Sha256
from taskpace.text.safe_text import one_line

Progress: TypeAlias = Callable[[str, int, int | None], None]
"""Called as ``on_progress(label, done_bytes, total_bytes)``; the total is None while it is unknown."""

_CHUNK_BYTES = 1 << 20
_MOST_DIGESTS = 1000
_MOST_DIGEST_FILE_BYTES = 4 << 20
_LOCK_WAIT_S = 3600.0
_SETTLED_NS = 2_000_000_000
"""The coarsest step of a file system's clock (FAT)."""


class _Digest(msgspec.Struct, frozen=True, array_like=True):
    size_bytes: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    sha256: Sha256


def cache_folder() -> Path:
    """Where fetched models are kept: ``TASKPACE_CACHE`` if set, else the user's cache folder. Not created."""
    if chosen := os.environ.get("TASKPACE_CACHE"):
        return Path(os.path.abspath(os.path.expanduser(chosen)))  # noqa: PTH100, PTH111  # never raise
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("taskpace", appauthor=False))


def digest_of(path: Path, label: str, on_progress: Progress) -> tuple[str, int]:
    """SHA-256 and size of a file, hashed only if it has changed since it was last seen.

    Raises OSError if the file cannot be read. A cache that cannot be read or written only costs the hashing.
    """
    before = path.stat()
    known = _read_digests().get(str(path))
    if known and (known.size_bytes, known.mtime_ns, known.ctime_ns, known.inode) == _identity(before):
        return known.sha256, before.st_size
    sha256 = hash_file(path, label, on_progress)
    remember_digest(path, sha256, before)
    return sha256, before.st_size


def hash_file(path: Path, label: str, on_progress: Progress) -> str:
    """SHA-256 of a file, in hexadecimal."""
    import hashlib

    digest, buffer = hashlib.sha256(), bytearray(_CHUNK_BYTES)
    view, done = memoryview(buffer), 0
    with path.open("rb", buffering=0) as file:
        total = os.fstat(file.fileno()).st_size
        while count := file.readinto(buffer):
            digest.update(view[:count])
            done += count
            on_progress(f"{label}: checking", done, total)
    return digest.hexdigest()


def remember_digest(path: Path, sha256: str, seen: os.stat_result) -> None:
    """Keep a digest for next time, if it can be and the file is still what was ``seen`` before hashing.

    Not of a file that was written a moment ago: it could change again within the same step of the file's clock.
    """
    from filelock import FileLock, Timeout

    folder = cache_folder()
    # Best effort by design: whatever goes wrong here costs only a second hashing.
    with contextlib.suppress(OSError, Timeout, NotImplementedError):
        settled = time.time_ns() - max(seen.st_mtime_ns, seen.st_ctime_ns) > _SETTLED_NS
        if not settled or _identity(path.stat()) != _identity(seen):
            return
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "digests.lock", timeout=5):
            digests = _read_digests()
            digests.pop(str(path), None)
            digests[str(path)] = _Digest(*_identity(seen), sha256)
            newest = dict(list(digests.items())[-_MOST_DIGESTS:])
            write_atomically(folder / "digests.json", msgspec.json.encode(newest))


def _identity(status: os.stat_result) -> tuple[int, int, int, int]:
    """What changes with a file's content. The time of its last modification can be set at will, that of its last change
    of any kind (``ctime``) cannot.
    """
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def _read_digests() -> dict[str, _Digest]:
    try:
        with (cache_folder() / "digests.json").open("rb") as file:
            return msgspec.json.decode(file.read(_MOST_DIGEST_FILE_BYTES), type=dict[str, _Digest])
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return {}


def write_atomically(path: Path, content: bytes) -> None:
    """Write a small file so that a reader sees the old one or the new one, never half of one."""
    import tempfile  # slow to import

    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name + ".")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            flush_to_disk(file.fileno())
        publish(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def flush_to_disk(descriptor: int) -> None:
    """Do not return before the file's content would outlive a power failure."""
    os.fsync(descriptor)


def publish(temporary: Path, final: Path) -> None:
    """Give a finished file its name, in one step, so that the name too would outlive a power failure."""
    temporary.replace(final)
    # Not every system lets a folder be opened; the rename is atomic without it.
    with contextlib.suppress(OSError):
        descriptor = os.open(final.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def workspace(final: Path, label: str, on_progress: Progress) -> Iterator[Path]:
    """An empty folder next to ``final``, held by this process alone and removed at the end.

    Its name depends only on ``final``: what a killed process left there is removed by the next one. It is on
    the same file system as ``final``, so that a file can be moved into location in one step.
    """
    import shutil

    from filelock import FileLock, Timeout

    final.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(f"{final}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        on_progress(f"{label}: waiting for another process that fetches it", 0, None)
        try:
            lock.acquire(timeout=_LOCK_WAIT_S)
        except Timeout:
            raise ModelError(
                f"{label}: another process has been fetching it for an hour: stop it and try again"
            ) from None
    folder = Path(f"{final}.partial")
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(exist_ok=True)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.release()


def require_space(label: str, needed_bytes: int) -> None:
    """Raise ModelError if the cache's file system has not ``needed_bytes`` free."""
    import shutil

    folder = cache_folder()
    free = shutil.disk_usage(next(parent for parent in (folder, *folder.parents) if parent.exists())).free
    if free < needed_bytes:
        raise disk_full(label, f"it takes {needed_bytes:,} bytes and {free:,} are free")


@contextlib.contextmanager
def explained(label: str) -> Iterator[None]:
    """Turn what the operating system objects to in the cache folder into a ModelError with a remedy."""
    try:
        yield
    except BrokenPipeError:
        raise  # Whoever reads the progress went away; the cache has no part in that.
    except OSError as error:
        folder = one_line(str(cache_folder()))
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise disk_full(label, "while it was being written") from error
        reason = error.strerror or type(error).__name__
        raise ModelError(
            f"{label}: the cache folder {folder!r} cannot be written ({reason}): set TASKPACE_CACHE to one that can"
        ) from error


def disk_full(label: str, detail: str) -> ModelError:
    """The error that shows it; ``detail`` is when, or how much."""
    folder = one_line(str(cache_folder()))
    return ModelError(
        f"{label}: no space left in the cache folder {folder!r}, {detail}: free some, or set TASKPACE_CACHE"
    )
