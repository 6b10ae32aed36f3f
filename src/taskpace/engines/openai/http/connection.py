"""One kept-alive HTTP/1.1 connection. Every arrival is stamped in the read callback, before anything looks at it."""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable
from typing import Any

import httptools

from taskpace.engines.base import Stamps
from taskpace.engines.openai.http.coding import MOST_BYTES
from taskpace.errors import EngineError

_LINGER_S = 0.5
"""How long after ``[DONE]`` the server may take to end its message; the connection is dropped then."""
_DONE, _BEFORE_DONE = b"[DONE]", (b"\ndata: ", b"\ndata:", b"\rdata: ", b"\rdata:")
_TAIL = 16
_MOST_BESIDE = 1024 * 1024
"""Bytes of status lines, headers, interim answers and trailers."""
_FRAMING = 16
"""Bytes of chunks' lengths for each byte of their content, at most."""
_MOST_OF_ERROR = 64 * 1024
"""Bytes of what a server reports about a failure; what comes after them is not waited for."""
_OK, _REDIRECT, _BAD = 200, 300, 400


class Answer:
    """What came back in addition to the body, which is in the stamps."""

    __slots__ = ("body", "headers", "status")

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body: list[bytes] = []
        """Of an answer that is not a success (200 to 299): the beginning of what the server reports about it."""

    @property
    def succeeded(self) -> bool:
        return _OK <= self.status < _REDIRECT

    @property
    def redirect(self) -> str | None:
        """Where it says to ask instead; null: nowhere."""
        return self.headers.get("location") if _REDIRECT <= self.status < _BAD else None


class Connection(asyncio.Protocol):
    """A connection that is open, idle or with one request in flight.

    Args:
        now_ns: the clock.
    """

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser: Any = None
        self._answer = Answer()
        self._arrivals: list[tuple[int, Any]] = []
        self._done: asyncio.Future[None] | None = None
        self._ns = 0
        self._received = 0
        self._beside = 0
        self._tail = b""
        self._bodies: list[bytes] = []
        # The parser's call for each piece of a body: without a Python frame around it, for there are many.
        self.on_body = self._bodies.append
        self._told_length = False
        self._reusable = False
        self.asked = False
        """Whether a request has ever been sent."""
        self._idle_ns = 0
        self._timers: list[asyncio.TimerHandle] = []

    @property
    def is_open(self) -> bool:
        """Open, as far as is known, and with nothing in flight."""
        return self._transport is not None and not self._transport.is_closing() and self._done is None

    @property
    def usable(self) -> bool:
        """Open, idle, and without bytes that no request asked for."""
        return (
            self.is_open
            and self._transport is not None
            and not _has_news(self._transport.get_extra_info("socket").fileno())
        )

    @property
    def last_ns(self) -> int:
        """When something was last sent or read."""
        return self._ns

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    async def ask(self, request: bytes, stamps: Stamps, idle_timeout_s: float) -> Answer:
        """Send a request; returns when its answer is complete.

        The body of a success goes to ``stamps`` as it comes. On cancellation the connection is closed.

        Raises:
            EngineError: ``reset``, ``cut``, ``closed``, ``stall``, ``bad-response`` or ``too-long``.
        """
        assert self._transport is not None, "connect first"  # noqa: S101 - a broken protocol, not a user's error
        self._parser = httptools.HttpResponseParser(self)
        self._answer = Answer()
        self._arrivals = stamps.arrivals
        self._received, self._beside, self._tail = 0, 0, b"\n"
        self._told_length = self._reusable = False
        self._done = self._loop.create_future()
        self._idle_ns = round(idle_timeout_s * 1e9)
        self.asked = True
        self._ns = self._now_ns()
        self._transport.write(request)
        self._timers = [self._loop.call_later(idle_timeout_s, self._watch)]
        try:
            await self._done
        except BaseException:
            self.close()
            raise
        finally:
            for timer in self._timers:
                timer.cancel()
            # It holds methods of this connection: a circle, which only the garbage collector would free.
            self._parser = self._done = None
        if not self._reusable:
            self.close()
        return self._answer

    # -- the transport's calls -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._ns = self._now_ns()
        self._transport = transport  # type: ignore[assignment]  # of a stream, as they all are

    def data_received(self, data: bytes) -> None:
        self._ns = self._now_ns()
        if self._done is None:
            self.close()  # bytes that no request asked for
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as exc:
            self._fail("bad-response", f"this is not an HTTP/1.1 answer: {exc}: {data[:60]!r}")
        self._beside += len(data)
        if self._bodies:
            body = b"".join(self._bodies)
            self._bodies.clear()
            self._beside -= len(body)
            self._keep(body)
        if self._beside > _MOST_BESIDE + _FRAMING * self._received:
            self._fail("too-long", f"the answer has more than {_MOST_BESIDE} bytes of headers")
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._done is None or self._done.done():
            return
        if self._answer.status == 0:
            self._fail("reset" if exc else "closed", f"the server closed the connection without an answer{_why(exc)}")
        elif exc is None and not self._told_length:
            self._complete()  # it ends where the connection does
        else:
            self._fail("cut", f"the connection ended in the middle of the answer{_why(exc)}")

    # -- the parser's calls --------------------------------------------------------------------------------------------

    def on_header(self, name: bytes, value: bytes) -> None:
        self._answer.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._answer.status = self._parser.get_status_code()
        headers = self._answer.headers
        self._told_length = "content-length" in headers or "chunked" in headers.get("transfer-encoding", "").lower()

    def on_message_complete(self) -> None:
        if self._answer.status >= _OK:  # else an interim answer; the real one is to come
            self._reusable = self._parser.should_keep_alive()
            self._complete()

    # ------------------------------------------------------------------------------------------------------------------

    def _keep(self, body: bytes) -> None:
        """What one read brought of the body."""
        self._received += len(body)
        if self._received > MOST_BYTES:
            self._fail("too-long", f"the answer is longer than {MOST_BYTES} bytes")
        elif not self._answer.succeeded:
            self._answer.body.append(body)
            if self._received > _MOST_OF_ERROR:
                self._complete()
        else:
            self._arrivals.append((self._ns, body))
            ending = self._tail + body
            if len(self._timers) == 1 and _is_done(ending):
                self._timers.append(self._loop.call_later(_LINGER_S, self._complete))
            self._tail = body[-_TAIL:]

    def _watch(self) -> None:
        silent_ns = self._now_ns() - self._ns
        if silent_ns >= self._idle_ns:
            self._fail("stall", f"nothing arrived for {self._idle_ns / 1e9:g} s")
        else:
            self._timers[0] = self._loop.call_later((self._idle_ns - silent_ns) / 1e9, self._watch)

    def _complete(self) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_result(None)

    def _fail(self, kind: str, message: str) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_exception(EngineError(message, kind=kind))


def _is_done(ending: bytes) -> bool:
    """Whether the last event is ``[DONE]``, and not a text that has it."""
    at = ending.rfind(_DONE)
    return at >= 0 and ending.endswith(_BEFORE_DONE, 0, at)


def _has_news(fd: int) -> bool:
    """Whether something can be read from an idle connection: that the server has closed it, as a rule.

    The event loop would notice, too, but only once it has run: between two cells it does not.
    """
    if fd < 0:
        return True
    if not hasattr(select, "poll"):  # Windows
        return bool(select.select([fd], [], [], 0)[0])
    poll = select.poll()
    poll.register(fd, select.POLLIN | select.POLLHUP)
    return bool(poll.poll(0))


def _why(exc: Exception | None) -> str:
    return f": {getattr(exc, 'strerror', None) or exc}" if exc else ""
