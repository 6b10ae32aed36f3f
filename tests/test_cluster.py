"""One run on many machines: what is dealt out, that each trial is recorded once, and what a lost node costs."""

from __future__ import annotations

import os
import queue
import re
import socket
import sys
import threading
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from tests.fake_cluster import FakeCluster, FakeLink
from tests.in_process import StopAfter, instant
from tests.test_turns import planned

import taskpace
from taskpace.analysis.data.frame import last_attempts
from taskpace.analysis.data.nodes import crossing, with_nodes
from taskpace.analysis.table.nodes import node_findings
from taskpace.errors import ExperimentError, MissingExtraError
from taskpace.experiment.experiment import experiment_of
from taskpace.runner.cluster import fleet, node, ray as cluster_ray
from taskpace.runner.cluster.blocks import MOST_ROUNDS, Deck, check_plan
from taskpace.runner.cluster.driver import run_on_cluster
from taskpace.runner.cluster.messages import Unfit, decode_orders, decode_said, encode
from taskpace.runner.cluster.protocol import Member
from taskpace.runner.cluster.ray import _actor_class, _in_one_line, connect
from taskpace.runner.events import (
    Event,
    HeadBack,
    HeadSilent,
    NodeBack,
    NodeJoined,
    NodeLeftOut,
    NodeLost,
    NodeSilent,
    OrderChanged,
    TrialFinished,
)
from taskpace.runner.session import Part
from taskpace.store.store import Store
from taskpace.worker import worker


@pytest.fixture(autouse=True)
def _nothing_is_calibrated(monkeypatch):
    """Calibration takes real time, once for each worker; nor is a cluster looked at once a second alone."""
    monkeypatch.setattr(worker, "calibrate", instant)
    monkeypatch.setattr(fleet, "_LOOK_EVERY_S", 0.0)


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


@pytest.mark.slow
@given(seed=st.integers(0, 2**32), nodes=st.integers(2, 4), deaths=st.sampled_from([0.05, 0.2, 0.4]))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nodes_that_are_lost_cost_their_trials_in_flight_and_no_other(tmp_path_factory, seed, nodes, deaths):
    """Whenever nodes end: every planned trial has one final record; an error says so; all else was asked again."""
    events: list[Any] = []
    plan = planned(("one", "two"), items=20)
    path = tmp_path_factory.mktemp("lost") / "run.db"
    cluster = FakeCluster(nodes, deaths=deaths, seed=seed)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(fleet, "_DEATHS_IN_A_ROW", 1000)  # that is another test's
        ended, frame = carry_out(plan, path, cluster, on_event=events.append)
    assert ended.done == ended.planned == frame.height == frame["trial_id"].n_unique() == 40
    lost = [event for event in events if isinstance(event, NodeLost)]
    errors = frame.filter(frame["outcome"] == "error")
    assert errors.height == sum(event.lost for event in lost) <= len(lost)
    assert set(errors["failure_kind"]) <= {"node-lost"}


def test_a_machine_on_which_every_node_ends_is_left_out(tmp_path):
    """After three nodes that ended without a record it gets no more; the others carry all out."""

    class OneBad(FakeCluster):
        def start(self, member, setup):
            link = super().start(member, setup)
            link.dying = member.id == "machine-1"
            return link

    events: list[Any] = []
    ended, _ = carry_out(planned(("one",), items=40), tmp_path / "run.db", OneBad(2), on_event=events.append)
    assert ended.done == 40
    assert [event.node for event in events if isinstance(event, NodeLost)] == [1, 1, 1]


def test_two_nodes_of_one_machine_are_told_of(tmp_path):
    """Where Ray was started twice on a machine: the second node that is ready there names the first."""
    cluster = FakeCluster(3)
    cluster.there[2] = cluster.there[2]._replace(address="10.0.0.1")
    events: list[Event] = []
    carry_out(planned(("one",), items=20), tmp_path / "run.db", cluster, on_event=events.append)
    joined = {event.node: event.beside for event in events if isinstance(event, NodeJoined)}
    assert joined in ({1: None, 2: None, 3: 1}, {1: 3, 2: None, 3: None})


class OneSilent(FakeCluster):
    """Two machines, and a clock: each look at answers takes half a second. Once the first machine is given blocks, or
    from the begin, it does not answer for so many looks; then it does again, or is gone.
    """

    def __init__(self, looks: int, *, gone: bool = False, from_the_begin: bool = False) -> None:
        super().__init__(2)
        self.now_s = 0.0
        self._looks, self._gone, self._silent = looks, gone, from_the_begin
        self._withheld: list[FakeLink] = []

    def monotonic(self) -> float:
        return self.now_s

    def answers(self, timeout_s):
        self.now_s += 0.5
        first = [link for link in self.asked if link.member.id == "machine-1"]
        self._silent = self._silent or any(decode_orders(link.order).blocks for link in first)
        if self._silent and self._looks:
            self._looks -= 1
            self._withheld += first
            self.asked = [link for link in self.asked if link not in first]
        elif self._withheld:
            (link,), self._withheld = self._withheld, []
            link.dying = self._gone
            self.asked.append(link)
        return super().answers(timeout_s)


def silences(monkeypatch: pytest.MonkeyPatch, path: Path, cluster: OneSilent) -> list[Event]:
    """What is told of nodes in a run, from the first silence on; each trial is recorded once."""
    events: list[Event] = []
    monkeypatch.setattr(fleet, "time", cluster)
    ended, frame = carry_out(planned(("one", "two"), items=60), path, cluster, on_event=events.append)
    assert ended.done == frame.height == frame["trial_id"].n_unique() == 120
    told = [event for event in events if isinstance(event, NodeSilent | NodeBack | NodeLost)]
    assert {event.node for event in told} <= {1}
    return told


def test_a_node_that_does_not_answer_is_told_of_at_growing_intervals(tmp_path, monkeypatch):
    """After 5, 10, 20 s and so on, and once when it answers again; of the other node, which answers, nothing."""
    *silent, back = silences(monkeypatch, tmp_path / "run.db", OneSilent(looks=60))
    assert [event.silent_s for event in silent if isinstance(event, NodeSilent) and event.started] == [5.5, 10.5, 20.5]
    assert isinstance(back, NodeBack)
    assert 30 <= back.silent_s <= 31


def test_a_node_that_is_lost_after_a_silence_is_not_back(tmp_path, monkeypatch):
    """First that it does not answer, then that it ended."""
    told = silences(monkeypatch, tmp_path / "run.db", OneSilent(looks=30, gone=True))
    assert [type(event) for event in told] == [NodeSilent, NodeSilent, NodeLost]


def test_a_node_that_never_starts_is_told_of_later(tmp_path, monkeypatch):
    """As it may be that its machine's resources are taken: after 20 s, with the event that says so."""
    silent, back = silences(monkeypatch, tmp_path / "run.db", OneSilent(looks=60, from_the_begin=True))
    assert isinstance(silent, NodeSilent)
    assert not silent.started
    assert 20 <= silent.silent_s <= 21
    assert isinstance(back, NodeBack)


def test_a_head_that_does_not_answer_is_told_of_and_nodes_go_on(tmp_path, monkeypatch):
    """After 5, 10, 20 s and so on, and when it is back; meanwhile no node is started on what may not be there."""

    class Headless(OneSilent):
        def listed(self) -> bool:
            return not 8 < self.now_s <= 40

        def answers(self, timeout_s):
            if self.now_s == 8.5:
                self.there.append(Member("machine-3", "10.0.0.3"))
            return super().answers(timeout_s)

        def start(self, member, setup):
            assert self.listed()
            return super().start(member, setup)

    events: list[Event] = []
    cluster = Headless(looks=90)
    monkeypatch.setattr(fleet, "time", cluster)
    ended, frame = carry_out(planned(("one", "two"), items=60), tmp_path / "run.db", cluster, on_event=events.append)
    assert ended.done == frame.height == 120
    told = [(type(event), event.silent_s) for event in events if isinstance(event, HeadSilent | HeadBack)]
    assert told == [(HeadSilent, 5.0), (HeadSilent, 10.0), (HeadSilent, 20.0), (HeadBack, 32.5)]


class HeadGone(OneSilent):
    """From the eighth second on the head does not answer any more."""

    def listed(self) -> bool:
        return self.now_s <= 8


def test_without_a_head_the_driver_gives_silent_nodes_up_itself(tmp_path, monkeypatch):
    """Ray cannot do it then: after 90 s without an answer a node is lost, and the other asks the rest."""
    told = silences(monkeypatch, tmp_path / "run.db", HeadGone(looks=10**6))
    assert [type(event) for event in told] == [*[NodeSilent] * 5, NodeLost]
    assert isinstance(told[-1], NodeLost)
    assert told[-1].reason == "it did not answer, nor did the head of the cluster"
    assert told[-1].lost <= 1


def test_without_a_head_and_without_a_node_the_run_ends_and_goes_on_later(tmp_path, monkeypatch):
    """Said in one line, after 90 s in which the head might have come back; the same run goes on on another cluster, and
    each planned trial has one record.
    """

    class NodesGone(HeadGone):
        def answers(self, timeout_s):
            for link in self.asked if self.now_s > 10 else ():
                link.dying = True
            return super().answers(timeout_s)

    plan, cluster = planned(("one", "two"), items=60), NodesGone(looks=0)
    with monkeypatch.context() as patched:
        patched.setattr(fleet, "time", cluster)
        said = "(the last one: the machine is gone), and the head of the cluster does not answer: see `ray status`"
        with pytest.raises(ExperimentError, match=re.escape(said)):
            carry_out(plan, tmp_path / "run.db", cluster)
    assert 98 <= cluster.now_s <= 100
    with taskpace.open(tmp_path / "run.db") as run:
        before = set(run.frame()["trial_id"])
    ended, frame = carry_out(plan, tmp_path / "run.db", FakeCluster(2))
    assert 0 < len(before) < ended.done == frame.height == frame["trial_id"].n_unique() == 120
    assert before <= set(frame["trial_id"])


def test_a_head_that_was_started_again_is_not_asked_for_its_machines():
    """Ray would end this process with a stack: what is asked first leads to one line with what to do. One that does not
    answer is asked again, and one that does has its machines.
    """

    class RpcError(Exception):
        pass

    class AuthenticationError(Exception):
        pass

    asked = []

    def check_alive(nodes: list[bytes], timeout: float) -> None:
        asked.append((nodes, timeout))
        if error is not None:
            raise error

    head = SimpleNamespace(global_worker=SimpleNamespace(gcs_client=SimpleNamespace(check_alive=check_alive)))
    cluster = object.__new__(cluster_ray.RayCluster)
    cluster._ray = SimpleNamespace(
        exceptions=SimpleNamespace(RpcError=RpcError, AuthenticationError=AuthenticationError),
        nodes=lambda: [{"NodeID": "a"}],
        _private=SimpleNamespace(worker=head),
    )
    error: Exception | None = None
    assert cluster._machines() == [{"NodeID": "a"}]
    cluster._ray.nodes = pytest.fail
    error = RpcError("timed out")
    assert cluster._machines() is None
    error = AuthenticationError("WrongClusterID")
    with pytest.raises(ExperimentError, match="the head of the cluster was started again and knows none of its nodes"):
        cluster._machines()
    assert len(asked) == 3


def test_the_driver_has_ray_let_it_live_without_a_head_for_a_day(monkeypatch):
    """By Ray's own variable, which holds for nodes, too; a value that somebody has given it is kept."""
    pytest.importorskip("ray", reason="the fast jobs of CI go without the extra ray")
    name = "RAY_gcs_rpc_server_reconnect_timeout_s"
    monkeypatch.setenv(name, "")
    monkeypatch.delenv(name)
    for value in ("86400", "77"):
        with pytest.raises(ExperimentError), connect("127.0.0.1:1", {}):
            pass
        assert os.environ[name] == value
        monkeypatch.setenv(name, "77")


def test_the_list_of_machines_is_not_waited_for(monkeypatch):
    """While the head does not answer the machines are those that were known, and it is asked again; then the new ones;
    a failure is raised.
    """
    monkeypatch.setattr(cluster_ray, "_LIST_S", 0.0)
    monkeypatch.setattr(cluster_ray, "_AGAIN_S", 0.0)
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def nodes() -> list[dict[str, Any]] | None:
        if isinstance(answer := answers.get(), Exception):
            raise answer
        return answer

    answers.put([{"NodeID": "a"}])
    listing = cluster_ray.Listing(nodes)
    assert listing.listed()
    assert listing.get() == listing.get() == [{"NodeID": "a"}]
    assert not listing.listed()
    answers.put(None)
    answers.put([{"NodeID": "b"}])
    while not listing.listed():
        pass
    assert listing.get() == [{"NodeID": "b"}]
    answers.put(ConnectionError("gone"))
    with pytest.raises(ConnectionError, match="gone"):
        any(iter(listing.listed, True))


def test_a_driver_that_stood_still_has_missed_no_answers(tmp_path, monkeypatch):
    """A node that answers when it is looked at was not silent in the hour in which the driver itself did not run."""

    class Asleep(OneSilent):
        def answers(self, timeout_s):
            self.now_s += 3600.0
            return super().answers(timeout_s)

    assert silences(monkeypatch, tmp_path / "run.db", Asleep(looks=3)) == []


def test_a_stopped_run_goes_on_where_it_was(tmp_path):
    """A stop ends all nodes, and what is recorded is not asked again, on whatever nodes there are then."""
    plan = planned(("one", "two"), items=20)
    stop = StopAfter(7)
    ended, before = carry_out(plan, tmp_path / "run.db", FakeCluster(2), on_event=stop, stop=stop)
    assert ended.interrupted
    assert 7 <= ended.done == before.height < 40
    ended, frame = carry_out(plan, tmp_path / "run.db", FakeCluster(3))
    assert ended.done == frame.height == frame["trial_id"].n_unique() == 40
    assert set(before["trial_id"]) <= set(frame["trial_id"])


def test_a_system_that_cannot_be_used_holds_nobody_up(tmp_path):
    """One whose engine crashes each time is given up everywhere; the others are asked all their items."""
    options = {"time": "virtual", "faults": [{"kind": "error", "rate": 1.0}]}
    systems = [
        {"name": "one", "engine": "simulated", "model": "one", "options": {"time": "virtual"}},
        {"name": "two", "engine": "simulated", "model": "two", "options": options},
    ]
    ended, frame = carry_out(planned(system=systems, items=12), tmp_path / "run.db", FakeCluster(2))
    assert ended.done == 24
    assert set(frame.filter(pl.col("system") == "two")["outcome"]) == {"error"}


def test_a_system_that_is_alone_is_dealt_out_trial_by_trial(tmp_path):
    """Without others to take turns with, its items are shared among the nodes all the same."""
    ended, frame = carry_out(planned(("one",), items=20), tmp_path / "run.db", FakeCluster(2))
    assert ended.done == frame["trial_id"].n_unique() == 20
    assert frame["session"].n_unique() == 2


@given(rounds=st.integers(0, 200), nodes=st.integers(1, 50))
@settings(max_examples=20)
def test_blocks_have_every_round_once_and_grow_smaller(rounds, nodes):
    """Whatever the number of nodes: all rounds in their order, in blocks that never grow."""
    plan = planned(("one",), items=1)
    (cell,) = plan.cells
    deck = Deck(plan, [(Part(cell, plan.trials(cell), number, 1),) for number in range(rounds)])
    dealt = []
    while len(deck):
        dealt.append(deck.deal(nodes, {}, lambda _part: True)[1])
    assert [unit[0].round for block in dealt for unit in block] == list(range(rounds))
    sizes = [len(block) for block in dealt]
    assert sizes == sorted(sizes, reverse=True)
    assert max(sizes, default=1) <= MOST_ROUNDS


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"scenarios": ["concurrency=4"]}, '"one" runs in process (simulated)'),
        ({"scenarios": ["rate=2"]}, 'scenario "rate=2": several machines can share a load on an endpoint'),
        ({"scenarios": ["batch=2"]}, 'scenario "batch=2": static batches are carried out on one machine'),
        ({"until": "decided"}, "leave one of --until and --ray out"),
        ({"order": "sequential"}, 'take order = "turns"'),
    ],
)
def test_what_cannot_be_dealt_out_is_refused(changed, said):
    """Loads on what runs in process, static batches, ends that depend on all, and orders without pairs: in one line."""
    systems = [{"name": name, "engine": "transformers", "model": name} for name in ("one", "two")]
    table = {"tasks": ["mmlu-letter"], "system": systems} | changed
    experiment = experiment_of(table, "test", default_name="test")
    plan = msgspec.structs.replace(planned(), experiment=experiment)
    with pytest.raises(ExperimentError, match=re.escape(said)):
        check_plan(plan)


@pytest.mark.parametrize(
    ("sha256", "there", "said"),
    [
        ("0" * 64, None, "there is no {path} on it: copy it there"),
        (None, None, "there is no {path} on it: copy it there"),
        ("0" * 64, b"another", "{path} is not the file that the driver has: copy it from there"),
    ],
)
def test_a_node_that_lacks_a_file_ends_the_run_before_it_begins(tmp_path, sha256, there, said):
    """The driver's machine has the model, and the node has none, or another one under its path: which node, which
    system, which file and what to do, in one line, and nothing was asked. A folder is known by its path alone.
    """
    path = tmp_path / "one.bin"
    if there is not None:
        path.write_bytes(there)
    plan = planned(("one",), items=3)
    (system,) = plan.systems
    spec = msgspec.structs.replace(system.spec, model=str(path))
    system = msgspec.structs.replace(system, spec=spec, sha256=sha256, path=str(path))
    plan = msgspec.structs.replace(plan, systems=(system,))
    said = f'--ray: node 1 (10.0.0.1): system "one": {said.format(path=path)}'
    with pytest.raises(ExperimentError, match=re.escape(said)) as caught:
        carry_out(plan, tmp_path / "run.db", FakeCluster(1))
    assert "\n" not in str(caught.value)
    with taskpace.open(tmp_path / "run.db") as run:
        assert run.frame().height == 0


def test_a_machine_that_joins_and_lacks_something_is_left_out(tmp_path):
    """Once trials were asked a node that cannot take part ends no run: it is told of once, with why, and is asked
    nothing; its machine gets no other.
    """

    class Joining(FakeCluster):
        def start(self, member, setup):
            link = super().start(member, setup)
            if member.id == "machine-2":
                link.answer = lambda *_: encode([Unfit("there is no one.gguf on it")])
            return link

    cluster, events = Joining(1), []

    def listen(event: Event) -> None:
        events.append(event)
        if sum(isinstance(each, TrialFinished) for each in events) == 5 and len(cluster.there) == 1:
            cluster.there.append(Member("machine-2", "10.0.0.2"))

    ended, frame = carry_out(planned(("one",), items=60), tmp_path / "run.db", cluster, on_event=listen)
    assert ended.done == frame.height == 60
    (left_out,) = [event for event in events if isinstance(event, NodeLeftOut | NodeLost)]
    assert left_out == NodeLeftOut(node=2, address="10.0.0.2", reason="there is no one.gguf on it")
    assert cluster.started == 2


def test_no_node_with_what_is_asked_for_is_said_in_one_line(tmp_path):
    """A cluster without a machine that has the resources ends the run with where to look."""
    with pytest.raises(ExperimentError, match="no machine of the cluster has CPU = 1"):
        carry_out(planned(), tmp_path / "run.db", FakeCluster(0))


def test_resources_are_the_most_that_a_system_needs():
    """Systems take turns on one node, so that it reserves the greatest of each resource, not their sum."""
    systems = [
        {"name": "one", "engine": "simulated", "resources": {"GPU": 1, "CPU": 2}},
        {"name": "two", "engine": "simulated", "resources": {"GPU": 2}},
    ]
    experiment = experiment_of({"system": systems, "resources": {"disk": 0.5}}, "test", default_name="test")
    assert experiment.resources == {"GPU": 2.0, "CPU": 2.0, "disk": 0.5}
    with pytest.raises(ExperimentError, match=re.escape('key "resources": GPU = 1.5 cannot be reserved')):
        experiment_of({"system": systems, "resources": {"GPU": 1.5}}, "test", default_name="test")


def test_without_ray_the_command_that_installs_it_is_named(monkeypatch):
    """The extra by its name, and its library for this interpreter, ready to be pasted."""
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"\(extra ray\): run `.* -m pip install '?ray"), connect("auto", {}):
        pass


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere", "ray://127.0.0.1:1"])
def test_where_no_cluster_is_the_address_is_named(address):
    """Where no program listens, or the address is invalid: one line that says what to start, or what to write."""
    pytest.importorskip("ray", reason="the fast jobs of CI go without the extra ray")
    with pytest.raises(ExperimentError, match=re.escape(address)) as caught, connect(address, {}):
        pass
    assert re.search(r"`ray start --head|write HOST:PORT", str(caught.value))
    assert "\n" not in str(caught.value)


def _answers_once(listener: socket.socket, answer: bytes) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(4096)
        connection.sendall(answer)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_a_port_of_another_program_is_no_cluster(answer):
    """A port that is open and not a head's is refused at once: Ray itself would try it without end."""
    pytest.importorskip("ray", reason="the fast jobs of CI go without the extra ray")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_answers_once, args=(listener, answer))
        thread.start()
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        with (
            pytest.raises(ExperimentError, match=f"{address} \\(another program has this port\\)"),
            connect(address, {}),
        ):
            pass
        thread.join()


def test_why_a_node_ended_is_one_line_without_numbers_of_ray():
    """What Ray 2.60 said of nodes that were killed, without what a reader cannot use."""
    unavailable = (
        "The actor 3565279a4741dd9e656de82b02000000 is unavailable: The actor is temporarily unavailable: RpcError: "
        "RPC error: Socket closed rpc_code: 14. The task may or may not have been executed on the actor."
    )
    assert _in_one_line(Exception(unavailable)) == (
        "The actor is temporarily unavailable: RpcError: RPC error: Socket closed"
    )
    gone = (
        "The actor died.\n\tclass_name: Actor\n\tactor_id: 32c051\nIts node has died. Node Id: bb2d1c77 the actor's "
        "node was terminated"
    )
    assert _in_one_line(Exception(gone)) == "The actor died. Its node has died. the actor's node was terminated"
    without_driver = (
        "The actor died unexpectedly before finishing this task. The actor is dead because its owner has died. Owner "
        "Id: 01000000ffff Owner Ip address: 10.0.0.2 Owner worker exit type: SYSTEM_ERROR Worker exit detail: Owner's "
        "node has crashed."
    )
    assert _in_one_line(Exception(without_driver)) == (
        "The actor died unexpectedly before finishing this task. The actor is dead because its owner has died. Owner's "
        "node has crashed."
    )


def test_a_node_with_another_taskpace_says_so_before_it_reads_anything():
    """Both versions and what to install there, from a class that needs nothing of the node's own taskpace."""
    (said,) = decode_said(_actor_class()(b"no plan", "9.9", bounded=False).exchange(b"no orders"))
    assert isinstance(said, Unfit)
    assert said.problem.startswith(
        f"taskpace is {taskpace.__version__} there, and 9.9 here: run `pip install .` there, in a clone of 9.9"
    )


def test_systems_that_cannot_be_open_at_once_alternate_in_blocks(tmp_path, monkeypatch):
    """One node that has no room for all is enough: all nodes open one system at a time, five items in a row."""
    monkeypatch.setattr(node, "why_not_together", lambda _plan: "there is no room")
    events: list[Any] = []
    ended, frame = carry_out(planned(items=20), tmp_path / "run.db", FakeCluster(2), on_event=events.append)
    assert ended.done == 60
    assert [event.reason for event in events if isinstance(event, OrderChanged)] == ["there is no room"]
    assert set(frame.group_by("system", "round").len()["len"]) == {5}


# -- analysis ------------------------------------------------------------------------------------------------------


def test_a_round_on_two_nodes_gives_no_pair_across_them():
    """Of five systems, three of which one node asked: those three stay; of two, none is left to compare."""
    nan = np.nan
    session = np.array([[[1.0], [1.0], [2.0]], [[1.0], [2.0], [2.0]], [[1.0], [1.0], [nan]]])
    assert crossing(session)[:, :, 0].tolist() == [[False] * 3, [False, True, False], [False] * 3]


def test_what_a_slower_node_takes_is_estimated(tmp_path):
    """A node on which everything takes twice as long shows as such, with its interval; equal nodes do, too."""
    plan = planned(("one", "two"), items=60)
    carry_out(plan, tmp_path / "run.db", FakeCluster(2))
    with taskpace.open(tmp_path / "run.db") as run:
        store = run.store
        trials = with_nodes(last_attempts(run.frame()), store)
        summary = run.summary(resamples=0)
    assert set(trials["node"]) == {1, 2}
    assert [finding.code for finding in summary.tables[0].findings].count("nodes") == 1
    rng = np.random.default_rng(0)
    noise = pl.Series(rng.lognormal(0, 0.05, trials.height))
    slower = pl.when(pl.col("node") == 2).then(2.0).otherwise(1.0)
    (finding,) = node_findings(trials.with_columns(tpot_s=pl.col("tpot_s") * noise * slower), crossed=0)
    ratio = finding.evidence["ratio of node 2"]
    assert ratio == pytest.approx(2.0, rel=0.05)  # which node has which items is not the same each time
    assert f"node 2 takes {ratio:.2f} times as long per token as the others" in finding.text
    (finding,) = node_findings(trials.with_columns(tpot_s=pl.col("tpot_s") * noise), crossed=2)
    assert "no difference is known" in finding.text
    assert "2 answers of rounds that a lost node left" in finding.text
