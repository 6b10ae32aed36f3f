"""The gate of ``taskpace compare --run --until decided`` on a real model: the same again, a longer system prompt, and
one thread in place of two. How often does it fail, pass or stay open, after how many items and seconds?

Each gate has a seed of its own, so other items in another order; base and new are asked in turns, limit 5 %.

Run: python bench/gate_real.py [--gates N] [--items N]: about 10 minutes on 2 idle cores.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import tomli_w

import taskpace
from harness import Bench, short_questions, threads
from tiny_model import make_tiny_gguf

MODEL, TASK, LIMIT = "smollm2-135m", "mmlu-letter", "task_time > 5%"
OPTIONS = {"context": 1024, "threads": 2}
RULES = "Read the question and every choice with care before you answer. "
CASES: dict[str, dict[str, Any]] = {
    # A seed of the sampler changes nothing at temperature 0, and makes another system of it, on one core too.
    "the same": {"seed": 1},
    "a system prompt of 55 words more": {"system_prompt": RULES * 5},
    "one thread in place of two": {"options": OPTIONS | {"threads": 1}, "seed": 1},
}
EXITS = {0: "pass", 1: "fail", 2: "open"}


class Gated(msgspec.Struct, frozen=True):
    """One gate."""

    verdict: str
    items: int
    change: float
    seconds: float


def write_experiment(path: Path, asked: dict[str, Any], seed: int, items: int, changes: dict[str, Any]) -> None:
    system = {"name": "model", "engine": "llamacpp", "options": OPTIONS, "system_prompt": "Answer."}
    system |= asked["system"][0] | changes
    if threads() == 1:  # more would wait for each other on the one core that there is
        system["options"] = OPTIONS | {"threads": 1}
    path.write_text(tomli_w.dumps(asked | {"items": items, "seed": seed, "system": [system]}), "utf-8")


def gate(folder: Path, asked: dict[str, Any], case: str, seed: int, items: int) -> Gated:
    """As the command line carries it out, less the baseline, which is not timed."""
    write_experiment(folder / "base.toml", asked, seed, 2, {})
    write_experiment(folder / "new.toml", asked, seed, items, CASES[case])
    base, new = (f"{name}-{seed}-{list(CASES).index(case)}.db" for name in ("base", "new"))
    taskpace.run(folder / "base.toml", folder / base).close()
    until = ["--until", "decided", "--fail-if", LIMIT, "--progress", "quiet", "--format", "json"]
    begun_s = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "taskpace", "compare", base, "--run", "new.toml", "-o", new, *until],
        cwd=folder,
        check=False,
        capture_output=True,
    )
    seconds = time.perf_counter() - begun_s
    if not done.stdout:
        raise SystemExit(done.stderr.decode())
    (judged,) = json.loads(done.stdout)["judged"]
    return Gated(EXITS[done.returncode], judged["items"], judged["change"], seconds)


def main() -> None:
    bench = Bench("gate_real", __doc__, {"gates": (10, 1), "items": (200, 4)}, markdown=True)
    gates, items = bench.chosen.gates, bench.chosen.items
    bench.head(f"{MODEL} on {TASK}, {gates} gates a row, limit 5 %, {items} items at most")
    bench.say("\n| new against base | fails | passes | open | items | change of task time | seconds a gate |")
    bench.say("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plan: dict[str, Any] = {"tasks": [TASK], "system": [{"model": MODEL}]}
        if bench.quick:
            task = {"use": TASK, "data": str(short_questions(folder, items))}
            tiny = make_tiny_gguf(folder / "tiny.gguf")
            plan = {"tasks": [task], "warmup": 0, "system": [{"model": str(tiny)}]}
        for case in CASES:
            found = [gate(folder, plan, case, seed, items) for seed in range(gates)]
            counts = [sum(each.verdict == verdict for each in found) for verdict in ("fail", "pass", "open")]
            asked = bench.figure(f"{case}: items", [each.items for each in found])
            change = bench.figure(f"{case}: change", [100 * each.change for each in found], "%")
            seconds = bench.figure(f"{case}: seconds", [each.seconds for each in found], "s")
            told = " | ".join(map(str, counts))
            bench.say(f"| {case} | {told} | {asked:.0f} | {change:+.1f} % | {seconds:.0f} |")
            bench.figure(f"{case}: fails", 100 * float(np.mean([each.verdict == "fail" for each in found])), "%")
    bench.finish()


if __name__ == "__main__":
    main()
