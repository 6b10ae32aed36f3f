"""A client that stood still: its trial's time is an upper bound, which no claim, mean or median takes for slowness."""

from __future__ import annotations

import asyncio
import itertools
import time

import numpy as np
import polars as pl
import pytest
from hypothesis import given, strategies as st

from taskpace.analysis.data.arrays import to_arrays
from taskpace.analysis.data.cells import CellPlan
from taskpace.analysis.stats.claims import decide, log_ratios
from taskpace.analysis.summary import summarise_trials
from taskpace.experiment.scenario import Scenario
from taskpace.machine.clock import RealClock
from taskpace.worker import lag as lags
from taskpace.worker.lag import LagMonitor

QUICK = np.exp(np.random.default_rng(1).normal(0, 0.2, 40))
"""Task times of a system."""


def rows(summary):
    return {row.system: row for row in summary.tables[0].rows}


def test_a_standstill_slows_nobody_down(trials_of, summary_of):
    """Two alike systems, three trials of one with 20 s of standstill: medians and means as without those trials, no
    claim, and a caution that counts them.
    """
    late = np.arange(40) < 3
    one = trials_of("one", task_time_s=QUICK + 20.0 * late, late=late, loop_lag_s=20.0 * late)
    two = trials_of("two", task_time_s=QUICK * 1.001)
    summary = summary_of(one, two)
    found = rows(summary)
    assert found["one"].valid
    assert found["one"].task_time_median_s.value == pytest.approx(np.median(QUICK[3:]))
    assert found["one"].task_time_mean_s.value == pytest.approx(QUICK[3:].mean())
    assert found["one"].time_per_correct_s.value == pytest.approx(QUICK[3:].mean())
    (reason,) = (each for each in found["one"].reasons if each.code == "suspended")
    assert reason.text.startswith("3 of 40 while taskpace itself stood still")
    (pair,) = summary.tables[0].pairs
    assert pair.task_time.lower is None


def test_over_all_tasks_a_standstill_has_no_say_either(trials_of):
    """The mean over tasks is that of the tables' ratios, whose late trials count on neither side."""
    late = np.arange(40) < 3
    frames = [
        trials_of(system, task=task, task_time_s=QUICK * slower + 20.0 * still, late=still, loop_lag_s=20.0 * still)
        for task in ("t", "u")
        for system, slower, still in (("one", 1.0, late), ("two", 1.5, ~late & late))
    ]
    cells = [
        CellPlan(system=system, task=task, scenario=Scenario(), planned=40, graded=True)
        for task in ("t", "u")
        for system in ("one", "two")
    ]
    summary = summarise_trials(pl.concat(frames), cells, name="x", limit_s=100, resamples=0)
    (overall,) = summary.overall
    ratios = [pair.time_per_correct.change.value for table in summary.tables for pair in table.pairs]
    assert [(pair.a, pair.b) for table in summary.tables for pair in table.pairs] == [("one", "two")] * 2
    assert overall.rows[1].time_per_correct.change.value == pytest.approx(np.exp(np.mean(np.log(ratios))))
    assert ratios[0] == pytest.approx(1.5, rel=0.1)


def test_correct_answers_that_are_all_late_are_not_denied(trials_of):
    """A system whose one correct answer came late has none to compare by, and it is said that it has one."""
    late = np.arange(40) < 1
    frames, cells = [], []
    for task, system in itertools.product("tu", ("one", "two")):
        right = [task == "t" or (system == "one" and first) for first in late.tolist()]
        outcome = ["correct" if each else "wrong" for each in right]
        still = late if (task, system) == ("u", "one") else ~late & late
        frames.append(trials_of(system, task=task, task_time_s=QUICK, outcome=outcome, late=still))
        cells.append(CellPlan(system=system, task=task, scenario=Scenario(), planned=40, graded=True))
    summary = summarise_trials(pl.concat(frames), cells, name="x", limit_s=100, resamples=0)
    one, two = summary.overall[0].rows
    assert one.missing == "it has no correct answer in u, late ones aside"
    assert two.missing == "neither it nor one has a correct answer in u, late ones aside"


def test_what_holds_without_late_trials_is_still_claimed(trials_of, summary_of):
    """Three times as fast, with two late trials: it finishes sooner on most items, whatever those two came to."""
    late = np.arange(40) < 2
    one = trials_of("one", task_time_s=QUICK + 20.0 * late, late=late, loop_lag_s=20.0 * late)
    (pair,) = summary_of(one, trials_of("two", task_time_s=QUICK * 3)).tables[0].pairs
    assert {"a": pair.a, "b": pair.b}[pair.task_time.lower] == "one"


@given(
    st.lists(st.tuples(st.floats(-2, 2), st.floats(-2, 2), st.booleans(), st.booleans(), st.floats(0, 9)), min_size=2)
)
def test_the_bounds_hold_whatever_the_standstill_took(cases):
    """For any times: the ratio of the true ones lies between the ends of that of the recorded ones, late or cut."""
    a, b, late_a, late_b, more = (np.array(column) for column in zip(*cases, strict=True))
    true = np.exp(np.stack([a, b]))[..., None]
    late = np.stack([late_a, late_b])[..., None] > 0
    recorded = true * np.where(late, np.exp(more)[None, :, None], 1.0)
    found = log_ratios(recorded, np.zeros(late.shape, dtype=bool), [(0, 1)], late)
    assert (found.low[:, 0] <= b - a + 1e-9).all()
    assert (found.high[:, 0] >= b - a - 1e-9).all()
    if not late.any():
        assert np.array_equal(found.low, found.high)


def test_standstills_of_one_side_make_no_claims():
    """400 worlds of two equal systems, one of which meets a standstill in 10 % of its trials: at most 5 % claims, where
    taking the recorded times for true makes many.
    """
    rng = np.random.default_rng(7)
    shape = (2, 40, 400)
    times = np.exp(rng.normal(0, 0.5, shape))
    late = np.zeros(shape, dtype=bool)
    late[0] = rng.random(shape[1:]) < 0.1
    times += 20 * late
    by_world = [
        (log_ratios(times[:, :, [world]], np.zeros((2, 40, 1), dtype=bool), [(0, 1)], flags[:, :, [world]]))
        for flags in (late, np.zeros(shape, dtype=bool))
        for world in range(shape[2])
    ]
    p = np.array([decide(each).p[0] for each in by_world]).reshape(2, -1)
    assert (p[0] < 0.05).mean() <= 0.05
    assert (p[1] < 0.05).mean() > 0.08


def test_a_late_trial_is_known_by_its_lag(trials_of):
    """Arrays leave its times out and keep its answer; its recorded time stays as a bound."""
    trials = trials_of("s", 4, task_time_s=np.array([1.0, 9.0, 1.0, 1.0]), late=[False, True, False, False])
    arrays = to_arrays(trials, ("s",))
    assert np.isnan(arrays.task_time_s[0, 1, 0])
    assert arrays.recorded_s[0, 1, 0] == 9
    assert arrays.correct[0, 1, 0] == 1
    assert np.isnan(arrays.in_time.correct[0, 1, 0])


@pytest.mark.usefixtures("workers_here")
@pytest.mark.parametrize(("lag_s", "time_s", "late"), [(2.0, 2.16, True), (0.2, 0.3, False), (0.3, 10.0, False)])
def test_which_lag_is_a_standstill(tmp_path, simulated, lag_s, time_s, late):
    """2 s of 2.16 s; not some hundredths of a second, nor what is nothing beside the task time."""
    import sqlite3

    import taskpace

    taskpace.run(simulated(items=1), tmp_path / "x.db").close()
    with sqlite3.connect(tmp_path / "x.db") as db:
        db.executescript("DROP TRIGGER record_is_final; DROP TRIGGER turn_is_final")
        db.execute("UPDATE record SET loop_lag_ns = ?", (round(lag_s * 1e9),))
        db.execute("UPDATE turn SET end_ns = ?", (round(time_s * 1e9),))
    with taskpace.open(tmp_path / "x.db") as run:
        assert run.frame()["late"].to_list() == [late]


def test_a_machine_that_was_suspended_shows_as_lag(monkeypatch):
    """The monotonic clock stands still meanwhile, the clock since boot does not: the difference counts as lag."""
    slept = iter([0] * 3 + [7_000_000_000] * 1000)
    monkeypatch.setattr(lags, "_asleep_ns", lambda: next(slept))

    async def watch() -> int | None:
        async with LagMonitor(RealClock()) as monitor:
            monitor.begin("t")
            while monitor.so_far().samples < 5:  # noqa: ASYNC110 - time is what is watched
                await asyncio.sleep(0.01)
            return monitor.end("t")

    assert (asyncio.run(watch()) or 0) >= 7_000_000_000


def test_the_clocks_that_tell_of_it_can_be_read():
    """On Linux both; elsewhere nothing is known of it, and nothing fails."""
    assert lags._asleep_ns() >= -1_000_000
    assert hasattr(time, "CLOCK_BOOTTIME") or lags._asleep_ns() == 0


def test_a_run_that_ends_when_it_is_decided_takes_no_standstill_for_slowness():
    """Twice as fast, and late in three trials: the decider settles for it, as of what was recorded the summary does."""
    from taskpace.analysis.until import decider
    from taskpace.experiment.until import Seen, Until

    quick = [Seen(t + 20 * (n < 3), False, True, n < 3) for n, t in enumerate(QUICK)]
    slow = [Seen(2 * t, False, True) for t in QUICK]
    (pair,) = decider(Until())({"quick": quick, "slow": slow}).pairs
    assert pair.verdict in ("a", "open")
    alike = [Seen(t, False, True) for t in QUICK * np.exp(np.random.default_rng(2).normal(0, 0.2, 40))]
    (pair,) = decider(Until())({"late": quick, "alike": alike}).pairs
    assert pair.verdict == "open"
    (pair,) = decider(Until(by="s-per-correct"))({"late": quick, "alike": alike}).pairs
    assert pair.verdict == "open"
