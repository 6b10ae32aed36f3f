"""Keys: a known one is written nowhere, a likely one stands in nothing that is passed on, and URLs lose theirs."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from pathlib import Path

import pytest
from hypothesis import given, strategies as st
from tests.endpoint import DONE, END, MODEL, Endpoint, answer, chunk, event, fixed, head, usage

from taskpace.engines.openai.http.target import read_url
from taskpace.errors import ExperimentError
from taskpace.text.secrets import MASK, Secrets, suspects, without_passwords, without_secrets

pytestmark = pytest.mark.usefixtures("workers_here")

KEY = "sk-NotASecret0123456789"


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TEST_KEY", KEY)
    monkeypatch.setenv("TEST_HEADER", f"Bearer {KEY}")


def experiment(url: str | None, **options: object) -> str:
    """An experiment file of one system and two items."""
    given = ({} if url is None else {"url": url}) | options
    lines = (f"{key} = {_toml(value)}" for key, value in given.items())
    return "\n".join(
        ["items = 2", "warmup = 0", 'tasks = ["mmlu-letter"]', "[[system]]", 'name = "s"', 'engine = "openai"',
         f'model = "{MODEL}"', "[system.options]", *lines, ""]
    )  # fmt: skip


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_toml(inner)}" for key, inner in value.items()) + " }"
    return json.dumps(value)


async def in_error(asked, writer, _number) -> None:
    said = {"error": {"message": f"I got {asked.headers['authorization']} of you"}}
    writer.write(fixed("400 Bad Request", json.dumps(said).encode()))


async def in_page(asked, writer, _number) -> None:
    writer.write(fixed("502 Bad Gateway", f"<p>{'x' * 285} {asked.headers['authorization']}".encode(), "text/html"))


async def in_stream(asked, writer, _number) -> None:
    said = json.dumps({"error": {"message": asked.headers["authorization"]}}).replace("sk", "\\u0073k")
    writer.write(head() + chunk(b"data: " + said.encode() + b"\n\n") + END)


async def in_answer(asked, writer, _number) -> None:
    words = [event(content=part) for part in (asked.headers["authorization"][:10], asked.headers["authorization"][10:])]
    writer.write(head() + b"".join(map(chunk, [*words, event(finish="stop"), usage(2), DONE])) + END)


async def in_reasoning(asked, writer, _number) -> None:
    words = [event(reasoning_content=asked.headers["authorization"]), event(content="A")]
    writer.write(head() + b"".join(map(chunk, [*words, event(finish="stop"), usage(2), DONE])) + END)


async def in_finish(asked, writer, _number) -> None:
    words = [event(content="A"), event(finish=asked.headers["authorization"] + "x" * 100_000), usage(1), DONE]
    writer.write(head() + b"".join(map(chunk, words)) + END)


async def in_redirect(asked, writer, _number) -> None:
    where = f"/v2/{asked.headers['authorization'].split()[1]}/chat/completions"
    writer.write(fixed("302 Found", b"", Location=where))


async def in_label(asked, writer, _number) -> None:
    writer.write(fixed("200 OK", b"hello", asked.headers["authorization"].split()[1]))


_BY_KEY: dict[str, object] = {"api_key_env": "TEST_KEY"}
_BY_HEADER: dict[str, object] = {"headers": {"Authorization": {"env": "TEST_HEADER"}}}


@pytest.mark.parametrize(
    ("behave", "options"),
    [
        *(
            (behave, _BY_KEY)
            for behave in (in_error, in_page, in_stream, in_answer, in_reasoning, in_finish, in_redirect, in_label)
        ),
        *((behave, _BY_HEADER) for behave in (in_error, in_page, in_answer)),
    ],
)
def test_a_key_that_the_endpoint_repeats_is_in_no_file(tmp_path, cli, behave, options):
    """Wherever it stands in what comes back: not in the run file, not on the terminal."""
    with Endpoint(behave) as server:
        (tmp_path / "x.toml").write_text(experiment(server.url, **options))
        done = cli("run", "x.toml", "-o", "x.db", "--progress", "json")
    assert server.asked
    assert KEY not in done.stdout + done.stderr
    assert KEY[:12] not in (tmp_path / "x.db").read_bytes().decode("latin-1")


def test_an_answer_keeps_its_length_without_the_key(tmp_path, cli):
    """As many bytes arrive as are kept: sizes and times of an answer are what they were."""
    with Endpoint(in_answer) as server:
        (tmp_path / "x.toml").write_text(experiment(server.url, api_key_env="TEST_KEY"))
        cli("run", "x.toml", "-o", "x.db", "--progress", "quiet")
    with sqlite3.connect(tmp_path / "x.db") as db:
        assert {text for (text,) in db.execute("SELECT text FROM turn")} == {"*" * len(f"Bearer {KEY}")}


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({"headers": {"Authorization": f"Bearer {KEY}"}}, "options.headers.Authorization"),
        ({"headers": {"X-Api-Key": "0123456789abcdef"}}, "options.headers.X-Api-Key"),
        ({"body": {"api_key": KEY, "top_k": 5}}, "options.body.api_key"),
        ({"body": {"metadata": {"note": f"of {KEY}"}}}, "options.body.metadata.note"),
        ({"query": {"sig": "0123456789abcdef"}}, "options.query.sig"),
    ],
)
def test_a_key_written_into_the_file_is_told_and_stands_in_nothing_that_is_passed_on(tmp_path, cli, options, path):
    """One line names where it is and what to do; report and export have a mask."""
    with Endpoint() as server:
        (tmp_path / "x.toml").write_text(experiment(server.url, **options))
        done = cli("run", "x.toml", "-o", "x.db", "--progress", "quiet")
        assert server.asked
    assert f'system "s": {path} may hold a key in the clear' in done.stderr
    cli("report", "x.db", "--resamples", "0")
    cli("export", "x.db", "--to", "jsonl")
    for file in ("x.html", "x.jsonl"):
        written = (tmp_path / file).read_text("utf-8")
        assert KEY not in written
        assert "0123456789abcdef" not in written


def test_a_key_in_a_server_s_command_is_told_and_masked(tmp_path, cli, undrawn):
    """``--api-key VALUE`` of a server that taskpace starts: in the experiment, and in what the engine says of it."""
    serve = tmp_path / "serve.py"
    serve.write_text(
        f"import sys; sys.path.insert(0, {str(Path(__file__).parents[1])!r})\n"
        "import asyncio\nfrom tests.endpoint import Endpoint\n"
        "class Here(Endpoint):\n"
        "    async def _start(self):\n"
        "        self._server = await asyncio.start_server(self._accept, '127.0.0.1', int(sys.argv[1]))\n"
        "        self._started.set()\n"
        "with Here(): \n    import time; time.sleep(60)\n"
    )
    command = f"{sys.executable} {serve} {{port}} --api-key {KEY}"
    (tmp_path / "x.toml").write_text(experiment(None, server=command, server_timeout_s=30))
    with Endpoint() as proxy:
        named = f"http://127.0.0.1:{proxy.port}"
        done = cli("run", "x.toml", "-o", "x.db", "--progress", "quiet", HTTP_PROXY=named, http_proxy=named)
        assert (done.returncode, proxy.connections) == (0, 0), done.stderr  # and it was asked without the proxy
    assert "options.server may hold a key" in done.stderr
    cli("report", "x.db", "--resamples", "0")
    assert KEY not in (tmp_path / "x.html").read_text("utf-8")
    assert (tmp_path / "x.db.s.log").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "url", [f"me:{KEY}@host/v1", f"http://me:{KEY}@[::1/v1", f"http://me:{KEY}@host:port/v1", f"http://:{KEY}@/v1",
            f"http://ho st/v1?api_key={KEY}", f"//me:{KEY}@host"],
)  # fmt: skip
def test_a_url_that_cannot_be_used_is_repeated_without_its_password(url):
    """Whatever is wrong with it."""
    with pytest.raises(ExperimentError) as refused:
        read_url(url)
    assert KEY not in str(refused.value)


@pytest.mark.parametrize("name", ["pass", "api_key", "apikey", "X-Amz-Signature", "access_token", "jwt", "code", "PWD"])
def test_one_list_says_which_parameters_are_keys(name):
    """What is refused in a URL is masked where a URL is shown, and of its words a setting of that name, too."""
    with pytest.raises(ExperimentError, match=f'parameter "{name}" may be a key'):
        read_url(f"http://host/v1?x=1&{name}=correcthorse")
    assert without_passwords(f"http://host/v1?x=1&{name}=correcthorse&y") == f"http://host/v1?x=1&{name}={MASK}&y"
    assert without_secrets({name: "correcthorse"}) == {name: "correcthorse" if name == "code" else MASK}


@pytest.mark.parametrize(
    "kept",
    [
        {"api_key_env": "MY_KEY", "headers": {"Authorization": {"env": "MY_KEY"}, "X-Title": "our benchmark"}},
        {"max_tokens_field": "max_completion_tokens", "thinking_budget_field": "thinking_token_budget"},
        {"body": {"eos_token": "<|endoftext|>", "prompt_cache_key": "x", "max_tokens": 5, "tokenizer": "a/b-c-d-e-f"}},
        {"server": "vllm serve {model} --port {port} --tokenizer org/name --max-model-len 4096", "ca_file": "key.pem"},
        {"url": "http://localhost:8000/v1?api-version=2024-10-21"},
        {"data": "hf://datasets/cais/mmlu@main/all.parquet", "threads": 4},
    ],
)
def test_what_is_no_secret_stands(kept):
    """Names of variables, fields and tokenizers, and whatever else only sounds like a key."""
    assert without_secrets(kept) == kept
    assert list(suspects(kept)) == []


@given(st.lists(st.text(st.characters(codec="ascii"), min_size=1, max_size=20), max_size=4), st.text())
def test_no_known_secret_survives_and_every_text_keeps_its_length(secrets, text):
    """For any secrets and any text around them."""
    known = Secrets(secrets)
    whole = text + "".join(f"{secret}{text}" for secret in secrets)
    masked = known.masked(whole)
    assert len(masked.encode("utf-8", "surrogatepass")) == len(whole.encode("utf-8", "surrogatepass"))
    assert not any(secret in masked for secret in secrets if secret.strip("*"))
    assert known.masked_bytes(b"") == b""


_NESTED = st.recursive(
    st.text() | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


@given(_NESTED)
def test_masking_is_done_once(value):
    """Masked settings have nothing left to mask, and text stays text."""
    masked = without_secrets(value)
    assert without_secrets(masked) == masked
    assert without_passwords(without_passwords(str(value))) == without_passwords(str(value))


def test_a_well_behaved_endpoint_notices_nothing(tmp_path, cli):
    """The key is sent as it is."""
    with Endpoint(answer) as server:
        (tmp_path / "x.toml").write_text(experiment(server.url, api_key_env="TEST_KEY"))
        assert cli("run", "x.toml", "-o", "x.db", "--progress", "quiet").returncode == 0
    assert {asked.headers["authorization"] for asked in server.asked} == {f"Bearer {os.environ['TEST_KEY']}"}
    assert MASK == "***"
