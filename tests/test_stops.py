"""Ctrl-C and SIGKILL at random moments, of every command that carries a plan out: in the end nothing shows of them."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl
import pytest
from tests.endpoint import DONE, Endpoint, event, fixed, stream, usage

import taskpace

ROOT = Path(__file__).parents[1]
RETRIES = 6
EXPERIMENT = """
items = {items}
retries = 6
warmup = 1
tasks = ["mmlu-letter", "dialogue"]
scenarios = ["single", "concurrency=4"]
[[system]]
name = "one"
engine = "openai"
model = "tiny"
options = {{ url = "{url}", connect_timeout_s = 5 }}
"""
TWO = """
[[system]]
name = "two"
engine = "openai"
model = "tiny"
system_prompt = "Answer with care."
options = {{ url = "{url}", connect_timeout_s = 5 }}
"""
OWN = """
[[system]]
name = "own"
engine = "openai"
model = "tiny"
options = {{ server = "{python} {serve} {{port}} {folder}" }}
"""
JUDGE = """
retries = 6
rubric = "Is the answer right?"
[judge]
name = "grader"
engine = "openai"
model = "tiny"
options = {{ url = "{url}", connect_timeout_s = 5 }}
"""
SERVE = """
import asyncio, sys, time
sys.path.insert(0, {root!r})
from pathlib import Path
from tests.endpoint import Endpoint
from tests.test_stops import seldom_there
class Here(Endpoint):
    async def _start(self):
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", int(sys.argv[1]))
        self._started.set()
with Here(seldom_there(Path(sys.argv[2]))):
    time.sleep(600)
"""


class Command(NamedTuple):
    """A command that carries a plan out into x.db."""

    words: tuple[str, ...]
    systems: str
    items: int
    before: tuple[str, ...] = ()
    """What is carried out once before, uninterrupted."""


RUN = ("run", "x.toml", "-o", "x.db")
COMMANDS = {
    "run": Command(RUN, TWO, 8),
    "budget": Command((*RUN, "--budget", "10m"), TWO, 6),
    "brevity": Command(("brevity", "x.toml", "-o", "x.db"), OWN, 3),
    "judge": Command(("judge", "base.db", "judge.toml", "-o", "x.db"), TWO, 4, ("run", "x.toml", "-o", "base.db")),
}


def seldom_there(folder: Path):
    """A server that refuses half of all prompts the first time, and answers each prompt always alike.

    ``folder``: where it notes which it has refused, so that one that is started again knows.
    """

    async def behave(asked, writer, _number) -> None:
        digest = hashlib.sha256(str(asked.body["messages"]).encode()).digest()
        noted = folder / digest.hex()
        if digest[0] % 2 and not noted.exists():
            noted.touch()
            writer.write(fixed("503 Service Unavailable", b'{"error": {"message": "busy"}}', **{"Retry-After": "0"}))
            await writer.drain()
            return
        said = f"The answer is {'ABCD'[digest[1] % 4]}."
        if "Is the answer right?" in str(asked.body["messages"]):
            said = f"Verdict: {('correct', 'wrong')[digest[1] % 2]}"
        await asyncio.sleep(0.01)
        await stream(writer, *map(event, said.partition(" ")), event(finish="stop"), usage(5), DONE)

    return behave


def start(folder: Path, words: Sequence[str]) -> subprocess.Popen[str]:
    """In a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "taskpace", *words, "--progress", "quiet"],
        cwd=folder,
        env=os.environ | {"TMPDIR": str(folder)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "wanted"), [("brevity", 1), *(pytest.param(name, 25, marks=pytest.mark.soak) for name in COMMANDS)]
)
def test_stops_and_kills_change_no_outcome(tmp_path, name, wanted):
    """Of runs with retries, turns, dialogues, endpoints and servers of their own, a budget, brevity and a judge: every
    planned trial once, with the outcome and answer of an uninterrupted run, and no attempt spent on it.
    """
    command = COMMANDS[name]
    seed = random.randrange(2**32)
    print(f"drawn with seed {seed}")  # shown when the test fails
    rng = random.Random(seed)
    refused = tmp_path / "refused"
    refused.mkdir()
    (tmp_path / "serve.py").write_text(SERVE.format(root=str(ROOT)))
    with Endpoint(seldom_there(refused)) as server:
        places = {"url": server.url, "python": sys.executable, "serve": tmp_path / "serve.py", "folder": refused}
        (tmp_path / "x.toml").write_text((EXPERIMENT + command.systems).format(items=command.items, **places))
        (tmp_path / "judge.toml").write_text(JUDGE.format(**places))
        if command.before:
            before = start(tmp_path, command.before)
            before.communicate(timeout=120)
            assert before.returncode == 0
        begun = time.monotonic()
        whole = start(tmp_path, command.words)
        _, err = whole.communicate(timeout=120)
        length_s = time.monotonic() - begun
        assert whole.returncode == 0, err
        expected = outcomes(tmp_path / "x.db")
        counts = {signal.SIGINT: 0, signal.SIGKILL: 0}
        while sum(counts.values()) < wanted:
            for noted in (*refused.iterdir(), *tmp_path.glob("x.db*")):
                noted.unlink()
            carry_through(tmp_path, command.words, rng, length_s, counts)
            found = outcomes(tmp_path / "x.db")
            assert found == expected, {trial: each for trial, each in found.items() if each != expected.get(trial)}
    print(f"{name}: {counts[signal.SIGINT]} stops, {counts[signal.SIGKILL]} kills, {len(expected)} trials")


def carry_through(folder: Path, words: Sequence[str], rng: random.Random, length_s: float, counts) -> None:
    """The same command again and again, stopped or killed within ``length_s`` each time, until one gets to its end."""
    while True:
        process = start(folder, words)
        try:
            process.wait(timeout=rng.uniform(0.3, length_s))
        except subprocess.TimeoutExpired:
            number = rng.choice(list(counts))
            if number == signal.SIGINT:
                os.kill(process.pid, number)
            else:
                os.killpg(process.pid, number)
            counts[number] += 1
        _, err = process.communicate(timeout=60)
        assert process.returncode in (0, 130, -signal.SIGKILL, -signal.SIGINT), err
        assert "Traceback" not in err
        if process.returncode == 0:
            return


def outcomes(path: Path) -> dict[str, tuple[str, str | None]]:
    """Outcome and answer of each trial that has come to an end, of an error its words."""
    with taskpace.open(path) as run:
        frame = run.frame()
        planned = run.store.planned_count()
    last = frame.filter(pl.col("final"))
    assert last["trial_id"].is_unique().all()
    assert last.height == planned
    assert (frame["attempt"] <= RETRIES + 1).all()
    assert "error" not in set(last["outcome"])
    columns = ("trial_id", "outcome", pl.coalesce("failure_message", "answer").alias("said"))
    return {trial: (outcome, said) for trial, outcome, said in last.select(*columns).rows()}
