"""Open loop: tasks arrive by a schedule that no answer moves, and their clocks run from there."""

from __future__ import annotations

import asyncio
import heapq
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as st
from tests.endpoint import DONE, END, MODEL, Endpoint, chunk, event, head, usage
from tests.in_process import workers_here

import taskpace
import taskpace.runner.events
from taskpace.engines.base import EngineSpec, Message, Request
from taskpace.engines.simulated import SimulatedEngine
from taskpace.experiment.plan import Plan
from taskpace.experiment.prepare import prepare
from taskpace.machine.clock import RealClock, VirtualClock
from taskpace.runner.runner import run_plan
from taskpace.store.store import Store
from taskpace.worker.schedule import AtHand, open_loop

SLOTS, WAIT_S = 3, 0.4
OPTIONS = {"time": "virtual", "slots": SLOTS, "wait": {"kind": "lognormal", "median": WAIT_S, "sigma": 0.5}}
SERVICE_S = WAIT_S * np.exp(0.5**2 / 2) + 29 * 0.01
"""Mean: of a lognormal exp(sigma^2 / 2) times the median; then 29 steps from the first of 30 tokens to the last."""


def rate_of(utilisation: float) -> str:
    return f"rate={utilisation * SLOTS / SERVICE_S:.6g}"


@pytest.fixture
def open_run(simulated, tmp_path):
    def build(*scenarios: str, items: int = 140, options=OPTIONS, **settings):
        experiment = simulated(options, scenarios=scenarios, items=items, **settings)
        with workers_here():
            run = taskpace.run(experiment, tmp_path / f"{len(list(tmp_path.iterdir()))}.db")
        return prepare(experiment, Path()), run

    return build


def queue_times_ns(plan: Plan, slots: int) -> dict[str, int]:
    """Time in system of every trial by a queueing simulation: first come, first served, the engine's own services."""
    (cell,) = plan.cells
    engine = SimulatedEngine(EngineSpec(engine="simulated", model="sim", options=OPTIONS, slots=1))
    free = [0] * slots
    times = {}
    for trial in plan.trials(cell):
        script = engine.prepare(
            Request(
                messages=tuple(Message("user", prompt) for prompt in trial.item.prompts),
                max_tokens=cell.task.spec.max_tokens,
                stop=(),
                sampling=cell.system.spec.sampling,
                seed=0,
                trial_id=trial.id,
            )
        )
        arrival = plan.arrivals_ns(cell)[trial.id]
        end = max(arrival, heapq.heappop(free)) + script.wait_ns + 29 * script.token_ns
        heapq.heappush(free, end)
        times[trial.id] = end - arrival
    return times


@pytest.mark.slow
@pytest.mark.parametrize(("utilisation", "overloaded"), [(0.8, False), (1.5, True)])
def test_every_task_time_is_that_of_a_queue_with_the_same_arrivals(open_run, utilisation, overloaded):
    """At 80 and at 150 % of capacity each task waits as long as in a queueing simulation: nothing is omitted."""
    plan, run = open_run(rate_of(utilisation))
    expected = queue_times_ns(plan, SLOTS)
    frame = run.frame()
    measured = dict(frame.select("trial_id", "task_time_s").rows())
    assert len(measured) == len(expected) == 140
    for trial_id, time_ns in expected.items():
        assert measured[trial_id] == pytest.approx(time_ns / 1e9, abs=1e-6)
    (row,) = run.summary().tables[0].rows
    assert row.valid
    assert ("overloaded" in {finding.code for finding in row.findings}) is overloaded
    assert row.task_time_mean_s.value == pytest.approx(np.mean(list(expected.values())) / 1e9, abs=1e-6)
    arrivals = sorted(plan.arrivals_ns(plan.cells[0]).items(), key=lambda each: each[1])
    ends = np.array([at + expected[trial_id] for trial_id, at in arrivals])
    starts = np.array([at for _, at in arrivals])
    present = [int(((starts <= at) & (ends > at)).sum()) for at in starts]
    assert row.backlog.in_flight_max == max(present)
    assert row.backlog.unfinished_at_last_arrival == int((ends > starts[-1]).sum())
    assert row.backlog.in_flight_mean == pytest.approx(sum(expected.values()) / ends.max(), rel=1e-6)


@pytest.mark.slow
def test_a_backlog_grows_with_the_run_and_not_with_the_client(open_run):
    """At 150 % of capacity a third of all tasks is unfinished at the last arrival, as 1 - 1/1.5 says, about."""
    _, run = open_run(rate_of(1.5), items=140, repeats=4)
    (row,) = run.summary().tables[0].rows
    assert row.backlog.unfinished_at_last_arrival / row.n == pytest.approx(1 / 3, abs=0.06)
    assert row.client.send_delay_max_s == 0


@pytest.mark.slow
@given(rate=st.floats(0.01, 1000), seed=st.integers(0, 1000), items=st.integers(1, 30))
def test_arrivals_are_absolute_and_the_same_for_all_systems(rate, seed, items):
    """They start at 0, never go back, depend on the seed, the task and the rate alone, and grow by appending."""
    plans = [
        prepare(
            taskpace.quick_experiment(
                models=models, engine="simulated", tasks=("mmlu-letter",), items=n, seed=seed,
                scenarios=(f"rate={rate:.6g}",),
            ),
            Path(),
        )
        for models, n in ((("a", "b"), items), (("c",), items + 1))
    ]  # fmt: skip
    (one, two), (longer,) = ([list(plan.arrivals_ns(cell).values()) for cell in plan.cells] for plan in plans)
    assert one == two == longer[:items]
    assert one[0] == 0
    assert all(a <= b for a, b in pairwise(one))


def test_arrivals_are_a_poisson_process():
    """Gaps are exponential with mean 1/rate, by scipy's Kolmogorov-Smirnov test."""
    from scipy.stats import kstest

    experiment = taskpace.quick_experiment(
        models=("a",), engine="simulated", tasks=("mmlu-letter",), items=100, repeats=20, scenarios=("rate=4",)
    )
    plan = prepare(experiment, Path())
    gaps = np.diff(list(plan.arrivals_ns(plan.cells[0]).values())) / 1e9
    assert len(gaps) == 1999
    assert kstest(gaps, "expon", args=(0, 1 / 4)).pvalue > 0.01


def test_a_closed_loop_has_no_schedule(simulated):
    """Only a rate gives arrivals."""
    plan = prepare(simulated(scenarios=("concurrency=3",)), Path())
    assert plan.arrivals_ns(plan.cells[0]) == {}


@pytest.mark.parametrize("clock", [RealClock(), VirtualClock()])
def test_jobs_start_when_due_whether_those_before_have_ended_or_not(clock):
    """Each job gets its own due time, exactly the offset from the first; a slow one delays no other."""
    due: dict[str, int] = {}

    async def carry(job: str, due_ns: int) -> None:
        await clock.sleep_until(due_ns)
        assert clock.now_ns() >= due_ns
        due[job] = due_ns
        await asyncio.sleep(0.1)

    async def main() -> bool:
        offsets = {"a": 0, "b": 1_000_000, "c": 2_500_000}
        return await open_loop(AtHand(offsets), offsets.__getitem__, clock, carry, lambda: len(due) > 9)

    with asyncio.Runner(loop_factory=clock.new_event_loop) as runner:
        assert runner.run(main())
    assert [due[job] - due["a"] for job in "abc"] == [0, 1_000_000, 2_500_000]


def test_a_stop_leaves_the_rest_undispatched(open_run):
    """Once stopping, nothing further starts, and the loop says that it is not through."""
    clock, started = VirtualClock(), []

    async def carry(job: int, due_ns: int) -> None:
        await clock.sleep_until(due_ns)
        started.append(job)

    async def main() -> bool:
        return await open_loop(AtHand(range(10)), (10**9).__mul__, clock, carry, lambda: len(started) >= 4)

    with asyncio.Runner(loop_factory=clock.new_event_loop) as runner:
        assert not runner.run(main())
    assert started == [0, 1, 2, 3]


@pytest.mark.slow
def test_the_time_limit_runs_from_the_arrival(open_run):
    """A task that waits in the queue for longer than the limit is a timeout at exactly the limit."""
    _, run = open_run(rate_of(1.5), timeout=2)
    frame = run.frame().filter(outcome="timeout")
    assert len(frame) > 20
    assert frame["task_time_s"].to_list() == pytest.approx([2.0] * len(frame), abs=1e-6)


class StopAfter:
    """Asks to stop once so many trials have finished."""

    def __init__(self, trials: int) -> None:
        self.left = trials
        self.requested = False

    def __call__(self, event) -> None:
        if isinstance(event, taskpace.runner.events.TrialFinished):
            self.left -= 1
            self.requested = self.requested or self.left <= 0


@pytest.mark.slow
def test_a_resumed_open_loop_keeps_its_gaps_and_is_invalid(simulated, tmp_path):
    """The rest comes at the plan's own intervals; the queue was empty once more, so the cell is INVALID."""
    options = OPTIONS | {"time": "real", "wait": 0.01, "token_time": 0.0001}
    plan = prepare(simulated(options, scenarios=("rate=40",), items=60), Path())
    stop = StopAfter(20)
    with Store.create_or_continue(tmp_path / "x.db", plan, "0") as store:
        run_plan(plan, store, on_event=stop, stop=stop)
        assert 20 <= len(set(store.recorded())) < 60
        ended = run_plan(plan, store)
        assert ended.done == 60
    run = taskpace.open(tmp_path / "x.db")
    arrivals = plan.arrivals_ns(plan.cells[0])
    for (_,), part in run.frame().group_by("worker"):
        rows = part.sort("dispatch_ns").select("trial_id", "dispatch_ns").rows()
        offsets = [ns - rows[0][1] for _, ns in rows]
        assert offsets == [arrivals[trial] - arrivals[rows[0][0]] for trial, _ in rows]
    (row,) = run.summary().tables[0].rows
    assert "resumed" in {reason.code for reason in row.reasons}
    assert row.backlog is None
    assert not row.valid


def test_over_http_each_clock_starts_at_the_scheduled_arrival(tmp_path):
    """On a real server that answers one request at a time: dispatches are the plan's arrivals to the nanosecond."""
    turn = asyncio.Lock()

    async def one_at_a_time(_asked, writer, _number) -> None:
        async with turn:
            await asyncio.sleep(0.02)
            writer.write(head() + chunk(event("A")) + chunk(event(finish="stop")) + chunk(usage(1)) + chunk(DONE) + END)
            await writer.drain()

    with Endpoint(one_at_a_time) as server:
        experiment = taskpace.quick_experiment(
            models=(MODEL,), engine="openai", options={"url": server.url}, tasks=("mmlu-letter",), items=30,
            scenarios=("rate=75",), warmup=0,
        )  # fmt: skip
        plan = prepare(experiment, Path())
        frame = taskpace.run(experiment, tmp_path / "x.db").frame()
    arrivals = plan.arrivals_ns(plan.cells[0])
    start = frame["dispatch_ns"].min()
    assert {trial: ns - start for trial, ns in frame.select("trial_id", "dispatch_ns").rows()} == arrivals
    assert (frame["send_delay_s"] >= 0).all()
    assert frame["failure_kind"].null_count() == 30
    # Twenty milliseconds each, one at a time: a queueing simulation is the least that it can have taken.
    free, least = 0.0, []
    for due_ns in arrivals.values():
        free = max(free, due_ns / 1e9) + 0.02
        least.append(free - due_ns / 1e9)
    assert (frame.sort("dispatch_ns")["task_time_s"].to_numpy() >= np.array(least) - 0.002).mean() > 0.9
    assert frame["task_time_s"].sum() >= 0.9 * sum(least)


def test_a_stop_does_not_wait_for_a_distant_arrival(simulated, tmp_path):
    """With half an hour to the next arrival and nothing in flight, a stop ends the run."""
    options = OPTIONS | {"time": "real", "wait": 0.001, "token_time": 0.0001}
    plan = prepare(simulated(options, scenarios=("rate=0.0005",), items=3, warmup=0), Path())
    stop = StopAfter(1)
    with Store.create_or_continue(tmp_path / "x.db", plan, "0") as store:
        ended = run_plan(plan, store, on_event=stop, stop=stop)
    assert (ended.done, ended.interrupted) == (1, True)
