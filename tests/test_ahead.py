"""A load's jobs are sent ahead of it in bounded messages: all, in order, in time, and no measured time shows it."""

from __future__ import annotations

import asyncio
import gc
from collections import deque
from collections.abc import Callable, Sequence
from unittest.mock import patch

import pytest
from hypothesis import given, strategies as st

import taskpace
from taskpace.engines.base import Sampling
from taskpace.experiment.plan import PlannedItem, Trial
from taskpace.machine.clock import Clock, RealClock, VirtualClock
from taskpace.records import Record
from taskpace.runner import ahead, system_run
from taskpace.runner.ahead import Ahead, longest_silence_s
from taskpace.tasks import Item
from taskpace.worker.messages import Dispatched, Job, MoreJobs, RunCell, decode_to_worker, encode
from taskpace.worker.supply import Supply

SECOND = 1_000_000_000
ITEM = PlannedItem(spec=Item(id="i", fields={}), prompts=("x",))


def job(number: int, due_ns: int | None = None, phase: str = "measured") -> Job:
    return Job(
        trial_id=f"{phase} {number}", attempt=1, phase=phase, system_prompt=None, prompts=("x",), max_tokens=1,
        stop=(), sampling=Sampling(), seed=0, due_ns=due_ns,
    )  # fmt: skip


def record_of(each: Job, *, final: bool = True) -> Record:
    return Record(
        trial_id=each.trial_id, attempt=1, phase=each.phase, started_at="", turns=(), failure=None, loop_lag_ns=None,
        final=final,
    )  # fmt: skip


@given(
    gaps=st.lists(st.integers(0, 1000), max_size=40),
    most=st.none() | st.integers(1, 9),
    together=st.integers(1, 9),
    warm_ups=st.integers(0, 2),
    per_step=st.integers(1, 5),
)
def test_all_jobs_are_sent_once_in_order_and_never_too_many_ahead(gaps, most, together, warm_ups, per_step):
    """Whatever the bounds: a worker that dispatches some at a time is never without a job while there are any, and the
    limit on its silence is at least the gap to the arrival that it waits for.
    """
    due_ns = [sum(gaps[: index + 1]) * SECOND for index in range(len(gaps))]
    jobs = [job(number, due) for number, due in enumerate(due_ns)]
    trials = [Trial(id=each.trial_id, cell_id="c", item=ITEM, repeat=1) for each in jobs]
    first = [job(number, phase="warm-up") for number in range(warm_ups)]
    with patch.object(ahead, "_TOGETHER", together):
        sending = Ahead(first, zip(jobs, trials, strict=True), most=most, timeout_s=1.0)
        begins = sending.take_first()
        assert begins[:warm_ups] == first
        for each in first:
            assert sending.dispatched(Dispatched(trial_id=each.trial_id, attempt=1)) == (each, None)
        waiting, more, seen = deque(begins[warm_ups:]), sending.more, []
        while waiting or more:
            assert waiting, "the worker is without a job, and is sent none"
            for _ in range(min(per_step, len(waiting))):
                each = waiting.popleft()
                seen.append(each)
                assert sending.silence_s >= longest_silence_s([], 1.0) + gaps[len(seen) - 1]
                trial = trials[len(seen) - 1]
                assert sending.dispatched(Dispatched(trial_id=each.trial_id, attempt=1)) == (each, trial)
                sending.recorded(record_of(each))
            while (following := sending.following()) is not None:
                assert len(following.jobs) <= together
                waiting += following.jobs
                more = not following.last
            assert most is None or len(waiting) <= most + together
    assert seen == jobs


def test_a_trial_is_known_until_its_last_attempt_has_been_recorded():
    """A trial that is tried again is dispatched again."""
    (each,) = jobs = [job(1)]
    trial = Trial(id=each.trial_id, cell_id="c", item=ITEM, repeat=1)
    sending = Ahead([], zip(jobs, [trial], strict=True), most=None, timeout_s=1.0)
    sending.recorded(record_of(each, final=False))
    assert sending.dispatched(Dispatched(trial_id=each.trial_id, attempt=2)) == (each, trial)
    sending.recorded(record_of(each))
    with pytest.raises(KeyError):
        sending.dispatched(Dispatched(trial_id=each.trial_id, attempt=3))


class Later:
    """Has each message ready when it has been asked for it so many times."""

    def __init__(self, messages: Sequence[MoreJobs], times: int) -> None:
        self._messages, self._times, self._asked = deque(messages), times, 0

    def more_jobs(self, timeout_s: float) -> MoreJobs | None:
        del timeout_s
        self._asked += 1
        return self._messages.popleft() if self._messages and self._asked % (self._times + 1) == 0 else None


def taken(
    source: Later, clock: Clock, late: list[int], stopping: Callable[[], bool] = lambda: False, slots: int = 3
) -> list[str]:
    """What several slots take of a part whose second and third job come later."""
    message = RunCell(
        concurrency=slots, one_at_a_time=False, timeout_s=1.0, more=True, jobs=[job(0, phase="warm-up"), job(1)]
    )
    found: list[str] = []

    async def slot(supply: Supply) -> None:
        async for each in supply:
            found.append(each.trial_id)
            await asyncio.sleep(0)

    async def main() -> None:
        supply = Supply(message, source, clock, late.append, stopping)
        async with asyncio.TaskGroup() as group:
            for _ in range(slots):
                group.create_task(slot(supply))

    with asyncio.Runner(loop_factory=clock.new_event_loop) as runner:
        runner.run(main())
    return found


FOLLOWING = (MoreJobs(jobs=(job(2),), last=False), MoreJobs(jobs=(job(3),), last=False), MoreJobs(jobs=(), last=True))


@pytest.mark.parametrize("clock", [RealClock(), VirtualClock()])
@pytest.mark.parametrize("times", [0, 2])
def test_jobs_that_come_later_are_taken_once_and_in_order(clock, times):
    """By several slots, warm-ups left out; waiting for them is told as the client's own lag, where time is real."""
    late: list[int] = []
    assert taken(Later(FOLLOWING, times), clock, late) == ["measured 1", "measured 2", "measured 3"]
    assert bool(late) == (times > 0 and isinstance(clock, RealClock))
    assert clock.now_ns() == 0 or isinstance(clock, RealClock)


def test_nobody_waits_for_jobs_of_a_run_that_is_to_end():
    """Without a message there never is one; the slots end all the same."""
    assert taken(Later((), 0), VirtualClock(), [], stopping=lambda: True) == ["measured 1"]


def test_jobs_that_are_done_are_kept_nowhere():
    """Neither by the run that has sent them nor by the worker, whose message names thousands: a load takes hours."""
    jobs = ((job(1000 + number), Trial(id="t", cell_id="c", item=ITEM, repeat=1)) for number in range(60))
    sending = Ahead([], jobs, most=50, timeout_s=1.0)
    first = RunCell(concurrency=1, one_at_a_time=False, timeout_s=1.0, jobs=sending.take_first(), more=sending.more)
    message = decode_to_worker(encode(first)[4:])
    del first
    supply = Supply(message, Later((), 0), VirtualClock(), [].append, lambda: False)

    async def take(count: int) -> None:
        for _ in range(count):
            done = await anext(supply)
            sending.dispatched(Dispatched(trial_id=done.trial_id, attempt=1))
            sending.recorded(record_of(done))

    with asyncio.Runner() as runner:
        runner.run(take(30))

    # By type: an object of another library's, such as torch's, may answer ``isinstance`` with a warning.
    kept = [each for each in gc.get_objects() if type(each) is Job and each.trial_id.startswith("measured 10")]
    assert len(kept) == 20 + 20  # on either side


@pytest.mark.parametrize("scenario", ["concurrency=3", "rate=5"])
def test_what_is_measured_does_not_depend_on_how_jobs_are_sent(tmp_path, simulated, scenario):
    """In virtual time, where everything shows: the same trials at the same moments, and a crash costs what it costs."""
    options = {"time": "virtual", "wait": {"kind": "lognormal", "median": 0.4, "sigma": 0.5}, "slots": 3}
    experiment = simulated(options, scenarios=(scenario,), items=60)
    whole = taskpace.run(experiment, tmp_path / "whole.db").frame()
    with patch.object(system_run, "MOST_AHEAD", 4), patch.object(ahead, "_TOGETHER", 2):
        parts = taskpace.run(experiment, tmp_path / "parts.db").frame()
    assert parts.height == 60
    times = ("trial_id", "outcome", "task_time_s", "dispatch_ns")
    assert parts.select(times).sort("trial_id").equals(whole.select(times).sort("trial_id"))


def test_a_crash_amid_a_load_loses_no_trial_that_was_still_to_be_sent(tmp_path, simulated):
    """Every trial has one record: those in flight are errors, the others are carried out by the next worker."""
    faults = [{"kind": "crash", "rate": 0.04, "after_tokens": 2}]
    # In real time: in virtual time many are carried out before the first record has reached the run.
    options = {"time": "real", "wait": 0.02, "token_time": 0.005, "length": 16, "faults": faults}
    experiment = simulated(options, scenarios=("concurrency=3",), items=60)
    with patch.object(system_run, "MOST_AHEAD", 4), patch.object(ahead, "_TOGETHER", 2):
        frame = taskpace.run(experiment, tmp_path / "x.db").frame()
    assert frame.height == 60 == frame["trial_id"].n_unique()
    lost = frame.filter(frame["failure_kind"].is_not_null())
    assert set(lost["failure_kind"]) == {"worker-died"}
    assert 0 < lost.height < 30
