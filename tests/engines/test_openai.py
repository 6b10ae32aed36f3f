"""The engine ``openai`` against real sockets: good servers, bad servers, no servers."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import ssl
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import polars as pl
import pytest
import tomli_w
from tests import in_process
from tests.endpoint import DONE, END, MODEL, Asked, Endpoint, answer, chunk, event, fixed, head, stream, usage

import taskpace
from taskpace.api import Run
from taskpace.engines.openai.answer import Reader
from taskpace.engines.openai.http.connection import Connection
from taskpace.errors import EngineError, ExperimentError
from taskpace.report.words.advice import advice
from taskpace.report.words.block import Advice

if TYPE_CHECKING:
    import trustme

pytestmark = pytest.mark.usefixtures("workers_here")

QUICK = {"idle_timeout_s": 0.4, "connect_timeout_s": 0.3}
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


Carry = Callable[..., Run]


@pytest.fixture
def run_plan(tmp_path: Path) -> Iterator[Carry]:
    """Runs an experiment on one endpoint and opens the result."""
    opened: list[Run] = []

    def run(url: str, *, model: str = MODEL, items: int = 10, scenario: str = "single", timeout: float = 20.0,
            tasks: list[str] | None = None, **options: Any) -> Run:  # fmt: skip
        file = tmp_path / f"x{len(opened)}.toml"
        system = {"name": "e", "engine": "openai", "model": model, "options": {"url": url} | QUICK | options}
        file.write_text(
            tomli_w.dumps({"items": items, "tasks": tasks or ["mmlu-letter"], "scenarios": [scenario], "warmup": 0,
                           "timeout": timeout, "system": [system]}), "utf-8",
        )  # fmt: skip
        opened.append(taskpace.run(file, file.with_suffix(".db")))
        return opened[-1]

    yield run
    for one in opened:
        one.close()


def test_a_good_server_is_measured_whole(run_plan):
    """Text, outcome, counts and the three times come out; connections are kept alive."""

    async def paced(asked: Asked, writer: asyncio.StreamWriter, number: int) -> None:
        del asked, number
        await asyncio.sleep(0.05)
        await stream(writer, event(role="assistant", content=""), event("Answer"), event(": A"), event(finish="stop"),
                     usage(3, prompt_tokens_details={"cached_tokens": 5}), DONE, pause_s=0.02)  # fmt: skip

    with Endpoint(paced) as server:
        frame = run_plan(server.url, scenario="concurrency=4", items=24).frame()
        assert len(server.asked) == 24
        assert server.connections < 24  # kept alive: fewer than requests
    assert set(frame["outcome"]) <= {"correct", "wrong"}
    assert set(frame["answer"]) == {"A"}
    assert frame["output_tokens"].to_list() == [3] * 24
    assert frame["prompt_tokens"].to_list() == [20] * 24
    assert set(frame["token_source"]) == {"usage"}
    # The role came after 50 ms and is not a token; the first token came 20 ms later, the last another 20 ms later.
    assert frame["ttft_s"].min() >= 0.069
    assert frame["task_time_s"].min() >= 0.089
    assert (frame["task_time_s"] > frame["ttft_s"]).all()


def test_the_request_is_what_was_asked_for(run_plan, monkeypatch):
    """Model, limits, sampling, extra fields and headers are in it; the key is, and in no file."""
    monkeypatch.setenv("SECRET_KEY", "sk-very-secret")
    with Endpoint() as server:
        options = {"body": {"cache_prompt": False, "top_p": 0.5}, "max_tokens_field": "max_completion_tokens"}
        secrets = {"api_key_env": "SECRET_KEY", "headers": {"X-Team": {"env": "SECRET_KEY"}}}
        run = run_plan(server.url, items=1, **options, **secrets)
    (asked,) = server.asked
    assert asked.headers["authorization"] == "Bearer sk-very-secret"
    assert asked.headers["x-team"] == "sk-very-secret"
    assert asked.headers["accept-encoding"] == "identity"
    assert asked.body["model"] == MODEL
    assert asked.body["max_completion_tokens"] > 0
    assert (asked.body["cache_prompt"], asked.body["top_p"], asked.body["stream"]) == (False, 0.5, True)
    assert asked.body["stream_options"] == {"include_usage": True}
    run.close()
    for file in run.path.parent.iterdir():
        assert b"very-secret" not in file.read_bytes()


@pytest.mark.parametrize("kind", ["server", "llama.cpp", "vllm"])
def test_a_prompt_cache_is_kept_within_one_conversation(run_plan, kind):
    """``cache_prompt`` is false with first turns alone; ``cache_salt`` is one for all turns of a conversation, another
    for each conversation and each run; ``server`` sends neither.
    """
    with Endpoint() as server:
        for _ in range(2):
            run_plan(server.url, tasks=["dialogue"], items=3, scenario="concurrency=3", prompt_cache=kind)
        asked = [one.body for one in server.asked]
    assert len(asked) == 2 * 3 * 3
    firsts = [body for body in asked if len(body["messages"]) == 1]
    if kind == "llama.cpp":
        assert [body["cache_prompt"] for body in asked] == [len(body["messages"]) > 1 for body in asked]
    if kind == "vllm":
        assert len({body["cache_salt"] for body in firsts}) == 6
        salts = {(body["cache_salt"], body["messages"][0]["content"]) for body in asked}
        assert len(salts) == 6
    assert all(
        ("cache_prompt" in body, "cache_salt" in body) == (kind == "llama.cpp", kind == "vllm") for body in asked
    )


def test_effort_and_budget_are_sent_and_can_be_swept(tmp_path):
    """Two efforts are two systems whose requests say so; the budget goes into the field that the server knows."""
    system = {"name": "e", "engine": "openai", "sweep": {"options.reasoning_effort": ["low", "high"]}}
    fields = [{}, {"thinking_budget_field": "custom_params.thinking_budget"}]
    with Endpoint() as server:
        systems = [
            system | {"name": f"e{n}", "options": {"url": server.url, "thinking_budget": 0} | each}
            for n, each in enumerate(fields)
        ]
        file = {"items": 1, "tasks": ["mmlu-letter"], "warmup": 0, "order": "sequential", "system": systems}
        (tmp_path / "x.toml").write_text(tomli_w.dumps(file), "utf-8")
        taskpace.run(tmp_path / "x.toml", tmp_path / "x.db").close()
        bodies = [asked.body for asked in server.asked]
    assert [body["reasoning_effort"] for body in bodies] == ["low", "high"] * 2
    assert [body.get("thinking_token_budget") for body in bodies] == [0, 0, None, None]
    assert [body.get("custom_params") for body in bodies] == [None] * 2 + [{"thinking_budget": 0}] * 2


def test_a_thought_without_an_answer_is_told(run_plan):
    """Reasoning until the token limit over HTTP: truncated, no visible byte, never answered."""

    async def think(asked: Asked, writer: asyncio.StreamWriter, number: int) -> None:
        del asked, number
        await stream(writer, event(reasoning_content="Hm"), event(reasoning_content=", hm"), event(finish="length"),
                     usage(9), DONE)  # fmt: skip

    with Endpoint(think) as server:
        (row,) = run_plan(server.url).summary().tables[0].rows
    assert (row.outcomes, row.never_answered) == ({"truncated": 10}, 10)
    assert "never-answered" in {finding.code for finding in row.findings}


def test_plain_completions_send_the_prompt_as_it_stands(run_plan):
    """``api = "completions"`` asks for text after the prompt, without roles."""

    async def plain(asked: Asked, writer: asyncio.StreamWriter, number: int) -> None:
        del asked, number
        await stream(writer, b'data: {"choices": [{"index": 0, "text": " A", "finish_reason": "stop"}]}\n\n', DONE)

    with Endpoint(plain) as server:
        frame = run_plan(server.url, items=1, api="completions", usage=False).frame()
    assert server.asked[0].path == "/v1/completions"
    assert server.asked[0].body["prompt"].startswith("Answer the following")
    assert frame["answer"].to_list() == ["A"]
    assert frame["output_tokens"].to_list() == [None]  # not reported: never a count of chunks


def test_an_answer_in_one_piece_has_a_time_and_no_ttft(run_plan):
    """Not streamed: the task time is known, the first token's time and the decode speed are not."""
    body = (b'{"choices": [{"index": 0, "message": {"content": "A"}, "finish_reason": "stop"}], '
            b'"usage": {"prompt_tokens": 9, "completion_tokens": 2}}')  # fmt: skip

    async def whole(asked: Asked, writer: asyncio.StreamWriter, number: int) -> None:
        del number
        assert "stream" not in asked.body
        await asyncio.sleep(0.05)
        writer.write(fixed("200 OK", body))

    with Endpoint(whole) as server:
        frame = run_plan(server.url, items=1, stream=False).frame()
    assert frame["task_time_s"][0] >= 0.05
    assert frame.select("ttft_s", "tokens_per_s", "output_tokens").rows() == [(None, None, 2)]


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with a TCP reset."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def cut(writer: asyncio.StreamWriter, *, hard: bool) -> None:
    writer.write(head() + chunk(event("Answer: ")))
    await writer.drain()
    await asyncio.sleep(0.02)
    reset(writer) if hard else writer.close()


async def hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()


async def trickle(writer: asyncio.StreamWriter) -> None:
    """A byte now and then, for ever."""
    writer.write(head() + chunk(event("Answer: ")))
    while True:
        writer.write(chunk(b":"))
        await writer.drain()
        await asyncio.sleep(0.05)


async def silence(writer: asyncio.StreamWriter) -> None:
    writer.write(head() + chunk(event("Answer: ")))
    await writer.drain()
    await asyncio.sleep(30)


async def endless(writer: asyncio.StreamWriter) -> None:
    writer.write(head() + chunk(event("Answer: ")) + chunk(b"data: "))
    for _ in range(20):
        writer.write(chunk(b"x" * 1024 * 1024))
        await writer.drain()
    writer.write(END)


async def put(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(data)
    await writer.drain()


BROKEN = b'data: {"error": {"message": "CUDA out of memory"}}\n\n'
TEAPOT = fixed("500 Internal Server Error", b'{"error": {"message": "boom"}}')
BUSY = fixed("429 Too Many Requests", b'{"error": {"message": "slow down"}}', Retry_After="7")
FAULTS: dict[str, tuple[Callable[[asyncio.StreamWriter], Any], str, str, str]] = {
    "http-500": (lambda writer: put(writer, TEAPOT), "http-500", "status 500: boom", ""),
    "http-404": (lambda writer: put(writer, fixed("404 Not Found", b"<h1>no</h1>")), "http-404", "status 404: no", ""),
    "http-429": (lambda writer: put(writer, BUSY), "http-429", "Retry-After: 7): slow down", ""),
    "closed": (hang_up, "closed", "without an answer", ""),
    "cut": (lambda writer: cut(writer, hard=False), "cut", "in the middle", "Answer: "),
    "reset": (lambda writer: cut(writer, hard=True), "cut", "in the middle", "Answer: "),
    "stall": (silence, "stall", "nothing arrived for 0.4 s", "Answer: "),
    "drip": (trickle, "timeout", "no end within 1 s", "Answer: "),
    "no HTTP": (lambda writer: put(writer, b"SSH-2.0-OpenSSH\r\n\r\n"), "bad-response", "not an HTTP/1.1", ""),
    "malformed event": (lambda writer: stream(writer, event("Answer: "), b"data: {\n\n"), "bad-event", "{", "Answer: "),
    "error in stream": (lambda writer: stream(writer, event("Answer: "), BROKEN), "server-error", "CUDA out of memory",
                        "Answer: "),
    "empty": (stream, "empty", "no event in it", ""),
    "no finish": (lambda writer: stream(writer, event("Answer: ")), "cut", "no finish_reason", "Answer: "),
    "gigantic line": (endless, "too-long", "more than 16777216 bytes", "Answer: "),
    "wrong content type": (lambda writer: put(writer, fixed("200 OK", b"<html>", "text/html")), "content-type",
                           '"text/html"', ""),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_recorded_as_what_it_is_and_the_run_goes_on(run_plan, fault):
    """The third of six trials goes wrong: it alone is an error, with its kind, its words and the text so far."""
    behave, kind, told, text = FAULTS[fault]

    async def behaviour(asked: Asked, writer: asyncio.StreamWriter, number: int) -> None:
        if number == 2:
            result = behave(writer)
            if asyncio.iscoroutine(result):
                await result
        else:
            await answer(asked, writer, number)

    with Endpoint(behaviour) as server:
        run = run_plan(server.url, items=6, timeout=1.0)
        frame = run.frame()
        assert len(server.asked) == frame.height == 6  # issued = recorded
    bad = frame.filter(pl.col("failure_kind").is_not_null())
    assert bad["failure_kind"].to_list() == [kind]
    assert told in bad["failure_message"][0]
    assert set(frame.filter(pl.col("failure_kind").is_null())["outcome"]) <= {"correct", "wrong"}
    ((record, _),) = run.trial(bad["trial_id"][0])
    assert "".join(turn.text for turn in record.turns) == text


def test_a_fault_leaves_nothing_for_the_garbage_collector(run_plan):
    """Connections, readers and errors are freed when their trial ends, whatever went wrong: none is in a circle.

    With circles they wait for a collection of the oldest generation, and a worker grows for 15,000 trials until then.
    """
    faults = [*FAULTS, "another encoding"]

    async def behaviour(asked: Asked, writer: asyncio.StreamWriter, number: int) -> None:
        del asked
        if faults[number] in FAULTS:
            result = FAULTS[faults[number]][0](writer)
            if asyncio.iscoroutine(result):
                await result
        else:
            await put(writer, fixed("200 OK", b"", Content_Encoding="br"))

    gc.collect()
    gc.disable()
    try:
        with Endpoint(behaviour) as server:
            frame = run_plan(server.url, items=len(faults), timeout=1.0).frame()
            assert len(server.asked) == len(faults) == frame["failure_kind"].count()
        # By type: an object of another library's, such as torch's, may answer ``isinstance`` with a warning.
        types = (type(each) for each in gc.get_objects())
        left = Counter(each for each in types if issubclass(each, Connection | Reader | EngineError))
    finally:
        gc.enable()

    assert left == {}


def test_wrong_and_missing_usage_is_unknown(run_plan):
    """Counts that are none are null; the answer itself counts."""

    async def behaviour(asked: Asked, writer: asyncio.StreamWriter, number: int) -> None:
        del asked
        wrong = b'data: {"choices": [], "usage": {"completion_tokens": "many", "prompt_tokens": -3}}\n\n'
        await stream(writer, event("A"), event(finish="stop"), *([wrong] if number % 2 else []), DONE)

    with Endpoint(behaviour) as server:
        frame = run_plan(server.url, items=4).frame()
    assert frame["output_tokens"].to_list() == [None] * 4
    assert frame["failure_kind"].to_list() == [None] * 4


def test_a_stream_that_is_left_open_after_its_end_is_over(run_plan):
    """``[DONE]`` ends the answer though the server keeps the message open; the time is that of the last byte."""

    async def behaviour(asked: Asked, writer: asyncio.StreamWriter, number: int) -> None:
        del asked, number
        writer.write(head() + chunk(event("A")) + chunk(event(finish="stop")) + chunk(DONE))
        await writer.drain()
        await asyncio.sleep(30)

    with Endpoint(behaviour) as server:
        frame = run_plan(server.url, items=2, idle_timeout_s=20.0).frame()
    assert frame["failure_kind"].to_list() == [None, None]
    assert frame["task_time_s"].max() < 0.4  # it waits half a second for the message's end


def test_a_server_that_is_gone_ends_the_cell_early(run_plan):
    """Three trials find no server; then the rest is left for later, and the run says why."""
    with Endpoint() as server:

        async def leave(asked: Asked, writer: asyncio.StreamWriter, number: int) -> None:
            await answer(asked, writer, number)
            if number == 3:
                server.leave()

        server.behaviour = leave
        run = run_plan(server.url, items=20)
        frame = run.frame()
    assert frame.height < 20
    kinds = frame["failure_kind"].drop_nulls().to_list()
    assert kinds[-3:] == ["connect-refused"] * 3
    assert frame.height == 4 + len(kinds)
    assert run.summary(resamples=0).done == frame.height


@pytest.fixture
def authority() -> trustme.CA:
    import trustme

    return trustme.CA()


def server_context(authority: trustme.CA, name: str = "127.0.0.1") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


def test_tls_with_an_authority_of_ones_own(run_plan, authority, tmp_path):
    """With ``ca_file`` a private authority is trusted, and the stream is measured as any other."""
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with Endpoint(tls=server_context(authority)) as server:
        frame = run_plan(server.url, items=2, ca_file=str(tmp_path / "ca.pem")).frame()
    assert frame["failure_kind"].to_list() == [None, None]


def refusal(run: Run) -> str:
    """Why the system was given up before any trial."""
    assert run.frame().height == 0
    return run.store.query("SELECT reason FROM worker_death")[1][0][0]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def test_a_server_that_is_gone_is_named_before_the_command_that_continues(run_plan, tmp_path):
    """From the first trial on, or when a run that it answered goes on: what to start comes before the command."""

    def advised(run: Run) -> list[Advice]:
        return [each for each in advice(run.summary(resamples=0), "x.db") if each.command == "taskpace run x.db"]

    nowhere = f"127.0.0.1:{free_port()}"
    (told,) = advised(run_plan(f"http://{nowhere}/v1", items=3))
    assert f"{nowhere}: nothing listens there: start the server" in told.what
    assert told.do == "see to that, then continue it"
    with Endpoint() as server:
        assert run_plan(server.url, items=2).frame().height == 2
    grown = tmp_path / "x1.toml"
    grown.write_text(grown.read_text("utf-8").replace("items = 2", "items = 4"), "utf-8")
    with taskpace.run(grown, grown.with_suffix(".db")) as run:
        assert run.frame().height == 2
        (told,) = advised(run)
    assert told.what.startswith(f"2 of 4 not run: {server.url}: ")


@pytest.mark.slow
def test_before_any_trial_is_spent_the_endpoint_is_tried(run_plan, authority, tmp_path, monkeypatch):
    """Each thing that can be wrong with an endpoint is one line that says what to change."""
    # A thread that looks up a name cannot be ended but with its process.
    monkeypatch.setattr(in_process, "may_be_here", lambda _spec: False)
    told = {}
    told["refused"] = refusal(run_plan(f"http://127.0.0.1:{free_port()}/v1"))
    told["name"] = refusal(run_plan("http://no-such-host.invalid/v1"))
    with Endpoint() as server:
        told["path"] = refusal(run_plan(server.url.removesuffix("/v1")))
        told["tls on plain"] = refusal(run_plan(server.url.replace("http:", "https:")))
    with Endpoint(tls=server_context(authority)) as server:
        told["unknown authority"] = refusal(run_plan(server.url))
        told["plain on tls"] = refusal(run_plan(server.url.replace("https:", "http:")))
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with Endpoint(tls=server_context(authority, "elsewhere.example")) as server:
        told["name of certificate"] = refusal(run_plan(server.url, ca_file=str(tmp_path / "ca.pem")))
        by_name = server.url.replace("127.0.0.1", "localhost")
        told["other host of certificate"] = refusal(run_plan(by_name, ca_file=str(tmp_path / "ca.pem")))
    with Endpoint(listing=fixed("401 Unauthorized", b"{}")) as server:
        told["key"] = refusal(run_plan(server.url, model=""))
    with Endpoint(
        listing=fixed("301 Moved Permanently", b"", Location="https://me:key@else.example/v1/models?k=key")
    ) as server:
        told["moved"] = refusal(run_plan(server.url))
    with Endpoint(listing=fixed("200 OK", b'{"data": "none"}')) as server:
        told["no list"] = refusal(run_plan(server.url, model=""))
    with Endpoint(models=["a", "b"]) as server:
        told["no model"] = refusal(run_plan(server.url, model=""))
    assert "nothing listens there: start the server, or correct the port" in told["refused"]
    assert "unknown host name: correct the host's name" in told["name"]
    assert "redirects to https://else.example/v1/models, not followed: write https://else.example/v1" in told["moved"]
    assert "is not a list of models to choose from: name one" in told["no list"]
    assert told["path"].endswith("/v1") and ": write http://127.0.0.1:" in told["path"]  # noqa: PT018 - one remedy
    assert "write http:// if the server does not use TLS" in told["tls on plain"]
    assert "certificate does not pass" in told["unknown authority"]
    assert "ca_file" in told["unknown authority"]
    assert "if it wants TLS, write https://" in told["plain on tls"]
    for other in (told["name of certificate"], told["other host of certificate"]):
        assert "certificate is for another name" in other
        assert "write the host's name in url" in other
        assert "ca_file" not in other
    assert "status 401: set api_key_env in the system's options to the name of the variable that" in told["key"]
    assert "serves a, b: name one" in told["no model"]
    assert all("\n" not in line for line in told.values())


def test_one_served_model_needs_no_name(run_plan):
    """A server with one model is asked for that one; what it is called is kept."""
    with Endpoint() as server:
        run = run_plan(server.url, model="", items=1)
    assert server.asked[0].body["model"] == MODEL
    assert f'"served_model":"{MODEL}"' in run.store.query("SELECT info FROM worker")[1][0][0]


def test_a_server_without_a_list_of_models_will_do(run_plan):
    """Not every gateway lists its models; with a name given it is measured."""
    with Endpoint(listing=fixed("404 Not Found", b"{}")) as server:
        frame = run_plan(server.url, items=1).frame()
    assert frame["failure_kind"].to_list() == [None]


def test_a_proxy_is_used_where_the_environment_names_one(run_plan, monkeypatch):
    """With HTTP_PROXY the proxy is asked for the whole URL; NO_PROXY goes past it."""
    with Endpoint(base="http://far.example/v1") as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://user:pass@127.0.0.1:{proxy.port}")
        frame = run_plan("http://far.example/v1", items=1).frame()
        assert frame["failure_kind"].to_list() == [None]
        assert proxy.asked[0].path == "http://far.example/v1/chat/completions"
        assert proxy.asked[0].headers["host"] == "far.example"
        assert proxy.asked[0].headers["proxy-authorization"] == "Basic dXNlcjpwYXNz"
        with Endpoint() as server:
            monkeypatch.setenv("NO_PROXY", "127.0.0.1")
            assert run_plan(server.url, items=1).frame()["failure_kind"].to_list() == [None]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({}, 'the key "url" is missing'),
        ({"url": "localhost:8000/v1"}, "write http://localhost:8000/v1 or https://"),
        ({"url": "ftp://x/v1"}, '"ftp" is not spoken here'),
        ({"url": "http://me:secret@x/v1"}, 'name that in "api_key_env"'),
        ({"url": "http://x/v1#a"}, "give the base URL alone"),
        ({"url": "http://x/v1?api-key=secret"}, 'query = { api-key = { env = "VARIABLE" } }'),
        ({"url": "http://x/v1", "query": {"code": {"env": "NO_SUCH_VARIABLE"}}}, "NO_SUCH_VARIABLE is not set"),
        ({"url": "http://x/v1/chat/completions/"}, "by themselves: write http://x/v1"),
        ({"url": "http://a..b/v1"}, "invalid host name"),
        ({"url": f"http://{'a' * 300}/v1"}, "invalid host name"),
        ({"url": "http://x/v1", "omit": ["sead"]}, 'unknown request field "sead" (did you mean "seed"?)'),
        ({"url": "http://x/v1", "omit": ["stream"]}, '"stream" has to be there: set stream = false'),
        ({"url": "http://x/v1", "omit": ["top_k"], "body": {"top_k": 1}}, '"top_k" is one of body'),
        ({"url": "http://x/v1", "omit": ["seed"], "rename": {"seed": "s"}}, '"seed" is left out by omit as well'),
        ({"url": "http://x:99999/v1"}, "invalid URL"),
        ({"url": "http://x/v1", "api_key_env": "NO_SUCH_VARIABLE"}, "the variable NO_SUCH_VARIABLE is not set"),
        ({"url": "http://x/v1", "ca_file": "none.pem"}, 'key "ca_file": none.pem'),
        ({"url": "http://x/v1", "headers": {"a b": "c"}}, "invalid header name"),
        ({"url": "http://x/v1", "headers": {"a": "b\r\nc: d"}}, "must be plain text on one line"),
        ({"url": "http://x/v1", "idle_timeout_s": 0}, 'key "idle_timeout_s"'),
        ({"url": "http://x/v1", "streams": False}, 'unknown key "streams" (did you mean "stream"?)'),
    ],
)
def test_bad_options_are_one_line(run_plan, options, problem):
    """What is wrong with an option is told before anything is started, and no secret is repeated."""
    given = dict(options)
    with pytest.raises(ExperimentError) as bad:
        run_plan(given.pop("url", None), **given) if "url" in options else _without_url()
    assert problem in str(bad.value)
    assert "secret" not in str(bad.value)
    assert "\n" not in str(bad.value)


def _without_url() -> None:
    from taskpace.engines import check_options

    check_options("openai", {})


class Tunnel:
    """A proxy that knows CONNECT and nothing else, in a thread; ``refuse``: with this status line."""

    def __init__(self, refuse: str | None = None) -> None:
        self.heads: list[str] = []
        self._refuse = refuse
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self) -> None:
        server = self._loop.run_until_complete(asyncio.start_server(self._accept, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
            self._loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
        self._loop.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii")
        self.heads.append(head)
        if self._refuse:
            writer.write(f"HTTP/1.1 {self._refuse}\r\n\r\n".encode())
            writer.close()
            return
        host, _, port = head.split(" ")[1].partition(":")
        beyond = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\nX-By: tunnel\r\n\r\n")
        await asyncio.gather(self._pass(reader, beyond[1]), self._pass(beyond[0], writer))

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()
        sink.close()


def test_tls_goes_through_a_proxy_s_tunnel(run_plan, authority, tmp_path, monkeypatch):
    """With HTTPS_PROXY the proxy is asked to CONNECT, with its password; TLS is with the server itself."""
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(ca_file)
    with Endpoint(tls=server_context(authority)) as server, Tunnel() as tunnel:
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:pass@127.0.0.1:{tunnel.port}")
        frame = run_plan(server.url, ca_file=str(ca_file), items=4).frame()
        port = server.port
    assert frame["failure_kind"].null_count() == 4
    assert tunnel.heads
    assert all(head.startswith(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n") for head in tunnel.heads)
    assert all("Proxy-Authorization: Basic dXNlcjpwYXNz" in head for head in tunnel.heads)
    assert not any("authorization" in key for asked in server.asked for key in asked.headers)


def test_a_proxy_that_refuses_the_tunnel_is_named(run_plan, authority, monkeypatch):
    """The proxy's own words, and which variable to look at, before any trial is spent."""
    with Endpoint(tls=server_context(authority)) as server, Tunnel("407 Proxy Authentication Required") as tunnel:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{tunnel.port}")
        said = refusal(run_plan(server.url))
    assert "407 Proxy Authentication Required" in said
    assert "HTTPS_PROXY" in said
