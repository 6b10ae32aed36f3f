"""One run on many machines: what is dealt out, that each trial is recorded once, and what a lost node costs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from tests.fake_cluster import FakeCluster
from tests.in_process import instant
from tests.test_turns import planned

import taskpace
from taskpace.runner.cluster import driver
from taskpace.runner.cluster.driver import run_on_cluster
from taskpace.runner.events import NodeJoined, NodeLost, TrialFinished
from taskpace.store.store import Store
from taskpace.worker import worker


@pytest.fixture(autouse=True)
def _nothing_is_calibrated(monkeypatch):
    """Calibration takes real time, once for each worker; nor is a cluster looked at once a second alone."""
    monkeypatch.setattr(worker, "calibrate", instant)
    monkeypatch.setattr(driver, "_LOOK_EVERY_S", 0.0)


def carry_out(plan: Any, path: Path, cluster: FakeCluster, **settings: Any) -> Any:
    """How the run ended, and its records."""
    with Store.create_or_continue(path, plan, "0") as store:
        ended = run_on_cluster(plan, store, cluster, base=Path(), **settings)
    with taskpace.open(path) as run:
        return ended, run.frame()


def test_all_systems_of_a_round_are_asked_on_one_node(tmp_path):
    """Each item's trials are of one session, that is of one node; every node has some; each trial is recorded once."""
    events: list[Any] = []
    plan = planned(items=40)
    ended, frame = carry_out(plan, tmp_path / "run.db", FakeCluster(3), on_event=events.append)
    assert (ended.done, ended.planned, ended.given_up) == (120, 120, ())
    assert frame.height == 120
    on_nodes = frame.group_by("item_id").agg(pl.col("session").n_unique())
    assert on_nodes["session"].to_list() == [1] * 40
    assert frame["session"].n_unique() == 3
    assert Counter(type(event) for event in events)[NodeJoined] == 3
    assert sum(isinstance(event, TrialFinished) for event in events) == 120


@given(seed=st.integers(0, 2**32), nodes=st.integers(2, 4), deaths=st.sampled_from([0.05, 0.2, 0.4]))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nodes_that_are_lost_cost_their_trials_in_flight_and_no_other(tmp_path_factory, seed, nodes, deaths):
    """Whenever nodes end: every planned trial has one final record; an error says so; all else was asked again."""
    events: list[Any] = []
    plan = planned(("one", "two"), items=20)
    path = tmp_path_factory.mktemp("lost") / "run.db"
    cluster = FakeCluster(nodes, deaths=deaths, seed=seed)
    ended, frame = carry_out(plan, path, cluster, on_event=events.append)
    assert ended.done == ended.planned == frame.height == frame["trial_id"].n_unique() == 40
    lost = [event for event in events if isinstance(event, NodeLost)]
    errors = frame.filter(frame["outcome"] == "error")
    assert errors.height == sum(event.lost for event in lost) <= len(lost)
    assert set(errors["failure_kind"]) <= {"node-died"}
