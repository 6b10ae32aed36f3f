"""A server that never ends what it has begun, in one of many ways: what bench/endless.py asks.

Run: python bench/endless_server.py WAY. Prints its port, then how many seconds an endless answer was read; any other
name than one of ``WAYS`` is a server that behaves. Ends with standard input.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import sys
import time
from typing import NamedTuple

STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"
BLOCK = 65536


class Way(NamedTuple):
    """What is written once and then again and again."""

    begin: bytes
    again: bytes
    pause_s: float = 0.0
    models: bool = False
    """It is the list of models that has no end."""


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def events(text: bytes, count: int) -> bytes:
    return b'data: {"choices":[{"index":0,"delta":{"content":"%b"},"finish_reason":null}]}\n\n' % text * count


JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
ZEROS = gzip.compress(bytes(1 << 26))
WAYS = {
    "a status line": Way(b"HTTP/1.1 200 ", b"x" * BLOCK),
    "headers": Way(STREAM, b"".join(b"X-%d: y\r\n" % number for number in range(4000))),
    "one header": Way(STREAM + b"X-Long: ", b"x" * BLOCK),
    "a header, byte by byte": Way(STREAM + b"X-Long: ", b"x", pause_s=0.05),
    "interim answers (103)": Way(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 1000),
    "a chunk's extension": Way(STREAM + b"\r\n5;x=", b"x" * BLOCK),
    "a body of newlines": Way(STREAM + b"\r\n", chunk(b"\n" * BLOCK)),
    "one event": Way(STREAM + b"\r\n" + chunk(b"data: "), chunk(b"x" * BLOCK)),
    "one event of brackets": Way(STREAM + b"\r\n" + chunk(b"data: "), chunk(b"[" * BLOCK)),
    "events with text": Way(STREAM + b"\r\n", chunk(events(b"word ", 600))),
    "events without text": Way(STREAM + b"\r\n", chunk(events(b"", 600))),
    "events, now and then": Way(STREAM + b"\r\n", chunk(events(b"word ", 1)), pause_s=0.05),
    "a packed body (gzip)": Way(STREAM + b"Content-Encoding: gzip\r\n\r\n", chunk(ZEROS)),
    "trailers": Way(STREAM + b"\r\n0\r\n", b"X-More: y\r\n" * 4000),
    "an error page": Way(
        b"HTTP/1.1 503 No\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n", chunk(b"x" * BLOCK)
    ),
    "a list of models": Way(JSON + chunk(b'{"data": ['), chunk(b'{"id": "a"}, ' * 5000), models=True),
    "a list of models, byte by byte": Way(JSON, chunk(b" "), pause_s=0.05, models=True),
}
ANSWER = STREAM + b"\r\n" + chunk(events(b"A", 1) + b"data: [DONE]\n\n") + b"0\r\n\r\n"
LISTING = JSON + chunk(b'{"data": [{"id": "tiny"}]}') + b"0\r\n\r\n"


async def serve(way: Way | None) -> None:
    """Print the port, then how many seconds an endless answer was read; ends with standard input."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
                length = [int(line.partition(":")[2]) for line in lines if line.startswith("content-length:")]
                await reader.readexactly(length[0] if length else 0)
                models = lines[0].startswith("get ")
                if way is None or models != way.models:
                    writer.write(LISTING if models else ANSWER)
                    continue
                begun = time.monotonic()
                await endless(way, reader, writer)
                print(json.dumps(time.monotonic() - begun), flush=True)
                return

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


async def endless(way: Way, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Write until the client has hung up."""
    gone = asyncio.ensure_future(reader.read())
    with contextlib.suppress(ConnectionError):
        writer.write(way.begin)
        while not gone.done() and not writer.is_closing():
            writer.write(way.again)
            await writer.drain()
            await asyncio.sleep(way.pause_s)
    gone.cancel()
    writer.close()


if __name__ == "__main__":
    asyncio.run(serve(WAYS.get(sys.argv[1])))
