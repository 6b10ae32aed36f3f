"""Does the analysis scale? Time and memory of a summary of a million records, and of the bootstrap.

    python bench/analysis.py [--rounds N] [--items N] [--resamples N] [--load N]

Each part runs in a process of its own, so that its peak memory is its own; the ratio compares two things that ran
alternately in one process. The first summary of a process, which has to ask the system for its memory, is shown by
itself. The exponent is that of a power of the number of records, fitted to the summary's time over
a hundredth, a tenth and all of them. `taskpace summary` is the whole process, from its start to its last line.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec
import numpy as np
import polars as pl

import taskpace
from harness import Bench
from taskpace.analysis.data.cells import CellPlan, load_cells
from taskpace.analysis.data.costs import with_costs
from taskpace.analysis.data.frame import compact, last_attempts, load_frame, load_numbers
from taskpace.analysis.stats.bootstrap import RESAMPLES, Resamples
from taskpace.analysis.summary import summarise_trials
from taskpace.analysis.table.pairs import compare_pairs
from worlds import WORLDS, as_arrays, draw

BOOTSTRAP_ITEMS = 660
TASKS = ("mmlu-letter", "mmlu-explain", "math", "qa-closed", "qa-context")
REAL_ITEMS = 10
"""Of the run whose frame is repeated until there are records enough."""


class Measured(NamedTuple):
    """What a part's process reports."""

    ours_s: list[float]
    theirs_s: list[float]
    before_mb: float
    """Peak memory before the work."""
    peak_mb: float
    records: int
    ours_cpu_s: list[float]
    """Processor time, of all threads."""
    theirs_cpu_s: list[float]
    first_s: float | None
    """Of the round before these; null: there was none."""


def many_records(systems: int, items: int) -> tuple[pl.DataFrame, list[CellPlan]]:
    """Trials and cells as a summary loads them from a run file: ``systems`` x 5 tasks x ``items``.

    A small run of the simulated engine, loaded and made compact as a summary does it, then repeated, each copy with
    items, rounds and times of its own: a column that the loader gains is here at once. It is in one piece, as the
    loader's frame is; what loading takes is measured from a run file.
    """
    experiment = taskpace.quick_experiment(
        models=tuple(f"system {number}" for number in range(systems)),
        engine="simulated",
        tasks=TASKS,
        items=min(REAL_ITEMS, items),
        warmup=0,
        max_tokens=10_000,
        options={
            "time": "virtual",
            "correct": 0.7,
            "wait": {"kind": "lognormal", "median": 0.1, "sigma": 0.3},
            "token_time": {"kind": "lognormal", "median": 0.02, "sigma": 0.1},
            "length": {"kind": "lognormal", "median": 200, "sigma": 0.5},
        },
    )
    with tempfile.TemporaryDirectory() as folder, taskpace.run(experiment, Path(folder, "x.db")) as run:
        cells = load_cells(run.store)
        (trials,) = compact(last_attempts(with_costs(pl.concat(load_numbers(run.store)), cells)))
    copies = -(-items // min(REAL_ITEMS, items))
    rng = np.random.default_rng(1)
    span_ns = int(trials["end_clock_ns"].max() - trials["dispatch_ns"].min())
    rounds = int(trials["round"].max())
    ids = trials.schema["item_id"].categories
    # In the order of the names, as ids are of one length and so are the numbers.
    kind = pl.Enum([f"{name}/{copy:09}" for name in ids for copy in range(copies)])
    code = pl.Series(dtype=kind).to_physical().dtype
    item = (pl.col("item_id").to_physical().cast(pl.Int64) * copies + pl.col("copy")).cast(code).cat.to(kind)
    longer = pl.col("longer")
    seconds = [name for name in trials.columns if name.endswith("_s") and not name.endswith("_per_s")]
    parts = [
        part.join(pl.DataFrame({"copy": np.arange(copies)}), how="cross", maintain_order="right_left")
        .with_columns(longer=pl.Series(rng.lognormal(0, 0.3, part.height * copies)))
        .with_columns(
            item.alias("item_id"),
            *(pl.col(name) * longer for name in seconds),
            *(pl.col(name) / longer for name in ("tokens_per_s", "bytes_per_s")),
            *(pl.col(name) + span_ns * pl.col("copy") for name in ("dispatch_ns", "end_clock_ns")),
            pl.col("round") + rounds * pl.col("copy"),
        )
        .drop("copy", "longer")
        for part in trials.partition_by("task", "scenario", "system", maintain_order=True)
    ]
    return pl.concat(parts, rechunk=True), [
        msgspec.structs.replace(cell, planned=cell.planned * copies) for cell in cells
    ]


def group_by(trials: pl.DataFrame) -> pl.DataFrame:
    """The bare minimum: medians, p90, means and counts of the same columns, by polars."""
    medians = (
        "task_time_s",
        "ttft_s",
        "first_answer_s",
        "committed_s",
        "tpot_s",
        "tokens_per_s",
        "bytes_per_s",
        "output_tokens",
        "output_bytes",
        "reasoning_bytes",
    )
    return trials.group_by("task", "scenario", "system").agg(
        *(pl.col(name).median().alias(f"{name}_median") for name in medians),
        *(pl.col("task_time_s").quantile(share).alias(f"p{share}") for share in (0.9, 0.95, 0.99)),
        pl.col("task_time_s").mean().alias("mean"),
        (pl.col("task_time_s").sum() / (pl.col("outcome") == "correct").sum()).alias("per_correct"),
        pl.col("outcome").value_counts(),
    )


def peak_mb(whose: int = resource.RUSAGE_SELF) -> float:
    """Of this process so far, or of its children. Linux counts in kilobytes, macOS in bytes."""
    return resource.getrusage(whose).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def timed(work: Callable[[], object]) -> float:
    return both_timed(work)[0]


def both_timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds, and seconds of processor time."""
    start, cpu_s = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - start, time.process_time() - cpu_s


def summary_part(rounds: int, systems: int, items: int) -> Measured:
    trials, cells = many_records(systems, items)
    before_mb = peak_mb()
    ours, theirs = [], []
    for _ in range(1 + rounds):
        theirs.append(both_timed(lambda: group_by(trials)))
        ours.append(both_timed(lambda: summarise_trials(trials, cells, name="x", limit_s=60, resamples=0)))
    (ours_s, ours_cpu_s), (theirs_s, theirs_cpu_s) = (
        [list(each) for each in zip(*both[1:], strict=True)] for both in (ours, theirs)
    )
    return Measured(ours_s, theirs_s, before_mb, peak_mb(), trials.height, ours_cpu_s, theirs_cpu_s, ours[0][0])


def bootstrap_part(rounds: int, systems: int, resamples: int) -> Measured:
    """``ours_s`` with the bootstrap, ``theirs_s`` without."""
    rng, equal = np.random.default_rng(2), np.zeros(systems)
    arrays = as_arrays([draw(WORLDS[0], rng, equal, equal, items=BOOTSTRAP_ITEMS, repeats=1)])
    pairs = [(str(a), str(b)) for a in range(systems) for b in range(a)]
    before_mb = peak_mb()

    def five_tasks(count: int) -> None:
        for task in range(5):
            compare_pairs(arrays, pairs, Resamples(BOOTSTRAP_ITEMS, count, seed=task) if count else None, graded=True)

    five_tasks(0)
    without, with_it = [], []
    for _ in range(rounds):
        without.append(timed(lambda: five_tasks(0)))
        with_it.append(timed(lambda: five_tasks(resamples)))
    return Measured(with_it, without, before_mb, peak_mb(), 0, [], [], None)


class Loaded(NamedTuple):
    """What the run file's process reports."""

    load_s: list[float]
    summary_s: list[float]
    """Of `taskpace summary`, the whole process."""
    before_mb: float
    peak_mb: float
    summary_mb: float
    """Peak memory of `taskpace summary`."""
    bytes_per_trial: float
    """Of the run file."""


def load_part(rounds: int, records: int) -> Loaded:
    """From the run file: trials of two systems of the simulated engine in virtual time."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "p.jsonl").write_text("".join(f'{{"prompt": "number {i}"}}\n' for i in range(records // 2)))
        experiment = taskpace.quick_experiment(
            models=("a", "b"),
            engine="simulated",
            prompts=str(Path(folder, "p.jsonl")),
            warmup=0,
            options={"time": "virtual", "length": {"kind": "lognormal", "median": 100, "sigma": 0.5}},
        )
        run = Path(folder, "x.db")
        with taskpace.run(experiment, run) as done:
            before_mb = peak_mb()
            times = [timed(lambda: last_attempts(load_frame(done.store))) for _ in range(rounds)]
        command = [sys.executable, "-m", "taskpace", "summary", str(run)]
        whole = [timed(lambda: subprocess.run(command, check=True, capture_output=True)) for _ in range(rounds)]
        summary_mb = peak_mb(resource.RUSAGE_CHILDREN)
        return Loaded(times, whole, before_mb, peak_mb(), summary_mb, run.stat().st_size / records)


Part = TypeVar("Part")


def apart(part: Callable[..., Part], *arguments: int, quick: bool) -> Part:
    """In a process of its own; the quick form's in this one, as most of their time would be imports."""
    if quick:
        return part(*arguments)
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(part, arguments)


def main() -> None:
    sizes = {"rounds": (9, 1), "systems": (10, 2), "items": (20_000, 5), "resamples": (RESAMPLES, 20)}
    sizes["load"] = (100_000, 20)
    bench = Bench("analysis", __doc__, sizes)
    rounds, systems, items, resamples, load = (getattr(bench.chosen, name) for name in sizes)
    bench.head(f"{rounds} rounds")

    measure = partial(apart, quick=bench.quick)
    found = measure(summary_part, rounds, systems, items)
    ratio = bench.figure("ratio", [a / b for a, b in zip(found.ours_s, found.theirs_s, strict=True)], at_most=5)
    of_cpu = bench.figure(
        "ratio of processor time",
        [a / b for a, b in zip(found.ours_cpu_s, found.theirs_cpu_s, strict=True)],
    )
    peak = bench.figure("summary: peak memory", found.peak_mb, "MB", at_most=1024)
    before = bench.figure("summary: memory before", found.before_mb, "MB")
    bench.say(f"summary of {found.records:,} records, {systems} systems x {len(TASKS)} tasks, no bootstrap")
    bench.say(
        f"  summary         {bench.figure('summary', found.ours_s, 's'):.2f} s, with every interval, pair and split"
    )
    assert found.first_s is not None, "a summary"
    first = bench.figure("the first summary", found.first_s, "s")
    bench.say(f"  the first one   {first:.2f} s, which is in none of these figures")
    bench.say(f"  polars group-by {bench.figure('polars group-by', found.theirs_s, 's'):.2f} s")
    bench.say(f"  ratio           {ratio:.2f}  {ratio.target}")
    bench.say(f"  processor time  {of_cpu:.2f} times the group-by's, over all threads")
    bench.say(f"  peak memory     {peak:,.0f} MB, including {before:,.0f} MB before the summary  {peak.target}")

    smaller = [measure(summary_part, rounds, systems, max(1, items // part)) for part in (100, 10)]
    sizes_s = [(part.records, float(np.median(part.ours_s))) for part in (*smaller, found)]
    exponent = bench.figure("exponent", float(np.polyfit(*np.log(np.array(sizes_s)).T, 1)[0]))
    bench.say("summary by records")
    for part, (records, seconds) in zip((*smaller, found), sizes_s, strict=True):
        bench.say(f"  {records:>9,}       {seconds:.3f} s, peak memory {part.peak_mb:,.0f} MB")
    bench.say(f"  exponent        {exponent:.2f} (1: linear)")

    found = measure(bootstrap_part, rounds, systems, resamples)
    with_it = bench.figure("bootstrap: with", found.ours_s, "s")
    without = bench.figure("bootstrap: without", found.theirs_s, "s")
    peak = bench.figure("bootstrap: peak memory", found.peak_mb, "MB")
    before = bench.figure("bootstrap: memory before", found.before_mb, "MB")
    bench.say(
        f"bootstrap: {resamples:,} resamples, {systems * (systems - 1) // 2} pairs x 5 tasks x {BOOTSTRAP_ITEMS} items"
    )
    bench.say(f"  with            {with_it:.2f} s")
    bench.say(f"  without         {without:.2f} s: all paired tests, intervals and splits")
    bench.say(f"  peak memory     {peak:,.0f} MB, including {before:,.0f} MB before")

    loaded = measure(load_part, min(rounds, 3), load)
    peak = bench.figure("loading: peak memory", loaded.peak_mb, "MB")
    before = bench.figure("loading: memory before", loaded.before_mb, "MB")
    bench.say(f"a run file of {load:,} records; {len(loaded.load_s)} rounds")
    bench.say(f"  on disk         {bench.figure('on disk', loaded.bytes_per_trial, 'bytes'):,.0f} bytes a trial")
    bench.say(f"  load_frame      {bench.figure('loading', loaded.load_s, 's'):.2f} s")
    bench.say(f"  peak memory     {peak:,.0f} MB, including {before:,.0f} MB before")
    bench.say(f"  taskpace summary {bench.figure('taskpace summary', loaded.summary_s, 's'):.2f} s, the whole process")
    bench.say(f"  its peak memory {bench.figure('taskpace summary: peak memory', loaded.summary_mb, 'MB'):,.0f} MB")
    bench.finish()


if __name__ == "__main__":
    main()
