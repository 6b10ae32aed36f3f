"""Ten million records in several run files: does the summary scale in time, in memory and on disk?

Run: python bench/shards.py [--systems N] [--items N]. A run file for each of five tasks, as an experiment that is split
by task leaves them, at a thousandth, a hundredth, a tenth and all of the items. The records are drawn at random and
written in bulk, so no engine is run; each answer has some eight arrivals. `taskpace summary` of all files is the whole
process, from its start to its last line, with the check of every value in the files; its peak memory is the
system's own figure for that process. Targets for ten million: at most 12 times the time of a million, and 4 GB.

Beside it, at a hundredth: reading the numbers from the run files, and from the Parquet files that `taskpace export`
makes of them.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from itertools import pairwise, repeat
from math import log
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

import taskpace
from harness import Bench, make_pool
from taskpace.analysis.data.frame import load_frame, load_numbers
from taskpace.engines.base import EngineInfo
from taskpace.experiment.plan import Plan, PlannedItem, PlannedTask, content_id, make_plan
from taskpace.machine import host
from taskpace.report.files.export import render, write
from taskpace.store.rows import now
from taskpace.store.store import Store
from taskpace.tasks import DataSource, Item
from taskpace.telemetry import Calibration, ClientMetrics

TASKS = 5
SIZES = {"10,000": 1000, "100,000": 100, "1,000,000": 10, "10,000,000": 1}
"""Records of the full form, and which part of the items that is."""
TENTH, LARGEST = "1,000,000", "10,000,000"
ROUNDS, LARGE = 3, 2_000_000
"""How often a summary is timed, and from how many records on it is timed once."""
MOST_BYTES = 1_000
"""Of a trial in a run file, for the space that there must be."""
AT_ONCE = 20_000
"""Records of a transaction."""
TURN_NS = 5_000_000_000
"""From one dispatch to the next."""
BYTES_PER_TOKEN = 4
INFO = EngineInfo(engine="drawn", version="1", chat_template="none", details={})
CALIBRATION = Calibration(clock_read_ns=50, clock_step_ns=1, harness_median_ns=50_000, harness_p99_ns=90_000, trials=50)


class Shard(NamedTuple):
    """A run file to be written."""

    path: Path
    task: int
    systems: int
    items: int


class Answers(NamedTuple):
    """What the trials of a shard took and came to: arrays (systems, items)."""

    wait_ns: NDArray[np.int64]
    step_ns: NDArray[np.int64]
    tokens: NDArray[np.int64]
    correct: NDArray[np.bool_]
    place: NDArray[np.int64]

    def at(self, order: NDArray[np.intp]) -> Answers:
        """Those of some trials, numbered system by system: arrays (trials,)."""
        return Answers(*(values.ravel()[order] for values in self))


INSERTIONS = {
    "record": "trial_id, attempt, cell_id, worker, phase, started_at, machine_ns, round, place, final",
    "turn": "trial_id, attempt, turn, dispatch_ns, send_delay_ns, end_ns, finish_ns, finish_reason, prompt_tokens, "
    "output_tokens, reasoning_tokens, token_source, text, reasoning, arrivals",
    "grade": "trial_id, attempt, scorer, outcome, answer, committed_ns",
}
"""Columns of a run file, in the order of ``rows_of``; the others are unknown."""


def rows_of(
    ids: Sequence[str], answers: Answers, places: Sequence[tuple[str, int, int]], systems: int
) -> dict[str, Iterator[tuple[Any, ...]]]:
    """Rows by table; ``places``: cell, worker and item of each trial."""
    at, one = now(), repeat(1)
    cells, workers, items = zip(*places, strict=True)
    dispatch = ((np.array(items) * systems + answers.place) * TURN_NS).tolist()
    end = (answers.wait_ns + answers.tokens * answers.step_ns).tolist()
    tokens, wait = answers.tokens.tolist(), answers.wait_ns.tolist()
    outcomes = np.where(answers.correct, "correct", "wrong").tolist()
    return {
        "record": zip(
            ids, one, cells, workers, repeat("measured"), repeat(at), dispatch, (item + 1 for item in items),
            answers.place.tolist(), one,
        ),
        "turn": zip(
            ids, one, one, dispatch, repeat(20_000), end, end, repeat("stop"), repeat(40),
            (count + 1 for count in tokens), repeat(0), repeat("usage"), ("word" * count for count in tokens),
            repeat(""), arrivals_of(answers),
        ),
        "grade": zip(ids, one, repeat("letter/1"), outcomes, repeat("A"), wait),
    }  # fmt: skip


def arrivals_of(answers: Answers) -> Iterator[bytes]:
    """Each token's arrival, as a run file has them."""
    ends = np.cumsum(answers.tokens)
    number = np.arange(ends[-1]) - np.repeat(ends - answers.tokens, answers.tokens)
    found = np.zeros(ends[-1], dtype=[("ns", "<i8"), ("visible", "<u4"), ("reasoning", "<u4")])
    found["ns"] = np.repeat(answers.wait_ns, answers.tokens) + number * np.repeat(answers.step_ns, answers.tokens)
    found["visible"] = BYTES_PER_TOKEN * (number + 1)
    packed, size = found.tobytes(), found.itemsize
    return (packed[size * begin : size * end] for begin, end in pairwise([0, *ends.tolist()]))


def draw(shard: Shard) -> Answers:
    rng, shape = np.random.default_rng(shard.task), (shard.systems, shard.items)
    slower = 1 + np.arange(shard.systems)[:, None] / 10
    return Answers(
        wait_ns=(rng.lognormal(log(0.1e9), 0.3, shape) * slower).astype(np.int64),
        step_ns=(rng.lognormal(log(0.02e9), 0.1, shape) * slower).astype(np.int64),
        tokens=np.clip(rng.lognormal(log(8), 0.4, shape), 2, 40).astype(np.int64),
        correct=rng.random(shape) < 0.7,
        place=rng.permuted(np.tile(np.arange(1, shard.systems + 1)[:, None], (1, shard.items)), axis=0),
    )


def plan_of(shard: Shard) -> Plan:
    """One task of many questions; its systems are those of all shards."""
    experiment = taskpace.quick_experiment(
        models=tuple(f"system {number}" for number in range(shard.systems)),
        engine="simulated", tasks=("mmlu-letter",), items=1, warmup=0,
    )  # fmt: skip
    small = taskpace.prepare(experiment, Path())
    (task,) = small.tasks
    spec = msgspec.structs.replace(
        task.spec, name=f"questions {shard.task}", data=DataSource(source=f"questions-{shard.task}.jsonl")
    )
    questions = (f"Question {number} of {shard.task}: which of A, B, C and D is it?" for number in range(shard.items))
    items = tuple(
        PlannedItem(
            spec=Item(id=content_id(asked), fields={"question": asked, "choices": ["A", "B", "C", "D"], "answer": 0}),
            prompts=(asked,),
        )
        for asked in questions
    )
    return make_plan(experiment, small.systems, (PlannedTask(spec=spec, items=items),))


def write_shard(shard: Shard) -> int:
    """Write it, its plan by the store's own writer and its records in bulk; returns its bytes.

    Trials come in the order of their ids: in a run's own order, which is any order of these hashes, each would go to
    another page.
    """
    plan, answers = plan_of(shard), draw(shard)
    with Store.create_or_continue(shard.path, plan, taskpace.__version__) as store:
        session = store.begin_session(host.describe(), taskpace.__version__)
        workers = [store.add_worker(session, system.name, 0, INFO, CALIBRATION) for system in plan.systems]
        for cell, worker in zip(plan.cells, workers, strict=True):
            store.add_segment(worker, cell.id, client(shard.items))
    cells = [cell.id for cell in plan.cells]
    ids = np.array([trial_id for cell in plan.cells for trial_id in plan.trials(cell).ids()], dtype="S24")
    order = np.argsort(ids)
    with closing(sqlite3.connect(shard.path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = OFF")
        db.execute("PRAGMA synchronous = OFF")
        for begin in range(0, len(order), AT_ONCE):
            some = order[begin : begin + AT_ONCE]
            places = [(cells[n // shard.items], workers[n // shard.items], n % shard.items) for n in some.tolist()]
            db.execute("BEGIN")
            for table, rows in rows_of(ids[some].astype(str).tolist(), answers.at(some), places, shard.systems).items():
                columns = INSERTIONS[table]
                marks = ", ".join("?" * len(columns.split(", ")))
                db.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks})", rows)  # noqa: S608 - our own
            db.execute("COMMIT")
    return shard.path.stat().st_size


def client(items: int) -> ClientMetrics:
    return ClientMetrics(
        loop_lag_median_ns=50_000, loop_lag_p99_ns=300_000, loop_lag_max_ns=1_000_000, lag_samples=items,
        client_cpu_ns=items * 1_000_000, wall_ns=items * 500_000_000, peak_rss_bytes=None, steal_ticks=None,
        cpu_ticks=None, throttled_ns=None,
    )  # fmt: skip


class Summarised(NamedTuple):
    """What `taskpace summary` took."""

    seconds: float
    peak_mb: float


def summarise(paths: Sequence[Path], *, quick: bool) -> Summarised:
    """The whole process; in the quick form this one, as most of its time would be imports."""
    command = [sys.executable, "-m", "taskpace", "summary", *map(str, paths)]
    begun = time.perf_counter()
    if quick:
        taskpace.summary(*paths, resamples=20)
        return Summarised(time.perf_counter() - begun, 0.0)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}: exit code {process.returncode}")
    # Linux counts in kilobytes, macOS in bytes.
    return Summarised(seconds, used.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6)


def timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


class Written(NamedTuple):
    """The shards of one size."""

    paths: list[Path]
    records: int
    size: int
    """In bytes, of all files."""


@contextmanager
def written(bench: Bench, items: int) -> Iterator[Written]:
    """So many items of each task, in files that are gone afterwards."""
    systems: int = bench.chosen.systems
    records = systems * TASKS * items
    with tempfile.TemporaryDirectory(prefix="taskpace-shards-") as name:
        folder, need = Path(name), records * MOST_BYTES
        if shutil.disk_usage(folder).free < need:
            raise SystemExit(
                f"{folder}: {records:,} records need {need / 1e9:.0f} GB: set TMPDIR to a folder with more, or give "
                "fewer --items"
            )
        shards = [Shard(folder / f"task-{task}.db", task, systems, items) for task in range(TASKS)]
        with make_pool(None, quick=bench.quick) as pool:
            sizes = pool.map(write_shard, shards, chunksize=1)
        yield Written([shard.path for shard in shards], records, sum(sizes))


class Row(NamedTuple):
    """One size, as measured."""

    records: int
    seconds: float


def measure(bench: Bench, label: str, items: int) -> Row:
    """Summarise the shards of one size, and print a row."""
    with written(bench, items) as shards:
        rounds = 1 if bench.quick or shards.records >= LARGE else ROUNDS
        found = [summarise(shards.paths, quick=bench.quick) for _ in range(rounds)]
    records, middle = shards.records, float(np.median([each.seconds for each in found]))
    seconds = bench.figure(f"{label} records: seconds", [each.seconds for each in found], "s")
    peak = bench.figure(
        f"{label} records: peak memory",
        max(each.peak_mb for each in found),
        "MB",
        at_most=4000 if label == LARGEST else None,
    )
    on_disk = bench.figure(f"{label} records: bytes a trial", shards.size / records, "bytes")
    bench.say(
        f"{records:>12,}  {on_disk:>13,.0f}  {f'{seconds:.2f}':<24}{1e6 * middle / records:>10,.1f}"
        f"  {peak:>8,.0f} MB  {peak.target}".rstrip()
    )
    return Row(records, middle)


def print_formats(bench: Bench, items: int) -> None:
    """Reading the numbers of all attempts from run files, and the same columns from Parquet."""
    with written(bench, items) as shards, ExitStack() as opened:
        exported = [path.with_suffix(".parquet") for path in shards.paths]
        stores = [opened.enter_context(Store.open(path, known=True)) for path in shards.paths]
        columns = next(load_numbers(stores[0])).columns

        def check() -> None:
            for path in shards.paths:
                Store.open(path).close()

        def export() -> None:
            for store, path in zip(stores, exported, strict=True):
                write(path, render(load_frame(store), "parquet"))

        check_s = bench.figure("check of the run files", timed(check), "s")
        from_runs = bench.figure(
            "numbers from run files", timed(lambda: [pl.concat(load_numbers(store)) for store in stores]), "s"
        )
        export_s = bench.figure("export to Parquet", timed(export), "s")
        from_parquet = bench.figure(
            "numbers from Parquet", timed(lambda: pl.scan_parquet(exported).select(columns).collect()), "s"
        )
        size = sum(path.stat().st_size for path in exported)
        on_disk = bench.figure("Parquet: bytes a trial", size / shards.records, "bytes")
        bench.say(f"the numbers of {shards.records:,} records, from either format")
        bench.say(f"  run files         {from_runs:.2f} s, after a check of every value in {check_s:.2f} s")
        bench.say(f"  Parquet           {from_parquet:.3f} s, once `taskpace export` has made it in {export_s:.2f} s")
        bench.say(f"  Parquet on disk   {on_disk:,.0f} bytes a trial, without texts, arrivals and what was planned")


def main() -> None:
    bench = Bench("shards", __doc__, {"systems": (10, 2), "items": (200_000, 4)})
    systems, items = bench.chosen.systems, bench.chosen.items
    bench.head(f"{systems} systems x {TASKS} tasks, a run file for each task; `taskpace summary` of all files")
    bench.say("     records  bytes a trial  seconds                 us a trial  peak memory")
    rows = {label: measure(bench, label, max(1, items // part)) for label, part in SIZES.items()}
    ratio = bench.figure("ten million over a million", rows[LARGEST].seconds / rows[TENTH].seconds, at_most=12)
    sizes = np.log([(row.records, row.seconds) for row in rows.values()])
    exponent = bench.figure("exponent", float(np.polyfit(*sizes.T, 1)[0]))
    later = bench.figure("exponent from the second size on", float(np.polyfit(*sizes[1:].T, 1)[0]))
    bench.say(f"  the largest takes {ratio:.1f} times as long as a tenth of it  {ratio.target}")
    bench.say(f"  exponent          {exponent:.2f} (1: linear); most of the smallest is the start of the process")
    bench.say(f"                    {later:.2f} without the smallest")
    print_formats(bench, max(1, items // SIZES["100,000"]))
    bench.finish()


if __name__ == "__main__":
    main()
