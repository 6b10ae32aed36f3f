"""The gate of ``taskpace compare --run --until decided`` on planted regressions: how often does it fail, pass or stay
open, and after how many items?

Simulated experiments, looked at after every item by the product's own functions; the last part carries some out as a
whole: the command line with the simulated engine in virtual time, the baseline asked again beside the new system.

    python bench/gate.py                     # everything: about 6 minutes on one core
    python bench/gate.py --experiments 200 --only planted
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec
import numpy as np
import tomli_w

from harness import Bench
from taskpace.analysis.stats.anytime import running
from taskpace.analysis.stats.claims import one_sided
from taskpace.analysis.stats.gate import OfShares
from taskpace.analysis.stats.intervals import Flags, Floats
from taskpace.analysis.stats.significance import ALPHA

ITEMS = 660
SIZES = {"experiments": (2000, 3), "whole": (20, 1)}
PLANTED = (0.0, 0.05, 0.10, 0.20)
LIMITS = (0.05, 0.10)
SIGMAS = (0.1, 0.3, 0.6)
EACH_WAY = ALPHA / 2
FIXED = 100


class Said(msgspec.Struct, frozen=True):
    """Of many experiments with one condition."""

    failed: float
    """Per cent."""
    passed: float
    items: float
    """On average, until it was judged or all were asked."""

    @property
    def open(self) -> float:
        return max(0.0, 100 - self.failed - self.passed)

    @property
    def cells(self) -> str:
        return f"{self.failed:.1f} % | {self.passed:.1f} % | {self.open:.1f} % | {self.items:.0f}"


def said(failed: Flags, passed: Flags) -> Said:
    """``failed``, ``passed``: whether each is known by each item, (items, experiments)."""
    first = [np.where(each.any(axis=0), each.argmax(axis=0), ITEMS) for each in (failed, passed)]
    ended = np.minimum(*first)
    return Said(
        100 * float((first[0] < first[1]).mean()),
        100 * float((first[1] < first[0]).mean()),
        float(np.minimum(ended + 1, ITEMS).mean()),
    )


def judged(ratios: Floats, cut: Flags, limit: float) -> Said:
    """Of log ratios new / base, (items, experiments); ``cut``: the new side's answer was cut, so its time is longer."""
    above = running(ratios - np.log1p(limit)).log_p
    below = running(np.log1p(limit) - np.where(cut, np.inf, ratios)).log_p
    return said(above <= np.log(EACH_WAY), below <= np.log(EACH_WAY))


def fixed_size(ratios: Floats, limit: float) -> float:
    """Per cent that fail by the rule of a fixed number of items: a significant change, and an estimate beyond it."""
    first = ratios[:FIXED]
    return 100 * float(((2 * one_sided(first)[0] <= ALPHA) & (first.mean(axis=0) > np.log1p(limit))).mean())


def is_wrong(found: Said, planted: float, limit: float) -> float:
    """Per cent of verdicts that are wrong: a pass beyond the limit, or a fail that is not."""
    return found.passed if planted > limit else found.failed


def print_planted(bench: Bench) -> None:
    """Regressions of task time, log ratios normal with a scatter from item to item; some with cut answers."""
    bench.say("\n| scatter | cut | limit | planted | fails | passes | open | items | fixed size fails |")
    bench.say("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    wrong, quick = [], []
    experiments = bench.chosen.experiments
    for number, sigma in enumerate(SIGMAS[1:2] if bench.quick else SIGMAS):
        for share in (0.0, 0.1) if sigma == SIGMAS[1] else (0.0,):
            for limit in LIMITS:
                for planted in PLANTED:
                    rng = np.random.default_rng((number, round(100 * share), round(100 * limit), round(100 * planted)))
                    ratios = np.log1p(planted) + rng.normal(0, sigma, (ITEMS, experiments))
                    cut = rng.random(ratios.shape) < share
                    # What was cut was recorded shorter than it would have been.
                    recorded = np.where(cut, ratios - np.log(2), ratios)
                    found = judged(recorded, cut, limit)
                    wrong.append(is_wrong(found, planted, limit))
                    if planted == PLANTED[-1] and limit == LIMITS[0] and sigma == SIGMAS[1] and not share:
                        quick.append(found.items)
                    bench.say(
                        f"| sigma {sigma:g} | {100 * share:.0f} % | {100 * limit:.0f} % | {100 * planted:.0f} % "
                        f"| {found.cells} | {f'{fixed_size(ratios, limit):.1f} %' if not share else ''} |"
                    )
    bench.say(
        f"\nfixed size fails: `compare --fail-if` after {FIXED} items, without --until: a significant change whose "
        "estimate is beyond the limit."
    )
    bench.figure("gate: wrong verdicts ever, task time", wrong, "%", at_most=100 * ALPHA)
    bench.figure("gate: items until 20 % fails a limit of 5 %, sigma 0.3", quick)


def print_accuracy(bench: Bench) -> None:
    """Lost points of accuracy: of so many items that move at all, more become wrong than right."""
    bench.say("\n| condition | moved items | planted | fails | passes | open | items |")
    bench.say("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    wrong = []
    experiments = min(bench.chosen.experiments, 500)
    for limit in (0.03, 0.10):
        for moved in (0.06, 0.3):
            for planted in (0.0, 0.03, 0.06, 0.15):
                if planted > moved:
                    continue
                rng = np.random.default_rng((round(100 * limit), round(100 * moved), round(100 * planted)))
                drawn = rng.random((ITEMS, experiments))
                worse = (moved + planted) / 2
                differences = np.where(drawn < worse, -1.0, np.where(drawn < moved, 1.0, 0.0))
                found = of_shares(differences, -limit)
                wrong.append(is_wrong(found, planted, limit))
                bench.say(
                    f"| accuracy < -{100 * limit:.0f}% | {100 * moved:.0f} % | -{100 * planted:.0f} points "
                    f"| {found.cells} |"
                )
    bench.figure("gate: wrong verdicts ever, accuracy", wrong, "%", at_most=100 * ALPHA)


def of_shares(differences: Floats, limit: float) -> Said:
    """``OfShares`` of each experiment, whose p-values are running ones: by bisection over the items."""
    items, experiments = differences.shape
    found = np.zeros((2, items, experiments), dtype=bool)
    for index in range(experiments):
        for side, name in enumerate(("log_p_below", "log_p_above")):
            low, high = 0, items + 1
            while low + 1 < high:
                middle = (low + high) // 2
                reached = getattr(OfShares(differences[:middle, index]), name)(limit) <= np.log(EACH_WAY)
                low, high = (low, middle) if reached else (middle, high)
            found[side, high - 1 :, index] = high <= items
    return said(found[0], found[1])


# ---- the whole of it -------------------------------------------------------------------------------------------------

ROWS = 300
EXITS = {0: "pass", 1: "fail", 2: "open"}


def write_experiment(path: Path, seed: int, planted: float, items: int) -> None:
    """One system, whose answers vary in length by 7 % from one seed to the next."""
    options = {
        "time": "virtual",
        "seed": seed,
        "wait": 0.05,
        "token_time": 0.01 * (1 + planted),
        "length": {"kind": "lognormal", "median": 400, "sigma": 0.07},
    }
    system = {"name": "model", "engine": "simulated", "options": options}
    task = {"use": "mmlu-letter", "data": "rows.jsonl", "items": items, "max_tokens": 2000}
    path.write_text(tomli_w.dumps({"tasks": [task], "warmup": 0, "system": [system]}), "utf-8")


def carried_out(folder: Path, seed: int, planted: float) -> tuple[str, int]:
    """The verdict of one gate, by its exit code, and the items that it took."""
    write_experiment(folder / "new.toml", 2 * seed + 1, planted, ROWS)
    write_experiment(folder / "base.toml", 2 * seed, 0.0, 2)
    taskpace = [sys.executable, "-m", "taskpace"]
    base, new = (f"{name}-{seed}-{planted}.db" for name in ("base", "new"))
    subprocess.run(
        [*taskpace, "run", "base.toml", "-o", base, "--progress", "quiet"], cwd=folder, check=True, capture_output=True
    )
    gate = ["--until", "decided", "--fail-if", "task_time > 5%", "--progress", "quiet", "--format", "json"]
    done = subprocess.run(
        [*taskpace, "compare", base, "--run", "new.toml", "-o", new, *gate],
        cwd=folder,
        check=False,
        capture_output=True,
    )
    (judged,) = json.loads(done.stdout)["judged"]
    return EXITS[done.returncode], judged["items"]


def print_whole(bench: Bench) -> None:
    """Gates as `taskpace compare` carries them out."""
    bench.say("\n| planted | fails | passes | open | items |\n| ---: | ---: | ---: | ---: | ---: |")
    wrong = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        each = {"subject": "colours", "choices": ["red", "green", "blue", "brown"], "answer": 1}
        lines = (json.dumps(each | {"question": f"Which is {n}?"}) for n in range(ROWS))
        (folder / "rows.jsonl").write_text("\n".join(lines), "utf-8")
        for planted in PLANTED[-1:] if bench.quick else PLANTED:
            ends = [carried_out(folder, seed, planted) for seed in range(bench.chosen.whole)]
            shares = [100 * float(np.mean([verdict == each for verdict, _ in ends])) for each in ("fail", "pass")]
            found = Said(shares[0], shares[1], float(np.mean([items for _, items in ends])))
            wrong.append(is_wrong(found, planted, LIMITS[0]))
            bench.say(f"| {100 * planted:.0f} % | {found.cells} |")
    bench.figure("gate: wrong verdicts of whole runs", wrong, "%")


def main() -> None:
    parts = {
        "planted": lambda: print_planted(bench),
        "accuracy": lambda: print_accuracy(bench),
        "whole": lambda: print_whole(bench),
    }
    bench = Bench("gate", __doc__, SIZES, {"--only": {"choices": list(parts)}}, markdown=True)
    bench.head(f"{bench.chosen.experiments} experiments of up to {ITEMS} items a cell, {bench.chosen.whole} whole runs")
    bench.print_parts(parts)
    bench.finish()


if __name__ == "__main__":
    main()
