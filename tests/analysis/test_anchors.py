"""A system that was added later: claims rest on items that the older ones answered again beside it."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import numpy as np
import polars as pl
import pytest

import taskpace
from taskpace.analysis.data.cells import CellPlan
from taskpace.analysis.data.frame import load_anchors
from taskpace.analysis.summary import summarise_trials
from taskpace.experiment.experiment import experiment_of
from taskpace.experiment.scenario import Scenario

pytestmark = pytest.mark.usefixtures("workers_here")


@pytest.fixture
def compared(trials_of):
    """Two older systems in session 1, a third in session 2 on a slower machine, ten items asked again there."""

    def build(rng: np.random.Generator, ratio: float, *, drift: float, anchored: bool = True):
        items = rng.lognormal(0, 0.5, 40)

        def times(factor: float, n: int = 40):
            return items[:n] * factor * rng.lognormal(0, 0.1, n)

        rounds = np.arange(1, 41)
        old = [
            trials_of(name, task_time_s=times(factor), round=rounds, place=place)
            for place, (name, factor) in enumerate((("a", 1.0), ("b", 2.0)), 1)
        ]
        late = {"session": 2, "round": rounds, "place": 1}
        new = trials_of("c", task_time_s=times(ratio * drift), **late)
        again = [
            trials_of(name, 10, task_time_s=times(factor * drift, 10), session=2, round=rounds[:10], place=2)
            for name, factor in (("a", 1.0), ("b", 2.0))
        ]
        cells = [CellPlan(system=name, task="t", scenario=Scenario(), planned=40, graded=True) for name in "abc"]
        summary = summarise_trials(
            pl.concat([*old, new]),
            cells,
            anchors=pl.concat(again) if anchored else None,
            name="grown",
            limit_s=60.0,
            resamples=0,
        )
        return summary.tables[0]

    return build


@pytest.mark.slow
def test_a_difference_between_sessions_is_not_one_between_systems(compared):
    """A machine 30 % slower in the second session does not make a new system slower that is as quick as a."""
    rng = np.random.default_rng(5)
    claimed = 0
    for _ in range(60):
        pairs = {frozenset((pair.a, pair.b)): pair for pair in compared(rng, 1.0, drift=1.3).pairs}
        claimed += pairs[frozenset("ac")].task_time.lower is not None
    assert claimed <= 8  # P(more of 60 at 5 %) is below 0.5 %


def test_a_difference_between_systems_is_found_on_the_anchors(compared):
    """Half as long again is found on ten items; the finding shows which pairs rest on how many."""
    table = compared(np.random.default_rng(6), 1.5, drift=1.3)
    pairs = {frozenset((pair.a, pair.b)): pair for pair in table.pairs}
    with_a = pairs[frozenset("ac")]
    assert (with_a.a, with_a.task_time.lower, with_a.task_time.items, with_a.turns) == ("a", "a", 10, True)
    assert with_a.task_time.change.value == pytest.approx(1.5, rel=0.15)
    assert pairs[frozenset("ab")].task_time.items == 40
    (finding,) = (finding for finding in table.findings if finding.code == "anchors")
    assert finding.evidence == {"items": 10}
    assert "compared on 10 items that were asked again" in finding.text


def test_without_anchors_nothing_is_taken_for_side_by_side(compared):
    """The pair is marked as one that took no turns."""
    table = compared(np.random.default_rng(7), 1.5, drift=1.3, anchored=False)
    assert {pair.turns for pair in table.pairs if "c" in (pair.a, pair.b)} == {False}
    assert not any(finding.code == "anchors" for finding in table.findings)


def test_a_grown_run_file_is_summarised_with_its_anchors(tmp_path):
    """From the store: two systems, a third later; each pair with it rests on ten items asked again."""

    def grow(names: str) -> None:
        systems = [
            {"name": name, "engine": "simulated", "model": name, "options": {"time": "virtual", "length": 40 + 20 * at}}
            for at, name in enumerate(names)
        ]
        table = {"tasks": ["mmlu-letter"], "items": 15, "system": systems}
        taskpace.run(experiment_of(table, "test", default_name="grown"), tmp_path / "x.db").close()

    grow("ab")
    grow("abc")
    with taskpace.open(tmp_path / "x.db") as run:
        summary = run.summary(resamples=0)
    (table,) = summary.tables
    assert (summary.done, summary.planned) == (45, 45)
    assert {(pair.a + pair.b, pair.task_time.items, pair.turns) for pair in table.pairs} == {
        ("ab", 15, True),
        ("ac", 10, True),
        ("bc", 10, True),
    }
    assert [row.makespan_s is not None for row in table.rows] == [True, True, True]


def test_an_anchor_has_its_own_grade(tmp_path):
    """What an anchor came to is read, and not what the trial came to that it asked again."""
    for names in ("a", "ab"):
        systems = [
            {"name": name, "engine": "simulated", "model": name, "options": {"time": "virtual"}} for name in names
        ]
        table = {"tasks": ["mmlu-letter"], "items": 10, "system": systems}
        taskpace.run(experiment_of(table, "test", default_name="grown"), tmp_path / "x.db").close()
    with closing(sqlite3.connect(tmp_path / "x.db")) as db:
        db.execute("UPDATE grade SET outcome = 'wrong' WHERE trial_id IN (SELECT id FROM anchor)")
        db.commit()
    with taskpace.open(tmp_path / "x.db") as run:
        anchors = pl.concat(load_anchors(run.store))
        assert set(run.frame()["outcome"]) == {"correct"}
    assert anchors.height
    assert set(anchors["outcome"]) == {"wrong"}
