"""Engine ``openai``: any OpenAI-compatible HTTP endpoint, from vLLM and llama-server to OpenAI and everybody's gateway.

What one should know of it:

- Arrivals are stamped in the socket's read callback, before they are parsed (``taskpace.engines.openai.http``).
- A connection is open before the clock starts, and kept alive. A request that fails costs its connection.
- Token counts are the server's own (``usage``); chunks are never counted. Without a report they are unknown.
- Of an answer that is not streamed only its whole time is known: no TTFT, no tokens per second.
- Reasoning is separated from the answer in these dialects: ``reasoning_content``, ``reasoning``, or ``<think>`` in
  the text.
- Prompt caching is the server's business unless ``prompt_cache`` names the server's kind; what it reports as cached is
  recorded.
"""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path
from typing import Any

import msgspec

from taskpace.engines.base import EngineInfo, EngineSpec, Generation, Message, Request, Stamps, Tell, nobody
from taskpace.engines.openai.answer import Reader
from taskpace.engines.openai.check import read_options
from taskpace.engines.openai.fields import reasoning_fields, shaped
from taskpace.engines.openai.head import make_query, request_head, secrets_of
from taskpace.engines.openai.http.connection import Connection
from taskpace.engines.openai.http.pool import Pool
from taskpace.engines.openai.http.target import read_url, tls_context
from taskpace.engines.openai.launch import HOST, Server, fill_in, free_port
from taskpace.engines.openai.options import Options
from taskpace.engines.openai.preflight import Way, preflight, wait_until_ready
from taskpace.engines.openai.refusals import Refusals, check_content
from taskpace.engines.plain_prompt import render_plain
from taskpace.errors import EngineError, TaskpaceError
from taskpace.machine.clock import Clock, FastClock

_SEED_BITS = 0x7FFF_FFFF


class Payload(msgspec.Struct):
    """A request, ready to be written, and the connection that is open for it."""

    request: bytes
    connection: Connection | None = None


class OpenAIEngine:
    """One endpoint and the connections to it.

    Raises ``ExperimentError`` for an option that cannot be used.
    """

    reads_in_thread = True

    def __init__(self, spec: EngineSpec) -> None:
        self.clock: Clock = FastClock()
        self._spec_options = spec.options
        self._options: Options = read_options(spec.options)
        self._model = spec.model
        self._log = None if spec.log is None else Path(spec.log)
        self._server: Server | None = None
        port = 0
        if self._options.server is not None:
            port = free_port()
            self._options = msgspec.structs.replace(self._options, url=f"http://{HOST}:{port}/v1")
        self._port = port
        # What taskpace starts listens on loopback: no proxy has business with it, nor with the key.
        proxied = self._options.proxy and self._options.server is None
        self._target = read_url(self._options.url, proxied=proxied).with_query(make_query(self._options))
        self._secrets = secrets_of(self._options, self._target)
        self._pool = Pool(
            self._target,
            tls_context(self._options.ca_file) if self._target.tls else None,
            self.clock.now_ns,
            self._options.connect_timeout_s,
        )
        path = "/chat/completions" if self._options.api == "chat" else "/completions"
        self._salts: dict[str, str] = {}
        """Of vLLM's cache, by conversation that goes on."""
        self._head = request_head(self._options, self._target, "POST", path)
        self._refusals = Refusals(self._options, self._target, self._secrets)

    async def open(self, tell: Tell = nobody) -> EngineInfo:
        """Start the server if that is wanted, see that it is there and knows the model, and measure the way to it.

        Raises:
            TaskpaceError: in one line what to change.
        """
        try:
            info = await self._open(lambda text: tell(self._secrets.masked(text)))
        except (TaskpaceError, EngineError) as exc:
            exc.args = (self._secrets.masked(str(exc)),)
            raise
        return msgspec.structs.replace(
            info, version=self._secrets.masked(info.version), details=self._secrets.masked_in(info.details)
        )

    async def _open(self, tell: Tell) -> EngineInfo:
        way = Way(self._options, self._target, self._pool, self.clock.now_ns)
        begun_ns = self.clock.now_ns()
        if self._options.server is not None:
            self._server = Server(fill_in(self._options.server, self._port, self._model), self._log)
            try:
                await wait_until_ready(way, self._server, tell)
            except BaseException:
                self._server.stop()
                raise
        ready_ns = self.clock.now_ns() - begun_ns
        found = await preflight(way, self._model, tell)
        self._model = found.model
        self._refusals = Refusals(self._options, self._target, self._secrets, found)
        return EngineInfo(
            engine="openai",
            version=found.server or "unknown",
            in_process=False,
            join=self._spec_options | {"server": None, "url": self._options.url, "proxy": False}
            if self._server
            else None,
            chat_template="server" if self._options.api == "chat" else "none",
            details={
                "url": self._target.url,
                "served_model": found.model,
                "model_listed": found.model in found.listed if found.listed else None,
                "connect_ns": found.connect_ns,
                "round_trip_ns": found.round_trip_ns,
                "server_command": self._options.server,
                "server_log": None if self._log is None or self._server is None else self._log.name,
                "server_start_ns": ready_ns if self._server else None,
                "proxy": self._target.proxy is not None,
                "event_loop": self.clock.loop_name if isinstance(self.clock, FastClock) else None,
            },
        )

    def prepare(self, request: Request) -> Payload:
        """The whole request, head and body."""
        options = self._options
        body: dict[str, Any] = {
            "model": self._model,
            options.max_tokens_field: request.max_tokens,
            "temperature": request.sampling.temperature,
            "top_p": request.sampling.top_p,
            "seed": request.seed & _SEED_BITS,
        }
        if request.stop:
            body["stop"] = list(request.stop)
        if options.api == "chat":
            body["messages"] = [_message(message) for message in request.messages]
        else:
            body["prompt"] = render_plain(request.messages)
        if options.stream:
            body["stream"] = True
            if options.usage:
                body["stream_options"] = {"include_usage": True}
        body |= self._cache_fields(request) | reasoning_fields(options)
        content = msgspec.json.encode(shaped(body, options))
        return Payload(request=b"%bContent-Length: %d\r\n\r\n%b" % (self._head, len(content), content))

    def _cache_fields(self, request: Request) -> dict[str, Any]:
        """What keeps a server's prompt cache within one conversation.

        Sources: llama.cpp, tools/server/README.md (``cache_prompt``); vLLM, docs/design/prefix_caching.md
        (``cache_salt`` goes into the hash of the first block, so that only requests of one salt share blocks).
        """
        if self._options.prompt_cache == "llama.cpp":
            return {"cache_prompt": request.turn > 0}
        if self._options.prompt_cache == "vllm":
            # Not the trial's id alone: a server that goes on running would know it from the run before.
            if request.turn == 0:
                self._salts[request.trial_id] = f"{request.trial_id}-{secrets.token_hex(16)}"
            return {"cache_salt": self._salts.pop(request.trial_id) if request.last else self._salts[request.trial_id]}
        return {}

    async def ready(self, payload: Payload) -> None:
        """Take a connection for the request. Raises ``EngineError`` (``connect-...``) when none is available."""
        if self._server is not None and (why := self._server.ended()):
            raise EngineError(f"the server that taskpace started {self._secrets.masked(why)}", kind="connect-refused")
        payload.connection = await self._pool.take()

    async def generate(self, payload: Payload, stamps: Stamps) -> None:
        """Send, and stamp what comes back.

        Raises:
            EngineError: ``http-...``, ``content-type``, ``content-encoding``, and what ``Connection.ask`` raises.
        """
        connection, payload.connection = payload.connection, None
        assert connection is not None, "ready comes first"  # noqa: S101 - a broken protocol, not a user's error
        answer = await connection.ask(payload.request, stamps, self._options.idle_timeout_s)
        self._pool.give_back(connection)
        if not answer.succeeded:
            raise self._refusals.of_status(answer)
        check_content(answer, stamps, self._secrets)

    def read(self, stamps: Stamps) -> Generation:
        """Arrivals where text arrived, the texts, the server's counts, and what is wrong with the answer."""
        reader = Reader(self._refusals.in_answer, self._secrets)
        if self._options.stream:
            reader.stream(stamps.arrivals)
        else:
            reader.whole(stamps.arrivals)
        found = reader.generation()
        texts = {name: self._secrets.masked(getattr(found, name)) for name in ("text", "reasoning")}
        return msgspec.structs.replace(found, **texts)

    async def close(self) -> None:
        """Close the connections, and stop a server that was started."""
        self._pool.close()
        if self._server is not None:
            await asyncio.to_thread(self._server.stop)


def _message(message: Message) -> dict[str, str]:
    return {"role": message.role, "content": message.content}
