"""What an idle neighbour costs: the same prompts with the other system stopped, open and idle, and in turns with it.

Systems that take turns are all open at once. Each prompt under the three conditions in random order, one after the
other, so that the machine has little time to change its pace; processor time of the system's own processes, which
scatters less than task time, and task time, as ratios to the same prompt with the neighbour stopped. Medians, which a
burst of other work on a shared machine does not move.

Run: python bench/neighbours.py [--sets N] [--block N] [--only ENGINE]
"""

from __future__ import annotations

import math
import os
import random
import shlex
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from harness import Bench, short_questions
from taskpace import models
from taskpace.analysis.stats.quantiles import of_quantiles
from taskpace.engines.base import EngineSpec
from taskpace.experiment.experiment import experiment_of
from taskpace.experiment.prepare import prepare
from taskpace.runner.jobs import make_jobs
from taskpace.runner.worker_process import WorkerProcess
from taskpace.worker.messages import CellEnded, Close, Closed, Finished, Job, Open, Opened, RunCell, Stored
from tiny_model import make_tiny_gguf

MODEL, TOKENS = "smollm2-135m", 12
CONDITIONS = ("stopped", "idle", "turns")
WIDEST = 0.04
"""Of the intervals: a cost of two per cent would be seen."""


class Spent(NamedTuple):
    cpu_s: float
    wall_s: float


class Neighbour:
    """A system with an engine that is open."""

    def __init__(self, spec: EngineSpec) -> None:
        self._worker = WorkerProcess()
        self._worker.send(Open(spec=spec))
        while not isinstance(self._worker.receive(600.0)[-1], Opened):
            pass

    def ask(self, job: Job) -> float:
        """Task time in seconds."""
        self._worker.send(RunCell(concurrency=1, one_at_a_time=True, timeout_s=600.0, jobs=(job,)))
        task_time_s = math.nan
        while True:
            for message in self._worker.receive(600.0):
                if isinstance(message, Finished):
                    task_time_s = sum(turn.end_ns for turn in message.record.turns) / 1e9
                    self._worker.send(Stored())
                if isinstance(message, CellEnded):
                    return task_time_s

    def cpu_s(self) -> float:
        """Processor time of all its processes so far."""
        return sum(_cpu_s(pid) for pid in self.pids())

    def signal(self, number: int) -> None:
        for pid in self.pids():
            os.kill(pid, number)

    def pids(self) -> list[int]:
        """Of the worker and of a server that it has started."""
        found, queue = [], [self._worker.pid]
        while queue:
            pid = queue.pop()
            found.append(pid)
            queue += [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        return found

    def close(self) -> None:
        self._worker.send(Close())
        while not isinstance(self._worker.receive(60.0)[-1], Closed):
            pass
        self._worker.end()


def _cpu_s(pid: int) -> float:
    """User and system time of all threads, in nanoseconds where the scheduler says so."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


def specs(folder: Path, model: str, *, quick: bool) -> dict[str, EngineSpec]:
    """By name: what is measured beside a second one of its kind."""
    path = models.resolve(model, Path()).path
    server = f"{shlex.quote(sys.executable)} {shlex.quote(str(Path(__file__).with_name('llama_server.py')))}"
    return {
        "llamacpp": EngineSpec(engine="llamacpp", model=path, options={"context": 1024}, slots=1),
        # In the quick form another engine takes its place: two processes that import torch would be most of its time.
        "transformers": EngineSpec(engine="simulated", model="", options={"length": 2}, slots=1)
        if quick
        else EngineSpec(engine="transformers", model=path, options={"dtype": "float32"}, slots=1),
        "openai": EngineSpec(
            engine="openai",
            model="",
            options={"server": f"{server} {shlex.quote(path)} {{port}}", "body": {"cache_prompt": False}},
            slots=1,
            log=str(folder / "server.log"),
        ),
    }


def prompts(folder: Path, model: str, *, quick: bool) -> list[Job]:
    tasks: list[object] = ["mmlu-explain"]
    if quick:
        tasks = [{"use": "mmlu-explain", "data": str(short_questions(folder))}]
    table = {
        "tasks": tasks,
        "items": 1 if quick else 20,
        "max_tokens": 2 if quick else TOKENS,
        "system": [{"name": MODEL, "model": model}],
    }
    plan = prepare(experiment_of(table, "bench", default_name="neighbours"), folder)
    (cell,) = plan.cells
    return [job for job, _ in make_jobs(plan, cell, plan.trials(cell), {})]


def measure(spec: EngineSpec, jobs: list[Job], sets: int, size: int) -> dict[str, list[Spent]]:
    """By condition: the sums of each set's blocks of that size."""
    system, other = Neighbour(spec), Neighbour(spec)
    rng = random.Random(7)  # noqa: S311 - a design, not a secret
    found: dict[str, list[Spent]] = {condition: [] for condition in CONDITIONS}
    for job in jobs[:2]:
        system.ask(job)
        other.ask(job)
    for number in range(sets):
        block = [jobs[(number * size + index) % len(jobs)] for index in range(size)]
        for condition in rng.sample(CONDITIONS, len(CONDITIONS)):
            if condition == "stopped":
                other.signal(signal.SIGSTOP)
            cpu_s = wall_s = 0.0
            for job in block:
                if condition == "turns":
                    other.ask(job)
                before = system.cpu_s()
                wall_s += system.ask(job)
                cpu_s += system.cpu_s() - before
            other.signal(signal.SIGCONT)
            found[condition].append(Spent(cpu_s, wall_s))
    system.close()
    other.close()
    return found


def main() -> None:
    only = {"--only": {"metavar": "ENGINE", "help": "only this one"}}
    bench = Bench("neighbours", __doc__, {"sets": (240, 1), "block": (1, 1)}, only)
    sets, block = bench.chosen.sets, bench.chosen.block
    with tempfile.TemporaryDirectory() as named:
        folder = Path(named)
        model = str(make_tiny_gguf(folder / "tiny.gguf")) if bench.quick else MODEL
        jobs = prompts(folder, model, quick=bench.quick)
        bench.head(f"{sets} sets of three blocks of {block} prompt(s), {jobs[0].max_tokens} tokens at most")
        bench.say("ratio to the neighbour stopped, median of the sets with its 95 % interval")
        for name, spec in specs(folder, model, quick=bench.quick).items():
            if bench.chosen.only in (None, name):
                begun = time.monotonic()
                report(bench, name, measure(spec, jobs, sets, block))
                print(f"{name}: {time.monotonic() - begun:.0f} s", file=sys.stderr)
    bench.finish()


def report(bench: Bench, name: str, found: dict[str, list[Spent]]) -> None:
    for field, what in (("cpu_s", "processor time"), ("wall_s", "task time")):
        sums = {condition: np.log([getattr(spent, field) for spent in found[condition]]) for condition in CONDITIONS}
        widths = []
        for condition in CONDITIONS[1:]:
            logs = sums[condition] - sums["stopped"]
            found_at = of_quantiles(logs, np.arange(len(logs)), (0.5,))
            median, low, high = np.exp([found_at.value[0], found_at.low[0], found_at.high[0]])
            bench.figure(f"{name}, {condition}, {what}", median)
            bench.say(f"  {name:<14}{condition:<8}{what:<16}{median:.3f} ({low:.3f} to {high:.3f})")
            widths.append(high - low)
        bench.figure(f"{name}: width of the wider interval, {what}", max(widths), at_most=WIDEST)


if __name__ == "__main__":
    main()
