"""The engine ``openai`` on llama.cpp's own server, which computes a real model's answers."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import tomli_w

import taskpace
from taskpace import models

pytestmark = pytest.mark.real_model

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
    asked = ("Name a colour.", "Count to nine.", "Who was Goethe?", "Write a line about the sea.")
    lines = "".join(json.dumps({"prompt": prompt}) + "\n" for prompt in asked)
    (tmp_path / "prompts.jsonl").write_text(lines, "utf-8")
    http = {"url": url, "api_key_env": "LLAMA_KEY", "body": {"cache_prompt": False}}
    systems = [
        {"name": "http", "engine": "openai", "options": http},
        {"name": "in process", "engine": "llamacpp", "model": str(path), "options": {"context": 1024, "threads": 1}},
    ]
    scenarios = ["single", "concurrency=4"]
    tasks = [{"prompts": "prompts.jsonl"}]
    plan = {"tasks": tasks, "warmup": 0, "scenarios": scenarios, "max_tokens": 12, "system": systems}
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
    # Sums are what this model answers in a few words, and a cut answer ends a conversation.
    asked = [{"turn1": f"What is {n} + {n}?", "turn2": "And 3 + 3?", "turn3": "And 4 + 4?", "answers": ["8"]}
             for n in (1, 2)]  # fmt: skip
    (tmp_path / "x.jsonl").write_text("\n".join(map(json.dumps, asked)), "utf-8")
    plan = {"items": 2, "tasks": [{"use": "dialogue", "data": "x.jsonl"}], "repeats": 2, "max_tokens": 40, "warmup": 0,
            "scenarios": ["concurrency=2"], "system": systems}  # fmt: skip
    (tmp_path / "x.toml").write_text(tomli_w.dumps(plan), "utf-8")
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
