"""How much a Parquet file decodes to, known before anything is decoded.

A few bytes of run lengths or of a dictionary can stand for gigabytes. The footer shows how many values each column has,
and the header of each page how many it has, which is what is decoded whatever the footer says. Only counts are read.

Source: Apache Parquet, ``parquet.thrift`` (FileMetaData, RowGroup, ColumnChunk, ColumnMetaData, PageHeader) and the
compact protocol of Apache Thrift.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

import msgspec

_MAGIC = b"PAR1"
_TAIL_BYTES = 8
_MOST_FOOTER_BYTES = 64 * 2**20
_MOST_HEADER_BYTES = 64 * 2**10
"""Of a page; statistics with the longest text and the shortest stand in it."""
_MOST_PAGES = 200_000
_MOST_DEEP = 16
_ROWS, _ROW_GROUPS = 3, 4
"""Fields of FileMetaData."""
_COLUMNS, _META_DATA = 1, 3
"""Of RowGroup and ColumnChunk."""
_VALUES, _UNCOMPRESSED_BYTES, _COMPRESSED_BYTES, _DATA_OFFSET, _DICTIONARY_OFFSET = 5, 6, 7, 9, 11
"""Of ColumnMetaData."""
_PAGE_UNCOMPRESSED_BYTES, _PAGE_BYTES, _PAGE_KINDS, _PAGE_VALUES = 2, 3, (5, 7, 8), 1
"""Of PageHeader, and of the headers of each kind of page."""


class Footer(msgspec.Struct, frozen=True, kw_only=True):
    """What a Parquet file holds, by its footer and its pages; the greater of the two where they differ."""

    rows: int
    columns: int
    """Columns of plain values, nested ones included."""
    values: int
    """Values of all columns together; a list counts with each of its parts."""
    uncompressed_bytes: int
    """Of the pages of all columns."""


class FooterProblem(ValueError):  # noqa: N818 - named for what it is about
    """Why there is no footer to be read, in a few words."""


def read_footer(path: Path) -> Footer:
    """The counts of a file. Raises ``FooterProblem`` for one that is damaged, ``OSError``."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        if size < _TAIL_BYTES + len(_MAGIC):
            raise FooterProblem("too short for a Parquet file")
        file.seek(size - _TAIL_BYTES)
        tail = file.read(_TAIL_BYTES)
        length = int.from_bytes(tail[:4], "little")
        if tail[4:] != _MAGIC:
            raise FooterProblem("no Parquet file: it does not end as one")
        if length > min(size - _TAIL_BYTES, _MOST_FOOTER_BYTES):
            raise FooterProblem("damaged: its footer has no possible length")
        file.seek(size - _TAIL_BYTES - length)
        content = file.read(length)
        try:
            found = _Reader(content).struct(0)
            groups = found.get(_ROW_GROUPS, [])
            chunks = [chunk[_META_DATA] for group in groups for chunk in group[_COLUMNS]]
            values, uncompressed = _in_pages(file, chunks, size)
            return Footer(
                rows=_count(found[_ROWS]),
                columns=max((len(group[_COLUMNS]) for group in groups), default=0),
                values=max(values, sum(_count(chunk[_VALUES]) for chunk in chunks)),
                uncompressed_bytes=max(uncompressed, sum(_count(chunk[_UNCOMPRESSED_BYTES]) for chunk in chunks)),
            )
        except FooterProblem:
            raise
        except (IndexError, KeyError, TypeError, AttributeError, ValueError):
            raise FooterProblem("damaged: its footer or a page of it cannot be read") from None


def _in_pages(file: BinaryIO, chunks: list[Any], size: int) -> tuple[int, int]:
    """Values and uncompressed bytes of all pages, by their own headers."""
    pages = values = uncompressed = 0
    for chunk in chunks:
        start = min(offset for offset in (chunk[_DATA_OFFSET], chunk.get(_DICTIONARY_OFFSET)) if offset)
        end = start + _count(chunk[_COMPRESSED_BYTES])
        if not len(_MAGIC) <= start <= end <= size:
            raise ValueError
        while start < end:
            pages += 1
            if pages > _MOST_PAGES:
                raise FooterProblem(f"it has more than {_MOST_PAGES:,} pages")
            file.seek(start)
            reader = _Reader(file.read(min(_MOST_HEADER_BYTES, end - start)))
            header = reader.struct(0)
            values += sum(_count(header[kind].get(_PAGE_VALUES, 0)) for kind in _PAGE_KINDS if kind in header)
            uncompressed += _count(header[_PAGE_UNCOMPRESSED_BYTES])
            start += reader.used + _count(header[_PAGE_BYTES])
    return values, uncompressed


def _count(value: Any) -> int:
    if not isinstance(value, int) or value < 0:
        raise ValueError
    return value


class _Reader:
    """Values of Thrift's compact protocol, field number -> value; its errors are ``IndexError`` and ``ValueError``."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    @property
    def used(self) -> int:
        """Bytes that have been read."""
        return self._at

    def struct(self, depth: int) -> dict[int, Any]:
        if depth > _MOST_DEEP:
            raise ValueError
        fields: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            step = head >> 4
            number = number + step if step else self._signed()
            fields[number] = self._value(head & 15, depth, within_field=True)
        return fields

    def _value(self, kind: int, depth: int, *, within_field: bool) -> Any:
        match kind:
            case 1 | 2:  # true, false; as a part of a list it takes a byte
                return kind == 1 if within_field else self._byte() == 1
            case 3:
                return self._byte()
            case 4 | 5 | 6:
                return self._signed()
            case 7:
                return self._skip(8)
            case 8:
                return self._skip(self._unsigned())
            case 9 | 10:
                return self._list(depth)
            case 12:
                return self.struct(depth + 1)
            case _:  # maps stand nowhere in a footer
                raise ValueError

    def _list(self, depth: int) -> list[Any]:
        if depth > _MOST_DEEP:
            raise ValueError
        head = self._byte()
        length = head >> 4 if head >> 4 < 15 else self._unsigned()
        if length > len(self._content):  # every part takes a byte at least
            raise ValueError
        return [self._value(head & 15, depth + 1, within_field=False) for _ in range(length)]

    def _byte(self) -> int:
        self._at += 1
        return self._content[self._at - 1]

    def _unsigned(self) -> int:
        value = 0
        for shift in range(0, 70, 7):
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
        raise ValueError

    def _signed(self) -> int:
        value = self._unsigned()
        return (value >> 1) ^ -(value & 1)

    def _skip(self, length: int) -> None:
        """Texts and numbers that are not asked for."""
        if length > len(self._content) - self._at:
            raise IndexError
        self._at += length
