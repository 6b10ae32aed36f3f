"""``taskpace run --ray`` on a cluster of several Ray nodes on this machine: nodes and the driver are killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import msgspec
import pytest
from tests.endpoint import MODEL, Endpoint

import taskpace
from taskpace.experiment.experiment import load_experiment
from taskpace.experiment.prepare import prepare
from taskpace.runner.events import (
    Event,
    NodeBack,
    NodeJoined,
    NodeLost,
    NodeSilent,
    RunEnded,
    RunStarted,
    TrialFinished,
)
from taskpace.store import queries
from taskpace.telemetry import ClientMetrics

pytestmark = pytest.mark.slow
NODES = 3
EXPERIMENT = """
tasks = ["mmlu-letter"]
items = 40
resources = { CPU = 1 }
[[system]]
name = "one"
engine = "simulated"
model = "simulated"
options = { wait = 0.05, token_time = 0.001, length = 20 }
[[system]]
name = "two"
engine = "simulated"
model = "simulated"
options = { wait = 0.06, token_time = 0.001, length = 20 }
"""


class RayNodes:
    """Nodes of Ray, each a machine as far as the run can see."""

    def __init__(self, nodes: int = NODES, **environment: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("ray_nodes.py")), str(nodes)],
            env=os.environ | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().strip()

    def do(self, what: str, number: int | str) -> None:
        """``kill``: end a node as a power cut would; ``hold``: have it stand still; ``let``: no more. Or ``kill`` and
        ``start`` the head.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{what} {number}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "done\n"

    def end(self) -> None:
        self._process.communicate(timeout=120)


@pytest.fixture(scope="module")
def nodes() -> Iterator[RayNodes]:
    pytest.importorskip("ray", reason="the fast jobs of CI go without the extra ray")
    found = RayNodes()
    yield found
    found.end()


@contextlib.contextmanager
def driver(
    folder: Path, address: str, stderr: IO[bytes] | None = None
) -> Iterator[tuple[subprocess.Popen[bytes], Iterator[Event]]]:
    """The command, begun, and its events as they come."""
    command = [sys.executable, "-m", "taskpace", "run", "experiment.toml", "--ray", address]
    with subprocess.Popen(
        [*command, "-o", "run.db", "--progress", "json"], cwd=folder, stdout=subprocess.PIPE, stderr=stderr
    ) as process:
        assert process.stdout is not None
        yield process, (msgspec.json.decode(line, type=Event) for line in process.stdout)


LOAD = """
tasks = ["mmlu-letter"]
items = 40
scenarios = ["rate=40"]
resources = {{ CPU = 1 }}
[[system]]
name = "served"
engine = "openai"
model = "{model}"
options = {{ url = "{url}" }}
"""


def test_nodes_share_the_load_on_an_endpoint(tmp_path, nodes):
    """One schedule over all nodes of Ray: its arrivals to the nanosecond, each trial once, all on one clock."""
    with Endpoint() as server:
        (tmp_path / "experiment.toml").write_text(LOAD.format(model=MODEL, url=server.url), encoding="utf-8")
        with driver(tmp_path, nodes.address) as (process, events):
            found = list(events)
            assert process.wait() == 0
    ended = found[-1]
    assert isinstance(ended, RunEnded)
    assert ended.done == ended.planned == 40
    with taskpace.open(tmp_path / "run.db") as run:
        frame = run.frame()
        clients = [msgspec.json.decode(each.client, type=ClientMetrics) for each in queries.segments(run.store)]
    plan = prepare(load_experiment(tmp_path / "experiment.toml"), tmp_path)
    start_ns = frame["dispatch_ns"].min()
    arrivals = {trial: ns - start_ns for trial, ns in frame.select("trial_id", "dispatch_ns").rows()}
    assert arrivals == plan.arrivals_ns(plan.cells[0])
    assert frame["worker"].n_unique() == 1
    assert {client.node for client in clients} == {each.node for each in found if isinstance(each, NodeJoined)}
    assert len(clients) >= NODES - 1
    assert all(client.clock is not None and client.clock.error_ns < 1_000_000_000 for client in clients)


@pytest.mark.skipif(sys.platform != "linux", reason="a node's processes are found in /proc")
def test_a_node_that_stands_still_is_told_of_and_costs_nothing(tmp_path, nodes):
    """While one node does not answer the driver says so; when it is back it does its share, and no trial is lost."""
    (tmp_path / "experiment.toml").write_text(EXPERIMENT, encoding="utf-8")
    found: list[Event] = []
    with driver(tmp_path, nodes.address) as (process, events):
        for event in events:
            found.append(event)
            if isinstance(event, TrialFinished) and sum(isinstance(each, TrialFinished) for each in found) == 6:
                nodes.do("hold", 1)
            if isinstance(event, NodeSilent):
                nodes.do("let", 1)
        assert process.wait() == 0
    silent, back = (event for event in found if isinstance(event, NodeSilent | NodeBack | NodeLost))
    assert isinstance(silent, NodeSilent)
    assert isinstance(back, NodeBack)
    assert back.silent_s >= silent.silent_s >= 5
    with taskpace.open(tmp_path / "run.db") as run:
        frame = run.frame()
    assert frame.height == frame["trial_id"].n_unique() == 80
    assert frame["failure_kind"].null_count() == 80


def test_every_planned_trial_is_recorded_once_whoever_is_killed(tmp_path, nodes):
    """The driver is killed and started again, then a node: each trial has one record, errors those in flight alone."""
    (tmp_path / "experiment.toml").write_text(EXPERIMENT, encoding="utf-8")
    with driver(tmp_path, nodes.address) as (process, events):
        finished = (event for event in events if isinstance(event, TrialFinished))
        for _ in range(6):
            next(finished)
        process.send_signal(signal.SIGKILL)
    with driver(tmp_path, nodes.address) as (process, events):
        found: list[Event] = []
        alive = True
        for event in events:
            found.append(event)
            if alive and sum(isinstance(each, TrialFinished) for each in found) == 6:
                nodes.do("kill", 0)
                alive = False
        assert process.wait() == 0
    started, ended = found[0], found[-1]
    assert isinstance(started, RunStarted)
    assert isinstance(ended, RunEnded)
    assert 6 <= started.done < ended.done == ended.planned == 80
    lost = [event for event in found if isinstance(event, NodeLost)]
    assert len(lost) == 1
    assert sum(isinstance(event, NodeJoined) for event in found) == NODES
    with taskpace.open(tmp_path / "run.db") as run:
        frame = run.frame()
    assert frame.height == frame["trial_id"].n_unique() == 80
    assert frame.filter(frame["outcome"] == "error").height == lost[0].lost <= 1
    # Those of the first driver, one at least, and of the second's nodes; the killed one may have recorded nothing.
    assert frame["session"].n_unique() >= NODES


@pytest.mark.skipif(sys.platform != "linux", reason="a node's processes are found in /proc")
def test_a_head_that_was_started_again_ends_the_command_and_the_same_one_goes_on(tmp_path):
    """The head's process is killed: nodes go on for longer than Ray is told to let them. Another one at its address:
    the last line has what to do, and the same command does the rest on the new nodes, so that each trial has one
    record, and none is an error.
    """
    pytest.importorskip("ray", reason="the fast jobs of CI go without the extra ray")
    (tmp_path / "experiment.toml").write_text(EXPERIMENT, encoding="utf-8")
    nodes = RayNodes(1, RAY_gcs_rpc_server_reconnect_timeout_s="2")
    try:
        with (
            (tmp_path / "errors").open("wb") as errors,
            driver(tmp_path, nodes.address, errors) as (process, events),
        ):
            finished = (event for event in events if isinstance(event, TrialFinished))
            for _ in range(6):
                next(finished)
            nodes.do("kill", "head")
            for _ in range(45):
                next(finished)
            nodes.do("hold", 0)  # else it might be through before there is another head
            nodes.do("start", "head")
            done = 51 + sum(1 for _ in finished)
            assert process.wait() == 2
        *_, last = (tmp_path / "errors").read_text(encoding="utf-8").splitlines()
        assert last.startswith("taskpace: --ray: the head of the cluster was started again")
        assert last.endswith("the same command continues")
        with driver(tmp_path, nodes.address) as (process, events):
            started, *_, ended = events
            assert process.wait() == 0
    finally:
        nodes.end()
    assert isinstance(started, RunStarted)
    assert isinstance(ended, RunEnded)
    assert done == started.done < ended.done == ended.planned == 80
    with taskpace.open(tmp_path / "run.db") as run:
        frame = run.frame()
    assert frame.height == frame["trial_id"].n_unique() == 80
    assert frame["failure_kind"].null_count() == 80
