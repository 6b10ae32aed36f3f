"""``taskpace run --ray`` on a cluster of several Ray nodes on this machine: nodes and the driver are killed."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

import taskpace
from taskpace.runner.events import Event, NodeJoined, NodeLost, RunEnded, RunStarted, TrialFinished

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

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("ray_nodes.py")), str(NODES)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        self.address = self._process.stdout.readline().strip()

    def kill(self, number: int) -> None:
        """End a node as a power cut would."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"kill {number}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "killed\n"

    def end(self) -> None:
        self._process.communicate(timeout=120)


@pytest.fixture(scope="module")
def nodes() -> Iterator[RayNodes]:
    pytest.importorskip("ray")
    found = RayNodes()
    yield found
    found.end()


@contextlib.contextmanager
def driver(folder: Path, address: str) -> Iterator[tuple[subprocess.Popen[bytes], Iterator[Event]]]:
    """The command, begun, and its events as they come."""
    command = [sys.executable, "-m", "taskpace", "run", "experiment.toml", "--ray", address]
    with subprocess.Popen(
        [*command, "-o", "run.db", "--progress", "json"], cwd=folder, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        yield process, (msgspec.json.decode(line, type=Event) for line in process.stdout)


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
                nodes.kill(0)
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
