"""How long from the start of `taskpace run` until its first request, when there is much to plan?

Run: python bench/planning.py [--rounds N] [--prompts N] [--trials N]. Prompts for one system behind a server that
answers at once (bench/http_instant_server.py), which stamps the first request; and two simulated systems in virtual
time, until the first trial is reported, when the run is stopped.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import tomli_w

from harness import Bench
from http_capacity import CONCURRENCY, instant_server, taskpace_command
from http_instant_server import MODEL, first_request_ns
from peers import Load, environment, write_prompts


def first_request_s(prompts: int, folder: Path) -> float:
    with instant_server() as url:
        load = Load(url, MODEL, folder / "prompts.jsonl", prompts, CONCURRENCY, folder)
        write_prompts(load.prompts, prompts)
        command = taskpace_command(load)
        begun_ns = time.perf_counter_ns()
        subprocess.run(command, check=True, capture_output=True, env=environment())
        return (first_request_ns(url) - begun_ns) / 1e9


def first_trial_s(trials: int, folder: Path) -> float:
    write_prompts(folder / "many.jsonl", trials // 2)
    plan = {
        "tasks": [{"prompts": "many.jsonl"}],
        "warmup": 0,
        "system": [{"name": name, "engine": "simulated", "options": {"time": "virtual"}} for name in ("a", "b")],
    }
    (folder / "many.toml").write_text(tomli_w.dumps(plan), "utf-8")
    run = folder / "many.db"
    run.unlink(missing_ok=True)
    command = [sys.executable, "-m", "taskpace", "run", folder / "many.toml", "-o", run, "--progress", "json"]
    begun = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout
        reported = any(json.loads(line)["event"] == "TrialFinished" for line in process.stdout)
        took_s = time.perf_counter() - begun
        process.send_signal(signal.SIGTERM)
        process.stdout.read()
    assert reported
    return took_s


def main() -> None:
    bench = Bench("planning", __doc__, {"rounds": (3, 1), "prompts": (3000, 200), "trials": (200_000, 1000)})
    rounds, prompts, trials = bench.chosen.rounds, bench.chosen.prompts, bench.chosen.trials
    bench.head(f"from the start of `taskpace run`; {rounds} rounds, median (least to greatest)")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        requested = bench.figure("first request", [first_request_s(prompts, folder) for _ in range(rounds)], "s")
        reported = bench.figure("first trial", [first_trial_s(trials, folder) for _ in range(rounds)], "s")
    bench.say(f"  {prompts:>7,} prompts, instant server: first request after          {requested:.2f} s")
    bench.say(f"  {trials:>7,} planned trials, simulated: first trial reported after {reported:.2f} s")
    bench.finish()


if __name__ == "__main__":
    main()
