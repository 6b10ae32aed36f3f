"""Do the 95 % intervals hold the truth 95 % of the time? Simulated experiments whose truth is known, through the
product's own estimators; the results stand in docs/statistics.md.

    python bench/calibration.py                     # everything, 2,000 experiments a cell: half an hour on 2 cores
    python bench/calibration.py --experiments 200 --only holm
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from itertools import combinations
from multiprocessing.pool import Pool
from pathlib import Path

import msgspec
import numpy as np

import taskpace
from harness import Bench, make_pool
from taskpace.analysis.data.arrays import Arrays, to_arrays
from taskpace.analysis.data.frame import last_attempts
from taskpace.analysis.stats.bootstrap import RESAMPLES, Resamples
from taskpace.analysis.stats.estimates import (
    Estimate,
    par2_values,
    quantiles,
    ratios,
    samples_for,
    shares_of_correct,
    solve_curves,
)
from taskpace.analysis.stats.items import item_totals
from taskpace.analysis.stats.split import PARTS, Side, split
from taskpace.analysis.summary import agreement
from taskpace.analysis.table.pairs import adjust, compare_pairs
from taskpace.analysis.table.tails import Tails
from worlds import (
    FIVE_HURRY,
    FIVE_SLOWER,
    HURRY,
    LIMIT_S,
    SHARES,
    SLOWER,
    TRUTH_ITEMS,
    WORLDS,
    Trials,
    World,
    as_arrays,
    draw,
    truth,
)

BATCH = 25
"""Experiments at a time, at most."""
ITEMS = (30, 100, 660)
SIZES = {"experiments": (2000, 3), "resamples": (RESAMPLES, 50), "truth_items": (TRUTH_ITEMS, 2000)}


# ---- coverage ------------------------------------------------------------------------------------------------------


def intervals(arrays: Arrays) -> Iterator[tuple[str, Estimate]]:
    """Every interval of experiments of two systems each, by name."""
    firsts = list(range(0, len(arrays.systems), 2))
    time_s, correct = arrays.task_time_s[firsts], arrays.correct[firsts]
    n, repeats = time_s.shape[1:]
    item_of = np.repeat(np.arange(n), repeats)
    able = {name: share for name, share in SHARES.items() if name == "median" or n * repeats >= samples_for(share)}
    for times in time_s:
        for name, found in zip(able, quantiles(times.ravel(), item_of, tuple(able.values())), strict=True):
            yield f"{name} task time", found
    counts = np.full((len(firsts), n), repeats, dtype=np.float64)
    for name, above, below in (
        ("mean task time", time_s.sum(axis=2), counts),
        ("time per correct answer", time_s.sum(axis=2), correct.sum(axis=2)),
        ("cost per correct answer", arrays.cost_usd[firsts].sum(axis=2), correct.sum(axis=2)),
        ("PAR-2", par2_values(time_s, correct, LIMIT_S).sum(axis=2), counts),
    ):
        yield from ((name, found) for found in ratios(above.T, below.T))
    yield from (("accuracy", found) for found in shares_of_correct(*item_totals(correct)))
    for (found,) in solve_curves(time_s, correct, np.array([_median_of[0]])):
        yield "solve curve at the median", found
    pairs = [(arrays.systems[place], arrays.systems[place + 1]) for place in firsts]
    for pair in compare_pairs(arrays, pairs, None, graded=True):
        assert pair.split is not None
        yield "ratio of task times", pair.task_time.change
        yield "ratio of tokens per second", pair.tokens_per_s.change
        yield "verbosity ratio", pair.output_bytes.change
        yield "difference in accuracy", pair.accuracy.change
        yield "ratio of time per correct answer", pair.time_per_correct.change
        yield "ratio of cost per correct answer", pair.cost_per_correct.change
        yield "split: whole", pair.split.difference_s
        for part in PARTS:
            yield f"split: {part}", getattr(pair.split, f"{part}_s")


_median_of = [1.0]
"""The true median of the first system, by which the solve curve is asked; set per cell."""


class Tally(msgspec.Struct):
    covered: int = 0
    experiments: int = 0

    def add(self, found: Estimate, true: float) -> None:
        # An end that is not known (a time per correct answer without a correct one) excludes nothing on its side.
        low, high = -np.inf if found.low is None else found.low, np.inf if found.high is None else found.high
        self.experiments += 1
        # A ranking's agreement has few values: an interval may be one of them, to rounding.
        self.covered += found.value is not None and low - 1e-9 <= true <= high + 1e-9


def coverage(job: tuple[World, int, int, int, int, int, int]) -> dict[str, Tally]:
    """One cell: of many experiments, in how many does each interval hold the truth?"""
    world, n, repeats, experiments, count, truth_items, seed = job
    true = truth(world, repeats, truth_items)
    _median_of[0] = true["median task time"]
    rng = np.random.default_rng((seed, n, repeats))
    resamples = Resamples(n, count)
    tallies: dict[str, Tally] = {}
    batch = min(BATCH, experiments)
    for _ in range(experiments // batch):
        arrays = as_arrays([draw(world, rng, SLOWER, HURRY, items=n, repeats=repeats) for _ in range(batch)])
        for name, found in intervals(arrays):
            tallies.setdefault(name, Tally()).add(found, true[name])
        for _ in range(batch):
            five = as_arrays([draw(world, rng, FIVE_SLOWER, FIVE_HURRY, items=n, repeats=repeats)])
            agreed = agreement(five, list(five.systems), resamples)
            assert agreed is not None
            for name, found in (("Kendall's tau-b", agreed.kendall_tau_b), ("Spearman's rho", agreed.spearman_rho)):
                tallies.setdefault(name, Tally()).add(found, true[name])
    return tallies


def print_coverage(bench: Bench, pool: Pool, sizes: tuple[int, ...]) -> None:
    chosen = bench.chosen
    worlds = [world for world in WORLDS if world.name.startswith(chosen.world)]
    designs = [(n, repeats) for repeats in (1, 3) for n in sizes]
    jobs = [
        (world, n, repeats, chosen.experiments, chosen.resamples, chosen.truth_items, number)
        for number, world in enumerate(worlds)
        for n, repeats in sorted(designs, reverse=True)
    ]
    done = dict(zip([job[:3] for job in jobs], pool.map(coverage, jobs, chunksize=1), strict=True))
    held: dict[str, list[float]] = {}
    for world in worlds:
        bench.say(f"\n**{world.name}**\n")
        bench.say("| estimate | " + " | ".join(_design(n, r) for n, r in designs) + " |")
        bench.say("| --- |" + " ---: |" * len(designs))
        for name in truth(world, 1, 1000):
            cells = [done[world, n, r].get(name) for n, r in designs]
            shares = [None if cell is None else 100 * cell.covered / cell.experiments for cell in cells]
            bench.say(f"| {name} | " + " | ".join("" if share is None else f"{share:.1f}" for share in shares) + " |")
            known = {design: share for design, share in zip(designs, shares, strict=True) if share is not None}
            bench.figure(f"{world.name}: {name}", list(known.values()), "%")
            for group, names in _GROUPS.items():
                if name in names:
                    held.setdefault(f"{world.kind}: {group}", []).extend(known.values())
            if name not in _GROUPS["rankings"]:
                large = [share for (n, _), share in known.items() if n >= min(100, max(sizes))]
                held.setdefault(f"{world.kind}: from n = 100 on", []).extend(large)
    for group, shares in held.items():
        bench.figure(group, shares, "%")


_GROUPS = {
    "ratios": ("ratio of task times", "ratio of tokens per second", "verbosity ratio"),
    "rankings": ("Kendall's tau-b", "Spearman's rho"),
    "parts of the split": tuple(f"split: {part}" for part in PARTS),
}
"""Estimates that are quoted together; by the kind of the world."""


def _design(n: int, repeats: int) -> str:
    return f"n = {n}" + (f" x {repeats}" if repeats > 1 else "")


# ---- false positives -----------------------------------------------------------------------------------------------

_TESTED = ("task_time", "tokens_per_s", "output_bytes", "accuracy", "time_per_correct", "cost_per_correct")


def false_positives(job: tuple[World, int, int, int, int]) -> dict[str, float]:
    """Five equal systems: in what share of the experiments is any of the ten pairs distinguished?"""
    world, n, repeats, experiments, seed = job
    rng = np.random.default_rng((seed, n, repeats, 5))
    equal = np.zeros(5)
    wrong = dict.fromkeys(_TESTED, 0)
    batch = min(BATCH, experiments)
    for _ in range(experiments // batch):
        arrays = as_arrays([_equal(draw(world, rng, equal, equal, items=n, repeats=repeats)) for _ in range(batch)])
        for start in range(0, 5 * batch, 5):
            pairs = list(combinations(arrays.systems[start : start + 5], 2))
            found = adjust(compare_pairs(arrays, pairs, None, graded=True), [True] * len(pairs))
            for measure in _TESTED:
                wrong[measure] += any(getattr(pair, measure).significant for pair in found)
    return {measure: count / (experiments // batch * batch) for measure, count in wrong.items()}


def _equal(trials: Trials) -> Trials:
    """The same tokenizer for all, too."""
    step = np.exp(-0.1 * np.arange(len(trials.written)))[:, None, None]
    return msgspec.structs.replace(trials, written=trials.written / step)


def print_false_positives(bench: Bench, pool: Pool, sizes: tuple[int, ...]) -> None:
    experiments = bench.chosen.experiments
    jobs = [(world, n, r, experiments, number) for number, world in enumerate(WORLDS) for n in sizes for r in (1, 3)]
    bench.say("\n| world | design | " + " | ".join(name.replace("_", " ") for name in _TESTED) + " |")
    bench.say("| --- | --- |" + " ---: |" * len(_TESTED))
    wrong: dict[str, list[float]] = {measure: [] for measure in _TESTED}
    for (world, n, r, *_), shares in zip(jobs, pool.imap(false_positives, jobs), strict=True):
        cells = " | ".join(f"{100 * shares[measure]:.1f} %" for measure in _TESTED)
        bench.say(f"| {world.name} | {_design(n, r)} | {cells} |")
        for measure in _TESTED:
            wrong[measure].append(100 * shares[measure])
    for measure, shares in wrong.items():
        bench.figure(f"false positives: {measure.replace('_', ' ')}", shares, "%")


# ---- probability of inversion --------------------------------------------------------------------------------------


def inversions(job: tuple[World, int, int, int, int]) -> list[tuple[float, bool]]:
    """(probability called, whether it is so) of pairs whose true differences are drawn evenly around none."""
    world, n, experiments, count, seed = job
    rng = np.random.default_rng((seed, n, 6))
    resamples = Resamples(n, count)
    called = []
    size = min(BATCH, experiments)
    for _ in range(experiments // size):
        true = rng.uniform(-1, 1, (size, 2)) * np.array([5 * world.shape, 0.7]) / np.sqrt(n)
        batch = [draw(world, rng, np.array([0, t]), np.array([0, s]), items=n, repeats=1) for t, s in true]
        arrays = as_arrays(batch)
        pairs = [(arrays.systems[place], arrays.systems[place + 1]) for place in range(0, 2 * size, 2)]
        for pair, (slower, hurry) in zip(compare_pairs(arrays, pairs, resamples, graded=False), true, strict=True):
            assert pair.inversion_probability is not None
            called.append((pair.inversion_probability, bool(slower > 0) == bool(hurry < 0)))
    return called


def print_inversions(bench: Bench, pool: Pool, sizes: tuple[int, ...]) -> None:
    deciles = [f"{10 * d} to {10 * d + 10} %" for d in range(10)]
    bench.say("\n| world | n | " + " | ".join(deciles) + " |\n| --- | ---: |" + " ---: |" * 10)
    jobs = [
        (world, n, bench.chosen.experiments, bench.chosen.resamples, number)
        for number, world in enumerate(WORLDS)
        for n in sizes
    ]
    inverted: dict[str, list[float]] = {name: [] for name in deciles}
    for (world, n, *_), called in zip(jobs, pool.imap(inversions, jobs), strict=True):
        probability, so = np.array([p for p, _ in called]), np.array([is_so for _, is_so in called])
        decile = np.minimum((10 * probability).astype(int), 9)
        cells = []
        for d, name in enumerate(deciles):
            count = (decile == d).sum()
            share = 100 * so[decile == d].mean() if count else None
            cells.append(f"{share:.0f} % of {count}" if count else "none")
            inverted[name] += [share] if count else []
        bench.say(f"| {world.name} | {n} | " + " | ".join(cells) + " |")
    for name, shares in inverted.items():
        bench.figure(f"inverted, where {name} is called", shares, "%")


# ---- the warning of heavy tails ------------------------------------------------------------------------------------


def print_warnings(bench: Bench) -> None:
    """In what share of the experiments does the summary warn that a few tasks decide every mean?"""
    bench.say("\n| world | " + " | ".join(f"n = {n}" for n in ITEMS) + " |\n| --- |" + " ---: |" * len(ITEMS))
    experiments = bench.chosen.experiments
    for world in WORLDS:
        rng = np.random.default_rng(9)
        shares = []
        for n in ITEMS:
            many = (draw(world, rng, SLOWER, HURRY, items=n, repeats=1).time_s[0] for _ in range(experiments))
            warned = sum(any(Tails(times[None], np.sort(times.reshape(1, -1)), None).heavy(0)) for times in many)
            shares.append(100 * warned / experiments)
        bench.say(f"| {world.name} | " + " | ".join(f"{share:.0f} %" for share in shares) + " |")
        bench.figure(f"warnings: {world.name}", shares, "%")


# ---- the split -----------------------------------------------------------------------------------------------------


def print_split(bench: Bench) -> None:
    """One planted cause at a time, then all of them at once; and what is left over."""
    rng = np.random.default_rng(8)
    n = 660
    plants: dict[str, tuple[float, float, float, float]] = {
        "wait + 0.5 s": (0.5, 1, 1, 1),
        "2.6 times the bytes": (0, 2.6, 1, 1),
        "1.3 times the tokens for a byte": (0, 1, 1.3, 1),
        "each token 1.5 times as long": (0, 1, 1, 1.5),
        "all of these at once": (0.5, 2.6, 1.3, 1.5),
        "terse and slow per token": (0, 0.25, 1, 2),
    }
    bench.say("\n| planted | longer by | wait | verbosity | tokenizer | decode | greatest residual, relative |")
    bench.say("| --- |" + " ---: |" * 6)
    written, per_byte, tpot = (rng.lognormal(mean, 0.5, n) for mean in (5, -1.4, -4))
    wait = rng.lognormal(-2, 0.5, n)
    for name, (waits, longer, cut, slow) in plants.items():
        base, other = (
            Side(time_s=w + (b * k - 1) * s, wait_s=w, written_bytes=b, tpot_s=s)
            for w, b, k, s in (
                (wait, written, per_byte, tpot),
                (wait + waits, longer * written, cut * per_byte, slow * tpot),
            )
        )
        parts = split(base, other)
        whole = other.time_s - base.time_s
        residual = np.abs(parts.sum(axis=1) - whole) / np.maximum(np.abs(whole), 1e-300)
        means = " | ".join(f"{value:+.3f} s" for value in parts.mean(axis=0))
        bench.say(f"| {name} | {whole.mean():+.3f} s | {means} | {residual.max():.0e} |")
        bench.figure(f"split, {name}: longer by", whole.mean(), "s")
        bench.figure(f"split, {name}: residual", residual.max())


# ---- the same through the engine -----------------------------------------------------------------------------------


def print_engine(bench: Bench) -> None:
    """One cell through everything: experiment, simulated engine in virtual time, worker, run file, frame."""
    n, experiments = 30, bench.chosen.experiments
    total = n * experiments
    bench.say(f"\n{experiments} experiments of {n} items, lognormal (sigma 0.5), as one run of {2 * total} trials:\n")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "items.jsonl").write_text("".join(f'{{"prompt": "number {i}"}}\n' for i in range(total)))
        Path(folder, "x.toml").write_text(_ENGINE_EXPERIMENT)
        with taskpace.run(Path(folder, "x.toml"), Path(folder, "x.db")) as done:
            trials = last_attempts(done.frame())
    arrays = to_arrays(trials, ("a", "b"))
    time_ratio, medians = Tally(), Tally()
    for start in range(0, total, n):
        cut = slice(start, start + n)
        cubes = {field: getattr(arrays, field)[:, cut] for field in Arrays.__struct_fields__[2:]}
        one = Arrays(systems=arrays.systems, items=arrays.items[cut], **cubes)
        (pair,) = compare_pairs(one, [("a", "b")], None, graded=False)
        time_ratio.add(pair.task_time.change, 1.3)
        (median,) = quantiles(one.task_time_s[0].ravel(), np.arange(n), (0.5,))
        medians.add(median, 2.0)
    for name, tally in (("ratio of task times", time_ratio), ("median task time", medians)):
        share = bench.figure(f"through the engine: {name}", 100 * tally.covered / tally.experiments, "%")
        bench.say(f"- {name}: {share:.1f} % of {tally.experiments}")


_ENGINE_EXPERIMENT = """
tasks = [{ prompts = "items.jsonl", max_tokens = 4 }]
warmup = 0
[[system]]
name = "a"
engine = "simulated"
options = { time = "virtual", seed = 1, length = 4, token_time = 0, wait = { kind = "lognormal", median = 2, sigma = 0.5 } }
[[system]]
name = "b"
engine = "simulated"
options = { time = "virtual", seed = 2, length = 4, token_time = 0, wait = { kind = "lognormal", median = 2.6, sigma = 0.5 } }
"""  # noqa: E501 - an inline table of TOML 1.0 is one line


def main() -> None:
    options = {
        "--only": {"choices": ["coverage", "holm", "inversion", "split", "engine", "warnings"]},
        "--world": {"default": "", "help": "of the coverage: how its name begins, such as Pareto"},
        "--processes": {"type": int, "default": os.cpu_count()},
    }
    bench = Bench("calibration", __doc__, SIZES, options, markdown=True)
    sizes = ITEMS[:1] if bench.quick else ITEMS
    bench.head(f"{bench.chosen.experiments} experiments a cell, {bench.chosen.resamples} resamples")
    # The processes share the cores; numpy in a new process reads how many threads it may have.
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with make_pool(bench.chosen.processes, quick=bench.quick) as pool:
        parts: dict[str, Callable[[], None]] = {
            "split": lambda: print_split(bench),
            "warnings": lambda: print_warnings(bench),
            "engine": lambda: print_engine(bench),
            "holm": lambda: print_false_positives(bench, pool, sizes),
            "inversion": lambda: print_inversions(bench, pool, sizes),
            "coverage": lambda: print_coverage(bench, pool, sizes),
        }
        bench.print_parts(parts)
    bench.finish()


if __name__ == "__main__":
    main()
