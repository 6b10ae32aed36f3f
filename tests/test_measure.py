"""Measuring: what is inside the timed region, and what the harness says of itself."""

from __future__ import annotations

import asyncio
import gc
import random
import re
import sys
import threading
import tracemalloc
from typing import Any

import pytest
from hypothesis import given, strategies as st

from taskpace.engines.base import EngineInfo, Generation, Message, Request, Sampling, Stamps
from taskpace.errors import ContextOverflowError
from taskpace.machine.clock import Clock, RealClock, VirtualClock
from taskpace.records import Arrival, Record, Usage
from taskpace.runner.ahead import longest_silence_s
from taskpace.worker.calibrate import calibrate
from taskpace.worker.cell import CellRun, Reach
from taskpace.worker.lag import Histogram, Lag, LagMonitor
from taskpace.worker.messages import Dispatched, Job, RunCell
from taskpace.worker.refusals import Refusals
from taskpace.worker.schedule import AtHand, closed_loop
from taskpace.worker.trial import Gates, make_turn, measure

SECOND = 1_000_000_000


class ScriptedEngine:
    """Takes a second to prepare and a second to read, both outside the timed region; answers in a virtual second."""

    def __init__(self) -> None:
        self.virtual = VirtualClock()
        self.clock: Clock = self.virtual
        self.requests: list[Request] = []
        self.finish_reason = "stop"

    async def open(self) -> EngineInfo:
        raise NotImplementedError

    def prepare(self, request: Request) -> Any:
        self.virtual.advance_to(self.virtual.now_ns() + SECOND)
        self.requests.append(request)
        if request.max_tokens == 13:
            raise ContextOverflowError("the prompt has 99 tokens, the context 9")
        return request

    async def ready(self, payload: Any) -> None:
        """Nothing is needed."""

    async def generate(self, payload: Any, stamps: Stamps) -> None:
        del payload
        await asyncio.sleep(1)
        stamps.arrivals.append((self.clock.now_ns(), "answer "))
        await asyncio.sleep(1)
        stamps.arrivals.append((self.clock.now_ns(), "here"))
        await asyncio.sleep(1)
        stamps.arrivals.append((self.clock.now_ns(), ""))

    def read(self, stamps: Stamps) -> Generation:
        self.virtual.advance_to(self.virtual.now_ns() + SECOND)
        size, arrivals = 0, []
        for ns, text in stamps.arrivals:
            size += len(text)
            arrivals.append(Arrival(ns, size, 0))
        return Generation(
            arrivals=tuple(arrivals),
            text="".join(text for _, text in stamps.arrivals),
            reasoning="",
            finish_ns=stamps.arrivals[-1][0],
            finish_reason=self.finish_reason,
            usage=Usage(),
        )

    async def close(self) -> None:
        raise NotImplementedError


def job(**changes: Any) -> Job:
    fields = {
        "trial_id": "t",
        "attempt": 1,
        "phase": "measured",
        "system_prompt": None,
        "prompts": ("one",),
        "max_tokens": 9,
        "stop": (),
        "sampling": Sampling(),
        "seed": 0,
    }
    return Job(**fields | changes)


def run_plan(
    engine: ScriptedEngine, each: Job, timeout_s: float = 60, *, stopping: bool = False
) -> tuple[Record, list[int]]:
    dispatched: list[int] = []

    async def main() -> Record:
        async with LagMonitor(engine.clock) as lag:
            return await measure(
                engine,
                each,
                timeout_s,
                lag,
                lambda _job: dispatched.append(engine.clock.now_ns()),
                stopping=lambda: stopping,
            )

    with asyncio.Runner(loop_factory=engine.clock.new_event_loop) as runner:
        return runner.run(main()), dispatched


def test_preparing_and_reading_are_not_timed():
    """The clock starts when the payload is ready and stops at the last byte, before anything is read or parsed."""
    engine = ScriptedEngine()
    record, dispatched = run_plan(engine, job())
    (turn,) = record.turns
    assert dispatched == [0]
    assert turn.dispatch_ns == SECOND
    assert [arrival.ns for arrival in turn.arrivals] == [SECOND, 2 * SECOND, 3 * SECOND]


def test_the_clock_stops_at_the_last_byte_not_at_the_end_of_the_stream():
    """A last chunk without text moves the finish, not the task time."""
    record, _ = run_plan(ScriptedEngine(), job())
    assert record.turns[0].end_ns == 2 * SECOND
    assert record.turns[0].finish_ns == 3 * SECOND


def test_turns_are_one_conversation():
    """Each turn is sent with all that was said before, the system prompt first."""
    engine = ScriptedEngine()
    record, _ = run_plan(engine, job(prompts=("one", "two"), system_prompt="be kind"))
    assert len(record.turns) == 2
    assert engine.requests[1].messages == (
        Message("system", "be kind"),
        Message("user", "one"),
        Message("assistant", "answer here"),
        Message("user", "two"),
    )


def test_think_time_lies_between_the_turns_and_counts_in_none():
    """Each turn but the first comes that much later; no turn's time grows by it, nor is the time limit touched."""
    plain, _ = run_plan(ScriptedEngine(), job(prompts=("one", "two", "three")), timeout_s=7.5)
    thinking, _ = run_plan(
        ScriptedEngine(), job(prompts=("one", "two", "three"), think_ns=100 * SECOND + 1), timeout_s=7.5
    )
    later = [b.dispatch_ns - a.dispatch_ns for a, b in zip(plain.turns, thinking.turns, strict=True)]
    assert later == [0, 100 * SECOND + 1, 200 * SECOND + 2]
    assert [turn.end_ns for turn in thinking.turns] == [turn.end_ns for turn in plain.turns] == [2 * SECOND] * 3
    assert thinking.failure is None


def test_a_worker_may_be_silent_for_as_long_as_a_user_thinks():
    """The limit on a worker's silence grows by the think times of one trial."""
    jobs = [job(prompts=("one", "two", "three"), think_ns=100 * SECOND), job()]
    assert longest_silence_s(jobs, 60.0) == longest_silence_s([job()], 60.0) + 200.0


def test_the_time_limit_holds_for_the_sum_of_the_turns():
    """A second turn gets what the first has left of the limit."""
    record, _ = run_plan(ScriptedEngine(), job(prompts=("one", "two", "three")), timeout_s=3.5)
    assert [turn.end_ns for turn in record.turns] == [2 * SECOND, round(1.5 * SECOND)]
    assert record.failure is not None
    assert record.failure.kind == "timeout"
    assert [arrival.ns for arrival in record.turns[1].arrivals] == [SECOND]


def test_a_truncated_turn_ends_the_dialogue():
    """After a turn that hit its token limit there is no next one."""
    engine = ScriptedEngine()
    engine.finish_reason = "length"
    record, _ = run_plan(engine, job(prompts=("one", "two")))
    assert len(record.turns) == 1
    assert record.failure is None


def test_a_prompt_that_cannot_be_prepared_is_a_recorded_error():
    """What fails before dispatch is recorded with its kind and without a turn."""
    record, _ = run_plan(ScriptedEngine(), job(max_tokens=13))
    assert record.turns == ()
    assert record.failure is not None
    assert record.failure.kind == "context-overflow"


class FailingEngine(ScriptedEngine):
    """Fails in ways of its own."""

    def __init__(self, in_generate: Exception | None = None, in_read: Exception | None = None) -> None:
        super().__init__()
        self.in_generate = in_generate
        self.in_read = in_read

    async def generate(self, payload: Any, stamps: Stamps) -> None:
        await super().generate(payload, stamps)
        if self.in_generate:
            raise self.in_generate

    def read(self, stamps: Stamps) -> Generation:
        if self.in_read:
            raise self.in_read
        return super().read(stamps)


def test_a_trials_time_limit_is_not_looked_into(monkeypatch):
    """Where an engine's error was raised concerns no time limit: each look interns the parts of a path again."""
    monkeypatch.setattr("taskpace.worker.trial.failure_of", None)
    record, _ = run_plan(ScriptedEngine(), job(), timeout_s=1.5)
    assert (record.failure.kind, record.failure.message) == ("timeout", "no end within 1.5 s")


def test_an_engines_own_timeout_is_not_the_trials():
    """A TimeoutError out of an engine is its error, at the moment it came, not a trial that used up its limit."""
    record, _ = run_plan(FailingEngine(in_generate=TimeoutError("socket")), job(), timeout_s=120)
    assert record.failure is not None
    assert record.failure.kind == "engine"
    assert record.failure.message.startswith("TimeoutError: socket (test_measure.py:")
    assert record.turns[0].end_ns == 3 * SECOND


def test_whatever_an_engine_raises_is_one_trials_error():
    """An exception of an engine, while generating or reading, is recorded with its line; it does not end the cell."""
    for engine in (FailingEngine(in_generate=KeyError("x")), FailingEngine(in_read=KeyError("x"))):
        record, _ = run_plan(engine, job())
        assert record.failure is not None
        assert re.fullmatch(r"KeyError: 'x' \(test_measure\.py:\d+\)", record.failure.message)


@pytest.mark.parametrize("ahead_ns", [-3 * SECOND, 3600 * SECOND])
def test_times_of_another_clock_are_refused(ahead_ns: int):
    """An engine that stamps before the dispatch or after the end of its request has no times that mean anything."""

    class Elsewhere(ScriptedEngine):
        def read(self, stamps: Stamps) -> Generation:
            stamps.arrivals = [(ns + ahead_ns, text) for ns, text in stamps.arrivals]
            return super().read(stamps)

    record, _ = run_plan(Elsewhere(), job())
    assert record.failure is not None
    assert "the engine's times lie outside the request, which took 3 s" in record.failure.message
    assert record.turns == ()


def test_a_read_that_gives_something_else_is_one_trials_error():
    """What ``read`` returns is looked at before it is used."""

    class Forgetful(ScriptedEngine):
        def read(self, stamps: Stamps) -> Generation:
            del stamps
            return None

    record, _ = run_plan(Forgetful(), job())
    assert record.failure is not None
    assert record.failure.message == "the engine's read gives NoneType, not Generation"


class PanicException(BaseException):
    """Called as what native libraries (pyo3) raise: no ``Exception``."""


def test_a_panic_of_a_native_library_is_one_trials_error():
    """In generating and in reading; half characters and endless words are cut to what can be kept."""
    for engine in (FailingEngine(in_generate=PanicException("gone")), FailingEngine(in_read=PanicException("gone"))):
        record, _ = run_plan(engine, job())
        assert record.failure is not None
        assert record.failure.kind == "engine"
        assert record.failure.message.startswith("PanicException: gone (test_measure.py:")
    record, _ = run_plan(FailingEngine(in_generate=ValueError("\ud800" * 9000)), job())
    assert record.failure is not None
    assert len(record.failure.message.encode()) <= 2000
    with pytest.raises(SystemExit):
        run_plan(FailingEngine(in_generate=SystemExit(3)), job())


def test_calibration_measures_the_harness_itself():
    """The harness's own cost per trial is measured in the process that measures."""
    with asyncio.Runner(loop_factory=RealClock().new_event_loop) as runner:
        calibration = runner.run(calibrate())
    assert calibration.trials == 200
    assert 0 < calibration.harness_median_ns <= calibration.harness_p99_ns
    assert calibration.clock_read_ns > 0
    assert calibration.clock_step_ns >= 1


def test_a_blocked_loop_shows_as_lag():
    """What blocks the event loop during a trial is seen as its lag."""
    clock = RealClock()

    async def main() -> tuple[int | None, Lag]:
        async with LagMonitor(clock) as lag:
            await asyncio.sleep(0.05)
            lag.begin("t")
            until = clock.now_ns() + 100_000_000
            while clock.now_ns() < until:
                pass
            await asyncio.sleep(0.05)
            return lag.end("t"), lag.so_far()

    with asyncio.Runner(loop_factory=clock.new_event_loop) as runner:
        worst, all_of_it = runner.run(main())
    assert worst is not None
    assert worst >= 70_000_000
    assert (all_of_it.max_ns or 0) >= worst


def test_no_sample_is_no_lag_not_zero():
    """Unknown lag is null."""
    assert Histogram().summary() == Lag(0, None, None, None)


@given(lags=st.lists(st.tuples(st.integers(0, 10**11), st.integers(1, 9)), min_size=1, max_size=300))
def test_lags_are_counted_to_ten_binary_digits(lags):
    """Median and 99th percentile are within 0.2 % of the ranks of samples that stand there as often as they weigh."""
    counts = Histogram()
    for lag, weight in lags:
        counts.add(lag, weight)

    found, ranked = counts.summary(), sorted(lag for lag, weight in lags for _ in range(weight))

    assert (found.samples, found.max_ns) == (len(lags), ranked[-1])
    assert found.median_ns == pytest.approx(ranked[-(-len(ranked) // 2) - 1], rel=0.002)
    assert found.p99_ns == pytest.approx(ranked[-(-99 * len(ranked) // 100) - 1], rel=0.002)


def test_a_lag_counts_once_for_each_trial_in_flight():
    """Two late looks in 202 are beyond the 99th percentile; with three trials in flight at them alone they are it."""
    quiet, busy = LagMonitor(RealClock()), LagMonitor(RealClock())
    for monitor in (quiet, busy):
        for _ in range(200):
            monitor.add(0)
        if monitor is busy:
            for number in range(3):
                monitor.begin(str(number))
        for _ in range(2):
            monitor.add(8_000_000)

    assert quiet.so_far() == Lag(202, 0, 0, 8_000_000)
    assert busy.so_far().p99_ns == pytest.approx(8_000_000, rel=0.002)
    assert busy.so_far().samples == 202


def test_looks_that_were_due_during_a_standstill_count():
    """A look 200 ms late stands for the ten of its time: of 500 in all the percentile is half of that."""
    monitor = LagMonitor(RealClock())
    for _ in range(490):
        monitor.look(0)
    monitor.look(200_000_000)

    assert monitor.so_far().samples == 500
    assert monitor.so_far().p99_ns == pytest.approx(100_000_000, rel=0.002)


def test_a_day_of_standstill_is_counted_at_once():
    """What a suspended machine missed is bounded, and the greatest lag stays exact."""
    monitor = LagMonitor(RealClock())
    monitor.look(86_400 * SECOND)

    assert monitor.so_far().samples <= 200
    assert monitor.so_far().max_ns == 86_400 * SECOND


def test_the_arrivals_of_a_record_leave_no_memory():
    """Whatever their number: tuples that are cut to their size fill Python's lists of free ones, 2,000 of each size."""
    gc.collect()  # which empties those lists
    for size in (3, 6, 9):
        arrivals = tuple([Arrival(number, number, 0) for number in range(size)])
        one = Generation(
            arrivals=arrivals, text="", reasoning="", finish_ns=None, finish_reason=None, usage=Usage()
        )  # fmt: skip
        before = sys.getallocatedblocks()
        for _ in range(500):
            make_turn(one, 0, 0, 9)

        assert sys.getallocatedblocks() - before <= 50


def test_counted_lags_take_no_more_memory_as_they_go_on():
    """Of lags from 0.1 to 12 ms, nearly all in bins of their own, the later thousands leave no block of memory."""
    lags = [100_000 + 4_001 * number for number in range(3_000)]
    random.Random(1).shuffle(lags)
    counts, half = Histogram(), len(lags) // 2
    for lag in lags[:half]:
        counts.add(lag)
    before = sys.getallocatedblocks()
    for lag in lags[half:]:
        counts.add(lag)

    assert sys.getallocatedblocks() - before <= 10
    assert counts.summary().samples == len(lags)


@given(steps=st.lists(st.one_of(st.integers(0, 10**9), st.sampled_from("abcd")), max_size=60))
def test_a_trial_has_the_greatest_lag_of_its_time(steps):
    """Trials that begin and end in any order each get the greatest sample since they began, as from all samples."""
    monitor, samples, begun = LagMonitor(RealClock()), [], {}
    for step in steps:
        if isinstance(step, int):
            monitor.add(step)
            samples.append(step)
        elif step in begun:
            assert monitor.end(step) == max(samples[begun.pop(step) :], default=None)
        else:
            monitor.begin(step)
            begun[step] = len(samples)
    for trial, index in begun.items():
        assert monitor.end(trial) == max(samples[index:], default=None)


def test_lags_of_a_day_take_no_memory():
    """Of 10,000 samples under 64 trials in flight only those since the oldest of these are kept."""
    monitor, drawn = LagMonitor(RealClock()), random.Random(1)
    for number in range(64):
        monitor.begin(str(number))
    tracemalloc.start()
    for number in range(2_000):
        for _ in range(5):
            monitor.add(drawn.randrange(50_000, 150_000))
        monitor.end(str(number))
        monitor.begin(str(number + 64))
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert monitor.so_far().samples == 10_000
    assert kept < 150_000


@pytest.mark.parametrize("concurrency", [1, 2, 5])
def test_a_closed_loop_keeps_its_slots_full(concurrency):
    """Never more in flight than asked for, never fewer while there is work, and everything is done once."""
    in_flight, seen, most = 0, [], 0

    async def carry(number: int) -> None:
        nonlocal in_flight, most
        in_flight += 1
        most = max(most, in_flight)
        await asyncio.sleep(1 + number % 3)
        seen.append(number)
        in_flight -= 1

    clock = VirtualClock()
    with asyncio.Runner(loop_factory=clock.new_event_loop) as runner:
        assert runner.run(closed_loop(AtHand(range(20)), concurrency, carry, lambda: False))
    assert sorted(seen) == list(range(20))
    assert most == concurrency
    assert clock.now_ns() / SECOND <= 39 / concurrency + 3


def test_a_stopping_loop_finishes_what_is_in_flight():
    """After a stop request nothing starts, what runs ends, and the loop says that it did not do everything."""
    seen: list[int] = []

    async def carry(number: int) -> None:
        await asyncio.sleep(1)
        seen.append(number)

    clock = VirtualClock()
    with asyncio.Runner(loop_factory=clock.new_event_loop) as runner:
        complete = runner.run(closed_loop(AtHand(range(20)), 2, carry, lambda: len(seen) >= 4))
    assert not complete
    assert len(seen) in (4, 5)


def test_a_run_that_is_to_end_does_not_wait_for_somebody_who_thinks():
    """With a stop asked for a think time of an hour is cut short and the dialogue finished; its times are the same."""
    each = job(prompts=("one", "two"), think_ns=3600 * SECOND)
    usual, _ = run_plan(ScriptedEngine(), each)
    stopped, _ = run_plan(ScriptedEngine(), each, stopping=True)
    assert [turn.end_ns for turn in stopped.turns] == [turn.end_ns for turn in usual.turns]
    gaps = [record.turns[1].dispatch_ns - record.turns[0].dispatch_ns for record in (usual, stopped)]
    assert gaps[0] - gaps[1] == 3600 * SECOND


@pytest.mark.parametrize("connected", [0, 1])
def test_a_run_that_is_to_end_does_not_wait_for_a_connection(connected):
    """Where there is none for the first turn, or for the next one, the cell ends and its trials have no record."""

    class Unreachable(ScriptedEngine):
        def __init__(self) -> None:
            super().__init__()
            self.clock = RealClock()

        async def ready(self, payload: Any) -> None:
            if payload.turn == connected:
                await asyncio.sleep(3600)

        async def generate(self, payload: Any, stamps: Stamps) -> None:
            del payload
            stamps.arrivals.append((self.clock.now_ns(), "answer"))

    class Run:
        """Wants an end as soon as the first turn that finds no connection is there."""

        def stopping(self) -> bool:
            return len(engine.requests) > connected

        def send_now(self, message: Any) -> None:
            sent.append(message)

        send = wait_stored = None

    engine, sent = Unreachable(), []
    jobs = [job(trial_id=name, prompts=("one", "two")) for name in "abc"]
    message = RunCell(cell="c", concurrency=1, one_at_a_time=True, batch=None, timeout_s=60, retries=0, jobs=jobs)
    cell = CellRun(message, engine, Run(), reach=Reach(), refusals=Refusals(), records_sent=0)
    with asyncio.Runner(loop_factory=engine.clock.new_event_loop) as runner:
        runner.run(cell.run(None))
    assert [(type(each), each.trial_id) for each in sent] == [(Dispatched, "a")]
    assert cell.records_sent == 0


@pytest.mark.parametrize(
    ("arrivals", "reads_in_thread", "beside"), [(600, True, True), (600, False, False), (500, True, False)]
)
def test_a_long_answer_is_read_beside_the_loop(arrivals, reads_in_thread, beside):
    """While an answer of many arrivals is read the loop goes on, if the engine allows it; no two are read at once."""

    class Long(ScriptedEngine):
        def __init__(self) -> None:
            super().__init__()
            self.clock = RealClock()
            self.reads_in_thread = reads_in_thread

        async def generate(self, payload: Any, stamps: Stamps) -> None:
            del payload
            stamps.arrivals += [(self.clock.now_ns(), "a") for _ in range(arrivals)]

        def read(self, stamps: Stamps) -> Generation:
            read_by.append(threading.get_ident())
            reading.append(stamps)
            assert len(reading) == 1
            loop_ran = threading.Event()
            loop.call_soon_threadsafe(loop_ran.set)
            # On the loop's own thread this would last for ever.
            loop_went_on.append(loop_ran.wait(30 if beside else 0))
            reading.clear()
            return super().read(stamps)

    async def main() -> list[Record]:
        nonlocal loop
        loop = asyncio.get_running_loop()
        gates = Gates()
        async with LagMonitor(engine.clock) as lag:
            both = [measure(engine, job(trial_id=name), 60, lag, lambda _: None, gates=gates) for name in "ab"]
            return await asyncio.gather(*both)

    engine, loop = Long(), None
    read_by: list[int] = []
    reading: list[Stamps] = []
    loop_went_on: list[bool] = []
    with asyncio.Runner(loop_factory=engine.clock.new_event_loop) as runner:
        records = runner.run(main())
    assert [record.turns[0].text for record in records] == ["a" * arrivals] * 2
    assert loop_went_on == [beside] * 2
    assert [each != threading.get_ident() for each in read_by] == [beside] * 2
