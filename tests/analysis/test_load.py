"""More and more load: the knee, goodput, and what is said of them."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st
from tests.in_process import workers_here

import taskpace
from taskpace.analysis.across.load import find_knee
from taskpace.analysis.schema.across import LoadPoint
from taskpace.analysis.stats.estimates import UNKNOWN, Estimate
from taskpace.report.terminal.document import table_lines
from taskpace.report.words.loads import load_blocks, load_sentence

SLOTS = 4


def point(load: float, power: float, *, spread: float = 0.0, valid: bool = True) -> LoadPoint:
    return LoadPoint(
        scenario=f"rate={load:g}", load=load, valid=valid, task_time_median_s=UNKNOWN, task_time_mean_s=UNKNOWN,
        tasks_per_hour=None, in_flight_mean=None, goodput=UNKNOWN, good_per_hour=None, peak_rss_bytes=None,
        device_peak_bytes=None,
        power=Estimate(power, power * (1 - spread), power * (1 + spread)),
    )  # fmt: skip


@given(st.lists(st.floats(0.1, 100), min_size=2, max_size=8, unique=True))
def test_the_knee_is_where_power_is_greatest(powers):
    """Brute force: the first greatest of all valid points, unless it is the last, behind which there may be more."""
    points = tuple(point(number + 1, power) for number, power in enumerate(powers))
    best = max(range(len(powers)), key=lambda number: powers[number])
    knee, alike = find_knee(points)
    assert knee == (None if best == len(powers) - 1 else f"rate={best + 1}")
    assert alike == ()


def test_what_cannot_be_told_from_the_knee_is_named():
    """A load whose interval of power reaches into that of the best may be the knee as well; the others may not."""
    points = (point(1, 1.0, spread=0.05), point(2, 1.9, spread=0.1), point(4, 2.0, spread=0.1), point(8, 0.4, spread=1))
    assert find_knee(points) == ("rate=4", ("rate=2",))


def test_an_invalid_load_is_no_knee():
    """An INVALID cell is shown and takes no part; with one valid load there is nothing to compare."""
    assert find_knee((point(1, 1.0), point(2, 9.0, valid=False), point(4, 0.5)))[0] == "rate=1"
    assert find_knee((point(1, 1.0), point(2, 9.0, valid=False))) == (None, ())


@pytest.fixture(scope="module")
@workers_here()
def run_file(tmp_path_factory):
    """Nine loads of an engine with four slots, one second a task."""
    options = {"time": "virtual", "slots": SLOTS, "wait": 0.71, "correct": 0.75}
    scenarios = (f"concurrency=1,2,{SLOTS},{2 * SLOTS},{4 * SLOTS}", "rate=0.5,2,3,6")
    experiment = taskpace.quick_experiment(
        models=("sim",), engine="simulated", options=options, tasks=("mmlu-letter",), scenarios=scenarios, items=80,
        deadline=1.5,
    )  # fmt: skip
    path = tmp_path_factory.mktemp("loads") / "x.db"
    taskpace.run(experiment, path).close()
    return path


@pytest.fixture(scope="module")
def loads(run_file):
    with taskpace.open(run_file) as run:
        return run.summary()


@pytest.mark.slow
def test_a_closed_loop_s_knee_is_at_the_engine_s_slots(loads):
    """One second a task and four slots: throughput grows up to four in flight, and from there only task time."""
    closed = next(load for load in loads.loads if load.kind == "concurrency")
    assert closed.knee == f"concurrency={SLOTS}"
    assert [p.task_time_median_s.value for p in closed.points] == pytest.approx([1, 1, 1, 2, 4])
    assert [round(p.tasks_per_hour / 3600, 1) for p in closed.points] == [1, 2, 4, 4, 4]
    assert [round(p.in_flight_mean) for p in closed.points[:3]] == [1, 2, 4]
    assert f"The knee is at concurrency={SLOTS}" in load_sentence(closed)


def test_goodput_is_the_share_that_is_right_in_time(loads):
    """Correct and within the deadline, of all recorded; per hour it is that share of the throughput."""
    closed = next(load for load in loads.loads if load.kind == "concurrency")
    rows = {table.scenario: table.rows[0] for table in loads.tables}
    assert loads.deadline_s == 1.5
    for each in closed.points:
        row = rows[each.scenario]
        in_time = row.task_time_median_s.value <= 1.5
        assert each.goodput.value == (row.accuracy.value if in_time else pytest.approx(0, abs=0.1))
        assert each.good_per_hour == pytest.approx(each.goodput.value * row.tasks_per_hour)


def test_points_are_in_the_order_of_load_whatever_the_experiment_s(loads):
    """Each kind of load by itself, ascending; the sweep by rate has its knee below what the engine can take."""
    kinds = {load.kind: [p.load for p in load.points] for load in loads.loads}
    assert kinds == {"concurrency": [1, 2, 4, 8, 16], "rate": [0.5, 2, 3, 6]}
    assert next(load for load in loads.loads if load.kind == "rate").knee in {"rate=2", "rate=3"}


@pytest.mark.parametrize("width", [40, 80, 120])
def test_a_load_s_table_fits_the_terminal(loads, width):
    """What does not fit is left out from the right; the scenario and its task time stay."""
    for load, block in zip(loads.loads, load_blocks(loads), strict=True):
        lines = [line.plain for line in table_lines(block, width)]
        assert max(map(len, lines)) <= width
        assert len(lines) == 2 + len(load.points)
        assert "task time" in lines[1]


def test_a_deadline_can_be_given_when_reading(run_file):
    """Derived on read: another deadline, another goodput, of the same run file."""
    with taskpace.open(run_file) as run:
        late = run.summary(deadline_s=100).tables[0].rows[0]
        assert late.goodput == late.accuracy
        assert run.summary(deadline_s=0.5).tables[0].rows[0].goodput.value == 0
