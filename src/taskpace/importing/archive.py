"""Members of a ZIP archive, plain, deflated or Zstandard, read with bounds: what they say of their size is not trusted.

Python's own ``zipfile`` knows Zstandard (method 93) from 3.14 on; here the ``zstandard`` package reads it.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from importlib.util import find_spec
from types import TracebackType
from typing import IO, Self

from taskpace.errors import MissingExtraError
from taskpace.importing.source import MOST_BYTES, MOST_LINE_BYTES, Source

_ZSTANDARD = 93
_MOST_MEMBERS = 1_000_000
_LOCAL_HEADER = struct.Struct("<4s5H3I2H")
_REMEDY = "is it complete? Copy it again from where the tool wrote it"


class Archive:
    """A ZIP archive. A context manager. Raises ``LogError`` for one that is damaged or too large."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._left = 4 * MOST_BYTES
        try:
            self._file: IO[bytes] = source.path.open("rb")
        except OSError as exc:
            raise source.refuse(f"cannot be read: {exc.strerror or exc}") from None
        try:
            found = zipfile.ZipFile(self._file).infolist()
        except (zipfile.BadZipFile, OSError, ValueError, EOFError, NotImplementedError) as exc:
            self._file.close()
            raise source.refuse(f"a damaged ZIP archive ({exc}): {_REMEDY}") from None
        if len(found) > _MOST_MEMBERS:
            self._file.close()
            raise source.refuse(f"has {len(found):,} members, and {_MOST_MEMBERS:,} are read at most: import a part")
        # Of two members of one name the later one holds.
        self._members = {member.filename: member for member in found}

    @property
    def names(self) -> list[str]:
        return list(self._members)

    def read(self, name: str) -> bytes:
        """The content of a member."""
        member = self._members[name]
        most = min(MOST_LINE_BYTES, self._left)
        try:
            content = self._content(member, most)
        except (
            zipfile.BadZipFile,
            zlib.error,
            OSError,
            EOFError,
            struct.error,
            ValueError,
            NotImplementedError,
        ) as exc:
            raise self._source.refuse(f"{name} is damaged ({exc}): {_REMEDY}") from None
        if len(content) > most:
            raise self._source.refuse(f"{name} has more than {most:,} bytes unpacked: import a log without it")
        if zlib.crc32(content) != member.CRC:
            raise self._source.refuse(f"{name} is damaged (checksum): {_REMEDY}")
        self._left -= len(content)
        return content

    def _content(self, member: zipfile.ZipInfo, most: int) -> bytes:
        """At most one byte more than ``most``."""
        self._file.seek(member.header_offset)
        header = _LOCAL_HEADER.unpack(self._file.read(_LOCAL_HEADER.size))
        if header[0] != b"PK\x03\x04":
            raise ValueError("no header")
        if member.flag_bits & 1:
            raise ValueError("encrypted")
        self._file.seek(header[-2] + header[-1], 1)
        if member.compress_size > MOST_BYTES:
            raise ValueError("too large")
        packed = self._file.read(member.compress_size)
        if len(packed) < member.compress_size:
            raise ValueError("cut short")
        if member.compress_type == zipfile.ZIP_STORED:
            return packed[: most + 1]
        if member.compress_type == zipfile.ZIP_DEFLATED:
            return zlib.decompressobj(-15).decompress(packed, most + 1)
        if member.compress_type == _ZSTANDARD:
            return _unpack_zstandard(packed, most + 1)
        raise ValueError(f"compression method {member.compress_type}")

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _unpack_zstandard(packed: bytes, most: int) -> bytes:
    if find_spec("zstandard") is None:
        raise MissingExtraError("a .eval log of Inspect", "zstandard", "import")
    import zstandard

    try:
        reader = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(packed, read_across_frames=True)
        parts, size = [], 0
        while size < most and (part := reader.read(min(1 << 20, most - size))):
            parts.append(part)
            size += len(part)
    except zstandard.ZstdError as exc:
        raise ValueError(str(exc)) from None
    return b"".join(parts)
