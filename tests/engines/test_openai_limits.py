"""Endpoints that never end: headers, interim answers, chunks' lengths, error pages and lists of models have limits."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Iterator

import pytest
from tests.endpoint import MODEL, Endpoint, Writer, answer, fixed, head

import taskpace
from taskpace.engines.openai import preflight
from taskpace.engines.openai.http.connection import Connection
from taskpace.errors import EngineError
from taskpace.records import Record

pytestmark = pytest.mark.usefixtures("workers_here")


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


def endless(begin: bytes, again: bytes):
    """A behaviour that writes ``begin`` and then ``again`` as long as anybody reads."""

    async def behave(_asked, writer: Writer, _number) -> None:
        writer.write(begin)
        while not writer.is_closing():
            writer.write(again)
            await writer.drain()
            await asyncio.sleep(0)

    return behave


X = b"x" * 4096
HEADERS = endless(b"HTTP/1.1 200 OK\r\n", b"".join(b"X-%d: y\r\n" % number for number in range(400)))
ONE_HEADER = endless(b"HTTP/1.1 200 OK\r\nX-Long: ", X)
STATUS_LINE = endless(b"HTTP/1.1 200 ", X)
INTERIM = endless(b"", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 50)
EXTENSION = endless(head() + b"5;x=", X)
TRAILERS = endless(head() + b"0\r\n", b"X-More: y\r\n" * 100)
BODY = endless(head(), b"10000\r\n" + b"\n" * 65536 + b"\r\n")
ERROR_PAGE = endless(head("503 Service Unavailable", "text/html"), b"1000\r\n" + X + b"\r\n")


def first_record(server: Endpoint, path, **options: object) -> Record:
    experiment = taskpace.quick_experiment(
        models=(MODEL,), engine="openai", options={"url": server.url, **options}, tasks=("mmlu-letter",), items=1,
        warmup=0, timeout=60.0,
    )  # fmt: skip
    run = taskpace.run(experiment, path)
    (trial,) = run.frame()["trial_id"]
    return run.trial(trial)[0][0]


@pytest.mark.parametrize(
    ("behave", "kind"),
    [(HEADERS, "too-long"), (ONE_HEADER, "too-long"), (INTERIM, "too-long"), (EXTENSION, "too-long"),
     (TRAILERS, "too-long"), (STATUS_LINE, "too-long"), (ERROR_PAGE, "http-503"),
     (BODY, "too-long")],
    ids=["headers", "one header", "interim answers", "a chunk's extension", "trailers", "a status line",
         "an error page", "a body"],
)  # fmt: skip
def test_what_never_ends_is_given_up(tmp_path, behave, kind):
    """One trial, an error of its kind: by its size, long before its time limit."""
    with Endpoint(behave) as server:
        record = first_record(server, tmp_path / "x.db")
    assert record.failure is not None
    assert record.failure.kind == kind
    assert len(record.failure.message) < 400


def test_interim_answers_of_a_well_behaved_server_are_passed_over(tmp_path):
    """A few of them (RFC 9110, 15.2), and headers by the dozen."""

    async def behave(asked, writer, number) -> None:
        writer.write(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n" * 3)
        await answer(asked, writer, number)

    with Endpoint(behave) as server:
        assert first_record(server, tmp_path / "x.db").failure is None


@pytest.mark.parametrize("way", ["slow", "large"])
def test_a_list_of_models_that_never_ends_holds_nobody_up(tmp_path, monkeypatch, way):
    """With a name given, the run goes on without the list: after its limit in time, or in size."""

    async def forever(writer: Writer) -> None:
        writer.write(head(content_type="application/json"))
        piece = b"10000\r\n" + b" " * 65536 + b"\r\n" if way == "large" else b"1\r\n \r\n"
        while not writer.is_closing():
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0 if way == "large" else 0.05)

    class Listing(Endpoint):
        async def _answer(self, asked, writer) -> None:
            if asked.path.endswith("/models"):
                await forever(writer)
            else:
                await super()._answer(asked, writer)

    monkeypatch.setattr(preflight, "_MOST_S", 0.5 if way == "slow" else 60.0)
    monkeypatch.setattr("taskpace.engines.openai.http.connection.MOST_BYTES", 2_000_000)
    with Listing() as server:
        found = asyncio.run(_open(server.url, MODEL))
        assert found.model == MODEL
        assert found.listed == ()
        with pytest.raises(taskpace.TaskpaceError, match=r"no end of the answer|longer than"):
            asyncio.run(_open(server.url, ""))


async def _open(url: str, model: str) -> preflight.Found:
    from taskpace.engines.base import EngineSpec
    from taskpace.engines.openai.engine import OpenAIEngine

    engine = OpenAIEngine(EngineSpec(engine="openai", model=model, options={"url": url}, slots=1))
    try:
        way = preflight.Way(engine._options, engine._target, engine._pool, engine.clock.now_ns)
        return await preflight.preflight(way, model, lambda _text: None)
    finally:
        await engine.close()


class Transport(asyncio.Transport):
    """As much of a transport as a connection asks for."""

    def write(self, data: bytes | bytearray | memoryview) -> None: ...

    def abort(self) -> None: ...

    def is_closing(self) -> bool:
        return True


def pieces(kind: bytes) -> Iterator[bytes]:
    while True:
        yield kind


@pytest.mark.parametrize("piece", [b"X-Same: y\r\n" * 5000, b"x" * 65536])
def test_what_a_head_may_take_of_memory(piece):
    """Fed for ever, a connection gives up after a megabyte or so, and has kept no more than that."""

    async def ask() -> int:
        from taskpace.engines.base import Stamps

        connection = Connection(lambda: 0)
        connection.connection_made(Transport())
        asked = asyncio.ensure_future(connection.ask(b"", Stamps(), 60.0))
        await asyncio.sleep(0)
        connection.data_received(b"HTTP/1.1 200 OK\r\nX-Long: ")
        fed = 0
        while not asked.done():
            connection.data_received(piece)
            fed += len(piece)
            await asyncio.sleep(0)
        with pytest.raises(EngineError, match="headers"):
            asked.result()
        return fed

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert asyncio.run(ask()) < 1_200_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kilobytes


def test_an_error_page_is_kept_in_part(tmp_path):
    """Of a page of megabytes the first words are in the record, and its status and retry are not lost."""
    with Endpoint(
        lambda _a, w, _n: _write(w, fixed("502 Bad Gateway", b"<p>gone</p>" + X * 1000, "text/html"))
    ) as server:
        record = first_record(server, tmp_path / "x.db")
    assert record.failure is not None
    assert record.failure.kind == "http-502"
    assert record.failure.message.startswith("status 502: gone")


async def _write(writer: Writer, data: bytes) -> None:
    writer.write(data)
    await writer.drain()
