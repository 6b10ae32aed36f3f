"""Retries: off unless asked for, every attempt kept, and the clock runs from the first dispatch."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st
from tests.endpoint import DONE, END, MODEL, Endpoint, answer, chunk, event, fixed, head, usage

import taskpace
from taskpace.experiment.experiment import TaskUse
from taskpace.experiment.prepare import prepare
from taskpace.records import Failure, Record
from taskpace.runner.events import RunEnded
from taskpace.runner.runner import run_plan
from taskpace.runner.worker_process import WorkerProcess
from taskpace.store.store import Store
from taskpace.worker.retries import LONGEST_S, may_pass, wait_s

here = pytest.mark.usefixtures("workers_here")  # not where a run is stopped while a trial waits


def failed(kind: str, attempt: int = 1, retry_after_s: float | None = None) -> Record:
    failure = Failure(kind=kind, message="x", retry_after_s=retry_after_s)
    return Record(
        trial_id="t", attempt=attempt, phase="measured", started_at="", turns=(), failure=failure, loop_lag_ns=None
    )


def refusing_first(status: str, refusals: int, **headers: str):
    """A server that refuses each prompt so many times and then answers."""
    seen: dict[bytes, int] = {}

    async def behave(asked, writer, _number) -> None:
        key = str(asked.body["messages"]).encode()
        seen[key] = seen.get(key, 0) + 1
        if seen[key] <= refusals:
            writer.write(fixed(status, b'{"error": {"message": "slow down"}}', **headers))
        else:
            writer.write(head() + chunk(event("A")) + chunk(event(finish="stop")) + chunk(usage(1)) + chunk(DONE) + END)
        await writer.drain()

    return behave


def run(server: Endpoint, path, items=12, **settings):
    experiment = taskpace.quick_experiment(
        models=(MODEL,), engine="openai", options={"url": server.url}, tasks=("mmlu-letter",), items=items, warmup=0,
        **settings,
    )  # fmt: skip
    return taskpace.run(experiment, path)


@here
def test_nothing_is_retried_by_default(tmp_path):
    """A refusal is the trial's result."""
    with Endpoint(refusing_first("429 Too Many Requests", 1)) as server:
        frame = run(server, tmp_path / "x.db").frame()
    assert frame["attempt"].to_list() == [1] * 12
    assert set(frame["failure_kind"]) == {"http-429"}


@here
@pytest.mark.slow
@pytest.mark.parametrize(("scenario", "items"), [("single", 3), ("concurrency=6", 12), ("rate=200", 12)])
def test_every_attempt_is_kept_and_time_runs_from_the_first_dispatch(tmp_path, scenario, items):
    """Two refusals that ask for a second each: three attempts a trial, the last one right and over two seconds long."""
    behave = refusing_first("429 Too Many Requests", 2, **{"Retry-After": "1"})
    with Endpoint(behave) as server:
        done = run(server, tmp_path / "x.db", items, retries=2, scenarios=(scenario,))
    frame = done.frame()
    assert frame.height == 3 * items
    for _, attempts in frame.group_by("trial_id"):
        assert attempts["attempt"].to_list() == [1, 2, 3]
        assert attempts["outcome"].to_list()[:2] == ["error", "error"]
        assert attempts["failure_kind"].to_list() == ["http-429", "http-429", None]
        assert attempts["dispatch_ns"].n_unique() == 1
        assert attempts["task_time_s"][2] >= 2
        assert attempts["send_delay_s"][2] >= 2
    (row,) = done.summary().tables[0].rows
    assert (row.n, row.retried) == (items, items)
    assert "errors" not in {reason.code for reason in row.reasons}
    assert "send-delay" not in {reason.code for reason in row.reasons}
    assert "retried" in {finding.code for finding in row.findings}


@here
def test_a_retried_dialogue_does_not_pay_for_its_think_time(tmp_path):
    """The second turn is refused once: the new attempt's clock starts where the first's did, later by the one pause
    that the first attempt made.
    """
    seen = set()

    async def refuse_second_turns_once(asked, writer, _number) -> None:
        first, turn = asked.body["messages"][0]["content"], len(asked.body["messages"])
        if turn == 3 and first not in seen:
            seen.add(first)
            writer.write(fixed("503 Service Unavailable", b'{"error": {"message": "busy"}}', **{"Retry-After": "0"}))
        else:
            writer.write(head() + chunk(event("A")) + chunk(event(finish="stop")) + chunk(usage(1)) + chunk(DONE) + END)
        await writer.drain()

    with Endpoint(refuse_second_turns_once) as server:
        experiment = taskpace.quick_experiment(
            models=(MODEL,), engine="openai", options={"url": server.url}, items=2, warmup=0, retries=1,
        )  # fmt: skip
        uses = (TaskUse(use="dialogue", think_time_s=0.05),)
        frame = taskpace.run(msgspec.structs.replace(experiment, tasks=uses), tmp_path / "x.db").frame()
    assert frame["failure_kind"].to_list() == ["http-503", None] * 2
    for _, attempts in frame.group_by("trial_id"):
        first, second = attempts["dispatch_ns"]
        assert second - first == 50_000_000


@here
@pytest.mark.parametrize("scenario", ["single", "concurrency=3"])
def test_a_trial_whose_later_attempt_is_refused_is_asked_again(tmp_path, scenario):
    """Busy at first, then a key that is taken back: the refusal ends the cell, its trials are still to be done, and the
    same command carries them out.
    """
    seen: set[str] = set()

    async def busy_then_refusing(asked, writer, _number) -> None:
        first = (said := str(asked.body["messages"])) not in seen
        seen.add(said)
        status = "503 Service Unavailable" if first else "401 Unauthorized"
        writer.write(fixed(status, b'{"error": {"message": "no"}}', **{"Retry-After": "0"}))
        await writer.drain()

    path, settings = tmp_path / "x.db", {"items": 5, "retries": 2, "scenarios": (scenario,)}
    with Endpoint(busy_then_refusing) as server:
        begun = run(server, path, **settings)
        assert not begun.frame()["final"].any()
        assert begun.summary(resamples=0).tables[0].rows[0].n == 0
        server.behaviour = answer
        frame = run(server, path, **settings).frame()
    done = frame.filter("final")
    assert done["trial_id"].n_unique() == done.height == 5
    assert done["failure_kind"].null_count() == 5
    assert set(frame.filter(~frame["final"])["failure_kind"]) == {"http-503"}


@here
def test_when_attempts_run_out_the_last_refusal_counts(tmp_path):
    """One retry against two refusals: two attempts, an error."""
    behave = refusing_first("503 Service Unavailable", 2, **{"Retry-After": "0"})
    with Endpoint(behave) as server:
        frame = run(server, tmp_path / "x.db", retries=1, scenarios=("concurrency=4",)).frame()
    assert sorted(frame["attempt"]) == [1] * 12 + [2] * 12
    assert set(frame["failure_kind"]) == {"http-503"}


@here
def test_a_wrong_request_is_not_tried_again(tmp_path):
    """What would fail again in the same way has one attempt."""
    with Endpoint(refusing_first("400 Bad Request", 1)) as server:
        frame = run(server, tmp_path / "x.db", items=2, retries=3).frame()
    assert frame["attempt"].to_list() == [1] * 2


class Once:
    """A stop that comes as soon as ``happened``."""

    def __init__(self, happened: Callable[[], bool]) -> None:
        self._happened = happened

    @property
    def requested(self) -> bool:
        return self._happened()


def stopped(server: Endpoint, path: Path, happened: Callable[[], bool], items: int, **settings: Any) -> RunEnded:
    """The run of ``run``, stopped when something has happened."""
    experiment = taskpace.quick_experiment(
        models=(MODEL,), engine="openai", options={"url": server.url}, tasks=("mmlu-letter",), items=items, warmup=0,
        **settings,
    )  # fmt: skip
    plan = prepare(experiment, path.parent)
    with Store.create_or_continue(path, plan, "0") as store:
        return run_plan(plan, store, stop=Once(happened))


@pytest.mark.parametrize(("scenario", "waiting"), [("single", 1), ("concurrency=4", 4), ("rate=100", 4)])
def test_a_trial_that_waits_for_its_next_attempt_is_not_finished(tmp_path, scenario, waiting):
    """Stopped while trials wait a minute each, a run ends without that minute; none of them counts as a result, and
    the same command goes on with their second attempts.
    """
    behave = refusing_first("503 Service Unavailable", 1, **{"Retry-After": "60"})
    path = tmp_path / "x.db"
    with Endpoint(behave) as server:
        settings = {"items": 4, "retries": 2, "scenarios": (scenario,)}
        ended = stopped(server, path, lambda: len(server.asked) >= waiting, **settings)
        assert (ended.done, ended.interrupted) == (0, True)
        with taskpace.open(path) as begun:
            assert begun.frame()["final"].to_list() == [False] * waiting
            (row,) = begun.summary(resamples=0).tables[0].rows
        assert row.n == 0
        seen = server.asked.copy()
        server.behaviour = refusing_first("503 Service Unavailable", 0)
        frame = run(server, path, **settings).frame()
    assert len(server.asked) == len(seen) + 4
    assert sorted(frame["attempt"]) == [1] * 4 + [2] * waiting
    assert frame["final"].sum() == 4
    assert set(frame.filter("final")["outcome"]) <= {"correct", "wrong", "unparsed"}


def test_attempts_are_counted_over_sessions(tmp_path):
    """Two retries, one spent before the stop: after it there is one more, and then the refusal is the result."""
    path = tmp_path / "x.db"
    with Endpoint(refusing_first("503 Service Unavailable", 9, **{"Retry-After": "60"})) as server:
        settings = {"items": 1, "retries": 2}
        stopped(server, path, lambda: len(server.asked) >= 1, **settings)
        server.behaviour = refusing_first("503 Service Unavailable", 9, **{"Retry-After": "0"})
        frame = run(server, path, **settings).frame()
    assert frame["attempt"].to_list() == [1, 2, 3]
    assert frame["final"].to_list() == [False, False, True]
    assert frame["failure_kind"].to_list() == ["http-503"] * 3


def test_a_worker_killed_while_a_trial_waits_spends_none_of_its_attempts(tmp_path):
    """The worker that comes after it goes on with the second attempt, in the same session."""
    path, workers = tmp_path / "x.db", []

    class Noted(WorkerProcess):
        def __init__(self) -> None:
            super().__init__()
            workers.append(self)

    async def refuse_and_kill(asked, writer, number) -> None:
        if number == 0:
            writer.write(fixed("503 Service Unavailable", b"{}", **{"Retry-After": "60"}))
            await writer.drain()
            await asyncio.sleep(0.3)  # until the record of it has been sent
            os.kill(workers[0].pid, signal.SIGKILL)
        else:
            await answer(asked, writer, number)

    with Endpoint(refuse_and_kill) as server:
        experiment = taskpace.quick_experiment(
            models=(MODEL,), engine="openai", options={"url": server.url}, tasks=("mmlu-letter",), items=1, warmup=0,
            retries=1,
        )  # fmt: skip
        plan = prepare(experiment, tmp_path)
        with Store.create_or_continue(path, plan, "0") as store:
            ended = run_plan(plan, store, launch=Noted)
    assert (ended.done, len(workers)) == (1, 2)
    with taskpace.open(path) as done:
        frame = done.frame()
    assert frame["attempt"].to_list() == [1, 2]
    assert frame["failure_kind"].to_list() == ["http-503", None]


@pytest.mark.parametrize(
    ("kind", "passing"),
    [("http-429", True), ("http-500", True), ("reset", True), ("cut", True), ("connect-refused", True),
     ("http-400", False), ("http-401", False), ("timeout", False), ("stall", False), ("bad-event", False),
     ("worker-died", False), ("context-overflow", False)],
)  # fmt: skip
def test_what_may_pass(kind, passing):
    """Overload and lost connections; neither wrong requests nor what took its time already."""
    assert may_pass(failed(kind)) is passing


@given(attempt=st.integers(1, 40), asked=st.none() | st.floats(0, 1e6))
def test_the_wait_is_what_was_asked_for_or_doubles_up_to_a_minute(attempt, asked):
    """Never longer than a minute, never negative."""
    wait = wait_s(failed("http-429", attempt, asked))
    assert 0 <= wait <= LONGEST_S
    assert wait == min(LONGEST_S, asked if asked is not None else 0.5 * 2 ** (attempt - 1))
