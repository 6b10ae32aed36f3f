"""Bodies that a server compressed although it was asked not to. Pure."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from itertools import chain

from taskpace.errors import EngineError

MOST_BYTES = 64 * 1024 * 1024
"""Of one answer; no model writes as much, and memory stays bounded."""
READABLE = ("", "identity", "gzip", "x-gzip", "deflate")
"""Values of ``Content-Encoding`` that are read."""
_HEADS = (b"\x1f\x8b", b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
"""Of gzip (RFC 1952) and zlib (RFC 1950). JSON and event streams, which are text, begin otherwise."""
_MOST_MEMBERS = 200_000
"""Of one body: a server may send one for each event, and even an empty one costs memory and time to begin."""
_AT_A_TIME = 4096
"""Packed bytes: what follows the end of a member is copied, and would be as often as there are members."""
_LEAST_PACKED = 64 * 1024
_EITHER = 32 + zlib.MAX_WBITS
"""A gzip or a zlib head, whichever there is."""


def plain(pieces: Iterable[tuple[int, bytes]], most_bytes: int) -> Iterator[tuple[int, bytes]]:
    """Stamped pieces of a body, unpacked if the body is gzip or zlib, as its first two bytes tell.

    What unpacks to nothing yet is left out; what is damaged ends the body.

    Raises:
        EngineError: ``too-long``: more than ``most_bytes`` once unpacked, or in more parts than anyone sends.
    """
    rest = iter(pieces)
    begun: list[tuple[int, bytes]] = []
    for each in rest:
        begun.append(each)
        if sum(len(data) for _, data in begun) >= len(_HEADS[0]):
            break
    head = b"".join(data for _, data in begun)[: len(_HEADS[0])]
    return (_unpack if head in _HEADS else _as_it_is)(chain(begun, rest), most_bytes)


def unpacked(body: bytes, most_bytes: int) -> bytes:
    """A whole body; nothing of one that is packed and longer than ``most_bytes`` once unpacked, or before by far."""
    if body[: len(_HEADS[0])] in _HEADS and len(body) > most_bytes + _LEAST_PACKED:
        return b""
    try:
        return b"".join(data for _, data in plain([(0, body)], most_bytes))
    except EngineError:
        return b""


def _as_it_is(pieces: Iterable[tuple[int, bytes]], _most_bytes: int) -> Iterator[tuple[int, bytes]]:
    yield from pieces


def _unpack(pieces: Iterable[tuple[int, bytes]], most_bytes: int) -> Iterator[tuple[int, bytes]]:
    unpacker = zlib.decompressobj(_EITHER)
    size, members = 0, 1
    for ns, piece in pieces:
        packed, at, found = memoryview(piece), 0, bytearray()
        while at < len(packed):
            if unpacker.eof:  # a server may end a member, and begin another, with each event
                unpacker = zlib.decompressobj(_EITHER)
                members += 1
            some = packed[at : at + _AT_A_TIME]
            try:
                found += unpacker.decompress(some, most_bytes - size - len(found) + 1)
            except zlib.error:
                return
            at += len(some) - len(unpacker.unused_data)
            if size + len(found) > most_bytes:
                raise EngineError(f"the answer is longer than {most_bytes} bytes once unpacked", kind="too-long")
            if members > _MOST_MEMBERS:
                raise EngineError(f"the answer is compressed in more than {_MOST_MEMBERS} parts", kind="too-long")
        size += len(found)
        if found:
            yield ns, bytes(found)
