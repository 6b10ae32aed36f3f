"""Overhead: the same static batches through taskpace and through a bare ``model.generate`` loop, alternating.

Run: python bench/overhead_transformers.py [--rounds N]. Target: ratio of makespans at most 1.02 (median). A makespan is
the time from the first dispatch to the last end: stamping every step, looking for ends, scoring and storing between
batches are in taskpace's, loading is in neither.

After each batch of the bare loop an empty loop of Python is timed. Where batches beside slow ones of these take longer,
the machine changed its pace, and a single round shows nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import tomli_w

import taskpace
from bare_generate import generate
from harness import Bench
from taskpace import models
from taskpace.tasks import load_items, load_task, render
from tiny_model import make_tiny

MODEL = "smollm2-135m"
"""The quick form takes a tiny one, which loads in a moment."""
LEAST_ROUNDS = 3
"""From which the pace of the machine is told."""
SIZES = {"rounds": (9, 1), "items": (32, 2), "batch": (8, 2), "tokens": (32, 2)}


def through_taskpace(folder: Path, model: str, prompts: list[str], batch: int, tokens: int) -> float:
    lines = "".join(json.dumps({"prompt": prompt}) + "\n" for prompt in prompts)
    (folder / "prompts.jsonl").write_text(lines, "utf-8")
    system = {"name": "s", "engine": "transformers", "model": model, "options": {"dtype": "bfloat16"}}
    plan = {"tasks": [{"prompts": "prompts.jsonl"}], "scenarios": [f"batch={batch}"], "max_tokens": tokens,
            "system": [system]}  # fmt: skip
    (folder / "x.toml").write_text(tomli_w.dumps(plan), "utf-8")
    run = folder / "x.db"
    run.unlink(missing_ok=True)
    with taskpace.run(folder / "x.toml", run) as done:
        (row,) = done.summary(resamples=0).tables[0].rows
        order = [said for (said,) in done.store.query("SELECT prompts FROM item ORDER BY position")[1]]
    prompts[:] = [json.loads(said)[0] for said in order]  # the order in which they were asked, for the other loop
    assert row.n == len(prompts)
    assert row.makespan_s is not None
    return row.makespan_s


def bare(model: str, prompts: list[str], batch: int, tokens: int, *, quick: bool) -> list[tuple[float, float]]:
    """Seconds of each batch, and of an empty loop after it.

    In a process of its own; the quick form's in this one, as importing torch would be most of its time.
    """
    batches = [prompts[begin : begin + batch] for begin in range(0, len(prompts), batch)]
    if quick:
        return generate(model, batches, tokens)
    command = [sys.executable, Path(__file__).with_name("bare_generate.py")]
    told = json.dumps([model, batches, tokens])
    done = subprocess.run(command, input=told, capture_output=True, text=True, check=True)
    return [(taken, empty) for taken, empty in json.loads(done.stdout)]


def beside_slow_loops(rounds: list[list[tuple[float, float]]]) -> float | None:
    """How many times as long a batch takes, in the middle, beside the slower half of the empty loops; null: too few.

    Each relative to the same batch of the other rounds, whose prompts are the same.
    """
    if len(rounds) < LEAST_ROUNDS:
        return None
    taken, empty = np.array(rounds).transpose(2, 0, 1)
    relative, slow = taken / np.median(taken, axis=0), empty > np.median(empty)
    return float(np.median(relative[slow]) / np.median(relative[~slow]))


def main() -> None:
    bench = Bench("overhead_transformers", __doc__, SIZES)
    rounds, items, batch, tokens = (getattr(bench.chosen, name) for name in SIZES)
    bench.head(f"{items} prompts in batches of {batch}, at most {tokens} tokens, {rounds} alternating rounds")
    task = load_task("mmlu-explain", Path())
    prompts = [render(task, item)[0] for item in load_items(task, Path(), items, 0)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = str(make_tiny(folder / "tiny") if bench.quick else models.resolve(MODEL, folder).path)
        pairs = [
            (
                through_taskpace(folder, model, prompts, batch, tokens),
                bare(model, prompts, batch, tokens, quick=bench.quick),
            )
            for _ in range(rounds)
        ]
    makespans = [sum(taken for taken, _ in batches) for _, batches in pairs]
    ratio = bench.figure("ratio", [ours / theirs for (ours, _), theirs in zip(pairs, makespans, strict=True)],
                         at_most=1.02)  # fmt: skip
    bench.say(f"  taskpace             {bench.figure('taskpace', [ours for ours, _ in pairs], 's'):.3f} s")
    bench.say(f"  bare model.generate  {bench.figure('bare model.generate', makespans, 's'):.3f} s")
    bench.say(f"  ratio                {ratio:.3f}  {ratio.target}")
    loops = [1000 * empty for _, batches in pairs for _, empty in batches]
    empty = bench.figure("empty loop", loops, "ms")
    bench.say(f"  an empty loop        {empty:.2f} ms, after each batch of the bare loop")
    pace = bench.figure("beside slow loops", beside_slow_loops([batches for _, batches in pairs]))
    bench.say(f"  beside slow ones     {pace:.2f} times as long for a batch")
    bench.finish()


if __name__ == "__main__":
    main()
