"""The server of the capacity benchmark: answers at once with a stream of 32 chunks, at next to no cost of its own.

Run: python bench/http_instant_server.py. Prints its port and serves until its standard input ends. ``first_request_ns``
asks it when the first completion was requested.
"""

from __future__ import annotations

import asyncio
import http.client
import os
import sys
import time

import uvloop

CHUNKS = 32
MODEL = "instant"


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(choice: bytes, usage: bytes = b"null") -> bytes:
    choices = b"[%b]" % choice if choice else b"[]"
    return chunked(
        b'data: {"id":"c-1","object":"chat.completion.chunk","created":1,"model":"instant","choices":%b,"usage":%b}\n\n'
        % (choices, usage)
    )


def delta(content: bytes, finish: bytes = b"null") -> bytes:
    return event(b'{"index":0,"delta":{%b},"finish_reason":%b}' % (content, finish))


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
PIECES = [
    HEAD + delta(b'"role":"assistant","content":""'),
    *[delta(b'"content":"word "')] * CHUNKS,
    delta(b"", b'"stop"')
    + event(b"", b'{"prompt_tokens":9,"completion_tokens":%d,"total_tokens":%d}' % (CHUNKS, CHUNKS + 9))
    + chunked(b"data: [DONE]\n\n")
    + b"0\r\n\r\n",
]
FIRST = "/first-request"
LISTING = b'{"object":"list","data":[{"id":"instant","object":"model","created":1,"owned_by":"x"}]}'


class Instant(asyncio.Protocol):
    """Each chunk is a write of its own, so a client may well have to read as often."""

    first_ns = 0
    """When the first completion since the last question was asked for, by the clock that all processes share."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.read = b""

    def data_received(self, data: bytes) -> None:
        self.read += data
        head, end, body = self.read.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
        if not end or len(body) < length:
            return
        self.read = b""
        if not head.startswith(b"POST"):
            told = LISTING
            if head.startswith(b"GET %b " % FIRST.encode()):
                told, Instant.first_ns = b"%d" % Instant.first_ns, 0
            kind = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            self.transport.write(kind % (len(told), told))
            return
        Instant.first_ns = Instant.first_ns or time.perf_counter_ns()
        for piece in PIECES:
            self.transport.write(piece)


async def serve() -> None:
    server = await asyncio.get_running_loop().create_server(Instant, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


def first_request_ns(url: str) -> int:
    """When the first completion since the last call was requested, by ``time.perf_counter_ns``; 0: none was."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"))
    connection.request("GET", FIRST)
    told = int(connection.getresponse().read())
    connection.close()
    return told


if __name__ == "__main__":
    if hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > 1:
        os.sched_setaffinity(0, {1})
    uvloop.run(serve())
