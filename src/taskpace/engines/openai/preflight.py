"""Before any trial is spent: is the server there, does it know the model, and how long is the way to it?"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from taskpace.engines.base import Stamps, Tell
from taskpace.engines.openai.http.connection import Answer
from taskpace.engines.openai.http.pool import Pool
from taskpace.engines.openai.http.target import Target
from taskpace.engines.openai.launch import Server
from taskpace.engines.openai.options import Options, request_head
from taskpace.errors import EngineError, ExperimentError, TaskpaceError
from taskpace.text.strict import did_you_mean

_MODELS = "/models"
_ROUNDS = 5
_ASK_EVERY_S = 0.25
_TELL_EVERY_S = 5.0
_LAST_LINE = 200
_OK, _UNAUTHORISED, _FORBIDDEN, _NOT_FOUND = 200, 401, 403, 404
_NO_TLS = "write http:// if the server speaks no TLS"
_REMEDIES = {
    "connect-refused": "start the server, or correct the port",
    "connect-name": "correct the host's name",
    "connect-timeout": "see that the host is up and lets you in, or raise connect_timeout_s",
    "connect-proxy": "correct HTTPS_PROXY, or name the host in NO_PROXY",
    "connect-failed": "see that the host can be reached from here",
}


class Way(NamedTuple):
    """How to reach a server."""

    options: Options
    target: Target
    pool: Pool
    now_ns: Callable[[], int]


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What the server says of itself, and the way to it."""

    model: str
    server: str | None
    connect_ns: int
    """Time to open a connection, TLS included."""
    round_trip_ns: int | None
    """Median of a few cheap requests on an open connection: the network's and the server's least; null: not offered."""


class _Model(msgspec.Struct):
    id: str


class _Models(msgspec.Struct):
    data: list[_Model] = []


async def wait_until_ready(way: Way, server: Server, tell: Tell) -> None:
    """Ask a server that was just started for its models until it has them.

    Raises:
        TaskpaceError: it ended, or took longer than ``server_timeout_s``; with its last words.
    """
    begun_ns = way.now_ns()
    told_s = 0.0
    while True:
        if why := server.ended():
            raise TaskpaceError(f"the server {why}: run the command of the key server by itself to see more")
        if await _answers(way):
            return
        waited_s = (way.now_ns() - begun_ns) / 1e9
        last = (server.last_lines(1) or ["it has printed nothing"])[-1][:_LAST_LINE]
        if waited_s > way.options.server_timeout_s:
            raise TaskpaceError(
                f"the server did not answer within {way.options.server_timeout_s:g} s; its last words: {last}: "
                "raise server_timeout_s"
            )
        if waited_s - told_s >= _TELL_EVERY_S:
            told_s = waited_s
            tell(f"starting the server, {waited_s:.0f} s: {last}")
        await asyncio.sleep(_ASK_EVERY_S)


async def _answers(way: Way) -> bool:
    request = request_head(way.options, way.target, "GET", _MODELS) + b"\r\n"
    try:
        connection = await way.pool.connect()
        answer = await connection.ask(request, Stamps(), way.options.idle_timeout_s)
    except EngineError:
        return False
    connection.close()
    return answer.status == _OK


async def preflight(way: Way, model: str) -> Found:
    """Ask the server for its models, and how long that takes.

    Raises:
        TaskpaceError: one line that names the key and what to change.
    """
    options, target, pool, now_ns = way
    begun = now_ns()
    try:
        pool.give_back(await pool.connect())
    except EngineError as exc:
        raise TaskpaceError(f"{options.url}: {exc}: {_remedy(exc.kind, target)}") from None
    connect_ns = now_ns() - begun
    answer, stamps, _ = await _get(way, _MODELS)
    if answer.status in (_UNAUTHORISED, _FORBIDDEN):
        key = "set api_key_env" if options.api_key_env is None else f"correct the key in {options.api_key_env}"
        raise TaskpaceError(f"{options.url}: the server answers with status {answer.status}: {key}")
    if answer.status == _NOT_FOUND:
        await _refuse_missing_path(way)
        return Found(
            model=_given(model), server=answer.headers.get("server"), connect_ns=connect_ns, round_trip_ns=None
        )
    if answer.status != _OK:
        raise TaskpaceError(f"{options.url}: {_MODELS} answers with status {answer.status}: see that it is an endpoint")
    rounds = [(await _get(way, _MODELS))[2] for _ in range(_ROUNDS)]
    return Found(
        model=_served(model, b"".join(data for _, data in stamps.arrivals), way),
        server=answer.headers.get("server"),
        connect_ns=connect_ns,
        round_trip_ns=round(statistics.median(rounds)),
    )


async def _get(way: Way, path: str) -> tuple[Answer, Stamps, int]:
    """The answer, its body, and how long it took."""
    options, target, pool, now_ns = way
    request = request_head(options, target, "GET", path) + b"\r\n"
    try:
        connection = await pool.take()
        stamps = Stamps()
        begun = now_ns()
        answer = await connection.ask(request, stamps, options.idle_timeout_s)
        took = now_ns() - begun
    except EngineError as exc:
        remedy = _remedy(exc.kind, target)
        raise TaskpaceError(f"{options.url}: {exc}: {remedy}") from None
    pool.give_back(connection)
    return answer, stamps, took


def _remedy(kind: str, target: Target) -> str:
    if kind == "connect-tls":
        return f"{_NO_TLS}, or name its certificate authority in ca_file"
    if kind in _REMEDIES:
        # A server that speaks no TLS may also just wait for the rest of what it takes for a request.
        return _REMEDIES[kind] + (f"; {_NO_TLS}" if target.tls and kind == "connect-timeout" else "")
    return "see that it is an OpenAI-compatible endpoint" + ("" if target.tls else "; if it wants TLS, write https://")


async def _refuse_missing_path(way: Way) -> None:
    """There is no list of models. If there is one below /v1, that was meant; else the server has none: that may be."""
    options, target, _, _ = way
    if target.path.endswith("/v1"):
        return
    answer, _, _ = await _get(way._replace(target=target.moved_to(f"{target.path}/v1")), _MODELS)
    if answer.status != _NOT_FOUND:
        raise ExperimentError(f'options of engine openai: key "url": {options.url}: write {target.url}/v1')


def _given(model: str) -> str:
    if not model:
        raise ExperimentError('the key "model" is missing: the server has no list of models to choose from')
    return model


def _served(model: str, body: bytes, way: Way) -> str:
    """The model's name as the server has it; without one, the only model that it serves.

    A server that was started for this very model may call it by another name.
    """
    url = way.options.url
    try:
        names = [found.id for found in msgspec.json.decode(body, type=_Models).data]
    except msgspec.MsgspecError:
        raise TaskpaceError(
            f"{url}: {_MODELS} is no list of models: see that it is an OpenAI-compatible endpoint"
        ) from None
    if len(names) == 1 and (not model or way.options.server is not None):
        return names[0]
    if not model:
        raise ExperimentError(f'the key "model" is missing: {url} serves {", ".join(names) or "none"}: name one')
    if names and model not in names:
        raise ExperimentError(f'key "model": {url} does not serve "{model}"{did_you_mean(model, names)}')
    return model
