"""What if, with several in flight: predictions against a server whose every step is known."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

import taskpace
from taskpace.analysis.whatif.fitting import fit, leave_out, predict
from taskpace.analysis.whatif.line import fit_line, on_line
from taskpace.analysis.whatif.loop import UNITS, Sent, Turn, count
from taskpace.analysis.whatif.places import Elsewhere
from taskpace.analysis.whatif.speed import InFlight, Speed
from taskpace.analysis.whatif.whatif import what_if
from taskpace.experiment.scenario import Scenario
from taskpace.store.store import Store

EIGHT = Scenario(concurrency=8)


@pytest.fixture(scope="module")
def batching() -> ModuleType:
    """The server of bench/, which works step by step."""
    found = importlib.util.spec_from_file_location("batching", Path(__file__).parents[2] / "bench" / "batching.py")
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def tasks(batching: ModuleType, seed: int, **truth: object) -> pl.DataFrame:
    """Two tasks, of short and of long answers, eight in flight."""
    rng = np.random.default_rng(seed)
    server = batching.SERVERS[0]._replace(**truth)
    parts = [
        batching.asked(batching.questions(rng, task, 40, longest), server, 8, rng).with_columns(worker=pl.lit(worker))
        for worker, (task, longest) in enumerate((("a", 20), ("b", 130)))
    ]
    return pl.concat(parts)


def off(trials: pl.DataFrame, total: np.ndarray) -> np.ndarray:
    """Predicted / measured - 1."""
    return np.asarray(total / trials["task_time_s"].to_numpy() - 1)


@given(st.integers(0, 1000), st.integers(1, 9), st.integers(1, 9), st.sampled_from([0.0013717, 0.0213091]))
@settings(max_examples=15, deadline=None)
def test_the_loop_is_played_as_the_server_works(
    batching: ModuleType, seed: int, in_flight: int, slots: int, wait_s: float
) -> None:
    """At the server's own seconds, every wait and every task time is that of its steps, whatever queues.

    A step never takes as long as the way to the server: two things at once could be in either order.
    """
    rng = np.random.default_rng(seed)
    server = batching.SERVERS[0]._replace(wait_s=wait_s, slots=slots)
    trials = batching.asked(batching.questions(rng, "t", 30, 60), server, in_flight, rng)
    seconds = np.array([wait_s, 0, server.prompt_token_s, server.step_s, server.other_s])
    asked, written = trials["prompt_tokens"].to_list(), trials["output_tokens"].to_list()
    block = [Sent(row, [Turn(asked[row], written[row] - 1)]) for row in range(30)]
    wait, total = count([block], seconds, 30, in_flight, slots)
    assert wait @ seconds == pytest.approx(trials["wait_s"].to_numpy(), rel=1e-6)
    assert total @ seconds == pytest.approx(trials["task_time_s"].to_numpy(), rel=1e-6)


@given(
    turns=st.lists(
        st.lists(st.tuples(st.integers(0, 300), st.integers(0, 50)), min_size=1, max_size=3), min_size=1, max_size=20
    ),
    seconds=st.lists(st.sampled_from([0.0, 1e-4, 0.3]), min_size=UNITS, max_size=UNITS),
    in_flight=st.integers(1, 5),
    slots=st.integers(1, 5),
)
@settings(max_examples=40, deadline=None)
def test_every_turn_is_played_once(
    turns: list[list[tuple[int, int]]], seconds: list[float], in_flight: int, slots: int
) -> None:
    """Whatever is sent, at whatever speed, each trial has all of its turns, prompts and steps."""
    block = [Sent(row, [Turn(*turn) for turn in each]) for row, each in enumerate(turns)]
    wait, total = count([block], np.array(seconds), len(turns), in_flight, slots)
    assert wait[:, 0].tolist() == [len(each) for each in turns]
    assert wait[:, 1].tolist() == [sum(asked for asked, _ in each) for each in turns]
    assert (total[:, 3] >= [sum(steps for _, steps in each) - 1e-6 for each in turns]).all()
    assert (total >= wait).all()


@pytest.mark.parametrize("slots", [8, 3])
def test_a_server_is_found_from_the_times_of_its_load(batching: ModuleType, slots: int) -> None:
    """Its slots too; other answers are then predicted to the percent, where a line was 20 to 40 % off."""
    there, unseen = tasks(batching, 1, slots=slots), tasks(batching, 2, slots=slots)
    speed = fit(there, EIGHT)
    assert speed.load is not None
    assert (speed.load.in_flight, speed.load.slots) == (8, slots)
    assert speed.wait_per_prompt_token_s == pytest.approx(0.003, rel=0.05)
    assert np.median(np.abs(off(unseen, predict(unseen, speed)[1]))) < 0.01
    line = on_line(unseen, fit_line(there, robust=True), cold=False)[1]
    assert np.median(np.abs(off(unseen, line))) > 0.2


def test_under_load_the_slow_answers_count(batching: ModuleType) -> None:
    """On a noisy server the error is a few percent and the mean is not too small; it is found on what was left out."""
    there = tasks(batching, 3, noise=0.15)
    error = leave_out(there, EIGHT)
    assert error is not None
    assert (error.trials, error.held_out) == (80, "items")
    assert error.median < 0.1
    assert abs(error.mean) < 0.05


def test_without_the_time_of_the_first_token_a_load_is_found_too(batching: ModuleType) -> None:
    """Task times alone say what answers make of one another."""
    there = tasks(batching, 4)
    found = fit(there.with_columns(untimed=pl.lit(value=True), wait_s=pl.lit(None, dtype=pl.Float64)), EIGHT)
    assert np.median(np.abs(off(there, predict(there, found)[1]))) < 0.05


def test_turns_of_a_conversation_are_sent_one_after_the_other() -> None:
    """With one in flight a loop takes what a line takes, however many turns there are."""
    rng = np.random.default_rng(5)
    n = 20
    trials = pl.DataFrame(
        {"task": ["t"] * n, "trial_position": range(n), "turns": rng.integers(1, 4, n), "cached_tokens": [0] * n,
         "prompt_tokens": rng.integers(20, 400, n), "output_tokens": rng.integers(5, 90, n)}
    )  # fmt: skip
    line = Speed(wait_s=0.2, wait_per_prompt_token_s=0.002, tpot_s=0.03)
    load = InFlight(in_flight=1, slots=1, tpot_per_other_s=0.01, wait_per_other_prompt_token_s=0.001)
    # A turn's first token comes with a step.
    alone = msgspec.structs.replace(line, wait_s=0.17, load=load)
    assert predict(trials, alone)[1] == pytest.approx(predict(trials, line)[1], rel=1e-6)


@pytest.mark.usefixtures("workers_here")
def test_a_rate_has_a_mean_and_says_so(simulated: Callable, tmp_path: Path) -> None:
    """Of an open loop no loop is played: the prediction is a mean over the load, and the caution says it."""
    for name, scenario in (("here", "single"), ("there", "rate=5"), ("eight", "concurrency=8")):
        base = simulated(items=20, scenarios=(scenario,))
        (system,) = base.systems
        own = msgspec.structs.replace(system, name="a", options={"time": "virtual", "wait": 0.0, "slots": 2})
        taskpace.run(msgspec.structs.replace(base, systems=(own,)), tmp_path / name).close()
    with Store.open(tmp_path / "here") as here, Store.open(tmp_path / "there") as rate:
        (moved,) = what_if(here, [Elsewhere(label="x", source=rate)], resamples=0).moved
    assert moved.speed.load is None
    assert any("mean over the load of rate=5" in caution for caution in moved.cautions)
    with Store.open(tmp_path / "here") as here, Store.open(tmp_path / "eight") as eight:
        found = what_if(here, [Elsewhere(label="x", source=eight)], resamples=0)
    with taskpace.open(tmp_path / "eight") as run:
        measured = run.frame()["task_time_s"]
    (moved,) = found.moved
    assert moved.speed.load is not None
    assert moved.speed.load.slots == 2
    (row,) = found.tables[0].predicted.rows
    assert row.task_time_median_s.value == pytest.approx(measured.median(), rel=0.05)
