"""The engine ``openai`` on Hugging Face transformers' own server: its answers are the model's own."""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import tomli_w
from bench.tiny_model import make_tiny

import taskpace
from taskpace.engines.openai.launch import Server, free_port

pytestmark = pytest.mark.real_model

HALF = "\ufffd"


@pytest.fixture
def transformers_serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, str]]:
    """A model's folder, and the base URL of ``transformers serve`` with it."""
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
    # On a busy machine one short answer may come in one read; that they are streamed shows in the others.
    assert (frame["ttft_s"] <= frame["task_time_s"]).all()
    assert (frame["ttft_s"] < frame["task_time_s"]).any()
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
