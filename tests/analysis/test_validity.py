"""What makes a result INVALID, each at its threshold, with its reason and its remedy."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest

from taskpace.analysis.data.cells import CellPlan
from taskpace.analysis.data.columns import Trials, Whole
from taskpace.analysis.data.makespan import makespan_s
from taskpace.analysis.schema.summary import Reason
from taskpace.analysis.stats import significance
from taskpace.analysis.table.validity import ask, reasons_against
from taskpace.experiment.scenario import Scenario
from taskpace.report.words.sentences import sentences
from taskpace.telemetry import ClientMetrics, ClockOffset


def segment(**changes: int) -> ClientMetrics:
    sound = dict.fromkeys(ClientMetrics.__struct_fields__, 0) | {"wall_ns": 10**10, "cpu_ticks": 1000, "processes": 1}
    return ClientMetrics(**sound | changes)


def cell(planned: int, *segments: ClientMetrics, **changes: Any) -> CellPlan:
    defaults: dict[str, Any] = {"system": "s", "task": "t", "scenario": Scenario(), "graded": True}
    return CellPlan(planned=planned, segments=segments, **defaults | changes)


def against(trials, *, planned: int | None = None, segments=()) -> dict[str, Reason]:
    found = reasons_against(Trials(trials), cell(trials.height if planned is None else planned, *segments))
    return {reason.code: reason for reason in found}


def test_nothing_speaks_against_a_clean_cell(trials_of):
    """Forty sound trials are VALID."""
    assert against(trials_of(), segments=(segment(),)) == {}


@pytest.mark.parametrize(
    ("code", "sound", "bad"),
    [
        ("truncated", {"outcome": "wrong"}, {"outcome": ["truncated"] + ["wrong"] * 99}),
        ("timeouts", {"outcome": "wrong"}, {"outcome": ["timeout"] + ["wrong"] * 99}),
        ("errors", {}, {"outcome": ["error"] + ["correct"] * 99}),
        ("client-lag", {"loop_lag_s": [0.04] * 100}, {"loop_lag_s": [0.0] * 85 + [0.06] * 15}),
        ("send-delay", {"send_delay_s": [0.0] * 95 + [9.0] * 5}, {"send_delay_s": 0.06}),
        ("drift", {"tpot_s": list(np.linspace(0.01, 0.0105, 100))}, {"tpot_s": list(np.linspace(0.01, 0.013, 100))}),
        ("cached-prompts", {"prompt_tokens": 400, "cached_tokens": 4}, {"prompt_tokens": 400, "cached_tokens": 5}),
        ("foreign-tokens", {"token_source": "usage"}, {"token_source": ["foreign"] + ["usage"] * 99}),
        ("resumed", {"worker": 3}, {"worker": [1] * 50 + [2] * 50}),
    ],
)  # fmt: skip
def test_each_reason_has_its_threshold(trials_of, code, sound, bad):
    """Just within the limit nothing is said; beyond it the reason, and it alone, with something to do about it."""
    assert code not in against(trials_of(n=100, task_time_s=[1.0] * 100, **sound))
    found = against(trials_of(n=100, task_time_s=[1.0] * 100, **bad))
    assert set(found) == {code}
    assert found[code].remedy


def test_a_conversation_may_have_its_own_past_in_the_cache(summary_of, trials_of):
    """Only what first turns found in the cache invalidates a result; the share of later turns is told."""
    trials = trials_of(prompt_tokens=400, cached_tokens=240).with_columns(
        first_prompt_tokens=100, first_cached_tokens=0
    )
    assert against(trials) == {}
    (table,) = summary_of(trials).tables
    assert table.rows[0].cached_between_turns_share == 0.8
    assert sentences(table)[-1].endswith("came from a cache: s 80 %.")
    assert summary_of(trials_of()).tables[0].rows[0].cached_between_turns_share is None
    assert "cached-prompts" in against(trials.with_columns(first_cached_tokens=2))


def test_what_was_not_run_is_missing(trials_of):
    """A cell with fewer trials than planned is INVALID until it has been completed."""
    assert against(trials_of(), planned=41)["not-run"].text == "1 of 41 not run"


def test_what_could_not_be_opened_is_mended_before_it_is_continued(trials_of):
    """The reason and what it asks for come first, then the command; of a cell that is complete nothing is said."""
    trials = Trials(trials_of())
    why = "http://host:1/v1: host:1: nothing listens there: start the server, or correct the port"
    (reason,) = reasons_against(trials, cell(41, not_opened=why))
    assert (reason.code, reason.text) == ("not-opened", f"1 of 41 not run: {why}")
    assert reason.remedy == "see to that, then continue it: `taskpace run RUN`"
    assert reasons_against(trials, cell(40, not_opened=why)) == ()


@pytest.mark.parametrize(("items", "few"), [(9, True), (10, False)])
def test_too_few_items_are_not_ranked(trials_of, items, few):
    """Ten different items at least; repeats of one item do not count as more."""
    repeated = trials_of(
        n=3 * items,
        item_id=[f"i{number % items}" for number in range(3 * items)],
        repeat=[1 + number // items for number in range(3 * items)],
        task_time_s=[1.0] * (3 * items),
    )
    assert ("too-few" in against(repeated)) is few


@pytest.mark.parametrize(
    ("code", "changes"),
    [("steal", {"steal_ticks": 51}), ("throttled", {"throttled_ns": 1.1e8})],
)
def test_a_machine_that_was_not_ours_alone_is_told(trials_of, code, changes):
    """Stolen processor time above 5 %, a CPU quota that bit for more than 1 % of the time: INVALID."""
    changes = {name: int(value) for name, value in changes.items()}
    assert set(against(trials_of(), segments=(segment(**changes),))) == {code}
    less = {name: value * 4 // 5 for name, value in changes.items()}
    assert against(trials_of(), segments=(segment(**less),)) == {}


def test_a_client_that_is_the_bottleneck_says_so(trials_of):
    """A process that does nothing but send and read, and is at work all the time; in process that is the model."""
    busy, idle = (segment(client_cpu_ns=int(share * 10**10)) for share in (0.95, 0.85))
    trials = trials_of()
    assert [r.code for r in reasons_against(Trials(trials), cell(40, busy, in_process=False))] == ["client-cpu"]
    assert reasons_against(Trials(trials), cell(40, idle, in_process=False)) == ()
    assert reasons_against(Trials(trials), cell(40, busy)) == ()


def test_a_client_that_stamps_late_says_so_before_it_is_the_bottleneck(trials_of):
    """A loop that is late because of its own events, or by a share of TTFT, is told, and the result stands; some ms
    of seconds are not, nor what few looks show, nor what an engine in the same process does.
    """
    late = {"loop_lag_p99_ns": 3_000_000, "lag_samples": 100}
    slow, quick = trials_of(wait_s=0.5), trials_of(wait_s=0.05)

    def codes(trials, *, in_process=False, cpu_s=6, **lag):
        found = reasons_against(
            Trials(trials), cell(40, segment(client_cpu_ns=cpu_s * 10**9, **lag), in_process=in_process)
        )
        return [(reason.code, reason.invalidates) for reason in found]

    assert codes(slow, **late) == codes(quick, cpu_s=1, **late) == [("late-stamps", "absolute seconds")]
    assert codes(slow, processes=2, **late) == [("late-stamps", "absolute seconds")]  # of a core, whoever has it
    assert codes(slow, cpu_s=2, **late) == [("late-stamps", "absolute seconds")]  # a fifth is thousands of events
    assert codes(slow, cpu_s=1, **late) == codes(slow, in_process=True, **late) == []
    assert codes(slow, **late | {"lag_samples": 99}) == codes(quick, **late | {"loop_lag_p99_ns": 2_000_000}) == []


def test_of_several_nodes_the_worst_is_the_client(trials_of):
    """A load that two nodes share is as good as the busier one's stamps: averages over nodes would hide it."""
    spare = segment(node=1, client_cpu_ns=10**9)

    def found(**changes):
        clients = (spare, segment(node=2, **changes))
        return reasons_against(Trials(trials_of(wait_s=0.5)), cell(40, *clients, in_process=False))

    (busy,) = found(client_cpu_ns=95 * 10**8)
    assert busy.code == "client-cpu"
    assert "its process on node 2 was at work for 95 % of the time" in busy.text
    (late,) = found(client_cpu_ns=6 * 10**9, loop_lag_p99_ns=3_000_000, lag_samples=100)
    assert late.code == "late-stamps"
    assert "3.0 ms late or more on node 2 (its process was at work for 60 %" in late.text
    assert found(client_cpu_ns=10**9, loop_lag_p99_ns=3_000_000, lag_samples=100) == ()


def test_clocks_that_may_be_far_apart_leave_no_makespan(trials_of):
    """Above 1 % of the makespan, by the two worst of the nodes, once for each of the system's turns; below it the
    makespan stands.
    """

    def shared(*errors_s: float) -> list[ClientMetrics]:
        clocks = [ClockOffset(offset_ns=5, error_ns=round(1e9 * error_s)) for error_s in errors_s]
        return [msgspec.structs.replace(segment(), node=node, clock=clock) for node, clock in enumerate(clocks, 1)]

    trials = trials_of(n=40)
    whole_s = makespan_s(Trials(trials), 40)
    assert whole_s is not None
    just, beyond = (shared(0.001 * whole_s, share * whole_s, 0.004 * whole_s) for share in (0.0055, 0.0065))
    assert against(trials, segments=just) == {}
    assert makespan_s(Trials(trials), 40, just) == whole_s
    reason = against(trials, segments=beyond)["clocks"]
    assert (reason.invalidates, makespan_s(Trials(trials), 40, beyond)) == ("makespan", None)
    in_turns = trials.with_columns(round=pl.Series([1 + index // 20 for index in range(40)]))
    assert makespan_s(Trials(in_turns), 40, shared(0.004 * whole_s, 0.004 * whole_s)) is None
    # One node's clock alone cannot be apart from itself.
    assert makespan_s(Trials(trials), 40, shared(whole_s)) == whole_s


def test_in_an_open_loop_growing_times_are_no_drift_and_a_gap_is_no_detail(trials_of):
    """A backlog is what the load does, not the machine; but a resumed open loop began with an empty queue twice."""
    growing = trials_of(n=100, tpot_s=list(np.linspace(0.01, 0.02, 100)), task_time_s=list(np.linspace(1, 9, 100)))
    assert reasons_against(Trials(growing), cell(100, scenario=Scenario(rate=1.0))) == ()
    assert reasons_against(Trials(growing), cell(100, scenario=Scenario(batch=4))) == ()
    resumed = reasons_against(
        Trials(trials_of(n=100, worker=[1] * 50 + [2] * 50)), cell(100, scenario=Scenario(rate=1.0))
    )
    assert [(reason.code, reason.invalidates) for reason in resumed] == [("resumed", "result")]


@pytest.mark.parametrize(
    ("columns", "lost", "what", "remedy"),
    [
        ({"session": [1] * 50 + [2] * 50}, True, "interrupted and resumed", "without interruption"),
        ({}, True, "a node was lost and others asked the rest", "repeat it"),
        ({}, False, "its worker crashed and another asked the rest", "repeat it"),
        ({"node": [1] * 50 + [2] * 50, "session": [2] * 50 + [3] * 50}, False, "asked on 2 nodes", "leave --ray out"),
        ({"node": [1] * 100, "session": [2] * 50 + [3] * 50}, False, "interrupted and resumed", "without interruption"),
        ({"shard": ["a.db"] * 50 + ["b.db"] * 50}, False, "asked in 2 run files", "in one run"),
    ],
)
def test_why_several_workers_asked_a_cell_is_what_happened(trials_of, columns, lost, what, remedy):
    """Only a run that was begun again in another session was interrupted; a lost node, a crash, nodes and run files
    that shared a cell are named as such.
    """
    columns = {"session": [1] * 100} | columns
    frame = trials_of(n=100, worker=[1] * 50 + [2] * 50).with_columns(pl.Series(*each) for each in columns.items())
    for scenario, so in ((Scenario(concurrency=4), "the makespan is unknown"), (Scenario(rate=1.0), "the queue was")):
        (reason,) = reasons_against(Trials(frame), cell(100, scenario=scenario, lost_node=lost))
        assert (reason.code, reason.text.startswith(f"{what}, so {so}")) == ("resumed", True)
        assert remedy in reason.remedy


def test_drift_is_the_machine_s_not_the_items_order(trials_of):
    """Items that grow longer from first to last are not drift as long as each token takes the same."""
    growing = np.linspace(1, 5, 60)
    assert against(trials_of(task_time_s=growing, tpot_s=[0.01] * 60)) == {}
    # Where no answer has a second token, task time must stand in.
    assert set(against(trials_of(task_time_s=growing, tpot_s=[None] * 60))) == {"drift"}


def test_what_is_no_drift_for_its_size_is_not_tested(trials_of, monkeypatch):
    """A change below 10 % is not reported, however sure, and most cells have one: there is no test of it."""
    tested = []
    welch = significance.welch
    monkeypatch.setattr(significance, "welch", lambda *groups: tested.append(groups) or welch(*groups))
    for change in (0.92, 1.09):
        assert "drift" not in against(trials_of(tpot_s=list(np.geomspace(0.01, 0.01 * change, 40))))
    assert not tested
    for change in (0.7, 1.4):
        assert "drift" in against(trials_of(tpot_s=list(np.geomspace(0.01, 0.01 * change, 40))))
    assert len(tested) == 2


def test_noise_without_a_trend_is_no_drift(trials_of):
    """Of many cells of pure noise, hardly any is called a drift: the test asks for p below 0.01 and 10 %."""
    rng = np.random.default_rng(4)
    noise = (list(0.01 * np.exp(rng.normal(0, 0.4, 60))) for _ in range(200))
    called = sum("drift" in against(trials_of(n=60, tpot_s=paces)) for paces in noise)
    assert called <= 8


def test_voided_token_counts_keep_the_rank_by_time(trials_of, summary_of):
    """Tokens counted by a foreign tokenizer: ranked by task time, not by tokens per second."""
    foreign = trials_of("a", token_source="foreign")
    first, second = summary_of(foreign, trials_of("b", task_time_s=[2.0] * 40)).tables[0].rows
    assert first.valid
    assert (first.rank_task_time, first.rank_tokens_per_s) == (1, None)
    assert (second.rank_task_time, second.rank_tokens_per_s) == (2, 1)


def test_an_invalid_system_takes_no_rank_and_no_share_of_the_family(trials_of, summary_of):
    """What is INVALID is compared and shown, but its pairs carry no adjusted p-value."""
    rng = np.random.default_rng(5)
    cells = [trials_of(name, task_time_s=list(rng.lognormal(0, 0.3, 40))) for name in "ab"]
    late = trials_of("c", task_time_s=list(rng.lognormal(1, 0.3, 40)), send_delay_s=9.0)
    table = summary_of(*cells, late).tables[0]
    (sound,) = (pair for pair in table.pairs if "c" not in (pair.a, pair.b))
    assert sound.task_time.p_holm == sound.task_time.p
    for pair in table.pairs:
        if pair is not sound:
            assert pair.task_time.p is not None
            assert pair.task_time.p_holm is None
            assert not pair.task_time.significant


def test_only_what_is_broken_makes_a_row_invalid(trials_of, summary_of):
    """Cut answers, few items and a machine that drifts are cautions; a late client is not."""
    drift = list(np.linspace(0.01, 0.013, 40))
    for changes, code in (
        ({"outcome": ["truncated", "timeout", "error", "correct"] * 10}, "errors"),
        ({"tpot_s": drift}, "drift"),
        ({"n": 5}, "too-few"),
    ):
        (row,) = summary_of(trials_of(**changes)).tables[0].rows
        assert row.valid
        assert code in {reason.code for reason in row.reasons}
        assert row.rank_task_time == 1
    (row,) = summary_of(trials_of(send_delay_s=9.0)).tables[0].rows
    assert (row.valid, row.rank_task_time) == (False, None)


def test_drift_voids_claims_only_where_systems_did_not_take_turns(trials_of, summary_of):
    """In turns the drift hits both sides: a caution about seconds. One after the other nothing is claimed."""
    drifting = {"tpot_s": list(np.linspace(0.01, 0.013, 40))}
    for rounds, invalidates in ((None, "claims between systems"), (list(range(40)), "absolute seconds")):
        cells = [
            trials_of(
                name, task_time_s=[time_s] * 40, round=rounds, place=None if rounds is None else place, **drifting
            )
            for place, (name, time_s) in enumerate((("a", 1.0), ("b", 2.0)), 1)
        ]
        (table,) = summary_of(*cells).tables
        assert {reason.invalidates for row in table.rows for reason in row.reasons} == {invalidates}
        (pair,) = table.pairs
        assert pair.turns is (rounds is not None)
        assert (pair.task_time.lower == "a") is pair.turns
        assert [row.rank_task_time for row in table.rows] == ([1, 2] if pair.turns else [1, 1])
        said = "No ranking: the machine did not keep its pace, and the systems did not take turns."
        assert (sentences(table) == [said]) is not pair.turns


@pytest.mark.parametrize(("common", "turns"), [(36, True), (35, False)])
def test_nine_tenths_of_the_common_items_make_turns(trials_of, summary_of, common, turns):
    """A few items asked again in another session change nothing; more of them do."""
    sessions = [1] * common + [2] * (40 - common)
    first = trials_of("a", round=list(range(40)), session=1)
    second = trials_of("b", round=list(range(40)), session=sessions)
    assert summary_of(first, second).tables[0].pairs[0].turns is turns


@pytest.mark.parametrize(
    ("items", "asked", "available", "remedy"),
    [
        (300, 30, None, "ask 300 or more: `taskpace run RUN --items 300`"),
        (30, 12, 34, "ask 30 or more: `taskpace run RUN --items 30`"),
        (300, 30, 34, "ask all 34 of the starter set: `taskpace run RUN --items 34`"),
        (300, 34, 34, "the starter set has no more than these 34: give the task data of your own (docs/tasks.md)"),
    ],
)
def test_no_more_items_are_asked_for_than_the_starter_set_has(items, asked, available, remedy):
    """A remedy that changes nothing is none."""
    cell = CellPlan(system="a", task="t", scenario=Scenario(), planned=asked, graded=True, starter_items=available)
    assert ask(items, asked, cell) == remedy


def test_own_times_are_added_up_cell_by_cell(trials_of):
    """Of cells of one table: rounds of one trial each, rounds of two, and no rounds at all, each as it is alone."""
    rounds = (list(range(1, 41)), [1 + index // 2 for index in range(40)], [1, *range(1, 40)])
    parts = [
        trials_of(name, n=40).with_columns(round=pl.Series(each), worker=pl.lit(1))
        for name, each in zip("abc", rounds, strict=True)
    ]
    frame = pl.concat(parts)
    cells = Whole(frame).cells([(0, 40), (40, 40), (80, 40)])
    assert [makespan_s(cell, 40) for cell in cells] == [makespan_s(Trials(part), 40) for part in parts]
    own = (parts[0]["end_clock_ns"] - parts[0]["dispatch_ns"]).sum() / 1e9
    assert makespan_s(cells[0], 40) == own
