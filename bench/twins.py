"""The same model under two names, while a load comes and goes on all cores: does a run claim a difference?

Runs in turns and runs with one system after the other alternate within the same hour. Claims are the summary's own.
Targets: at most one of 20 runs in turns claims a difference, and no row is INVALID.

Run: python bench/twins.py [--runs N] [--items N]
"""

from __future__ import annotations

import contextlib
import random
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import taskpace
from harness import Bench, short_questions
from taskpace.analysis.schema.summary import TaskTable
from taskpace.experiment.experiment import experiment_of
from taskpace.machine import host
from tiny_model import make_tiny_gguf

MODEL, TASK = "smollm2-135m", "mmlu-letter"
LOADED_S = IDLE_S = (4.0, 15.0)
QUICK_LOADED_S, QUICK_IDLE_S = (0.2, 0.3), (1.0, 2.0)
BUSY = "while True: pass"


@contextlib.contextmanager
def load_that_comes_and_goes(seed: int, *, quick: bool) -> Iterator[None]:
    """A busy process for each core, for some seconds, and then none for some seconds."""
    rng, over = random.Random(seed), threading.Event()  # noqa: S311 - a load, not a secret
    cores = round(host.describe().usable_cores or 1)
    loaded_s, idle_s = (QUICK_LOADED_S, QUICK_IDLE_S) if quick else (LOADED_S, IDLE_S)

    def work() -> None:
        while not over.is_set():
            over.wait(rng.uniform(*idle_s))
            busy = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(0 if over.is_set() else cores)]
            over.wait(rng.uniform(*loaded_s))
            for process in busy:
                process.kill()
                process.wait()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def run(order: str, model: str, items: int, seed: int, path: Path, *, quick: bool) -> TaskTable:
    """The table of one run."""
    task: object = {"use": TASK, "data": str(short_questions(path.parent, items))} if quick else TASK
    system = {"engine": "llamacpp", "model": model, "options": {"context": 1024, "threads": 1}}
    systems = [{"name": name, **system} for name in ("one", "two")]
    table = {
        "tasks": [task],
        "warmup": 0 if quick else 1,
        "items": items,
        "seed": seed,
        "order": order,
        "system": systems,
    }
    with taskpace.run(experiment_of(table, "bench", default_name="twins"), path) as done:
        return done.summary(resamples=0).tables[0]


def main() -> None:
    bench = Bench("twins", __doc__, {"runs": (20, 1), "items": (40, 2)})
    runs, items = bench.chosen.runs, bench.chosen.items
    bench.head(f"{MODEL} twice on {TASK}, {items} items, {runs} runs in turns, {-(-runs // 3)} one after the other")
    found = {"turns": [], "sequential": []}
    with tempfile.TemporaryDirectory() as name, load_that_comes_and_goes(1, quick=bench.quick):
        folder = Path(name)
        model = str(make_tiny_gguf(folder / "tiny.gguf")) if bench.quick else MODEL
        for number in range(runs):
            for order in found if number % 3 == 0 else ("turns",):
                path = folder / f"{order}-{number}.db"
                found[order].append(run(order, model, items, number, path, quick=bench.quick))
    for order, target in (("turns", max(1, runs // 20)), ("sequential", None)):
        tables = found[order]
        pairs = [table.pairs[0].task_time for table in tables]
        claims = bench.figure(f"{order}: claims", sum(pair.lower is not None for pair in pairs), at_most=target)
        invalid = bench.figure(
            f"{order}: INVALID", sum(not row.valid for table in tables for row in table.rows), at_most=0
        )
        withheld = bench.figure(f"{order}: claims withheld", sum(pair.p_holm is None for pair in pairs))
        ratio = bench.figure(f"{order}: ratio", [pair.change.value for pair in pairs])
        width = bench.figure(
            f"{order}: width of the interval",
            [pair.change.high / pair.change.low - 1 for pair in pairs if pair.change.low and pair.change.high],
        )
        bench.say(f"  {order}, {len(tables)} runs:")
        bench.say(f"    a difference claimed    {claims:.0f}  {claims.target}")
        bench.say(f"    claims withheld         {withheld:.0f}")
        bench.say(f"    rows INVALID            {invalid:.0f}  {invalid.target}")
        bench.say(f"    ratio of task times     {ratio:.3f}")
        bench.say(f"    width of its interval   {width:.3f} (high end / low end - 1)")
    bench.finish()


if __name__ == "__main__":
    main()
