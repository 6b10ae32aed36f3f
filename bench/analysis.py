"""Does the analysis scale? Time and memory of a summary of a million records, and of the bootstrap.

    python bench/analysis.py

Each part runs in a process of its own, so that its peak memory is its own; the ratio compares two things that ran
alternately in one process.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import polars as pl

import taskpace
from pairs import machine_line, spread
from taskpace.analysis.arrays import Arrays
from taskpace.analysis.bootstrap import RESAMPLES, Resamples
from taskpace.analysis.frame import last_attempts, load_frame
from taskpace.analysis.pairs import compare_pairs
from taskpace.analysis.rows import CellPlan
from taskpace.analysis.summary import summarise_trials

SYSTEMS, TASKS, ITEMS = 10, 5, 20_000
ROUNDS = 5


def million_records() -> tuple[pl.DataFrame, list[CellPlan]]:
    """Trials as ``load_frame`` gives them: 10 systems x 5 tasks x 20,000 items."""
    rng = np.random.default_rng(1)
    n = SYSTEMS * TASKS * ITEMS
    cell = np.repeat(np.arange(SYSTEMS * TASKS), ITEMS)
    system, task = cell // TASKS, cell % TASKS
    time_s = rng.lognormal(0.1 * system, 0.5)
    wait_s = time_s * rng.uniform(0.05, 0.15, n)
    tpot_s = 0.02 * np.exp(rng.normal(-0.05 * system, 0.1))
    tokens = np.rint(1 + (time_s - wait_s) / tpot_s).astype(np.int64)
    ends = (time_s * 1e9).astype(np.int64).cumsum()
    trials = pl.DataFrame(
        {
            "system": np.array([f"system {k}" for k in range(SYSTEMS)])[system],
            "task": np.array([f"task {k}" for k in range(TASKS)])[task],
            "item_id": np.tile(np.array([f"item {k}" for k in range(ITEMS)]), SYSTEMS * TASKS),
            "task_time_s": time_s,
            "wait_s": wait_s,
            "ttft_s": wait_s,
            "first_answer_s": wait_s,
            "committed_s": time_s * 0.9,
            "tpot_s": tpot_s,
            "tokens_per_s": 1 / tpot_s,
            "output_tokens": tokens,
            "output_bytes": 4 * tokens,
            "bytes_per_s": 4 * tokens / (time_s - wait_s),
            "outcome": np.where(rng.random(n) < 0.7, "correct", "wrong"),
            "dispatch_ns": ends - (time_s * 1e9).astype(np.int64),
            "end_clock_ns": ends,
        }
    ).with_columns(
        pl.lit("single").alias("scenario"),
        pl.int_range(pl.len()).cast(pl.String).alias("trial_id"),
        pl.lit("engine").alias("token_source"),
        *(pl.lit(value, pl.Int64).alias(name) for name, value in _CONSTANT.items()),
        *(pl.lit(0.0).alias(name) for name in ("loop_lag_s", "send_delay_s", "reasoning_s")),
        pl.lit(value=False).alias("unanswered"),
    )
    cells = [
        CellPlan(system=f"system {s}", task=f"task {t}", scenario="single", planned=ITEMS, graded=True)
        for t in range(TASKS)
        for s in range(SYSTEMS)
    ]
    return trials, cells


_CONSTANT = {
    "repeat": 1,
    "attempt": 1,
    "worker": 1,
    "reasoning_bytes": 0,
    "prompt_tokens": 50,
    "prompt_bytes": 200,
    "cached_tokens": 0,
    "first_prompt_tokens": 50,
    "first_cached_tokens": 0,
}


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


def peak_mb() -> float:
    """Of this process so far. Linux counts in kilobytes, macOS in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def summary_part() -> None:
    trials, cells = million_records()
    before = peak_mb()
    ours, theirs = [], []
    for _ in range(ROUNDS):
        theirs.append(timed(lambda: group_by(trials)))
        ours.append(timed(lambda: summarise_trials(trials, cells, name="x", limit_s=60, resamples=0)))
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    print(f"summary of {trials.height:,} records, {SYSTEMS} systems x {TASKS} tasks, no bootstrap; {ROUNDS} rounds")
    print(f"  summary         {spread(ours, 2)} s, with every interval, pair and split")
    print(f"  polars group-by {spread(theirs, 2)} s")
    print(f"  ratio           {spread(ratios, 2)}  (target: at most 5)")
    print(f"  peak memory     {peak_mb():,.0f} MB, of which {before:,.0f} MB before the summary  (target: 2,048)")


def bootstrap_part() -> None:
    rng = np.random.default_rng(2)
    shape = (10, 660, 1)
    time_s = rng.lognormal(0, 0.5, shape)
    tpot_s = rng.lognormal(-4, 0.1, shape)
    arrays = Arrays(
        systems=tuple(map(str, range(10))),
        items=tuple(map(str, range(660))),
        task_time_s=time_s,
        spent_s=time_s,
        wait_s=0.1 * time_s,
        written_bytes=400 * time_s,
        visible_bytes=400 * time_s,
        reasoning_bytes=0 * time_s,
        tpot_s=tpot_s,
        correct=(rng.random(shape) < 0.7).astype(np.float64),
    )
    pairs = [(str(a), str(b)) for a in range(10) for b in range(a)]
    before = peak_mb()

    def five_tasks(count: int) -> None:
        for task in range(5):
            compare_pairs(arrays, pairs, Resamples(660, count, seed=task) if count else None, graded=True)

    five_tasks(0)
    without, with_it = [], []
    for _ in range(ROUNDS):
        without.append(timed(lambda: five_tasks(0)))
        with_it.append(timed(lambda: five_tasks(RESAMPLES)))
    print(f"bootstrap: {RESAMPLES:,} resamples, {len(pairs)} pairs x 5 tasks x 660 items; {ROUNDS} rounds")
    print(f"  with            {spread(with_it, 2)} s")
    print(f"  without         {spread(without, 2)} s: all paired tests, intervals and splits")
    print(f"  peak memory     {peak_mb():,.0f} MB, of which {before:,.0f} MB before")


def load_part() -> None:
    """From the run file: 100,000 trials of the simulated engine in virtual time."""
    n = 50_000
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "p.jsonl").write_text("".join(f'{{"prompt": "number {i}"}}\n' for i in range(n)))
        experiment = taskpace.quick_experiment(
            models=("a", "b"),
            engine="simulated",
            prompts=str(Path(folder, "p.jsonl")),
            warmup=0,
            options={"time": "virtual", "length": {"kind": "lognormal", "median": 100, "sigma": 0.5}},
        )
        with taskpace.run(experiment, Path(folder, "x.db")) as done:
            size_mb = Path(folder, "x.db").stat().st_size / 2**20
            before = peak_mb()
            times = [timed(lambda: last_attempts(load_frame(done.store))) for _ in range(3)]
    print(f"loading {2 * n:,} records from a run file of {size_mb:,.0f} MB; 3 rounds")
    print(f"  load_frame      {spread(times, 2)} s")
    print(f"  peak memory     {peak_mb():,.0f} MB, of which {before:,.0f} MB before")


def main() -> None:
    print(f"analysis: {machine_line()}")
    for part in (summary_part, bootstrap_part, load_part):
        process = get_context("spawn").Process(target=part)
        process.start()
        process.join()
        if process.exitcode:
            raise SystemExit(f"{part.__name__} failed")


if __name__ == "__main__":
    main()
