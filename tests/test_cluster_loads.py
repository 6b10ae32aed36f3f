"""Loads that several nodes share: one schedule, clocks that are reconciled, one makespan, each trial recorded once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st
from tests.endpoint import MODEL, Endpoint, slowly
from tests.fake_cluster import ClockedCluster
from tests.in_process import instant

import taskpace
from taskpace.errors import ExperimentError
from taskpace.experiment.plan import Plan
from taskpace.experiment.prepare import prepare
from taskpace.machine.offset import OtherClock, RoundTrip, over
from taskpace.report.words.client import client_sentence
from taskpace.runner.cluster import fleet, loads
from taskpace.runner.cluster.blocks import check_plan
from taskpace.runner.cluster.driver import run_on_cluster
from taskpace.runner.cluster.loads import check_addresses
from taskpace.runner.events import Event, NodeLost, TrialFinished, WorkerDied
from taskpace.store import queries
from taskpace.store.store import Store
from taskpace.telemetry import ClientMetrics, ClockOffset
from taskpace.worker import worker

SECOND = 10**9
AHEAD_NS = (0, 7 * SECOND, -3600 * SECOND)
DAY_NS = 86_400 * SECOND


# -- another machine's clock ---------------------------------------------------------------------------------------


@given(
    ahead_ns=st.integers(-(10**16), 10**16),
    drift=st.floats(-450e-6, 450e-6),
    trips=st.lists(
        st.tuples(*(st.integers(0, longest) for longest in (SECOND, 10**8, SECOND, 10**8))), min_size=1, max_size=80
    ),
    later_ns=st.integers(0, SECOND),
)
def test_an_offset_is_within_its_error(ahead_ns, drift, trips, later_ns):
    """However unequal the ways there and back, and while the clocks drift apart: the true offset is never outside."""

    def there(ns: int) -> int:
        return ns + ahead_ns + round(drift * ns)

    clock, now_ns = OtherClock(), DAY_NS
    for pause_ns, out_ns, held_ns, back_ns in trips:
        sent_ns = now_ns + pause_ns
        received_ns, answered_ns = sent_ns + out_ns, sent_ns + out_ns + held_ns
        now_ns = answered_ns + back_ns
        clock.see(RoundTrip(sent_ns, there(received_ns), there(answered_ns), now_ns))
    now_ns += later_ns
    found = clock.offset(now_ns)
    assert abs(found.offset_ns - (there(now_ns) - now_ns)) <= found.error_ns + 2  # that which was rounded
    # No worse than the last one alone.
    _, out_ns, held_ns, back_ns = trips[-1]
    age_ns = out_ns + held_ns + back_ns + later_ns
    assert found.error_ns <= (out_ns + back_ns) / 2 + 1e-3 * age_ns + 2
    assert 1 <= clock.round_trips <= 64


def test_a_clock_that_has_jumped_is_known_by_what_came_after():
    """Round trips from before the other machine was suspended contradict later ones, and count no more."""
    clock = OtherClock()
    for number in range(10):
        sent_ns = number * SECOND // 100
        ahead_ns = 0 if number < 8 else -5 * SECOND
        clock.see(RoundTrip(sent_ns, sent_ns + ahead_ns + 500, sent_ns + ahead_ns + 600, sent_ns + 1100))
    found = clock.offset(SECOND // 10)
    assert abs(found.offset_ns + 5 * SECOND) <= found.error_ns < 50_000


def test_what_was_used_over_a_while_may_be_off_by_what_the_clock_drifted():
    """The error of a part's times allows for where the clock was at its end; where it stood still that of the begin."""
    used = ClockOffset(offset_ns=1000, error_ns=300)
    assert over(used, ClockOffset(offset_ns=1000, error_ns=100)) == used
    assert over(used, ClockOffset(offset_ns=400, error_ns=100)) == ClockOffset(offset_ns=1000, error_ns=700)


# -- a load on three nodes -----------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _without_waiting(monkeypatch):
    """Nothing is calibrated, which takes real time, and nodes are asked more often."""
    monkeypatch.setattr(worker, "calibrate", instant)
    monkeypatch.setattr(fleet, "_LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(loads, "_WAIT_S", 0.01)


def planned(url: str, items: int, *scenarios: str, **options: Any) -> Plan:
    experiment = taskpace.quick_experiment(
        models=(MODEL,), engine="openai", options={"url": url} | options, tasks=("mmlu-letter",), items=items,
        scenarios=scenarios,
    )  # fmt: skip
    return prepare(experiment, Path())


def carry_out(plan: Plan, path: Path, cluster: ClockedCluster, **settings: Any) -> Any:
    """The run that was carried out, and how it ended."""
    check_plan(plan)
    with Store.create_or_continue(path, plan, "0") as store:
        ended = run_on_cluster(plan, store, cluster, base=Path(), **settings)
    return taskpace.open(path), ended


def test_nodes_keep_one_schedule_whatever_their_clocks_say(tmp_path):
    """Arrivals of all nodes together are the plan's, to the nanosecond, on the driver's clock; so there is one
    makespan; what is asked one at a time is dealt out before that.
    """
    with Endpoint(slowly) as server:
        plan = planned(server.url, 36, "rate=60", "single")
        run, ended = carry_out(plan, tmp_path / "run.db", ClockedCluster(*AHEAD_NS))
        assert len(server.asked) >= 72
    with run:
        assert (ended.done, ended.planned, ended.given_up) == (72, 72, ())
        frame = run.frame()
        assert frame.height == frame["trial_id"].n_unique() == 72
        assert frame["failure_kind"].null_count() == 72
        load = frame.filter(scenario="rate=60")
        start_ns = load["dispatch_ns"].min()
        found = {trial: ns - start_ns for trial, ns in load.select("trial_id", "dispatch_ns").rows()}
        assert found == next(due for cell in plan.cells if (due := plan.arrivals_ns(cell)))
        assert (load["machine_ns"] == load["dispatch_ns"]).all()
        assert load["worker"].n_unique() == 1
        hosts = [msgspec.json.decode(session.host) for session in queries.sessions(run.store)]
        # The driver's session, three nodes' that dealt with blocks, and three that shared the load.
        assert [host.get("node") for host in hosts[:4]] == [None, 1, 2, 3]
        assert sorted(host["node"] for host in hosts[4:]) == [1, 2, 3]
        for host in hosts[4:]:
            clock = msgspec.convert(host["clock"], ClockOffset)
            assert abs(clock.offset_ns - AHEAD_NS[host["node"] - 1]) <= clock.error_ns
        (cell,) = [cell.id for cell in plan.cells if cell.scenario.rate]
        segments = [each for each in queries.segments(run.store) if each.cell_id == cell]
        clients = [msgspec.json.decode(each.client, type=ClientMetrics) for each in segments]
        assert sorted(client.node or 0 for client in clients) == [1, 2, 3]
        for client in clients:
            assert client.clock is not None
            assert abs(client.clock.offset_ns - AHEAD_NS[(client.node or 0) - 1]) <= client.clock.error_ns
        summary = run.summary(resamples=0)
    row = next(table.rows[0] for table in summary.tables if table.scenario == "rate=60")
    assert "the clocks of 3 nodes that shared a load aligned to within" in client_sentence(summary)
    assert row.client.nodes == 3
    assert row.client.clocks_apart_s is not None
    # How busy this machine is now decides how well its clocks are known, and so whether the makespan is.
    assert (row.makespan_s is None) == ("clocks" in {reason.code for reason in row.reasons})


@pytest.mark.parametrize(("scenario", "invalid"), [("concurrency=6", "makespan"), ("rate=60", "result")])
def test_a_node_that_is_lost_costs_what_it_had_in_flight(tmp_path, scenario, invalid):
    """Its trials in flight are errors and no other's; the rest is asked once, by the other nodes, in a second part
    that the cell's numbers allow for: no makespan, and no open loop. It is told of once, however late the cluster
    notices that its machine is gone.
    """
    cluster = ClockedCluster(*AHEAD_NS)
    events: list[Event] = []

    def listen(said: Event) -> None:
        events.append(said)
        if sum(isinstance(each, TrialFinished) for each in events) == 12 and cluster.gone is None:
            cluster.gone = cluster.there[-1]
            cluster.links[-1].dying = True

    with Endpoint(slowly) as server:
        plan = planned(server.url, 48, scenario)
        run, ended = carry_out(plan, tmp_path / "run.db", cluster, on_event=listen)
    with run:
        frame, table = run.frame(), run.summary(resamples=0).tables[0]
    assert ended.done == ended.planned == frame.height == frame["trial_id"].n_unique() == 48
    (lost,) = [said for said in events if isinstance(said, NodeLost)]
    (died,) = [said for said in events if isinstance(said, WorkerDied)]
    assert (lost.node, died.reason) == (3, "node 3 ended meanwhile")
    assert len(cluster.links) == 4
    assert len(cluster.there) == 2
    errors = frame.filter(outcome="error")
    assert set(errors["failure_kind"]) <= {"node-lost"}
    assert errors.height == died.lost
    if scenario.startswith("concurrency"):
        assert errors.height <= 2
    assert frame["worker"].n_unique() == 2
    assert table.rows[0].makespan_s is None
    (resumed,) = [reason for reason in table.rows[0].reasons if reason.code == "resumed"]
    assert resumed.invalidates == invalid
    assert resumed.text.startswith("a node was lost and others asked the rest, so the ")


def test_an_endpoint_that_each_node_has_for_itself_is_refused():
    """A loopback address is another server on each machine: which system, and what to give; one machine has one."""
    plan = planned("http://localhost:8000/v1", 1, "rate=2")
    check_addresses(plan, {"10.0.0.1"})
    check_addresses(plan, {"127.0.0.1", "127.0.0.2"})
    with pytest.raises(ExperimentError, match='system "tiny": "localhost" is another machine on each of 2 nodes'):
        check_addresses(plan, {"10.0.0.1", "10.0.0.2"})


def test_a_server_that_a_system_starts_cannot_be_shared():
    """It would listen on one machine's loopback: start it by hand."""
    plan = planned("", 1, "rate=2", server="serve {port}")
    with pytest.raises(ExperimentError, match="start it yourself, and give its url in place of server"):
        check_plan(plan)
