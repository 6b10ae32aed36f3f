"""Systems take turns: who is asked what when, what is recorded of it, how a run is resumed and how it grows."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import msgspec
import polars as pl
import pytest
from hypothesis import given, settings, strategies as st
from tests.in_process import InProcess, StopAfter, instant

import taskpace
from taskpace.errors import StoreError
from taskpace.experiment.experiment import experiment_of
from taskpace.experiment.plan import Plan
from taskpace.experiment.prepare import prepare
from taskpace.experiment.rounds import asking_order, round_size, rounds, tables
from taskpace.experiment.scenario import read_scenario
from taskpace.runner import turns
from taskpace.runner.events import Event, OrderChanged
from taskpace.runner.runner import run_plan
from taskpace.runner.session import Never, Session
from taskpace.runner.turns import in_turns, one_after_the_other
from taskpace.runner.worker_process import WorkerProcess
from taskpace.store.store import Store
from taskpace.worker import worker

MODELS = ("one", "two", "three")


def planned(models: tuple[str, ...] = MODELS, **settings: Any) -> Plan:
    """A plan of simulated systems in virtual time."""
    table = {
        "tasks": ["mmlu-letter"],
        "items": 6,
        "system": [
            {"name": name, "engine": "simulated", "model": name, "options": {"time": "virtual"}} for name in models
        ],
    }
    return prepare(experiment_of(table | settings, "test", default_name="test"), Path())


@pytest.fixture(autouse=True)
def _nothing_is_calibrated(monkeypatch):
    """Calibration takes real time, once for each worker."""
    monkeypatch.setattr(worker, "calibrate", instant)


def carry_out(plan: Plan, path: Path, **settings: Any) -> pl.DataFrame:
    """The records of a run of it, in the order in which they were made; by workers in this process unless told."""
    with Store.create_or_continue(path, plan, "0") as store:
        run_plan(plan, store, **{"launch": InProcess} | settings)
    with taskpace.open(path) as run:
        return run.frame().sort("session", "round", "place")


@given(
    items=st.integers(1, 30),
    repeats=st.integers(1, 3),
    systems=st.integers(1, 5),
    scenario=st.sampled_from(["single", "concurrency=3", "rate=2"]),
    together=st.booleans(),
)
@settings(max_examples=25)
def test_rounds_have_every_trial_of_every_system_once(items, repeats, systems, scenario, together):
    """Whatever the scenario and the size of a round: a partition of the trials, and in each round every system."""
    plan = planned(tuple("abcde"[:systems]), items=items, repeats=repeats, scenarios=[scenario])
    (table,) = tables(plan)
    size = round_size(read_scenario(scenario, "test"), together=together)
    found = list(rounds(plan, table, size))
    assert [each.begin for each in found] == [0, *(each.end for each in found[:-1])]
    assert found[-1].end == items * repeats
    for each in found:
        assert {cell.id for cell in each.cells} == {cell.id for cell in table}
        asked = {
            tuple((trial.item.id, trial.repeat) for trial in asking_order(plan, cell)[each.begin : each.end])
            for cell in table
        }
        assert len(asked) == 1


@given(data=st.data(), scenario=st.sampled_from(["single", "concurrency=3", "rate=2"]), together=st.booleans())
@settings(max_examples=25)
def test_parts_are_what_is_left_and_the_last_of_each_cell_says_so(data, scenario, together):
    """Whatever is recorded: every trial without a record is asked once, and the last part of each cell is marked."""
    plan = planned(tuple("abc"), items=12, repeats=2, scenarios=[scenario])
    everything = [trial.id for cell in plan.cells for trial in plan.trials(cell)]
    session = Session(plan, None, number=1, on_event=print, stop=Never(), launch=None)
    session.recorded = data.draw(st.sets(st.sampled_from(everything)))
    nothing = SimpleNamespace(query=lambda _sql, *_values: ([], []))
    parts = list(in_turns(session, nothing, together=together))
    asked = [trial.id for part in parts for trial in part.trials]
    assert sorted(asked) == sorted(set(everything) - session.recorded)
    assert all(session.left(cell) == sum(trial.cell_id == cell.id for part in parts for trial in part.trials)
               for cell in plan.cells)  # fmt: skip
    if together:
        ends = {part.cell.id: index for index, part in enumerate(parts)}
        assert [index for index, part in enumerate(parts) if part.last] == sorted(ends.values())


@given(data=st.data(), scenario=st.sampled_from(["single", "concurrency=3", "rate=2", "batch=3", "batch=9"]))
@settings(max_examples=25)
def test_a_system_alone_gets_its_cell_in_parts_where_nothing_is_in_flight_between_them(data, scenario):
    """Whatever is recorded: what is left, in order and once; parts are small, batches whole, and a load is one part."""
    plan = planned(("a",), items=12, repeats=2, scenarios=["single"])
    # The simulated engine has no static batches; how parts are made does not depend on the engine.
    cell = msgspec.structs.replace(plan.cells[0], scenario=read_scenario(scenario, "test"))
    plan = msgspec.structs.replace(plan, cells=(cell,))
    session = Session(plan, None, number=1, on_event=print, stop=Never(), launch=None)
    session.recorded = data.draw(st.sets(st.sampled_from([trial.id for trial in plan.trials(cell)])))
    with patch.object(turns, "_MOST_AT_ONCE", 5):
        parts = list(one_after_the_other(session))
    left = [trial.id for trial in plan.trials(cell) if trial.id not in session.recorded]
    assert [trial.id for part in parts for trial in part.trials] == left
    assert [part.last for part in parts] == [False] * (len(parts) - 1) + [True] * bool(left)
    sizes = [len(part.trials) for part in parts]
    most = {"single": 5, "batch=3": 3, "batch=9": 9}.get(scenario, 24)
    assert sizes == [len(left[begin : begin + most]) for begin in range(0, len(left), most)]


def test_the_order_is_drawn_anew_for_each_round_and_is_the_same_on_every_machine():
    """All orders of three systems come about equally often over 600 rounds, and another plan object has the same."""
    plan, again = (planned(items=100, repeats=6) for _ in range(2))
    drawn = [
        [tuple(cell.system.name for cell in each.cells) for each in rounds(one, tables(one)[0], 1)]
        for one in (plan, again)
    ]
    assert drawn[0] == drawn[1]
    counts = Counter(drawn[0])
    assert len(counts) == 6
    # Chi-square with 5 degrees of freedom: 0.1 % lie above 20.5.
    assert sum((count - 100) ** 2 / 100 for count in counts.values()) < 20.5


def test_every_system_answers_an_item_before_any_answers_the_next(tmp_path):
    """By the record: in each round every system once, in the drawn places, one after the other."""
    plan = planned(repeats=2)
    frame = carry_out(plan, tmp_path / "x.db")
    assert frame.height == 36
    by_round = frame.group_by("round", maintain_order=True).agg("item_id", "repeat", "system", "place", "started_at")
    assert by_round["round"].to_list() == list(range(1, 13))
    for items, repeats, systems, places in by_round.select("item_id", "repeat", "system", "place").iter_rows():
        assert len(set(items)) == len(set(repeats)) == 1
        assert sorted(systems) == sorted(MODELS)
        assert places == [1, 2, 3]
    ends = frame["started_at"].to_list()
    assert ends == sorted(ends)


def test_dispatch_is_recorded_on_one_clock_of_the_machine(tmp_path):
    """In real time dispatches of three workers are in the order of their turns; virtual time has no such clock."""
    systems = [
        {"name": name, "engine": "simulated", "model": name, "options": {"wait": 0.001, "token_time": 0.0001}}
        for name in MODELS
    ]
    real = planned(items=3, system=systems)
    frame = carry_out(real, tmp_path / "real.db", launch=WorkerProcess)
    dispatched = frame["machine_ns"].to_list()
    assert dispatched == sorted(dispatched)
    assert frame["machine_ns"].to_list() == frame["dispatch_ns"].to_list()
    assert carry_out(planned(items=3), tmp_path / "virtual.db")["machine_ns"].null_count() == 9


@pytest.mark.parametrize("order", ["blocks", "sequential"])
def test_other_orders_have_one_system_open_at_a_time(tmp_path, order):
    """Blocks of five items in a drawn order, or whole cells; a worker is closed before the next is opened."""
    alive: list[InProcess] = []
    most = 0

    class Counted(InProcess):
        def __init__(self) -> None:
            nonlocal most
            super().__init__()
            alive.append(self)
            most = max(most, len(alive))

        def end(self) -> None:
            alive.remove(self)
            super().end()

    frame = carry_out(planned(MODELS[:2], items=8, order=order), tmp_path / "x.db", launch=Counted)
    assert most == 1
    assert frame.height == 16
    if order == "sequential":
        assert frame["round"].null_count() == 16
    else:
        sizes = frame.group_by("round", "system").len().sort("round")["len"].to_list()
        assert sizes == [5, 5, 3, 3]


def test_what_cannot_be_open_at_once_alternates_in_blocks_and_says_so(tmp_path, monkeypatch):
    """Too little memory for all: one event with the reason, and rounds of five items."""
    from taskpace.runner import together

    monkeypatch.setattr(together, "free_bytes", lambda: 500_000_000)
    events: list[Event] = []
    frame = carry_out(planned(MODELS[:2]), tmp_path / "x.db", on_event=events.append)
    (changed,) = (event for event in events if isinstance(event, OrderChanged))
    assert changed.reason == "open at once they may need 0.5 GB, and 0.5 GB are free"
    assert frame.group_by("round", "system").len().sort("round")["len"].to_list() == [5, 5, 1, 1]


@pytest.mark.parametrize("server", [True, False])
def test_on_a_gpu_what_may_not_fit_is_not_opened_at_once(monkeypatch, server):
    """Two servers that are started, or two models of unknown size: the reason names them; without a GPU they fit."""
    from taskpace.runner import together

    system = (
        {"engine": "openai", "options": {"server": "serve --port {port}"}}
        if server
        else {"engine": "transformers", "model": "owner/model"}
    )
    plan = planned(system=[{"name": name} | system for name in MODELS[:2]])
    monkeypatch.setattr(together, "has_gpu", lambda: True)
    said = together.why_not_together(plan)
    assert said == (
        "one and two start servers, each of which may need the whole GPU"
        if server
        else "the sizes of one and two are not known, and the GPU may not hold all"
    )
    monkeypatch.setattr(together, "has_gpu", lambda: False)
    assert together.why_not_together(plan) is None


def test_models_take_turns_on_a_gpu_that_holds_them_all(monkeypatch, tmp_path):
    """The weights in a model's folder are its size: two of 1 GB are open together in 80 GB, and not in 8 GB."""
    from taskpace.runner import together

    for name in MODELS[:2]:
        (tmp_path / name).mkdir()
        with (tmp_path / name / "model.safetensors").open("wb") as weights:
            weights.truncate(1 << 30)
    system = [{"name": name, "engine": "transformers", "model": str(tmp_path / name)} for name in MODELS[:2]]
    plan = planned(system=system)
    monkeypatch.setattr(together, "has_gpu", lambda: True)
    monkeypatch.setattr(together, "free_bytes", lambda: None)
    monkeypatch.setattr(together, "gpu_memory_bytes", lambda: 80_000_000_000)
    assert together.why_not_together(plan) is None
    monkeypatch.setattr(together, "gpu_memory_bytes", lambda: 8_000_000_000)
    assert re.fullmatch(
        r"open at once they may need 1\d\.\d GB, and the GPU has 8\.0 GB", together.why_not_together(plan) or ""
    )


def test_a_resumed_run_first_completes_the_round_that_was_begun(tmp_path):
    """Stopped in the middle of a round: the same round number is finished first, and every trial is there once."""
    plan, path = planned(), tmp_path / "x.db"
    stop = StopAfter(7)
    begun = carry_out(plan, path, on_event=stop, stop=stop)
    assert begun.height == 7
    (half,) = begun.group_by("round").len().filter(pl.col("len") < 3)["round"]
    whole = carry_out(plan, path)
    assert whole.height == whole["trial_id"].n_unique() == 18
    second = whole.filter(pl.col("session") == 2)
    assert second["round"][0] == half
    assert whole.filter(pl.col("round") == half)["item_id"].n_unique() == 1
    assert whole.group_by("round").len()["len"].to_list() == [3] * 6


@pytest.mark.slow
def test_a_run_grows_by_items_repeats_tasks_and_scenarios(tmp_path):
    """A larger plan adds what is missing to the same file and leaves what is recorded as it was."""
    path = tmp_path / "x.db"
    kept = carry_out(planned(), path).select("trial_id", "task_time_s", "round")
    for larger in (
        {"items": 9},
        {"items": 9, "repeats": 2},
        {"items": 9, "repeats": 2, "tasks": ["mmlu-explain", "mmlu-letter"]},
        {"items": 9, "repeats": 2, "tasks": ["mmlu-explain", "mmlu-letter"], "scenarios": ["concurrency=2", "single"]},
    ):
        plan = planned(**larger)
        frame = carry_out(plan, path)
        assert frame.height == frame["trial_id"].n_unique() == plan.trial_count
        assert frame.filter(pl.col("trial_id").is_in(kept["trial_id"])).select(kept.columns).equals(kept)
        kept = frame.select(kept.columns)
        with taskpace.open(path) as run:
            assert run.summary(resamples=0).planned == plan.trial_count
            (order,) = run.store.query("SELECT group_concat(name, ' ') FROM (SELECT name FROM task ORDER BY position)")[
                1
            ]
        assert order == (" ".join(task.name for task in plan.tasks),)


def test_a_smaller_plan_changes_nothing(tmp_path):
    """Fewer items than the file holds: nothing to do, and nothing is lost."""
    path = tmp_path / "x.db"
    before = carry_out(planned(), path)
    after = carry_out(planned(items=3), path)
    assert after.equals(before)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"seed": 3}, "seed was 0, is now 3"),
        ({"timeout": 5}, "timeout was 120.0, is now 5.0"),
        ({"max_tokens": 7}, "max_tokens was null, is now 7"),
        ({"models": ("one", "two")}, 'it has the system "three", which this experiment lacks'),
        ({"tasks": ["mmlu-explain"]}, 'it has the task "mmlu-letter", which this experiment lacks'),
        ({"scenarios": ["concurrency=2"]}, 'it has the scenario "single", which this experiment lacks'),
        (
            {"system": [{"name": name, "engine": "simulated", "model": "other"} for name in MODELS]},
            'system "one": model was "one", is now "other"',
        ),
    ],
)
def test_what_would_change_recorded_trials_is_refused(tmp_path, change, problem):
    """The message shows what differs; the file stays as it is."""
    path = tmp_path / "x.db"
    before = carry_out(planned(), path)
    with pytest.raises(StoreError) as refused:
        carry_out(planned(**change), path)
    assert f"another plan ({problem})" in str(refused.value)
    with taskpace.open(path) as run:
        assert run.frame().sort("session", "round", "place").equals(before)


def test_a_system_that_is_added_later_gets_anchors(tmp_path):
    """Ten trials of every older system are asked again in its rounds, under ids of their own, once only."""
    path = tmp_path / "x.db"
    old = carry_out(planned(MODELS[:2], items=15), path)
    larger = planned(items=15)
    stop = StopAfter(4)
    carry_out(larger, path, on_event=stop, stop=stop)
    for _ in range(2):
        frame = carry_out(larger, path)
        assert frame.filter(pl.col("system") != "three").equals(old)
        with taskpace.open(path) as run:
            sql = (
                "SELECT cell.system, record.round, record.place, trial.item_id, worker.session FROM anchor"
                " JOIN record ON record.trial_id = anchor.id JOIN trial ON trial.id = anchor.trial_id"
                " JOIN cell ON cell.id = trial.cell_id JOIN worker ON worker.number = record.worker"
            )
            anchors = run.store.query(sql)[1]
        assert Counter(system for system, *_ in anchors) == {"one": turns.ANCHORS, "two": turns.ANCHORS}
        asked = {(each["round"], each["item_id"]) for each in frame.iter_rows(named=True) if each["system"] == "three"}
        assert {(number, item) for _, number, _, item, _ in anchors} <= asked


def test_a_system_that_is_added_with_enough_new_items_needs_no_anchors(tmp_path):
    """Ten or more items are new to all: their rounds are shared."""
    path = tmp_path / "x.db"
    carry_out(planned(MODELS[:2], items=5), path)
    frame = carry_out(planned(items=15), path)
    assert frame.height == 45
    with taskpace.open(path) as run:
        assert run.store.query("SELECT count(*) FROM anchor")[1] == [(0,)]


def test_a_flag_grows_the_run_of_a_file(tmp_path, cli, workers_here):
    """``taskpace run FILE --items`` is the whole remedy for more items, whatever the file says."""
    (tmp_path / "x.toml").write_text(
        'tasks = [{ use = "mmlu-letter", items = 4 }]\n'
        '[[system]]\nname = "a"\nengine = "simulated"\noptions = { time = "virtual" }\n'
        '[[system]]\nname = "b"\nengine = "simulated"\noptions = { time = "virtual" }\n'
    )
    for flags, trials in (((), 8), (("--items", "12"), 24), (("--items", "12", "--repeats", "2"), 48), ((), 48)):
        ended = cli("run", "x.toml", "-o", "x.db", "--progress", "quiet", *flags)
        assert ended.returncode == 0, ended.stderr
        with taskpace.open(tmp_path / "x.db") as run:
            assert run.frame().height == trials


def test_a_thousand_clients_are_not_opened_at_once(monkeypatch):
    """Who only asks a server is a process, too."""
    from taskpace.runner import together

    system = {"engine": "openai", "options": {"url": "http://localhost:9/v1"}}
    monkeypatch.setattr(together, "free_bytes", lambda: 1_000_000_000)
    assert together.why_not_together(planned(system=[{"name": name} | system for name in MODELS[:2]])) is None
    many = planned(system=[{"name": str(number)} | system for number in range(1000)], tasks=["mmlu-letter"])
    assert "they may need 50.0 GB, and 1.0 GB are free" in (together.why_not_together(many) or "")
