"""The engine ``openai`` on real servers that compute: llama.cpp's own, and Hugging Face transformers' own."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import tomli_w
from bench.tiny_model import make_tiny

import taskpace
from taskpace import models
from taskpace.engines.openai.launch import Server, free_port

pytestmark = pytest.mark.real_model

HALF = "\ufffd"

SERVE = """
import asyncio, json, sys
from taskpace.engines import create
from taskpace.engines.base import EngineSpec

async def serve() -> None:
    engine = create(EngineSpec(engine="llamacpp", model=sys.argv[1], options=json.loads(sys.argv[2]), slots=4))
    await engine.open()
    print(engine._server.listening_address, engine._key, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await engine.close()

asyncio.run(serve())
"""


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[tuple[Path, str]]:
    """The model's file, and the base URL of llama.cpp's server in a process of its own; it ends with its input."""
    path = Path(models.resolve("smollm2-135m", Path()).path)
    options = {"context": 1024, "threads": 1} | getattr(request, "param", {})
    command = [sys.executable, "-c", SERVE, str(path), json.dumps(options)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address, key = process.stdout.readline().split()
        monkeypatch.setenv("LLAMA_KEY", key)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield path, f"{address}/v1"
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(60) == 0


def test_over_http_it_is_the_same_model(served, tmp_path):
    """The same prompts over HTTP and in process: the same greedy texts, the same counts, whole times, one at a time
    and four in flight.
    """
    path, url = served
    file = tmp_path / "x.toml"
    http = {"url": url, "api_key_env": "LLAMA_KEY", "body": {"cache_prompt": False}}
    systems = [
        {"name": "http", "engine": "openai", "options": http},
        {"name": "in process", "engine": "llamacpp", "model": str(path), "options": {"context": 1024, "threads": 1}},
    ]
    scenarios = ["single", "concurrency=4"]
    plan = {"items": 4, "tasks": ["mmlu-letter"], "scenarios": scenarios, "max_tokens": 12, "system": systems}
    file.write_text(tomli_w.dumps(plan), "utf-8")
    with taskpace.run(file, tmp_path / "x.db") as run:
        frame = run.frame()
        texts = {
            (system, scenario, item): text
            for system, scenario, item, text in run.store.query(
                "SELECT cell.system, cell.scenario, trial.item_id, turn.text FROM turn"
                " JOIN trial ON trial.id = turn.trial_id JOIN cell ON cell.id = trial.cell_id"
            )[1]
        }
    assert frame["failure_kind"].drop_nulls().to_list() == []
    assert frame.height == 16
    items = frame["item_id"].unique()
    assert [texts["http", "single", item] for item in items] == [texts["in process", "single", item] for item in items]
    alone = frame.filter(scenario="single").sort("item_id")
    counts = ("prompt_tokens", "output_tokens", "cached_tokens")
    http_counts, own_counts = (alone.filter(system=name).select(*counts).rows() for name in ("http", "in process"))
    assert http_counts == own_counts
    assert set(frame["token_source"]) == {"usage", "engine"}
    assert (frame["ttft_s"] > 0).all()
    assert (frame["task_time_s"] >= frame["ttft_s"]).all()


@pytest.mark.parametrize("served", [{"prompt_cache": True}], indirect=True)
def test_a_conversation_is_cached_between_its_turns_and_not_before(served, tmp_path):
    """Dialogues over HTTP on a server that caches, and in process: no first turn has a cached token, also on the second
    round of the same prompts; every later turn has its past; nothing is INVALID for that, and the summary says it.
    """
    path, url = served
    http = {"url": url, "api_key_env": "LLAMA_KEY", "prompt_cache": "llama.cpp"}
    systems = [
        {"name": "http", "engine": "openai", "options": http},
        {"name": "in process", "engine": "llamacpp", "model": str(path), "options": {"context": 1024, "threads": 1}},
    ]
    (tmp_path / "x.toml").write_text(
        tomli_w.dumps({"items": 2, "tasks": ["dialogue"], "repeats": 2, "max_tokens": 40,
                       "scenarios": ["concurrency=2"],
                       "system": systems}), "utf-8",
    )  # fmt: skip
    with taskpace.run(tmp_path / "x.toml", tmp_path / "x.db") as run:
        turns = run.store.query(
            "SELECT turn.turn, turn.cached_tokens, before.prompt_tokens FROM turn"
            " JOIN trial ON trial.id = turn.trial_id"
            " LEFT JOIN turn AS before ON before.trial_id = turn.trial_id AND before.turn = turn.turn - 1"
        )[1]
        rows = run.summary().tables[0].rows
    assert len(turns) > 2 * 4
    assert [cached for turn, cached, _ in turns if turn == 1] == [0] * 8
    assert all(cached > before for turn, cached, before in turns if turn > 1)
    for row in rows:
        assert "cached-prompts" not in {reason.code for reason in row.reasons}
        assert row.cached_between_turns_share is not None
        assert 0.5 < row.cached_between_turns_share < 1


@pytest.fixture
def transformers_serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, str]]:
    """A model's folder, and the base URL of ``transformers serve`` with it."""
    pytest.importorskip("fastapi")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    model, port = make_tiny(tmp_path / "tiny"), free_port()
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(model), "--port", str(port),
               "--host", "127.0.0.1", "--device", "cpu"]  # fmt: skip
    server = Server(command, None)
    try:
        wait_for(port, server)
        yield model, f"http://127.0.0.1:{port}/v1"
    finally:
        server.stop()


def wait_for(port: int, server: Server) -> None:
    """Return once somebody listens there."""
    for _ in range(600):
        assert server.ended() is None
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError("the server does not listen")


def test_transformers_serve_speaks_a_dialect_and_is_measured(transformers_serve, tmp_path):
    """It sends no ``[DONE]``, and its counts with the end: texts and counts are those of the model in this process.

    It refuses a field that it does not know, in FastAPI's words; the line names the option that leaves it out.
    """
    model, url = transformers_serve
    system = {"engine": "openai", "model": str(model)}
    systems = [
        system | {"name": "served", "options": {"url": url}},
        system | {"name": "refused", "options": {"url": url, "body": {"top_k": 5}}},
    ]
    plan = {"items": 3, "tasks": ["mmlu-letter"], "max_tokens": 8, "warmup": 0, "system": systems}
    (tmp_path / "x.toml").write_text(tomli_w.dumps(plan), "utf-8")
    with taskpace.run(tmp_path / "x.toml", tmp_path / "x.db") as run:
        frame = run.frame()
        answers = run.store.query(
            "SELECT item.prompts, turn.text, turn.prompt_tokens, turn.output_tokens, turn.finish_reason FROM turn"
            " JOIN trial ON trial.id = turn.trial_id JOIN item ON item.id = trial.item_id"
        )[1]
        refused = run.store.query("SELECT failure_message FROM record WHERE failure_kind = 'http-422'")[1]
    assert frame["failure_kind"].to_list() == [None] * 3
    assert (frame["ttft_s"] < frame["task_time_s"]).all()
    assert len(answers) == len(refused) == 3
    for prompts, *found in answers:
        text, *counts = greedy(model, json.loads(prompts)[0], 8)
        assert found == [text.rstrip(HALF), *counts]  # the server says no half of a character
    for (message,) in refused:
        assert message == "status 422: Unexpected fields in the request: {'top_k'}: take \"top_k\" out of body"


def greedy(model: Path, prompt: str, most: int) -> tuple[str, int, int, str]:
    """The model's own answer: text, tokens of the prompt and of the answer, why it ended."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    messages = [{"role": "user", "content": prompt}]
    asked = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    loaded = AutoModelForCausalLM.from_pretrained(model)
    count = asked["input_ids"].shape[1]
    tokens = loaded.generate(**asked, do_sample=False, max_new_tokens=most)[0][count:]
    text = tokenizer.decode(tokens, skip_special_tokens=True)
    return text, count, len(tokens), "length" if len(tokens) >= most else "stop"
