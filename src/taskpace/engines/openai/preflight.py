"""Before any trial is spent: is the server there, what does it call its models, and how long is the way to it?

Whether it takes this model, this key and these fields is for a real answer to decide: the first requests, of the
warm-up where there is one, end a cell that is refused (``taskpace.worker.refusals``).
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from taskpace.engines.base import Stamps, Tell
from taskpace.engines.openai.head import request_head
from taskpace.engines.openai.http.coding import unpacked
from taskpace.engines.openai.http.connection import Answer
from taskpace.engines.openai.http.pool import OtherNameError, Pool
from taskpace.engines.openai.http.target import Target
from taskpace.engines.openai.launch import Server
from taskpace.engines.openai.models import beside, names_of, some_of
from taskpace.engines.openai.options import Options
from taskpace.errors import EngineError, ExperimentError, TaskpaceError

_MODELS = "/models"
_ROUNDS = 5
_MOST_S = 60.0
"""For a whole answer about the models; a server that is busy loading one may be slow."""
_MOST_BYTES = 16 * 1024 * 1024
"""Of the list once unpacked; a large gateway's has some hundred thousand."""
_ASK_EVERY_S = 0.25
_TELL_EVERY_S = 5.0
_LAST_LINE = 200
_OK, _UNAUTHORISED, _FORBIDDEN, _NOT_FOUND = 200, 401, 403, 404
_NO_LIST = ("stall", "too-long", "cut")
"""How asking for a list may fail where a completion need not."""
_NO_TLS = "write http:// if the server does not use TLS"
_REMEDIES = {
    "connect-refused": "start the server, or correct the port",
    "connect-name": "correct the host's name",
    "connect-timeout": "see that the host is up and lets you in, or raise connect_timeout_s",
    "connect-failed": "see that the host can be reached from here",
}


class Way(NamedTuple):
    """How to reach a server."""

    options: Options
    target: Target
    pool: Pool
    now_ns: Callable[[], int]


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What the server reports about itself, and the way to it."""

    model: str
    """To ask for."""
    listed: tuple[str, ...]
    """The names that it lists; empty: it has no list."""
    server: str | None
    connect_ns: int
    """Time to open a connection, TLS included."""
    round_trip_ns: int | None
    """Median of a few cheap requests on an open connection: the network's and the server's least; null: not offered."""


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
        async with asyncio.timeout(_MOST_S):
            answer = await connection.ask(request, Stamps(), way.options.idle_timeout_s)
    except (EngineError, TimeoutError):
        return False
    connection.close()
    return answer.status == _OK


async def preflight(way: Way, model: str, tell: Tell) -> Found:
    """Open a connection, ask the server for its models, and see how long that takes.

    Args:
        way: to the server.
        model: its name, or empty: the only one that the server has.
        tell: hears of a name that the server does not list.

    Raises:
        TaskpaceError: one line that names the key and what to change.
    """
    options, target, pool, now_ns = way
    begun = now_ns()
    try:
        pool.give_back(await pool.connect())
    except EngineError as exc:
        raise TaskpaceError(f"{options.url}: {exc}: {_remedy(exc, target)}") from None
    connect_ns = now_ns() - begun
    listed = await _list(way, named=bool(model))
    names = None if listed.status != _OK else names_of(listed.body)
    if model and not (options.server is not None and names is not None and len(names) == 1):
        if names and (like := beside(model, names)):
            tell(f'{options.url} does not list "{model}"{like}; asking for it all the same')
        found = model
    else:
        found = _only(names, listed, options)
    rounds = [(await _get(way, _MODELS))[1] for _ in range(_ROUNDS)] if names is not None else []
    return Found(
        model=found,
        listed=tuple(names or ()),
        server=listed.server,
        connect_ns=connect_ns,
        round_trip_ns=round(statistics.median(rounds)) if rounds else None,
    )


class _List(NamedTuple):
    """What came for the list of models."""

    status: int
    body: bytes
    server: str | None


async def _list(way: Way, *, named: bool) -> _List:
    """Ask for the list of models. One that does not come is none to who has a name.

    Raises:
        TaskpaceError: no HTTP server; it is elsewhere; or ``/v1`` is missing.
    """
    options, target, _, _ = way
    try:
        answer, _, body = await _ask(way, _MODELS)
    except EngineError as exc:
        if named and exc.kind in _NO_LIST:
            return _List(0, b"", None)
        raise TaskpaceError(f"{options.url}: {exc}: {_remedy(exc, target)}") from None
    if location := answer.redirect:
        where, base = target.redirected(location)
        advice = f"write {base}" if base else "write where it leads, if that is the endpoint"
        raise TaskpaceError(f"{options.url}: status {answer.status}: it redirects to {where}, not followed: {advice}")
    if answer.status == _NOT_FOUND:
        await _refuse_missing_path(way)
    return _List(answer.status, body, answer.headers.get("server"))


def _only(names: list[str] | None, listed: _List, options: Options) -> str:
    """The only model that a server has. Raises ``TaskpaceError`` when there is none, or a choice."""
    if names is not None and len(names) == 1:
        return names[0]
    if listed.status in (_UNAUTHORISED, _FORBIDDEN):
        raise TaskpaceError(f"{options.url}: the server answers with status {listed.status}: {key_remedy(options)}")
    if names:
        why = f"{options.url} serves {some_of(names)}: name one"
    elif names is not None:
        why = f"{options.url} lists none: name one"
    elif listed.status == _OK:
        why = f"what {options.url}{_MODELS} gives is not a list of models to choose from: name one"
    else:
        why = f"{options.url}{_MODELS} answers with status {listed.status} and not with a list of models: name one"
    raise ExperimentError(f'the key "model" is missing: {why}')


async def _get(way: Way, path: str) -> tuple[Answer, int]:
    """An answer and how long it took. Raises ``TaskpaceError``."""
    try:
        answer, took_ns, _ = await _ask(way, path)
    except EngineError as exc:
        raise TaskpaceError(f"{way.options.url}: {exc}: {_remedy(exc, way.target)}") from None
    return answer, took_ns


async def _ask(way: Way, path: str) -> tuple[Answer, int, bytes]:
    """An answer, how long it took, and its body. Raises ``EngineError``."""
    options, target, pool, now_ns = way
    request = request_head(options, target, "GET", path) + b"\r\n"
    connection = await pool.take()
    stamps = Stamps()
    begun = now_ns()
    try:
        async with asyncio.timeout(_MOST_S):
            answer = await connection.ask(request, stamps, options.idle_timeout_s)
    except TimeoutError:
        raise EngineError(f"no end of the answer to {path} within {_MOST_S:g} s", kind="stall") from None
    took = now_ns() - begun
    pool.give_back(connection)
    return answer, took, unpacked(b"".join(data for _, data in stamps.arrivals), _MOST_BYTES)


def key_remedy(options: Options) -> str:
    """What to do about a key that is missing or wrong."""
    if options.api_key_env is None:
        return "set api_key_env in the system's options to the name of the variable that holds the key"
    return f"correct the key in {options.api_key_env}"


def _remedy(exc: EngineError, target: Target) -> str:
    kind = exc.kind
    if target.proxy is not None and kind.startswith("connect-"):
        name = f"{target.scheme.upper()}_PROXY"
        return f"start the proxy or correct {name}; or name the host {target.host} in NO_PROXY"
    if isinstance(exc, OtherNameError):
        return "write the host's name in url as the certificate has it, or give the server a certificate for this name"
    if kind == "connect-tls":
        return f"{_NO_TLS}, or name its certificate authority in ca_file"
    if kind in _REMEDIES:
        # A server without TLS may also just wait for the rest of what it takes for a request.
        return _REMEDIES[kind] + (f"; {_NO_TLS}" if target.tls and kind == "connect-timeout" else "")
    return "see that it is an OpenAI-compatible endpoint" + ("" if target.tls else "; if it wants TLS, write https://")


async def _refuse_missing_path(way: Way) -> None:
    """There is no list of models. If there is one below /v1, that was meant; else the server has none: that may be."""
    options, target, _, _ = way
    if target.path.endswith("/v1"):
        return
    answer, _ = await _get(way._replace(target=target.moved_to(f"{target.path}/v1")), _MODELS)
    if answer.status in (_OK, _UNAUTHORISED, _FORBIDDEN):
        raise ExperimentError(f'options of engine openai: key "url": {options.url}: write {target.url}/v1')
