"""How long from the start of `taskpace run` until its first request, when there is much to plan?

Run: python bench/planning.py [--rounds N] [--prompts N] [--trials N] [--many N]. Prompts for one system behind a server
that answers at once (bench/http_instant_server.py), which stamps the first request; two simulated systems in virtual
time, until the first trial is reported, when the run is stopped; and one alone, one trial at a time and 64 in flight,
whose worker needs no more than the first of its jobs. Targets for a million trials: at most 10 s, and 1 GB in all
processes together (each one's peak). Then Ctrl-C in the middle of planning as many, until the process has ended and
left no file.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

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


class Begun(NamedTuple):
    """A run up to its first trial."""

    seconds: float
    peak_mb: float


def many_trials(trials: int, folder: Path, systems: str = "ab", scenario: str = "single") -> list[str | Path]:
    """The command that runs so many."""
    write_prompts(folder / "many.jsonl", trials // len(systems))
    plan = {
        "tasks": [{"prompts": "many.jsonl"}],
        "warmup": 0,
        "scenarios": [scenario],
        "system": [{"name": name, "engine": "simulated", "options": {"time": "virtual"}} for name in systems],
    }
    (folder / "many.toml").write_text(tomli_w.dumps(plan), "utf-8")
    run = folder / "many.db"
    run.unlink(missing_ok=True)
    return [sys.executable, "-m", "taskpace", "run", folder / "many.toml", "-o", run, "--progress", "json"]


def first_trial(trials: int, folder: Path, systems: str = "ab", scenario: str = "single") -> Begun:
    command = many_trials(trials, folder, systems, scenario)
    begun = time.perf_counter()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    ) as process:
        assert process.stdout
        reported = any(json.loads(line)["event"] == "TrialFinished" for line in process.stdout)
        took_s = time.perf_counter() - begun
        peak_mb = session_peak_bytes(process.pid) / 1e6
        process.send_signal(signal.SIGTERM)
        process.stdout.read()
    assert reported
    return Begun(took_s, peak_mb)


def of_one_system(scenario: str, bench: Bench, trials: int, folder: Path) -> str:
    """A line on a system that is alone."""
    begun = [first_trial(trials, folder, "a", scenario) for _ in range(bench.chosen.rounds)]
    seconds, peaks = [each.seconds for each in begun], [each.peak_mb for each in begun]
    after = bench.figure(f"first trial of one system, {scenario}", seconds, "s", optional=True)
    peak = bench.figure(f"peak memory of one system, {scenario}", peaks, "MB", optional=True)
    what = f"as many of one system, {scenario}: after"
    return f"  {what:<60} {after:.2f} s, with {peak:.0f} MB in all processes"


def session_peak_bytes(session: int) -> int:
    """The sum of the most that each process of a session has had resident so far."""
    total = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if int((process / "stat").read_text("ascii").rpartition(")")[2].split()[3]) == session:
                total += 1024 * int((process / "status").read_text("utf-8").partition("VmHWM:")[2].split()[0])
        except (OSError, IndexError, ValueError):
            continue  # it has just ended
    return total


def interrupted_s(trials: int, after_s: float, folder: Path) -> float:
    """From Ctrl-C in the middle of planning until the process has ended."""
    with subprocess.Popen(many_trials(trials, folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        time.sleep(after_s)
        begun = time.perf_counter()
        process.send_signal(signal.SIGINT)
        code = process.wait()
        took_s = time.perf_counter() - begun
    assert code == 130, code
    assert not (folder / "many.db").exists()
    return took_s


def main() -> None:
    bench = Bench("planning", __doc__, {"rounds": (3, 1), "prompts": (3000, 200), "trials": (200_000, 1000),
                                         "many": (1_000_000, 100_000)})  # fmt: skip
    rounds, prompts, trials, many = (getattr(bench.chosen, name) for name in ("rounds", "prompts", "trials", "many"))
    bench.head(f"from the start of `taskpace run`; {rounds} rounds, median (least to greatest)")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        requested = bench.figure("first request", [first_request_s(prompts, folder) for _ in range(rounds)], "s")
        reported = bench.figure("first trial", [first_trial(trials, folder).seconds for _ in range(rounds)], "s")
        alone = [of_one_system(scenario, bench, trials, folder) for scenario in ("single", "concurrency=64")]
        begun = [first_trial(many, folder) for _ in range(rounds)]
        of_many = bench.figure("first trial of a million", [each.seconds for each in begun], "s", at_most=10)
        peak = bench.figure("peak memory of a million", [each.peak_mb for each in begun], "MB", at_most=1000)
        # In the middle of what it takes: before is Python's own start, and after it workers start.
        ended = [interrupted_s(many, 0.55 * float(of_many.median), folder) for _ in range(rounds)]
        interrupted = bench.figure("interrupted while planning", ended, "s")
    bench.say(f"  {prompts:>7,} prompts, instant server: first request after          {requested:.2f} s")
    bench.say(f"  {trials:>7,} planned trials, simulated: first trial reported after {reported:.2f} s")
    for line in alone:
        bench.say(line)
    bench.say(f"{many:>9,} planned trials, simulated: first trial reported after {of_many:.2f} s  {of_many.target}")
    bench.say(f"  their peak memory, all processes together                    {peak:.0f} MB  {peak.target}")
    bench.say(f"  Ctrl-C while they are planned: ended after                   {interrupted:.2f} s")
    bench.finish()


if __name__ == "__main__":
    # A job in the background of a script has Ctrl-C ignored, and so would have what it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    main()
