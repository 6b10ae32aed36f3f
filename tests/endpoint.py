"""An OpenAI-compatible server in a thread, as well or as badly behaved as a test asks for, on a raw socket."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Self

MODEL = "tiny"


class Asked:
    """One request as the server got it."""

    def __init__(self, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        self.method, self.path, self.headers, self.raw = method, path, headers, body

    @property
    def body(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.raw)
        return found


Writer = asyncio.StreamWriter
Behaviour = Callable[[Asked, Writer, int], Awaitable[None]]
"""What to do with the n-th completion that is asked for (from 0)."""


def event(content: str | None = None, *, finish: str | None = None, **more: Any) -> bytes:
    """A chunk of a stream, as an event."""
    delta: dict[str, Any] = {} if content is None else {"content": content}
    delta |= {key: more.pop(key) for key in ("role", "reasoning_content", "reasoning") if key in more}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + json.dumps({"object": "chat.completion.chunk", "choices": [choice], **more}).encode() + b"\n\n"


def usage(output: int, prompt: int = 20, **more: Any) -> bytes:
    """The chunk with the counts, which comes last."""
    counts = {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output, **more}
    return (
        b"data: " + json.dumps({"object": "chat.completion.chunk", "choices": [], "usage": counts}).encode() + b"\n\n"
    )


DONE = b"data: [DONE]\n\n"


def head(status: str = "200 OK", content_type: str = "text/event-stream", **headers: str) -> bytes:
    """The head of a chunked answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {content_type}", "Transfer-Encoding: chunked"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


END = b"0\r\n\r\n"


def fixed(status: str, body: bytes, content_type: str = "application/json", **headers: str) -> bytes:
    """A whole answer with its length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {content_type}", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def stream(writer: Writer, *events: bytes, pause_s: float = 0.0) -> None:
    """A whole stream, each event in a chunk of its own."""
    writer.write(head())
    for one in events:
        writer.write(chunk(one))
        await writer.drain()
        if pause_s:
            await asyncio.sleep(pause_s)
    writer.write(END)
    await writer.drain()


async def answer(asked: Asked, writer: Writer, number: int) -> None:
    """A well-behaved answer of three tokens and an end of sequence."""
    del asked, number
    await stream(
        writer, event(role="assistant", content=""), event("The"), event(" answer"), event(" is A."),
        event(finish="stop"), usage(4), DONE,
    )  # fmt: skip


async def slowly(_asked: Asked, writer: Writer, _number: int) -> None:
    """An answer of one token whose end comes 50 ms later, so that several are in flight."""
    writer.write(head() + chunk(event("A")))
    await writer.drain()
    await asyncio.sleep(0.05)
    writer.write(chunk(event(finish="stop")) + chunk(usage(1)) + chunk(DONE) + END)
    await writer.drain()


class Endpoint:
    """Serves ``/v1/models`` and ``/v1/chat/completions`` on a free loopback port.

    Args:
        behaviour: of completions.
        tls: for https.
        models: what the list of models has; null: there is no such list.
    """

    def __init__(
        self,
        behaviour: Behaviour = answer,
        *,
        tls: ssl.SSLContext | None = None,
        models: list[str] | None = None,
        listing: bytes | None = None,
        base: str = "/v1",
    ) -> None:
        self.behaviour = behaviour
        self.asked: list[Asked] = []
        self.connections = 0
        self._writers: list[Writer] = []
        self._tls, self._base = tls, base
        names = [MODEL] if models is None else models
        body = json.dumps({"object": "list", "data": [{"id": name} for name in names]}).encode()
        self._listing = listing or fixed("200 OK", body, Server="endpoint/1")
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}{self._base}"

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._start())
        self._loop.run_forever()

    async def _start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        self._started.set()

    def leave(self) -> None:
        """Hang up on everybody and listen no more; to be called by a behaviour."""
        self._server.close()
        for writer in self._writers:
            writer.close()

    async def _stop(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: Writer) -> None:
        self.connections += 1
        self._writers.append(writer)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while (asked := await _read(reader)) is not None:
                await self._answer(asked, writer)
        except (ConnectionError, asyncio.CancelledError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _answer(self, asked: Asked, writer: Writer) -> None:
        where = asked.path.partition("?")[0]
        path = where.removeprefix(self._base) if where.startswith(self._base) else ""
        if path == "/models":
            writer.write(self._listing)
        elif path in ("/chat/completions", "/completions"):
            number = len(self.asked)
            self.asked.append(asked)
            await self.behaviour(asked, writer, number)
        else:
            writer.write(fixed("404 Not Found", b'{"error": {"message": "no such path"}}'))
        await writer.drain()


async def _read(reader: asyncio.StreamReader) -> Asked | None:
    try:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    except asyncio.IncompleteReadError:
        return None
    method, path, _ = lines[0].split(" ")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:] if line)}
    return Asked(method, path, headers, await reader.readexactly(int(headers.get("content-length", "0"))))
