"""The simulated engine: what it is told to take is what it takes, to the nanosecond in virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from taskpace.engines import create
from taskpace.engines.base import EngineSpec, Sampling
from taskpace.engines.simulated import read_options
from taskpace.errors import ExperimentError
from taskpace.records import Record
from taskpace.worker.lag import LagMonitor
from taskpace.worker.messages import Job
from taskpace.worker.trial import measure


def job(trial_id: str = "t", **changes: Any) -> Job:
    fields = {
        "trial_id": trial_id,
        "attempt": 1,
        "phase": "measured",
        "system_prompt": None,
        "prompts": ("What?",),
        "max_tokens": 10_000,
        "stop": (),
        "sampling": Sampling(),
        "seed": 0,
        "script": ("B", "C"),
    }
    return Job(**fields | changes)


def play(options: dict[str, Any], *jobs: Job, timeout_s: float = 1e6) -> list[Record]:
    """Carry the jobs out one after another on a fresh engine, in virtual time unless told otherwise."""
    engine = create(EngineSpec(engine="simulated", model="", options={"time": "virtual"} | options, slots=1))

    async def main() -> list[Record]:
        await engine.open()
        try:
            async with LagMonitor(engine.clock) as lag:
                return [await measure(engine, each, timeout_s, lag, lambda _job: None) for each in jobs]
        finally:
            await engine.close()

    with asyncio.Runner(loop_factory=engine.clock.new_event_loop) as runner:
        return runner.run(main())


@given(
    wait_ns=st.integers(0, 10**12),
    token_ns=st.integers(0, 10**9),
    tokens=st.integers(1, 60),
    reasoning=st.integers(0, 30),
)
@settings(max_examples=60, deadline=None)
def test_virtual_time_comes_back_exactly(wait_ns, token_ns, tokens, reasoning):
    """Wait, token time and counts are recovered without any error, reasoning and answer apart."""
    options = {
        "wait": wait_ns / 1e9,
        "token_time": token_ns / 1e9,
        "length": tokens,
        "reasoning": reasoning,
        "tokens_per_byte": 1,
    }
    (record,) = play(options, job())
    (turn,) = record.turns
    assert turn.arrivals[0].ns == wait_ns
    assert turn.end_ns == turn.finish_ns == wait_ns + (tokens + reasoning - 1) * token_ns
    assert turn.usage.output_tokens == tokens + reasoning
    assert turn.usage.reasoning_tokens == reasoning
    assert len(turn.text.encode()) == tokens == turn.arrivals[-1].visible_bytes
    assert len(turn.reasoning.encode()) == reasoning == turn.arrivals[-1].reasoning_bytes
    assert record.failure is None
    assert turn.finish_reason == "stop"


def test_the_token_limit_cuts_the_answer_and_says_so():
    """max_tokens ends the generation with finish reason length."""
    (record,) = play({"length": 100, "tokens_per_byte": 1}, job(max_tokens=7))
    assert record.turns[0].finish_reason == "length"
    assert record.turns[0].usage.output_tokens == 7
    assert len(record.turns[0].text) == 7


def test_a_stall_ends_at_the_time_limit_and_keeps_what_had_come():
    """A stalled trial takes exactly its limit, keeps the arrivals before it, and its counts are unknown, not 0."""
    options = {"wait": 0.5, "token_time": 0.1, "faults": [{"kind": "stall", "after_tokens": 3}]}
    (record,) = play(options, job(), timeout_s=2)
    (turn,) = record.turns
    assert record.failure is not None
    assert record.failure.kind == "timeout"
    assert turn.end_ns == 2_000_000_000
    assert [arrival.ns for arrival in turn.arrivals] == [500_000_000, 600_000_000, 700_000_000]
    assert turn.finish_reason is None
    assert turn.finish_ns is None
    assert turn.usage.output_tokens is None


@pytest.mark.parametrize(("kind", "recorded"), [("error", "engine"), ("out-of-memory", "out-of-memory")])
def test_a_scripted_error_is_recorded_with_its_kind(kind, recorded):
    """An engine's error becomes a failure of the trial, after the arrivals that came before it."""
    options = {"wait": 0.5, "token_time": 0.1, "faults": [{"kind": kind, "after_tokens": 2}]}
    (record,) = play(options, job())
    assert record.failure is not None
    assert record.failure.kind == recorded
    assert record.turns[0].end_ns == 700_000_000
    assert len(record.turns[0].arrivals) == 2


def test_a_fault_rate_strikes_its_share_of_trials():
    """A rate of 0.25 strikes about a quarter of many trials, the same ones every time."""
    options = {"faults": [{"kind": "error", "rate": 0.25}]}
    struck = [[r.failure is not None for r in play(options, *(job(f"t{n}") for n in range(400)))] for _ in range(2)]
    assert struck[0] == struck[1]
    assert 70 <= sum(struck[0]) <= 130


def test_a_trial_is_the_same_whatever_came_before_it():
    """Draws depend on the trial's id alone: order does not change a trial."""
    options = {"wait": {"kind": "lognormal", "median": 0.2, "sigma": 0.5}, "correct": 0.5}
    ids = [f"t{n}" for n in range(20)]
    forward = {r.trial_id: r.turns[0] for r in play(options, *map(job, ids))}
    backward = {r.trial_id: r.turns[0] for r in play(options, *map(job, reversed(ids)))}
    assert {i: (t.end_ns, t.text) for i, t in forward.items()} == {i: (t.end_ns, t.text) for i, t in backward.items()}
    assert len({turn.end_ns for turn in forward.values()}) == len(ids)


def test_the_share_of_right_answers_is_the_one_asked_for():
    """``correct`` decides which of the two scripted answers stands in the text."""
    records = play({"correct": 0.7, "length": 1}, *(job(f"t{n}") for n in range(500)))
    right = sum(record.turns[0].text == "B" for record in records)
    assert 310 <= right <= 390


@pytest.mark.parametrize(("answer_at", "starts"), [(0.0, True), (1.0, False)])
def test_the_answer_stands_where_the_script_says(answer_at, starts):
    """``answer_at`` puts the answer at the start or the end of the text."""
    (record,) = play({"length": 200, "answer_at": answer_at}, job(script=("ANSWER", "WRONG")))
    text = record.turns[0].text
    assert text.startswith("ANSWER") is starts
    assert text.endswith("ANSWER") is not starts
    assert len(text) == 200


@given(
    stops=st.lists(st.sampled_from(["\n", "\n\n", "B\n", "a", "not there"]), max_size=3),
    answer_at=st.floats(0, 1),
    reasoning=st.integers(0, 30),
)
@settings(max_examples=60, deadline=None)
def test_a_stop_text_ends_the_visible_text(stops, answer_at, reasoning):
    """The text ends before the first of the stop texts, as a real engine's does, and what is left out takes no time."""
    options = {"wait": 0.5, "token_time": 0.01, "tokens_per_byte": 1}
    options |= {"length": 80, "answer_at": answer_at, "reasoning": reasoning}
    (whole,), (record,) = play(options, job()), play(options, job(stop=tuple(stops)))
    text = whole.turns[0].text
    (turn,) = record.turns
    assert turn.text == min((text.split(stop, 1)[0] for stop in stops), key=len, default=text)
    assert turn.reasoning == whole.turns[0].reasoning
    assert turn.usage.output_tokens == len(turn.text) + reasoning
    assert turn.finish_reason == "stop"
    if turn.arrivals:
        assert turn.end_ns == 500_000_000 + (turn.usage.output_tokens - 1) * 10_000_000


def test_real_time_keeps_the_schedule_and_frees_the_slot_after_a_stall():
    """In real time a stall is cancelled at its limit and the next trial runs."""
    options = {"time": "real", "wait": 0.01, "token_time": 0.001, "length": 40}
    stalled = options | {"faults": [{"kind": "stall", "after_tokens": 1, "rate": 0.5}]}
    records = play(stalled, *(job(f"t{n}") for n in range(6)), timeout_s=0.2)
    kinds = [record.failure.kind if record.failure else "ended" for record in records]
    assert set(kinds) == {"timeout", "ended"}
    for record in records:
        (turn,) = record.turns
        stamps = [arrival.ns for arrival in turn.arrivals]
        assert stamps == sorted(stamps)
        assert stamps[0] >= 10_000_000


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"wiat": 1}, ['unknown key "wiat"', 'did you mean "wait"']),
        ({"time": "slow"}, ['key "time"']),
        ({"wait": -1.0}, ['key "wait"', "-1"]),
        ({"wait": {"kind": "lognormal", "median": 1}}, ['key "wait"', '"sigma"']),
        ({"correct": 1.5}, ['key "correct"', "0 to 1"]),
        ({"faults": [{"kind": "fire"}]}, ['"faults" 1'.replace('"', ""), "kind"]),
        ({"faults": [{"kind": "error", "rate": 2}]}, ["faults.rate"]),
    ],
)
def test_bad_options_are_named(options, says):
    """A wrong option is refused before anything runs, with its key."""
    with pytest.raises(ExperimentError) as refusal:
        read_options(options)
    for words in says:
        assert words in str(refusal.value)
