"""A client without any HTTP library: a closed loop on uvloop's sockets, a stamp per event, every event parsed.

Run by bench/http_capacity.py: peer_socket.py URL MODEL COUNT IN_FLIGHT OUTPUT. It reads no more of HTTP than the
servers of these benchmarks write: chunked answers of one event a chunk, which end with an empty chunk.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import uvloop

from peer_request import request_body

END = b"\r\n0\r\n\r\n"


class Slot(asyncio.Protocol):
    """One connection: asks the next question when the answer to the last one is complete."""

    def __init__(self, model: str, host: str, numbers: Iterator[int], times: list[tuple[float, float]]) -> None:
        self.model, self.numbers, self.times = model, numbers, times
        self.head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        number = next(self.numbers, None)
        if number is None:
            self.transport.close()
            return
        body = json.dumps(request_body(self.model, number))
        self.rest, self.text, self.first, self.last = b"", [], 0.0, 0.0
        self.begun = time.perf_counter()
        self.transport.write(f"{self.head}Content-Length: {len(body)}\r\n\r\n{body}".encode())

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        *lines, self.rest = (self.rest + data).split(b"\n\n")
        for line in lines:
            event = line.partition(b"data: ")[2]
            if not event or event == b"[DONE]":
                continue
            choices = json.loads(event)["choices"]
            if choices and (piece := choices[0]["delta"].get("content")):
                self.text.append(piece)
                self.first, self.last = self.first or now, now
        if self.rest == END:
            assert self.text
            self.times.append((self.first - self.begun, self.last - self.begun))
            self.ask()

    def connection_lost(self, error: Exception | None) -> None:
        if error:
            self.done.set_exception(error)
        else:
            self.done.set_result(None)


async def main(url: str, model: str, count: int, concurrency: int) -> list[tuple[float, float]]:
    target, numbers, times = urlsplit(url), iter(range(count)), []
    connect = asyncio.get_running_loop().create_connection
    slots = [
        await connect(lambda: Slot(model, target.netloc, numbers, times), target.hostname, target.port)
        for _ in range(concurrency)
    ]
    await asyncio.gather(*(slot.done for _, slot in slots))
    assert len(times) == count
    return times


if __name__ == "__main__":
    found = uvloop.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
    Path(sys.argv[5]).write_text(json.dumps(found), "utf-8")
