"""Files of other tools: read with bounds, and never executed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from taskpace.errors import LogError
from taskpace.text.bounded import JsonProblem, decode_json, decode_lenient
from taskpace.text.strict import is_utf16, named

MOST_BYTES = 1 << 30
"""Of a file."""
MOST_LINE_BYTES = 64 << 20
"""Of a line of JSON lines, and of one member of an archive: as much as a run file keeps of one answer."""
_HEAD_BYTES = 65_536


class Source:
    """A file or folder that may be another tool's log."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def name(self) -> str:
        """Without its folder, which is private."""
        return self.path.name

    def refuse(self, problem: str) -> LogError:
        """The error that shows what is wrong with it; ``problem`` ends with a remedy."""
        return LogError(f"{named(self.path)}: {problem}")

    @cached_property
    def is_folder(self) -> bool:
        """Whether it is one, and not a file."""
        return self.path.is_dir()

    @cached_property
    def head(self) -> bytes:
        """The first bytes; of a folder none."""
        if self.is_folder:
            return b""
        try:
            with self.path.open("rb") as file:
                return file.read(_HEAD_BYTES)
        except OSError as exc:
            raise self.refuse(f"cannot be read: {exc.strerror or exc}") from None

    def refuse_utf16(self) -> None:
        """Raises ``LogError`` where the file, or a JSON file of the folder, was saved as UTF-16."""
        files = [*self.files("*.json"), *self.files("*.jsonl")] if self.is_folder else [self]
        for each in files:
            if is_utf16(each.head):
                raise each.refuse("is UTF-16 text: import the file as the tool wrote it, or save it as UTF-8")

    def beside(self, name: str) -> Source:
        """Another file of the same folder, or of this folder; it may not exist."""
        return Source((self.path if self.is_folder else self.path.parent) / name)

    @property
    def exists(self) -> bool:
        """Whether the file or folder is there."""
        return self.path.exists()

    def files(self, pattern: str) -> list[Source]:
        """Files of a folder by a pattern, in order of their names."""
        return [Source(path) for path in sorted(self.path.glob(pattern)) if path.is_file()]

    @cached_property
    def sha256(self) -> str:
        """Of the file's content, in hex: for ``Log.sha256``. Raises ``LogError`` where it is too large."""
        self._check_size()
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def content(self) -> bytes:
        """All of it. Raises ``LogError`` where it is too large or cannot be read."""
        self._check_size()
        try:
            return self.path.read_bytes()
        except OSError as exc:
            raise self.refuse(f"cannot be read: {exc.strerror or exc}") from None

    def _check_size(self) -> None:
        try:
            size = self.path.stat().st_size
        except OSError as exc:
            raise self.refuse(f"cannot be read: {exc.strerror or exc}") from None
        if size > MOST_BYTES:
            raise self.refuse(f"has {size:,} bytes, and {MOST_BYTES:,} are read at most: import a part of it")

    def json(self) -> Any:
        """The value of a JSON file."""
        return self.decoded(self.content(), "")

    def decoded(self, content: bytes, where: str) -> Any:
        """JSON; ``where`` within the file: ``line 3``, or nothing."""
        at = f"{where}: " if where else ""
        try:
            return decode_lenient(content.decode())
        except UnicodeDecodeError:
            self.refuse_utf16()
            raise self.refuse(f"{at}not UTF-8 text: import the file as the tool wrote it") from None
        except JsonProblem as exc:
            self.refuse_utf16()
            raise self.refuse(f"{at}{exc}: is it complete? Import the file as the tool wrote it") from None

    def json_lines(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Number and value of each line that has one; a line that is not an object is refused."""
        self._check_size()
        try:
            with self.path.open("rb") as file:
                number = 0
                while line := file.readline(MOST_LINE_BYTES + 1):
                    number += 1
                    if len(line) > MOST_LINE_BYTES:
                        raise self.refuse(f"line {number} has more than {MOST_LINE_BYTES:,} bytes: leave it out")
                    if not line.strip():
                        continue
                    value = self.decoded(line, f"line {number}")
                    if not isinstance(value, dict):
                        raise self.refuse(f"line {number} is not a JSON object: import the file as the tool wrote it")
                    yield number, value
        except OSError as exc:
            raise self.refuse(f"cannot be read: {exc.strerror or exc}") from None

    def first_object(self) -> dict[str, Any]:
        """What the first line of JSON lines holds; empty where it is none. For recognising a file; raises nothing."""
        try:
            value = decode_json(self.head.split(b"\n", 1)[0].decode())
        except (JsonProblem, UnicodeDecodeError, LogError):
            return {}
        return value if isinstance(value, dict) else {}
