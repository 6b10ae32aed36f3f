"""An endpoint that answers in about a second and has faults of every kind, for ``bench/soak.py``.

Run: python bench/soak_server.py. Prints its port; ends with standard input. Of fifty requests twelve meet a fault,
always the same twelve in the order of arrival, so that every kind comes up all the time.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

import uvloop

from http_fidelity import BEGIN, LISTING, TOKEN, chunk, event

WAIT_S, STEP_S, TOKENS = 0.5, 0.05, 8
SLOW_S = 0.4
"""Between the tokens of a slow answer."""
CYCLE = 50
LONG_BYTES = 1 << 18
END = (
    chunk(b'"delta": {}, "finish_reason": "stop"')
    + event(b'{"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": %d}}' % TOKENS)
    + event(b"[DONE]")
    + b"0\r\n\r\n"
)


def whole(status: bytes, body: bytes, kind: bytes = b"application/json", more: bytes = b"") -> bytes:
    """An answer with its length."""
    return b"HTTP/1.1 %b\r\nContent-Type: %b\r\n%bContent-Length: %d\r\n\r\n%b" % (status, kind, more, len(body), body)


class Faulty(asyncio.Protocol):
    """One connection, one request at a time."""

    asked = 0

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self.read = b""
        self.loop = asyncio.get_running_loop()

    def data_received(self, data: bytes) -> None:
        self.read += data
        if not self.read.endswith(b"\r\n\r\n" if self.read.startswith(b"GET") else b"}"):
            return
        models, self.read = self.read.startswith(b"GET"), b""
        if models:
            self.write(whole(b"200 OK", LISTING))
            return
        number = Faulty.asked % CYCLE
        Faulty.asked += 1
        if number in FAULTS:
            FAULTS[number](self)
        else:
            self.answer()

    def write(self, data: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(data)

    def answer(self, tokens: int = TOKENS, step_s: float = STEP_S, then: Callable[[], None] | None = None) -> None:
        """A stream of so many tokens, and then its end, or what is to come in its place."""
        self.write(BEGIN)
        for number in range(tokens):
            self.loop.call_later(WAIT_S + number * step_s, self.write, TOKEN)
        self.loop.call_later(WAIT_S + tokens * step_s, then or self.finish)

    def finish(self) -> None:
        self.write(END)

    def refuse(self, data: bytes) -> None:
        """A whole answer after the wait."""
        self.loop.call_later(WAIT_S, self.write, data)

    def hang_up(self, data: bytes) -> None:
        """Write, then close: bytes without a length end so."""
        self.write(data)
        self.transport.close()

    def garbage(self, data: bytes) -> None:
        """A stream with one event that should not be in it."""
        self.answer(TOKENS // 2, then=lambda: self.write(event(data) + END))


FAULTS: dict[int, Callable[[Faulty], None]] = {
    3: lambda one: one.refuse(whole(b"429 Too Many Requests", b"{}", more=b"Retry-After: 1\r\n")),
    7: lambda one: one.refuse(whole(b"500 Internal Server Error", b'{"error": {"message": "no"}}')),
    11: lambda one: one.transport.abort(),
    15: lambda one: one.answer(TOKENS // 2, then=one.transport.abort),
    19: lambda _: None,
    23: lambda one: one.answer(step_s=SLOW_S),
    27: lambda one: one.garbage(b'{"choices": [{"index": 0, "delta"'),
    31: lambda one: one.hang_up(b"\x00\xff no HTTP at all\r\n\r\n"),
    35: lambda one: one.refuse(whole(b"200 OK", b"<html>Sign in</html>", b"text/html")),
    39: lambda one: one.garbage(
        b'{"choices": [{"index": 0, "delta": {"content": "\xff\xfe"}, "finish_reason": null}]}'
    ),
    43: lambda one: one.transport.close(),
    47: lambda one: one.garbage(b'{"choices": [{"index": 0, "delta": {"content": "%b"}}]}' % (b"x" * LONG_BYTES)),
}
"""By number within the cycle: status 429 and 500, a reset and a cut connection, silence until the time limit, a slow
answer, half a JSON object, no HTTP, a page, invalid UTF-8, a closed connection, and a long event."""


async def serve() -> None:
    """Print the port; end with standard input."""
    server = await asyncio.get_running_loop().create_server(Faulty, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(serve())
