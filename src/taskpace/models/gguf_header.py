"""Is this a whole GGUF file, and what does it say of its model? Read from its header alone, in milliseconds.

The ``gguf`` package makes an object of every vocabulary entry: 9 s and 700 MB for a vocabulary of 262,144 tokens.

The file is foreign: every count and length in it is checked against what is there before it is believed.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from taskpace.errors import ModelError
from taskpace.text.safe_text import one_line

# A header is read in one piece, because stepping through a quarter of a million vocabulary strings one read
# at a time would be slow. 16 MiB holds nearly every header. Mapping the file instead could kill the process
# if the file shrank meanwhile.
_FIRST_READ_BYTES = 16 << 20
_MOST_HEADER_BYTES = 256 << 20
_MOST_STRINGS = 8_000_000
_MOST_DIMENSIONS = 4
_ALIGNMENT = 32

_STRING, _ARRAY, _UINT32 = 8, 9, 4
_SCALARS = {
    kind: struct.Struct("<" + form)
    for kind, form in zip((0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12), "BbHhIif?Qqd", strict=True)
}

Value = int | float | bool | str

# ggml's tensor types: number -> (elements in a block, bytes of a block).
_BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 40),
    10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292),
    16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82),
    23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2),
    34: (256, 54), 35: (256, 66), 39: (32, 17), 40: (64, 36), 41: (128, 18),
}  # fmt: skip


class _RanOutError(Exception):
    """The bytes end before the header does."""


class _NotValidError(Exception):
    """The header says something that cannot be."""


def check_gguf(path: Path, size_bytes: int) -> None:
    """Raise ModelError unless ``path`` has a sound GGUF header and all the tensors that it promises."""
    with path.open("rb") as file:
        try:
            promised = _promised_bytes(file, size_bytes)
        except _RanOutError:
            promised = size_bytes + 1
            needs = "its header goes on beyond the end"
        except _NotValidError as error:
            raise ModelError(f"{_quoted(path)} is not a usable GGUF file: {error}") from None
        else:
            needs = f"its header requires {promised:,}"
    if promised > size_bytes:
        raise ModelError(
            f"{_quoted(path)} is truncated: it has {size_bytes:,} bytes, {needs}; copy or download it again"
        )


def read_metadata(path: Path) -> dict[str, Value]:
    """What a GGUF file reports about its model: every key with a single value. Empty when the file cannot be read so.

    That is not an error here: who loads the model says better what is wrong with it.
    """
    try:
        with path.open("rb") as file:
            return _read_header(file, path.stat().st_size).metadata
    except (OSError, _RanOutError, _NotValidError):
        return {}


def _quoted(path: Path) -> str:
    return repr(one_line(str(path)))


def _promised_bytes(file: BinaryIO, size_bytes: int) -> int:
    """How many bytes the file must have for its last tensor to be whole."""
    return _read_header(file, size_bytes).promised_bytes


def _read_header(file: BinaryIO, size_bytes: int) -> _Header:
    limit = _FIRST_READ_BYTES
    data = file.read(limit)
    if not data.startswith(b"GGUF"):
        raise _NotValidError("it does not begin with the letters GGUF")
    while True:
        try:
            return _Header(data)
        except _RanOutError:
            if len(data) >= size_bytes or len(data) < limit:
                raise
            if limit >= _MOST_HEADER_BYTES:
                raise _NotValidError(f"its header is larger than {_MOST_HEADER_BYTES:,} bytes") from None
        limit *= 4
        data += file.read(limit - len(data))


class _Header:
    """A header, read on creation. Raises ``_RanOutError`` and ``_NotValidError``."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 4
        self._strings_left = _MOST_STRINGS
        self._alignment = _ALIGNMENT
        self.metadata: dict[str, Value] = {}
        self.promised_bytes = self._read()

    def _read(self) -> int:
        version = self._uint32()
        if version & 0xFFFF == 0:
            raise _NotValidError("it is big-endian, or its version is 0")
        if version not in (2, 3):
            raise _NotValidError(f"its version is {version}, and only 2 and 3 are known")
        tensors, keys = self._uint64(), self._uint64()
        # A key takes at least 13 bytes and a tensor 24: a count beyond that can only be followed off the end.
        self._need(13 * keys + 24 * tensors)
        for _ in range(keys):
            self._read_key()
        ends = [self._tensor_end() for _ in range(tensors)]
        start = -(-self._at // self._alignment) * self._alignment
        return max((start + end for end in ends), default=self._at)

    def _read_key(self) -> None:
        name = self._string().decode("utf-8", "replace")
        kind = self._uint32()
        if kind == _ARRAY:
            self._skip_values(self._uint32(), self._uint64())
            return
        value = self._value(kind)
        self.metadata[name] = value
        if name == "general.alignment" and kind == _UINT32 and isinstance(value, int):
            self._alignment = value
            if value == 0 or value & (value - 1):
                raise _NotValidError(f"its alignment is {value}, not a power of two")

    def _value(self, kind: int) -> Value:
        if kind == _STRING:
            return self._string().decode("utf-8", "replace")
        if kind not in _SCALARS:
            raise _NotValidError(f"a value in its header is of the unknown type {kind}")
        self._need(_SCALARS[kind].size)
        value: Value = _SCALARS[kind].unpack_from(self._data, self._at)[0]
        self._at += _SCALARS[kind].size
        return value

    def _skip_values(self, kind: int, count: int) -> None:
        if kind == _STRING:
            self._skip_strings(count)
        elif kind in _SCALARS:
            self._need(count * _SCALARS[kind].size)
            self._at += count * _SCALARS[kind].size
        else:
            raise _NotValidError(f"a value in its header is of the unknown type {kind}")

    def _skip_strings(self, count: int) -> None:
        self._need(8 * count)
        self._strings_left -= count
        if self._strings_left < 0:
            raise _NotValidError(f"its header holds more than {_MOST_STRINGS:,} strings")
        # The one hot loop. `unpack_from` checks the bounds of each step itself.
        unpack, data, at = struct.Struct("<Q").unpack_from, self._data, self._at
        try:
            for _ in range(count):
                at += 8 + unpack(data, at)[0]
        except (struct.error, OverflowError):
            raise _RanOutError from None
        self._at = at
        self._need(0)

    def _tensor_end(self) -> int:
        """Where a tensor's bytes end, counted from the start of the data."""
        self._string()
        dimensions = self._uint32()
        if dimensions > _MOST_DIMENSIONS:
            raise _NotValidError(f"a tensor has {dimensions} dimensions")
        elements = 1
        for _ in range(dimensions):
            elements *= self._uint64()
        kind, offset = self._uint32(), self._uint64()
        # A type newer than this table cannot be measured; that it begins inside the file is still checked.
        in_block, block_bytes = _BLOCKS.get(kind, (1, 0))
        return offset + elements // in_block * block_bytes

    def _string(self) -> bytes:
        length = self._uint64()
        self._need(length)
        value = self._data[self._at : self._at + length]
        self._at += length
        return value

    def _uint32(self) -> int:
        return self._integer(4)

    def _uint64(self) -> int:
        return self._integer(8)

    def _integer(self, width: int) -> int:
        self._need(width)
        value = int.from_bytes(self._data[self._at : self._at + width], "little")
        self._at += width
        return value

    def _need(self, count: int) -> None:
        if self._at + count > len(self._data):
            raise _RanOutError
