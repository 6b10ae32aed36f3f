"""A run that ends when its ranking is settled: whom it asks, when it ends, how it goes on, and what it shows."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest
from tests.in_process import InProcess, StopAfter, instant

import taskpace
from taskpace.analysis.compare import Side, compare
from taskpace.analysis.forecast import forecast, measured_scatter
from taskpace.analysis.schema.summary import Summary
from taskpace.analysis.until import decider
from taskpace.errors import ExperimentError, StoreError
from taskpace.experiment.changes import changed
from taskpace.experiment.experiment import Experiment, experiment_of, load_experiment
from taskpace.experiment.plan import Plan
from taskpace.experiment.prepare import prepare
from taskpace.experiment.until import PairStanding, Until
from taskpace.report.words.answer import make_answer
from taskpace.report.words.settled import settled_lines, standing_line
from taskpace.runner.events import Event, PairsStand, RunEnded
from taskpace.runner.runner import run_plan
from taskpace.store.store import Store
from taskpace.worker import worker

PACES = {"one": 0.01, "two": 0.015, "three": 0.04}
"""Seconds a token: factors of 1.5 and 2.7, which 10 to 50 items settle."""


@pytest.fixture(autouse=True)
def _nothing_is_calibrated(monkeypatch):
    """Calibration takes real time, once for each worker."""
    monkeypatch.setattr(worker, "calibrate", instant)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """150 questions, each another one."""
    path = tmp_path_factory.mktemp("data") / "rows.jsonl"
    each = {"subject": "colours", "choices": ["red", "green", "blue", "brown"], "answer": 1}
    path.write_text("\n".join(json.dumps(each | {"question": f"Which is {n}?"}) for n in range(150)), "utf-8")
    return path


def written(rows: Path, paces: dict[str, float] = PACES, **settings: Any) -> Experiment:
    """An experiment in virtual time, whose answers vary in length by 40 %; never cut."""
    length = {"kind": "lognormal", "median": 60, "sigma": 0.4}
    systems = [
        {
            "name": name,
            "engine": "simulated",
            "model": name,
            "options": {"time": "virtual", "token_time": pace, "length": length, "correct": 0.9},
        }
        for name, pace in paces.items()
    ]
    table = {"tasks": [{"use": "mmlu-letter", "data": str(rows)}], "max_tokens": 2000, "system": systems}
    return experiment_of(table | {"until": "decided"} | settings, "test", default_name="test")


def planned(rows: Path, paces: dict[str, float] = PACES, **settings: Any) -> Plan:
    return prepare(written(rows, paces, **settings), Path())


def carry_out(plan: Plan, path: Path, **settings: Any) -> RunEnded:
    with Store.create_or_continue(path, plan, "0") as store:
        return run_plan(plan, store, **{"launch": InProcess, "decider": decider} | settings)


def records(path: Path) -> pl.DataFrame:
    """What was asked of whom when, but for the session and what differs from run to run."""
    with taskpace.open(path) as run:
        return (
            run.frame().select("system", "item_id", "round", "place", "task_time_s", "outcome").sort("round", "place")
        )


def summary_of(path: Path) -> Summary:
    with taskpace.open(path) as run:
        return run.summary(resamples=50)


def test_a_task_ends_when_its_ranking_is_settled_and_decided_systems_rest(rows, tmp_path):
    """Fewer items than there are; the slowest, decided first, has fewer than the others; all is said to be spared."""
    path, events = tmp_path / "x.db", []
    ended = carry_out(planned(rows), path, on_event=events.append)
    counts = dict(records(path).group_by("system").len().iter_rows())
    assert counts["one"] == counts["two"] > counts["three"]
    assert counts["one"] < 150
    assert ended.done == sum(counts.values())
    assert ended.done + ended.spared == ended.planned == 450
    last = [event for event in events if isinstance(event, PairsStand)][-1]
    assert (last.needed, last.items) == ((), counts["one"])
    assert {(pair.a, pair.b): pair.verdict for pair in last.pairs} == {
        ("one", "two"): "a",
        ("one", "three"): "a",
        ("two", "three"): "a",
    }


def test_a_settled_run_is_not_run_again(rows, tmp_path):
    """The same command once more opens no engine and asks nothing."""
    path = tmp_path / "x.db"
    first = carry_out(planned(rows), path)

    def launch():
        raise AssertionError("nothing is left to do")

    again = carry_out(planned(rows), path, launch=launch)
    assert (again.done, again.spared) == (first.done, first.spared)


@pytest.mark.slow
@pytest.mark.parametrize(("by", "margin"), [("task-time", None), ("s-per-correct", "80%")])
def test_killed_at_random_moments_and_resumed_it_decides_as_without(rows, tmp_path, by, margin):
    """Stopped within rounds and between them, up to six times: the same trials in the same rounds."""
    plan = planned(rows, by=by, margin=margin)
    carry_out(plan, tmp_path / "whole.db")
    whole = records(tmp_path / "whole.db")
    rng, path = random.Random(1), tmp_path / "killed.db"
    for _ in range(6):
        stop = StopAfter(rng.randint(1, whole.height // 3))
        if not carry_out(plan, path, on_event=stop, stop=stop).interrupted:
            break
    carry_out(plan, path)
    assert records(path).equals(whole)


@pytest.mark.slow
def test_systems_that_are_alike_are_asked_all_items_or_end_by_a_margin(rows, tmp_path):
    """Without a margin nothing settles equal systems; with a wide one they are equivalent, and the summary shows it."""
    alike = {"one": 0.01, "two": 0.01}
    ended = carry_out(planned(rows, alike), tmp_path / "x.db")
    assert (ended.done, ended.spared) == (300, 0)
    ended = carry_out(planned(rows, alike, margin="50%"), tmp_path / "y.db")
    assert ended.spared > 0
    (table,) = summary_of(tmp_path / "y.db").tables
    assert [pair.verdict for pair in table.settled.pairs] == ["equivalent"]
    assert "Equivalent within 50 %: one and two." in make_answer(summary_of(tmp_path / "y.db"), None).verdicts[1]
    said = make_answer(summary_of(tmp_path / "x.db"), None).verdicts[1]
    assert said.startswith("The ranking is not settled by 150 items in all that were asked.")
    assert "or none with `--margin " in said


def test_the_most_items_are_those_of_the_experiment_or_660_or_all_there_are(rows):
    """``max_items``, else ``items``, else 660; a task that has fewer is asked all."""
    for settings, most in (({}, 150), ({"max_items": 30}, 30), ({"items": 40}, 40), ({"max_items": 900}, 150)):
        assert planned(rows, **settings).trial_count == 3 * most


def test_blocks_end_between_two_blocks(rows, tmp_path):
    """Systems that are open one at a time: the same rule, looked at after each block of five items."""
    path = tmp_path / "x.db"
    ended = carry_out(planned(rows, order="blocks"), path)
    assert ended.spared > 0
    counts = records(path).group_by("system").len()["len"].to_list()
    assert all(count % 5 == 0 for count in counts)


def test_each_task_and_scenario_ends_by_itself(rows, tmp_path):
    """Two scenarios: each has a standing of its own, the loaded one after whole rounds of its load."""
    path, events = tmp_path / "x.db", []
    carry_out(planned(rows, scenarios=["single", "concurrency=2"]), path, on_event=events.append)
    ends = [event for event in events if isinstance(event, PairsStand) and not event.needed]
    assert [event.scenario for event in ends] == ["single", "concurrency=2"]
    assert ends[1].items % 10 == 0


def test_a_system_that_cannot_be_asked_holds_nobody_up(rows, tmp_path, monkeypatch):
    """Its worker crashes: the others are ranked, it is given up, and its pairs stay open."""
    path = tmp_path / "x.db"
    experiment = written(rows, PACES | {"gone": 0.01})
    broken = msgspec.structs.replace(
        experiment.systems[3], options={"time": "virtual", "faults": [{"kind": "crash", "rate": 1.0}]}
    )
    plan = prepare(msgspec.structs.replace(experiment, systems=(*experiment.systems[:3], broken)), Path())
    events: list[Event] = []
    ended = carry_out(plan, path, on_event=events.append, launch=Fragile)
    assert ended.given_up == ("gone",)
    last = [event for event in events if isinstance(event, PairsStand)][-1]
    assert last.needed == ()
    assert {pair.verdict for pair in last.pairs if "gone" in (pair.a, pair.b)} == {"open"}
    assert {pair.verdict for pair in last.pairs if "gone" not in (pair.a, pair.b)} == {"a"}


class Fragile(InProcess):
    """A worker that crashes on a system with faults."""

    def send(self, message: Any, urgent: bool | None = None) -> None:
        spec = getattr(message, "spec", None)
        if spec is not None and spec.options.get("faults"):
            from taskpace.runner.worker_process import WorkerDiedError

            raise WorkerDiedError("it crashed")
        super().send(message, urgent)


def test_the_summary_is_that_of_intervals_one_may_stop_by(rows, tmp_path):
    """Nothing is missing, ranks are the run's, claims are those of the decision, and both forms say what they are."""
    path = tmp_path / "x.db"
    carry_out(planned(rows), path)
    summary = summary_of(path)
    (table,) = summary.tables
    assert summary.done == summary.planned
    codes = {each.code for row in table.rows for each in (*row.reasons, *row.findings)}
    assert not codes & {"not-run", "too-few", "few-items", "few-correct"}
    assert [row.rank_task_time for row in table.rows] == [1, 2, 3]
    stands = {frozenset((pair.a, pair.b)): pair for pair in table.settled.pairs}
    for pair in table.pairs:
        own = stands[frozenset((pair.a, pair.b))]
        assert own.verdict == ("a" if own.a == pair.a else "b") == "a"
        assert pair.task_time.lower == "a"
        assert (own.low, own.high) == pytest.approx((pair.task_time.change.low, pair.task_time.change.high))
    verdicts = " ".join(make_answer(summary, None).verdicts)
    assert f"The ranking was settled after {table.settled.items} items." in verdicts
    assert "one may stop by" in verdicts


@pytest.mark.slow
def test_the_same_records_of_a_fixed_number_of_items_have_narrower_intervals(rows, tmp_path):
    """Looking all the time has its price: the interval of the ratio is wider than Student's."""
    path = tmp_path / "x.db"
    carry_out(planned(rows, {"one": 0.01, "two": 0.0101}), path)
    fixed = planned(rows, {"one": 0.01, "two": 0.0101}, until=None, items=150)
    carry_out(fixed, tmp_path / "y.db")
    changes = [summary_of(each).tables[0].pairs[0].task_time.change for each in (path, tmp_path / "y.db")]
    assert changes[0].value == pytest.approx(changes[1].value)
    assert changes[0].low < changes[1].low < changes[1].high < changes[0].high


def test_compare_of_such_a_run_says_so_and_decides_by_the_same_intervals(rows, tmp_path):
    """Two systems of the run: the ratio is the summary's, and a note says what the intervals are."""
    path = tmp_path / "x.db"
    carry_out(planned(rows), path)
    with Store.open(path) as store:
        found = compare(Side(store, "x", "one"), Side(store, "x", "two"), resamples=0)
    assert any("one may stop by" in note for note in found.notes)
    (cell,) = found.cells
    (pair,) = (pair for pair in summary_of(path).tables[0].pairs if {pair.a, pair.b} == {"one", "two"})
    assert cell.pair.task_time.change == pair.task_time.change
    assert not [reason for row in (cell.base, cell.new) for reason in row.reasons if reason.code == "not-run"]


@pytest.mark.slow
def test_the_run_file_remembers_how_it_ended(rows, tmp_path):
    """Without ``until``, or with one more system, it is refused; a run of fixed size can go on until it is decided."""
    path = tmp_path / "x.db"
    carry_out(planned(rows), path)
    with pytest.raises(StoreError, match=r"ends when its ranking is settled: add --until decided, or choose another"):
        carry_out(planned(rows, until=None, items=20), path)
    with pytest.raises(StoreError, match="no system can be added"):
        carry_out(planned(rows, PACES | {"four": 0.02}), path)
    carry_out(planned(rows, margin="10%"), path)
    with Store.open(path) as store:
        kept = msgspec.json.decode(taskpace.store.queries.run_row(store).experiment, type=Experiment)
    assert kept.until == Until(margin=0.1)
    fixed = tmp_path / "y.db"
    carry_out(planned(rows, until=None, items=12), fixed)
    assert summary_of(fixed).tables[0].settled is None
    ended = carry_out(planned(rows), fixed)
    assert ended.spared > 0
    assert summary_of(fixed).tables[0].settled is not None
    with Store.open(fixed) as store:
        assert msgspec.json.decode(taskpace.store.queries.run_row(store).experiment, type=Experiment).until == Until()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"until": None, "margin": "5%"}, 'key "margin": it is for a run that ends when its ranking'),
        ({"until": None, "max_items": 5}, 'key "max_items": it is for a run that ends when its ranking'),
        ({"margin": "0%"}, 'key "margin": invalid margin "0%"'),
        ({"margin": "five"}, 'key "margin": invalid margin "five"'),
        ({"margin": "101%"}, 'key "margin": invalid margin "101%"'),
        ({"repeats": 2}, 'key "repeats": until = "decided" asks new items'),
        ({"order": "sequential"}, 'key "order": until = "decided" needs systems that take turns'),
        ({"scenarios": ["rate=2"]}, 'ends between two items, which "rate=2" does not allow'),
        ({"scenarios": ["batch=4"]}, 'ends between two items, which "batch=4" does not allow'),
        ({"until": "bored"}, "until"),
        ({"max_items": 0}, 'key "max_items": 0 is too small'),
    ],
)
def test_what_cannot_end_when_it_is_decided_is_refused(rows, settings, said):
    """One line that names the key and says what to do."""
    with pytest.raises(ExperimentError, match=said.replace("(", r"\(")):
        written(rows, **settings)


def test_one_system_has_nothing_to_be_settled(rows):
    """It is refused."""
    with pytest.raises(ExperimentError, match="one system alone has nothing to be settled"):
        written(rows, {"one": 0.01})


def test_flags_change_when_a_file_ends(rows, tmp_path):
    """Of an experiment file and of a run file's experiment alike; the most items take the place of the tasks' own."""
    path = tmp_path / "x.toml"
    systems = "".join(f'[[system]]\nname = "{name}"\nengine = "simulated"\n' for name in "ab")
    path.write_text(f'tasks = [{{ use = "mmlu-letter", items = 5 }}]\n{systems}', "utf-8")
    found = load_experiment(path, until="decided", margin="5%", by="s-per-correct", max_items=30)
    assert (found.until, found.items, found.tasks[0].items) == (Until(by="s-per-correct", margin=0.05), 30, None)
    kept = changed(found, {"margin": "7.5%"}, tmp_path, "x.db")
    assert kept.until == Until(by="s-per-correct", margin=0.075)
    assert changed(load_experiment(path), {"until": "decided"}, tmp_path, "x.db").until == Until()
    with pytest.raises(ExperimentError, match='key "repeats"'):
        changed(found, {"repeats": 2}, tmp_path, "x.db")


@pytest.mark.usefixtures("workers_here")
def test_the_command_line_runs_until_it_is_decided(rows, cli, tmp_path):
    """``run --until decided`` ends with code 0 and nothing missing; the JSON events tell how pairs stood."""
    systems = "".join(
        f'[[system]]\nname = "{name}"\nengine = "simulated"\noptions = {{ time = "virtual" }}\n' for name in "ab"
    )
    (tmp_path / "x.toml").write_text(f'tasks = [{{ use = "mmlu-letter", data = "{rows}" }}]\n{systems}', "utf-8")
    ran = cli("run", "x.toml", "--until", "decided", "--margin", "50%", "--max-items", "60", "--progress", "json")
    assert ran.returncode == 0, ran.stderr
    events = [json.loads(line) for line in ran.stdout.splitlines()]
    stands = [event for event in events if event["event"] == "PairsStand"]
    assert stands[-1]["pairs"][0]["verdict"] in {"equivalent", "open"}
    assert "the same command continues" not in ran.stderr


def pair(verdict: str = "open", **settings: Any) -> PairStanding:
    known = {"a": "one", "b": "two", "on_most": False, "items": 60, "ratio": 0.8, "low": 0.7, "high": 1.1}
    return PairStanding(**known | {"verdict": verdict, "more": 123, "margin": 0.425} | settings)


def test_an_open_pair_is_told_of_with_the_quicker_first_and_what_it_would_take():
    """Two digits of items, the margin rounded up, the interval turned round with the ratio."""
    (_, said) = settled_lines([pair()], items=60, finished=False, margin=None)
    assert said == (
        "Open: two or one, 1.25 times as long (0.91 to 1.43), about 130 items more, or none with `--margin 43%`."
    )
    assert standing_line([pair(), pair("a")]) == (
        "settled 1 of 2 pairs; open: two or one, 1.25 times as long (0.91 to 1.43), about 130 items more"
    )
    assert standing_line([pair("a")]) == "settled 1 of 1 pairs"
    unknown = pair(ratio=None, low=None, high=None, more=None, margin=None)
    assert settled_lines([unknown] * 4, items=1, finished=False, margin=None)[1:] == [
        "Open: one or two.",
        "Open: one or two.",
        "2 more pairs are open.",
    ]


def test_a_plan_says_how_many_items_it_will_take():
    """A clear difference takes few and is settled, none is never settled without a margin; more scatter takes more."""
    clear = forecast(1.5, 0.3, systems=3, most=200, margin=None, experiments=20)
    wild = forecast(1.5, 0.8, systems=3, most=200, margin=None, experiments=20)
    alike = forecast(1.0, 0.3, systems=2, most=100, margin=None, experiments=20)
    within = forecast(1.0, 0.1, systems=2, most=100, margin=0.2, experiments=20)
    assert clear.settled_share == within.settled_share == 1
    assert 10 < clear.items < clear.rounds_p90 < wild.rounds_p90
    assert alike.settled_share < 0.2
    assert within.rounds_p90 == 50


def test_the_plan_command_tells_of_it(rows, cli, tmp_path):
    """With the scatter that a run file shows, or an assumed one; without --until the flag is refused."""
    carry_out(planned(rows), tmp_path / "x.db")
    told = cli("plan", "x.db", "--expect-ratio", "2", "-o", "x.db", "--max-items", "40")
    assert told.returncode == 0, told.stderr
    line = told.stdout.splitlines()[0]
    assert line.startswith("Until decided: about ")
    assert "as measured" in line
    systems = "".join(f'[[system]]\nname = "{name}"\nengine = "simulated"\n' for name in "ab")
    (tmp_path / "x.toml").write_text(systems, "utf-8")
    refused = cli("plan", "x.toml", "--expect-ratio", "2")
    assert refused.returncode == 2
    assert "add --until decided" in refused.stderr
    with Store.open(tmp_path / "x.db") as store:
        assert measured_scatter(store) == pytest.approx(0.45, abs=0.2)
