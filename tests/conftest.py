"""What many tests need: a simulated experiment and a way to run the command line."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import settings
from tests.commandline import Cli, run_apart, run_here
from tests.in_process import workers_here as here
from tests.once import Once, make_once

import taskpace
from taskpace.analysis.data.cells import CellPlan
from taskpace.analysis.schema.summary import Summary
from taskpace.analysis.summary import summarise_trials
from taskpace.experiment.experiment import Experiment
from taskpace.experiment.scenario import Scenario
from taskpace.experiment.until import Until

settings.register_profile("taskpace", deadline=None, print_blob=True)
settings.register_profile("quick", settings.get_profile("taskpace"), max_examples=20)
settings.load_profile("taskpace")


BY_FIXTURE = {
    "browser": pytest.mark.browser,
    "chat_model": pytest.mark.real_model,
    "base_model": pytest.mark.real_model,
    "planted": pytest.mark.slow,
}
LONGEST = ("real_model", "browser", "slow")
"""Marks, what takes longest first: what is handed out last is short, so that the workers end together."""
REAL_CLOCK = (
    "engines/test_launch",
    "engines/test_openai",
    "test_energy",
    "test_faults",
    "test_host",
    "test_measure",
    "test_open_loop",
    "test_worker_group",
)
"""Files whose tests read real clocks, or end real processes: never two of them at once."""
TORCH = ("engines/test_transformers", "engines/test_transformers_serve", "test_tokenizers")
"""Files whose tests import torch and transformers, which takes five seconds: once for all of them."""
TORCH_BENCHES = ("greedy", "overhead_transformers")
"""Benchmarks whose quick forms import them too, in the process of their test."""
SCIPY = (
    "analysis/test_anytime",
    "analysis/test_claims",
    "analysis/test_diagnosis",
    "analysis/test_estimates",
    "analysis/test_intervals",
    "analysis/test_kappa",
    "analysis/test_pairs",
    "analysis/test_per_correct",
    "analysis/test_ranking",
    "analysis/test_significance",
    "analysis/test_special",
    "analysis/test_student",
    "analysis/test_turns",
)
"""Files whose tests compare with scipy, which takes a second to import."""
IN_MEMORY = Path("/dev/shm")  # noqa: S108 - a file system, below which pytest makes a folder of its own
ROOM_BYTES = 4 * 2**30


def pytest_configure(config: pytest.Config) -> None:
    """Keep temporary files in memory, and give each worker a core."""
    keep_in_memory()
    pin(config)


def keep_in_memory() -> None:
    """Make temporary files where no disk is waited for, if there is room and programs may be run there.

    A run file is synchronised with each trial that is stored: on a disk half of the time of many tests.
    """
    if hasattr(os, "statvfs") and IN_MEMORY.is_dir():
        found = os.statvfs(IN_MEMORY)
        if found.f_bavail * found.f_frsize >= ROOM_BYTES and not found.f_flag & os.ST_NOEXEC:
            os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(IN_MEMORY))


def pin(config: pytest.Config) -> None:
    """Let a worker of xdist, and all that it starts, run on one core; two on each of two cores fill each other's waits.

    Threads of a model that wait for each other on a core that others use too take ten times as long. The first worker
    gets the real clocks: who shares its core gives way.
    """
    worker = getattr(config, "workerinput", {}).get("workerid")
    if worker is not None and hasattr(os, "sched_setaffinity"):
        number, cores = int(worker.removeprefix("gw")), sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[number % len(cores)]})
        os.nice(10 if number >= len(cores) else 0)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by the fixtures they use; have the workers of xdist begin with what takes longest."""
    ranks: dict[str, int] = {}
    for item in items:
        for fixture, mark in BY_FIXTURE.items():
            if fixture in getattr(item, "fixturenames", ()):
                item.add_marker(mark)
        rank = next(
            (number for number, mark in enumerate(LONGEST, 1) if item.get_closest_marker(mark)), len(LONGEST) + 1
        )
        part = part_of(item.nodeid)
        ranks[part] = min(ranks.get(part, rank), rank, 0 if part == "real clocks" else rank)
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: ranks[part_of(item.nodeid)])


def pytest_collection_finish() -> None:
    """Keep the garbage collector from walking the libraries and the tests themselves again and again."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """One worker for a file, whose tests share fixtures, one for all that read real clocks, any for a benchmark.

    It is what ``--dist loadgroup`` is for; xdist 3.8 does not see groups under pytest 9.2, which has no ``_nodeid``.
    """
    from xdist.scheduler import LoadScopeScheduling

    class Parts(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return part_of(nodeid)

    return Parts(config, log)


def part_of(nodeid: str) -> str:
    """What a test is handed out with."""
    path = nodeid.partition("::")[0]
    file = path.removeprefix("tests/").removesuffix(".py")
    if file in REAL_CLOCK:
        return "real clocks"
    if file in TORCH or (file == "test_benchmarks" and nodeid.partition("[")[2][:-1] in TORCH_BENCHES):
        return "torch"
    if file in SCIPY:
        return "scipy"
    # Benchmarks share no fixture, and together they would be what all wait for in the end.
    return nodeid if file == "test_benchmarks" else path


@pytest.fixture
def simulated() -> Callable[..., Experiment]:
    """Builds a quick experiment on the simulated engine, in virtual time."""

    def build(options: dict[str, Any] | None = None, **settings: Any) -> Experiment:
        defaults: dict[str, Any] = {"models": ("sim",), "tasks": ("mmlu-letter",), "items": 5}
        return taskpace.quick_experiment(
            engine="simulated", options={"time": "virtual"} | (options or {}), **defaults | settings
        )

    return build


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Once:
    """Makes a folder by its name, once for all tests of all workers; nothing writes into it later."""
    own = tmp_path_factory.getbasetemp()
    return partial(make_once, (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "once")


@pytest.fixture
def workers_here() -> Iterator[None]:
    """Endpoints and systems in virtual time are asked in this process: where no process of their own is the point."""
    with here():
        yield


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages have empty pictures, where their words are looked at: to draw a picture takes 50 ms."""
    monkeypatch.setattr("taskpace.report.page.figure.to_svg", lambda *_, **__: "<svg></svg>")


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """Calls the command line's ``main`` in this process and in ``tmp_path``, 80 columns wide, and captures it."""
    return partial(run_here, tmp_path)


@pytest.fixture
def cli_process(tmp_path: Path) -> Cli:
    """Runs ``python -m taskpace`` as a process, where a real process is the point."""
    return partial(run_apart, tmp_path)


@pytest.fixture
def trials_of() -> Callable[..., pl.DataFrame]:
    """Builds the trials of one cell as ``load_frame`` gives them, from arrays or single values by column name."""

    def build(system: str = "s", n: int = 40, *, task: str = "t", **columns: Any) -> pl.DataFrame:
        def column(name: str, default: Any) -> pl.Series:
            values = columns.pop(name, default)
            return pl.Series(name, values if isinstance(values, (list, np.ndarray)) else [values] * n)

        time_s = column("task_time_s", 1.0)
        n = len(time_s)  # of an array as long as it is
        wait_s = column("wait_s", time_s.to_numpy() * 0.1)
        tpot_s = column("tpot_s", 0.01)
        ends = (time_s.fill_null(0.0) * 1e9).cast(pl.Int64).cum_sum()
        frame = pl.DataFrame(
            [
                time_s,
                wait_s,
                tpot_s,
                column("item_id", [f"i{number:05}" for number in range(n)]),
                column("repeat", 1),
                column("outcome", "correct"),
                column("score", None).cast(pl.Float64),
                column("detail", None).cast(pl.String),
                column("output_tokens", 100),
                column("output_bytes", 400),
                column("reasoning_bytes", 0),
                column("prompt_tokens", 50),
                column("prompt_bytes", 200),
                column("cached_tokens", 0),
                column("committed_s", time_s.to_numpy()),
                column("loop_lag_s", 0.0),
                column("send_delay_s", 0.0),
                column("token_source", "engine"),
                column("worker", 1),
                column("session", 1).cast(pl.Int64),
                column("round", None).cast(pl.Int64),
                column("place", None).cast(pl.Int64),
                column("trial_position", list(range(n))),
                column("bursts", False),
                column("untimed", False),
                column("miscounted", False),
                column("hidden_reasoning", False),
                column("late", False),
                column("timed", True),
                column("imported", None).cast(pl.String),
            ]
        ).with_columns(
            first_prompt_tokens=pl.col("prompt_tokens"),
            first_cached_tokens=pl.col("cached_tokens"),
            reasoning_s=pl.lit(0.0),
            unanswered=(pl.col("reasoning_bytes") > 0) & (pl.col("output_bytes") == 0),
            system=pl.lit(system),
            task=pl.lit(task),
            scenario=pl.lit("single"),
            trial_id=pl.lit(f"{system}/{task}/") + pl.col("item_id") + pl.lit("/") + pl.col("repeat").cast(pl.String),
            attempt=pl.lit(1),
            ttft_s=pl.col("wait_s"),
            first_answer_s=pl.col("wait_s"),
            tokens_per_s=1 / pl.col("tpot_s"),
            bytes_per_s=pl.col("output_bytes") / (pl.col("task_time_s") - pl.col("wait_s")),
            end_clock_ns=ends,
            dispatch_ns=ends.shift(1, fill_value=0),
        )
        if columns:
            raise TypeError(f"no such columns: {', '.join(columns)}")
        return frame

    return build


@pytest.fixture
def summary_of() -> Callable[..., Summary]:
    """Summarises cells that ``trials_of`` built, in the order of their first trials."""

    def build(
        *cells: pl.DataFrame, graded: bool = True, resamples: int = 1000, until: Until | None = None, **changes: Any
    ) -> Summary:
        trials = pl.concat(cells)
        plans = [
            CellPlan(system=system, task=task, scenario=Scenario(), planned=n, graded=graded, **changes)
            for system, task, n in trials.group_by("system", "task", maintain_order=True).len().iter_rows()
        ]
        return summarise_trials(trials, plans, name="planted", limit_s=60.0, resamples=resamples, until=until)

    return build
