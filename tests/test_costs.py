"""What a trial costs between plan and store, counted and not timed: the same on every machine, however busy.

The whole client runs in this process and in virtual time: plan, jobs, worker, engine, grading, store.
"""

from __future__ import annotations

import cProfile
import gc
import json
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.in_process import InProcess, instant

from taskpace.experiment.experiment import Experiment
from taskpace.experiment.prepare import prepare
from taskpace.runner.events import Event, TrialFinished
from taskpace.runner.runner import run_plan
from taskpace.store.store import Store
from taskpace.worker import worker
from taskpace.worker.messages import FromWorker

FEW, MANY = 100, 1000
CALLS = 640
"""Python function calls that a trial of four tokens and a graded letter may cost. Measured on 3.11: 590 and 520."""
STATEMENTS = 5
"""SQL statements that a trial may cost: its own row, its item's, the record's, its turn's and its grade's."""
TURN_CALLS, TURN_OPENS = 1080, 9
"""SQL statements of a trial that is one system's turn: two more begin and end a transaction. Measured on 3.11:
1,020 calls and 8 opened files, all between two trials."""

KEPT = 3
"""Blocks of memory that a run and its worker may keep for each trial until the run ends: the trial's id, and what
CPython's cache of attributes holds until it is full. Measured on 3.11: 1.9, and 5.7 with a list of
each part's metrics."""


class Cost(NamedTuple):
    calls: int
    opens: int
    statements: int


class Counted:
    """Counts what this process does while it is on."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self._on = False
        sys.addaudithook(self._audit)  # for good: there is no way to take one out

    @contextmanager
    def on(self) -> Iterator[None]:
        self.seen.clear()
        self._on = True
        profile = cProfile.Profile(
            subcalls=False, builtins=False
        )  # a profile function in Python takes ten times as long
        profile.enable()
        try:
            yield
        finally:
            profile.disable()
            self._on = False
            self.seen["call"] = sum(entry.callcount for entry in profile.getstats())

    def cost(self) -> Cost:
        return Cost(self.seen["call"], self.seen["open"], self.seen["statement"])

    def _audit(self, event: str, _arguments: tuple[Any, ...]) -> None:
        if self._on and event == "open":
            self.seen["open"] += 1

    def connect(self, *arguments: Any, **settings: Any) -> sqlite3.Connection:
        """In place of ``sqlite3.connect``."""
        connection = sqlite3.Connection(*arguments, **settings)
        connection.set_trace_callback(self._statement)
        return connection

    def _statement(self, _text: str) -> None:
        self.seen["statement"] += 1


@pytest.fixture(scope="module")
def counted() -> Counted:
    return Counted()


@pytest.fixture(autouse=True)
def _prepared(counted: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    """Statements are counted, and nothing is calibrated: that takes real time, and so is never quite the same."""
    monkeypatch.setattr(sqlite3, "connect", counted.connect)
    monkeypatch.setattr(worker, "calibrate", instant)


def rows(path: Path, count: int) -> Path:
    """So many questions, each another one."""
    choices = ["red", "green", "blue", "brown"]
    lines = [
        json.dumps({"subject": "colours", "question": f"Which is number {number}?", "choices": choices, "answer": 1})
        for number in range(count)
    ]
    path.write_text("\n".join(lines), "utf-8")
    return path


@pytest.fixture
def cost_of(counted: Counted, tmp_path: Path, simulated: Callable[..., Experiment]) -> Callable[..., Cost]:
    """Runs an experiment of so many trials, from experiment to closed run file."""

    def measure(trials: int, **settings: Any) -> Cost:
        data = str(rows(tmp_path / f"{trials}.jsonl", trials))
        experiment = simulated({"length": 16}, items=trials, data=data, warmup=0, **settings)
        path = tmp_path / f"{trials}.db"
        with counted.on():
            plan = prepare(experiment, tmp_path)
            with Store.create_or_continue(path, plan, "0") as store:
                ended = run_plan(plan, store, launch=InProcess)
        path.unlink()
        assert ended.done == ended.planned == trials * len(settings.get("models", ["sim"]))
        return counted.cost()

    # What is imported or compiled at first use is none of a trial's cost.
    measure(2)
    return measure


@pytest.mark.parametrize("scenario", ["single", "concurrency=8"])
def test_what_a_trial_costs_stays_within_its_budget_and_grows_linearly(cost_of, scenario):
    """Calls, opened files and SQL statements of a trial are few, and ten times the trials cost ten times at most."""
    few, many = cost_of(FEW, scenarios=(scenario,)), cost_of(MANY, scenarios=(scenario,))
    print(f"{scenario}: {FEW} trials {few}, {MANY} trials {many}")
    each = (many.calls - few.calls) / (MANY - FEW)
    assert each <= CALLS
    assert (many.statements - few.statements) / (MANY - FEW) <= STATEMENTS
    assert many.opens == few.opens
    assert many.calls <= few.calls * MANY / FEW


def test_a_cell_costs_no_more_for_what_others_have_recorded(cost_of):
    """Eight systems cost eight times what one costs: no cell goes through the records of those before it."""
    eight_models = tuple(f"sim {number}" for number in range(8))
    one, eight = cost_of(FEW), cost_of(FEW, models=eight_models, order="sequential")
    print(f"one system {one}, eight {eight}")
    assert eight.calls <= 8 * one.calls
    assert eight.statements <= 8 * one.statements
    assert eight.opens <= 8 * one.opens


@pytest.mark.slow
def test_a_turn_costs_little_more_than_a_trial_and_grows_linearly(cost_of):
    """Three systems that take turns: a message each way and a look at the machine for each trial, outside its clock."""
    models = ("one", "two", "three")
    few, many = cost_of(FEW // 5, models=models), cost_of(MANY // 5, models=models)
    print(f"turns: {FEW // 5} rounds {few}, {MANY // 5} rounds {many}")
    trials = len(models) * (MANY // 5 - FEW // 5)
    assert (many.calls - few.calls) / trials <= TURN_CALLS
    assert (many.opens - few.opens) / trials <= TURN_OPENS
    assert (many.statements - few.statements) / trials <= STATEMENTS + 2
    assert many.calls <= few.calls * MANY / FEW


@pytest.mark.parametrize(("scenario", "gather_s"), [("single", 0.0), ("concurrency=8", 0.02)])
def test_under_load_the_run_is_woken_fifty_times_a_second(scenario, gather_s, simulated, tmp_path):
    """What comes within 20 ms is read at once, for whoever wakes takes the processor from those who stamp; one at a
    time the worker waits for each record.
    """
    gathered: set[float] = set()

    class Watched(InProcess):
        def receive(self, timeout_s: float, gather_s: float = 0.0) -> list[FromWorker]:
            gathered.add(gather_s)
            return super().receive(timeout_s, gather_s)

    data = str(rows(tmp_path / "rows.jsonl", 16))
    experiment = simulated({"length": 16}, items=16, data=data, warmup=0, scenarios=(scenario,))
    plan = prepare(experiment, tmp_path)
    with Store.create_or_continue(tmp_path / "run.db", plan, "0") as store:
        run_plan(plan, store, launch=Watched)
    assert gathered - {0.0} == {gather_s} - {0.0}


def test_a_run_in_turns_keeps_next_to_nothing_of_a_trial(simulated: Callable[..., Experiment], tmp_path: Path) -> None:
    """Blocks of memory in use between an early and a late trial: a list that grows with each part would show here."""
    early, late, blocks = FEW, 4 * FEW, {}

    def look(event: Event) -> None:
        if isinstance(event, TrialFinished):
            seen[0] += 1
            if seen[0] in (early, late):
                gc.collect()
                blocks[seen[0]] = sys.getallocatedblocks()

    seen = [0]
    data = str(rows(tmp_path / "rows.jsonl", late // 2 + 1))
    experiment = simulated({"length": 16}, items=late // 2 + 1, data=data, warmup=0, models=("one", "two"))
    plan = prepare(experiment, tmp_path)
    with Store.create_or_continue(tmp_path / "run.db", plan, "0") as store:
        run_plan(plan, store, on_event=look, launch=InProcess)

    each = (blocks[late] - blocks[early]) / (late - early)
    print(f"{each:.2f} blocks a trial")
    assert each <= KEPT
