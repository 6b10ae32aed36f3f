"""Overhead: the same prompts through taskpace and through a bare xllamacpp loop, alternating in one run.

Targets: ratio of wall times at most 1.01 (median); memory of the parent process at most 150 MB.

Run: python bench/overhead_llamacpp.py [--rounds N] [--items N] [--tokens N]
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import taskpace
from harness import Bench, run_quietly, short_questions, threads
from taskpace.engines.base import EngineSpec, Message, Request
from taskpace.engines.llamacpp.engine import LlamaCppEngine
from taskpace.experiment.plan import request_seed
from taskpace.experiment.prepare import prepare
from taskpace.models import resolve
from taskpace.runner.events import CellStarted, TrialFinished
from tiny_model import make_tiny_gguf

TASKS = ("mmlu-letter", "mmlu-explain")
MODEL = "smollm2-135m"
OPTIONS = {"threads": threads(), "context": 2048}

BARE = """
import json, sys, time
import xllamacpp
from taskpace.engines.llamacpp.load import Options, make_params
model, context, threads, requests = json.load(sys.stdin)
params = make_params(xllamacpp, Options(), model=model, slots=1, context=context, threads=threads, key="key")
server = xllamacpp.Server(params)
begun = time.perf_counter()
for request in requests:
    chunks = []
    server.handle_chat_completions(request, chunks.append)
print(time.perf_counter() - begun)
"""
"""Nothing but the library's call in a loop, with the same settings and the same requests."""


def main() -> None:
    bench = Bench("overhead_llamacpp", __doc__, {"rounds": (15, 1), "items": (12, 1), "tokens": (96, 2)})
    rounds, items, tokens = bench.chosen.rounds, bench.chosen.items, bench.chosen.tokens
    with tempfile.TemporaryDirectory() as name:
        model, data = MODEL, None
        if bench.quick:
            model = str(make_tiny_gguf(Path(name) / "tiny.gguf"))
            data = str(short_questions(Path(name), items))
        experiment = taskpace.quick_experiment(
            models=(model,), tasks=TASKS, items=items, data=data, warmup=0, max_tokens=tokens, options=OPTIONS
        )
        plan = prepare(experiment, Path())
        requests = bodies(plan)
        bench.head(f"{len(requests)} prompts, {rounds} alternating rounds")
        if not bench.quick:
            through_taskpace(plan)  # what is read for the first time is not measured
        pairs = [(through_taskpace(plan), bare(model, requests)) for _ in range(rounds)]
        peak_mb = parent_memory_mb(model, items)
    ratio = bench.figure("ratio", [ours / theirs for ours, theirs in pairs], at_most=1.01)
    memory = bench.figure("parent process", peak_mb, "MB", at_most=150)
    bench.say(f"  taskpace        {bench.figure('taskpace', [ours for ours, _ in pairs], 's'):.3f} s")
    bench.say(f"  bare xllamacpp  {bench.figure('bare xllamacpp', [theirs for _, theirs in pairs], 's'):.3f} s")
    bench.say(f"  ratio           {ratio:.3f}  {ratio.target}")
    bench.say(f"  parent process  {memory:.0f} MB at most  {memory.target}")
    bench.finish()


def bodies(plan) -> list[dict[str, object]]:
    """What the engine sends for every trial of the plan."""
    spec = EngineSpec(engine="llamacpp", model="", options=OPTIONS, slots=1)
    engine = LlamaCppEngine(spec)
    return [
        engine.prepare(
            Request(
                messages=(Message("user", trial.item.prompts[0]),),
                max_tokens=cell.task.spec.max_tokens,
                stop=cell.task.spec.stop,
                sampling=cell.system.spec.sampling,
                seed=request_seed(trial.id, plan.experiment.seed),
                trial_id=trial.id,
            )
        ).body
        for cell in plan.cells
        for trial in plan.trials(cell)
    ]


def through_taskpace(plan) -> float:
    """Wall seconds of all cells: measuring, scoring and storing, without loading."""
    walls: dict[str, list[float]] = {}

    def watch(event) -> None:
        if isinstance(event, CellStarted):
            walls[event.task] = [time.perf_counter()]
        elif isinstance(event, TrialFinished):
            walls[event.task].append(time.perf_counter())

    with tempfile.TemporaryDirectory() as folder:
        taskpace.run(plan, Path(folder) / "run.db", on_event=watch).close()
    return sum(times[-1] - times[0] for times in walls.values())


def bare(model: str, requests: list[dict[str, object]]) -> float:
    done = subprocess.run(
        [sys.executable, "-c", BARE],
        input=json.dumps([resolve(model, Path()).path, OPTIONS["context"], OPTIONS["threads"], requests]),
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)


def parent_memory_mb(model: str, items: int) -> float:
    """Peak resident memory of the process that a user starts, over a whole run with its table."""
    program = (
        "import resource\n"
        "from taskpace.cli import main\n"
        "try:\n    main()\n"
        "finally:\n    print('peak', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        run = ["run", "-m", model, "-t", TASKS[0], "-n", str(items), "-o", f"{folder}/run.db"]
        told = run_quietly([sys.executable, "-c", program, *run])
    return int(told.rsplit("peak ", 1)[1]) / 1024


if __name__ == "__main__":
    main()
