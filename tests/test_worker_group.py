"""Several processes that share one endpoint's load: nothing lost, nothing twice, one clock."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import given, strategies as st
from tests.endpoint import MODEL, Endpoint, slowly

import taskpace
import taskpace.runner.events
from taskpace.engines.base import Sampling
from taskpace.experiment.prepare import prepare
from taskpace.machine.node import lost_node, of_lost_node
from taskpace.records import Failure
from taskpace.runner import worker_group
from taskpace.runner.session import never_sent
from taskpace.runner.worker_group import WorkerGroup, merge, share
from taskpace.runner.worker_process import NodeDiedError, WorkerDiedError
from taskpace.telemetry import ClientMetrics
from taskpace.worker.messages import (
    CellEnded,
    Closed,
    Dispatched,
    Finished,
    FromWorker,
    Job,
    RunCell,
    Stop,
    ToWorker,
)

SERVER = """
import http.server, json, sys
print("started", flush=True)

class Handler(http.server.BaseHTTPRequestHandler):
    def reply(self, kind, body):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.reply("application/json", json.dumps({"data": [{"id": "m"}]}).encode())

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        said = {"choices": [{"index": 0, "delta": {"content": "A"}, "finish_reason": "stop"}]}
        self.reply("text/event-stream", b"data: " + json.dumps(said).encode() + b"\\n\\ndata: [DONE]\\n\\n")

    def log_message(self, *_):
        pass

http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def job(number: int, due_ns: int | None = None) -> Job:
    return Job(
        trial_id=f"t{number}", attempt=1, phase="measured", system_prompt=None, prompts=("x",), max_tokens=1, stop=(),
        sampling=Sampling(), seed=0, due_ns=due_ns,
    )  # fmt: skip


@given(jobs=st.integers(1, 60), concurrency=st.integers(1, 40), count=st.integers(1, 9), open_loop=st.booleans())
def test_a_cell_is_shared_whole(jobs, concurrency, count, open_loop):
    """Every job is dealt once, in order; requests in flight add up; no process is idle; all begin at one moment."""
    dealt = [job(number, number * 10 if open_loop else None) for number in range(jobs)]
    cell = RunCell(concurrency=1 if open_loop else concurrency, one_at_a_time=False, timeout_s=1.0, jobs=dealt)
    parts = share(cell, count, 77)
    hands = [[int(one.trial_id[1:]) for one in part.jobs] for part in parts]
    assert sorted(number for hand in hands for number in hand) == list(range(jobs))
    assert all(hand and hand == sorted(hand) for hand in hands)
    assert len(parts) <= count
    assert {part.start_ns for part in parts} == {77}
    if not open_loop:
        assert sum(part.concurrency for part in parts) == concurrency
        assert all(part.concurrency >= 1 for part in parts)


def test_what_it_cost_is_the_sum_and_how_late_it_was_the_worst():
    """Processor time and memory of all, wall time of the longest, lag of the worst; unknown stays unknown."""
    zero = dict.fromkeys(ClientMetrics.__struct_fields__, 0) | {"processes": 1, "throttled_ns": None}
    one = ClientMetrics(**zero | {"client_cpu_ns": 5, "wall_ns": 10, "loop_lag_p99_ns": 3, "peak_rss_bytes": 100})
    two = ClientMetrics(**zero | {"client_cpu_ns": 7, "wall_ns": 8, "loop_lag_p99_ns": 4, "peak_rss_bytes": 50})
    both = merge([one, two])
    assert (both.client_cpu_ns, both.wall_ns, both.loop_lag_p99_ns, both.peak_rss_bytes) == (12, 10, 4, 150)
    assert both.processes == 2
    assert both.throttled_ns is None


class Scripted:
    """A worker that says what a test has it say."""

    takes_more = True

    def __init__(self) -> None:
        self.sent: list[ToWorker] = []
        self.says: list[FromWorker] = []
        self.death: WorkerDiedError | None = None

    def send(self, message: ToWorker) -> None:
        self.sent.append(message)

    def receive(self, timeout_s: float, gather_s: float = 0.0) -> list[FromWorker]:
        del timeout_s, gather_s
        said, self.says = self.says, []
        if not said and self.death is not None:
            raise self.death
        return said

    def end(self) -> None:
        """There is nothing to end."""


def begun(count: int) -> tuple[WorkerGroup, list[Scripted]]:
    """So many workers with a cell under way, a trial each."""
    workers = [Scripted() for _ in range(count)]
    group = WorkerGroup(workers)
    jobs = [job(number) for number in range(count)]
    group.send(RunCell(concurrency=count, one_at_a_time=False, timeout_s=1.0, jobs=jobs))
    for number, each in enumerate(workers):
        each.says = [Dispatched(trial_id=f"t{number}", attempt=1)]
    assert len(group.receive(0.0)) == count
    return group, workers


def finished(number: int) -> Finished:
    return never_sent(job(number), Failure(kind="engine", message=""))


def ended() -> CellEnded:
    return CellEnded(client=ClientMetrics(**dict.fromkeys(ClientMetrics.__struct_fields__, 0)))


def test_when_one_crashes_the_others_finish_what_they_have_in_flight():
    """They are stopped, what they say then counts, and the group crashes with the one's trials in flight alone."""
    group, workers = begun(3)
    workers[1].death = WorkerDiedError("it crashed")
    assert group.receive(0.0) == []
    assert [isinstance(each.sent[-1], Stop) for each in workers] == [True, False, True]
    workers[0].says = [finished(0), ended()]
    (said,) = group.receive(0.0)
    assert isinstance(said, Finished)
    workers[2].says = [ended()]
    with pytest.raises(WorkerDiedError, match="it crashed") as caught:
        group.receive(0.0)
    assert caught.value.lost == {("t1", 1)}


def test_nodes_that_are_lost_together_are_known_as_lost_nodes():
    """Two machines that end in one part of a load: what is recorded of the group is read as that, and as no crash."""
    group, workers = begun(3)
    workers[1].death, workers[2].death = NodeDiedError(lost_node(2)), NodeDiedError(lost_node(3))
    assert group.receive(0.0) == []
    workers[0].says = [ended()]
    with pytest.raises(NodeDiedError) as caught:
        group.receive(0.0)
    assert caught.value.lost == {("t1", 1), ("t2", 1)}
    assert str(caught.value) == "node 2 ended meanwhile; node 3 ended meanwhile"
    assert of_lost_node(str(caught.value))
    assert not of_lost_node("node 2 ended meanwhile; ended with status 1")


@pytest.mark.parametrize("gather_s", [0.0, 0.02])
def test_a_group_is_looked_at_no_more_often_than_its_records_are_gathered(monkeypatch, gather_s):
    """Each look wakes the run, which takes the processor from the workers: under load fifty a second are enough."""
    slept: list[float] = []
    monkeypatch.setattr(worker_group.time, "sleep", slept.append)
    now = iter(range(100))
    monkeypatch.setattr(worker_group.time, "monotonic", lambda: next(now) / 1000)
    group, _ = begun(2)
    assert group.receive(0.05, gather_s) == []
    assert max(slept) == max(0.005, gather_s)


def test_one_that_crashes_between_two_parts_costs_neither():
    """The next part is not begun, and nothing was in flight; one that was closed is not asked again."""
    group, workers = begun(2)
    for each in workers:
        each.says = [ended()]
    (said,) = group.receive(0.0)
    assert isinstance(said, CellEnded)
    workers[0].death = WorkerDiedError("it crashed")
    before = [len(each.sent) for each in workers]
    group.send(RunCell(concurrency=2, one_at_a_time=False, timeout_s=1.0, jobs=[job(7), job(8)]))
    assert [len(each.sent) for each in workers] == before
    with pytest.raises(WorkerDiedError) as caught:
        group.receive(0.0)
    assert caught.value.lost == frozenset()


def test_a_worker_that_was_closed_may_end():
    """One process of two ends sooner than the other has said that it is closed: no crash."""
    group, workers = begun(2)
    workers[0].says = [Closed()]
    assert group.receive(0.0) == []
    workers[0].death = WorkerDiedError("ended with status 0")
    assert group.receive(0.0) == []
    workers[1].says = [Closed()]
    assert group.receive(0.0) == [Closed()]


def of_two(scenario: str, items: int, *, model: str = MODEL, **options):
    return taskpace.quick_experiment(
        models=(model,), engine="openai", options=options, tasks=("mmlu-letter",), items=items, scenarios=(scenario,),
        processes=2,
    )  # fmt: skip


def test_two_processes_share_a_closed_loop(tmp_path):
    """All trials once, recorded as one worker's with one makespan; the server never has more in flight."""
    with Endpoint(slowly) as server:
        run = taskpace.run(of_two("concurrency=5", 40, url=server.url), tmp_path / "x.db")
    frame = run.frame()
    assert frame.height == 40
    assert frame["failure_kind"].null_count() == 40
    assert frame["worker"].n_unique() == 1
    spans = frame.select("dispatch_ns", "end_clock_ns").rows()
    most = max(sum(begin <= moment < end for begin, end in spans) for moment, _ in spans)
    assert 3 <= most <= 5
    assert run.summary().tables[0].rows[0].makespan_s is not None
    (client,) = run.store.query("SELECT client FROM segment")[1]
    assert '"processes":2' in client[0]


def test_two_processes_keep_one_schedule(tmp_path):
    """In an open loop the arrivals of both together are the plan's, to the nanosecond."""
    with Endpoint(slowly) as server:
        experiment = of_two("rate=60", 40, url=server.url)
        plan = prepare(experiment, Path())
        frame = taskpace.run(experiment, tmp_path / "x.db").frame()
    start = frame["dispatch_ns"].min()
    found = {trial: ns - start for trial, ns in frame.select("trial_id", "dispatch_ns").rows()}
    assert found == plan.arrivals_ns(plan.cells[0])


@pytest.mark.slow
def test_one_of_two_killed_costs_what_was_in_flight(tmp_path):
    """SIGKILL of one process: its trials in flight are errors, nothing is lost or recorded twice, the run completes."""
    finished: list[str] = []
    killed: list[int] = []

    def listen(said) -> None:
        if not isinstance(said, taskpace.runner.events.TrialFinished):
            return
        finished.append(said.trial_id)
        if len(finished) > 10 and not killed:
            children = Path(f"/proc/self/task/{os.getpid()}/children").read_text("ascii").split()
            named = {int(pid): Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children}
            killed.append(max(pid for pid, command in named.items() if b"taskpace.worker" in command))
            os.kill(killed[0], signal.SIGKILL)

    with Endpoint(slowly) as server:
        experiment = of_two("concurrency=4", 60, url=server.url)
        frame = taskpace.run(experiment, tmp_path / "x.db", on_event=listen).frame()
    assert killed
    assert frame.height == 60 == frame["trial_id"].n_unique()
    failed = frame.filter(outcome="error")
    assert set(failed["failure_kind"]) == {"worker-died"}
    # Two in flight in each process, and what had finished in the 20 ms for which records wait for each other.
    assert 1 <= failed.height <= 8


def test_both_join_the_server_that_one_has_started(tmp_path):
    """A server that taskpace starts is started once, by the first process; the second joins it."""
    (tmp_path / "server.py").write_text(SERVER, "utf-8")
    experiment = of_two("concurrency=4", 20, model="m", server=f"{sys.executable} {tmp_path / 'server.py'} {{port}}")
    frame = taskpace.run(experiment, tmp_path / "x.db").frame()
    assert frame["failure_kind"].null_count() == 20
    assert (tmp_path / "x.db.m.log").read_text("utf-8") == "started\n"
