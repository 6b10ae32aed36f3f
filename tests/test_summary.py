"""From records to the table, on simulated runs whose truth is known exactly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import polars as pl
import pytest

import taskpace
from taskpace.analysis.data.cells import CellPlan
from taskpace.analysis.duration import estimate
from taskpace.analysis.stats.estimates import UNKNOWN, Estimate
from taskpace.analysis.summary import summarise_trials
from taskpace.errors import StoreError
from taskpace.experiment.experiment import TaskUse
from taskpace.experiment.prepare import prepare
from taskpace.experiment.scenario import Scenario

pytestmark = pytest.mark.usefixtures("workers_here")

KNOWN = {"wait": 0.5, "token_time": 0.02, "tokens_per_byte": 0.5, "length": 100, "answer_at": 0.0}


@pytest.fixture
def run(simulated: Callable, tmp_path: Path) -> Callable:
    def run_plan(options=KNOWN, **settings):
        # A limit that no scripted answer reaches: truncation has tests of its own.
        output = f"{settings.pop('output', 'x')}.db"
        return taskpace.run(simulated(options, **{"max_tokens": 1000} | settings), tmp_path / output)

    return run_plan


def test_known_times_come_back_exactly(run):
    """A wait of 0.5 s, then 50 tokens 20 ms apart: every derived time is exactly what was scripted."""
    with run(items=3) as done:
        frame = done.frame()
    assert frame.height == 3
    for column, truth in (
        ("task_time_s", 0.5 + 49 * 0.02),
        ("ttft_s", 0.5),
        ("first_answer_s", 0.5),
        ("tpot_s", 0.02),
        ("tokens_per_s", 50.0),
        ("output_tokens", 50),
        ("output_bytes", 100),
        ("bytes_per_s", 100 / (49 * 0.02)),
    ):
        assert frame[column].to_list() == pytest.approx([truth] * 3, rel=1e-12), column


def test_reasoning_moves_the_first_answer_not_the_first_token(run):
    """Ten tokens of reasoning come first: TTFT stays, the first answer token waits for them."""
    with run(KNOWN | {"reasoning": 20}, items=2) as done:
        frame = done.frame()
    assert frame["ttft_s"].to_list() == [0.5, 0.5]
    assert frame["first_answer_s"].to_list() == pytest.approx([0.7, 0.7])
    assert frame["reasoning_bytes"].to_list() == [20, 20]
    assert frame["reasoning_tokens"].to_list() == [10, 10]


def test_the_reasoning_of_every_turn_is_reasoning(run):
    """Three turns of ten tokens of reasoning, 20 ms each: 0.6 s of the phases, not the first turn's 0.2 s alone."""
    with run(KNOWN | {"reasoning": 20}, items=4, tasks=("dialogue",)) as done:
        (row,) = done.summary().tables[0].rows
    assert row.phases is not None
    assert row.phases.reasoning_s == pytest.approx(3 * 10 * 0.02)
    assert row.phases.wait_s == pytest.approx(3 * 0.5)
    parts = (row.phases.wait_s, row.phases.reasoning_s, row.phases.answer_s, row.phases.trailing_s)
    assert sum(parts) == pytest.approx(row.task_time_mean_s.value)


def test_systems_that_think_until_a_limit_are_found_out(run):
    """A token limit within the reasoning, or a time limit: every trial is never answered, and none where there is room
    for the answer.
    """
    thinking = KNOWN | {"reasoning": 200}
    for settings, outcome, unanswered in (
        ({"max_tokens": 60}, "truncated", 12),
        ({"timeout": 1.5}, "timeout", 12),
        ({}, "correct", 0),
    ):
        with run(thinking, items=12, models=(f"m{outcome}",), output=outcome, **settings) as done:
            (row,) = done.summary().tables[0].rows
        assert row.outcomes == {outcome: 12}
        assert row.never_answered == unanswered
        assert ("never-answered" in {finding.code for finding in row.findings}) is bool(unanswered)


def test_an_answer_is_committed_where_it_stands(run):
    """An answer at the end is committed at the end, one at the start long before the last byte."""
    with run(KNOWN | {"answer_at": 1.0}, items=2, models=("late",)) as done:
        late = done.frame()
    assert late["committed_s"].to_list() == late["task_time_s"].to_list()


def test_an_early_answer_is_committed_early(run):
    """An answer at the start of a long text is committed long before the last byte."""
    with run(items=2) as done:
        early = done.frame()
    assert (early["committed_s"] < 0.6 * early["task_time_s"]).all()


def test_the_makespan_is_first_dispatch_to_last_end(run):
    """One at a time the makespan is the sum of the task times; four at a time a quarter of it; warm-ups not counted."""
    with run(items=8, scenarios=("single", "concurrency=4"), warmup=2) as done:
        single, four = (table.rows[0].makespan_s for table in done.summary().tables)
        assert done.frame().height == 16
        assert done.store.query("SELECT count(*) FROM record WHERE phase = 'warm-up'")[1] == [(4,)]
    assert single == pytest.approx(8 * 1.48)
    assert four == pytest.approx(2 * 1.48)


def test_think_time_moves_the_makespan_alone(simulated, tmp_path):
    """A dialogue of three turns with 100 s to think before two of them: the same task times to the nanosecond, no
    timeout within 60 s, and a makespan that is longer by exactly two pauses a trial.
    """
    found = []
    for name, think_time_s in (("plain", None), ("thinking", 100.0)):
        use = TaskUse(use="dialogue", think_time_s=think_time_s)
        experiment = msgspec.structs.replace(simulated(KNOWN, items=4, timeout=60.0), tasks=(use,))
        with taskpace.run(experiment, tmp_path / f"{name}.db") as done:
            (row,) = done.summary().tables[0].rows
            frame = done.frame()
            found.append((frame["task_time_s"].to_list(), row.outcomes, row.makespan_s, set(frame["turns"])))
    plain, thinking = found
    assert thinking[:2] == plain[:2]
    assert plain[3] == {3}
    assert thinking[2] == pytest.approx(plain[2] + 4 * 2 * 100.0, abs=1e-9)


def test_a_simulated_dialogue_has_its_past_cached(simulated, tmp_path):
    """Later turns report what was said before them as cached, first turns nothing, and the row has the exact share."""
    experiment = simulated(KNOWN | {"prompt_tokens_per_byte": 1}, tasks=("dialogue",), items=12)
    with taskpace.run(experiment, tmp_path / "x.db") as done:
        (row,) = done.summary().tables[0].rows
        turns = done.store.query("SELECT trial_id, turn, prompt_tokens, cached_tokens, length(text) FROM turn")[1]
        measured = {trial for (trial,) in done.store.query("SELECT id FROM trial")[1]}
    known = {(trial, turn): (prompt, cached, said) for trial, turn, prompt, cached, said in turns}
    later = [(key, value) for key, value in known.items() if key[1] > 1]
    assert all(cached == 0 for (_, turn), (_, cached, _) in known.items() if turn == 1)
    for (trial, turn), (_, cached, _) in later:
        before = known[trial, turn - 1]
        assert cached == before[0] + before[2]
    shares = [value for (trial, _), value in later if trial in measured]
    assert row.cached_between_turns_share == sum(value[1] for value in shares) / sum(value[0] for value in shares)
    assert row.valid


def test_time_per_correct_answer_counts_wrong_answers_too(run):
    """The sum of all times over the number correct; accuracy over all recorded."""
    with run(KNOWN | {"correct": 0.5}, items=40) as done:
        (row,) = done.summary().tables[0].rows
    correct = row.outcomes["correct"]
    assert 10 <= correct <= 30
    assert row.outcomes["wrong"] == 40 - correct
    assert row.accuracy.value == correct / 40
    assert row.time_per_correct_s.value == pytest.approx(40 * 1.48 / correct)


def test_a_terse_slow_system_beats_a_fast_verbose_one(tmp_path):
    """The paper's finding, planted: fewer tokens per second and yet first, and both ranks say so."""
    (tmp_path / "x.toml").write_text(
        """
items = 10
max_tokens = 200
tasks = ["mmlu-letter"]
[[system]]
name = "terse"
engine = "simulated"
options = { time = "virtual", wait = 0.1, token_time = 0.05, length = 40 }
[[system]]
name = "verbose"
engine = "simulated"
options = { time = "virtual", wait = 0.1, token_time = 0.02, length = 400 }
"""
    )
    with taskpace.run(tmp_path / "x.toml", tmp_path / "x.db") as done:
        terse, verbose = done.summary().tables[0].rows
    assert (terse.rank_task_time, terse.rank_tokens_per_s) == (1, 2)
    assert (verbose.rank_task_time, verbose.rank_tokens_per_s) == (2, 1)
    assert terse.task_time_median_s.value == pytest.approx(0.1 + 9 * 0.05)
    assert verbose.task_time_median_s.value == pytest.approx(0.1 + 99 * 0.02)


@pytest.mark.parametrize(("items", "known"), [(63, False), (64, True)])
def test_no_p90_below_64_trials(run, items, known):
    """63 trials give no 90th percentile, 64 do."""
    with run(items=items) as done:
        (row,) = done.summary().tables[0].rows
    assert (row.task_time_p90_s.value is not None) is known


def test_outcomes_always_add_up(run):
    """Issued = recorded: with faults of every kind the outcome counts sum to the trials planned."""
    faults = [
        {"kind": "error", "rate": 0.1},
        {"kind": "stall", "rate": 0.1},
        {"kind": "out-of-memory", "rate": 0.1},
    ]
    with run(KNOWN | {"faults": faults, "correct": 0.5}, items=60, timeout=3.0) as done:
        (row,) = done.summary().tables[0].rows
        frame = done.frame()
    assert sum(row.outcomes.values()) == row.n == row.planned == 60
    assert {"correct", "wrong", "error", "timeout"} <= set(row.outcomes)
    assert frame.filter(pl.col("outcome") == "timeout")["task_time_s"].to_list() == pytest.approx(
        [3.0] * row.outcomes["timeout"]
    )


def test_what_is_cut_is_bounded_and_claims_allow_for_it(tmp_path):
    """Errors and truncated answers leave bounds, and claims that hold whatever they would have taken."""
    (tmp_path / "x.toml").write_text(
        """
items = 10
tasks = ["mmlu-letter"]
[[system]]
name = "failing"
engine = "simulated"
options = { time = "virtual", wait = 0.01, faults = [{ kind = "error", rate = 0.5 }] }
[[system]]
name = "cut"
engine = "simulated"
options = { time = "virtual", wait = 0.01, length = 4000 }
[[system]]
name = "sound"
engine = "simulated"
options = { time = "virtual", wait = 5 }
"""
    )
    with taskpace.run(tmp_path / "x.toml", tmp_path / "x.db") as done:
        failing, cut, sound = done.summary().tables[0].rows
        pairs = {frozenset((pair.a, pair.b)): pair for pair in done.summary().tables[0].pairs}
    assert [(reason.code, reason.invalidates) for reason in failing.reasons] == [("errors", "full task time")]
    (reason,) = cut.reasons
    assert (reason.text, reason.remedy) == (
        "10 of 10 truncated, so their task time is a lower bound",
        "allow 128 tokens: `taskpace run RUN --max-tokens 128 -o NEW`",
    )
    assert (failing.cut, cut.cut, sound.cut) == (failing.outcomes["error"], 10, 0)
    assert all(row.valid for row in (failing, cut, sound))
    assert (cut.task_time_median_s.bound, cut.task_time_median_s.high) == (">=", None)
    assert cut.task_time_mean_s.bound == failing.task_time_mean_s.bound == ">="
    # Nothing is known of cut answers but that they take longer than a moment: no system is claimed to be quicker.
    assert {row.rank_task_time for row in (failing, cut, sound)} == {1}
    assert pairs[frozenset(("cut", "sound"))].task_time.open


def test_more_tokens_for_one_task_are_no_fewer_for_another(tmp_path):
    """The command sets the limit of all tasks, so it names none that is below the limit that another task has."""
    (tmp_path / "x.toml").write_text(
        """
items = 3
tasks = ["mmlu-letter", "mmlu-explain"]
[[system]]
name = "cut"
engine = "simulated"
options = { time = "virtual", length = 4000 }
"""
    )
    with taskpace.run(tmp_path / "x.toml", tmp_path / "x.db") as done:
        rows = [table.rows[0] for table in done.summary().tables]
    remedies = [reason.remedy for row in rows for reason in row.reasons if reason.code == "truncated"]
    assert ["--max-tokens 512" in remedies[0], "--max-tokens 1024" in remedies[1]] == [True, True]


def test_a_task_without_a_right_answer_has_no_accuracy(tmp_path):
    """Even when every trial is truncated, a task without a scorer has unknown accuracy, not 0."""
    (tmp_path / "p.jsonl").write_text('{"prompt": "Go on."}\n')
    experiment = taskpace.quick_experiment(
        models=("s",),
        engine="simulated",
        prompts=str(tmp_path / "p.jsonl"),
        max_tokens=3,
        options={"time": "virtual"},
    )
    with taskpace.run(experiment, tmp_path / "x.db") as done:
        (row,) = done.summary().tables[0].rows
    assert row.outcomes == {"truncated": 1}
    assert row.accuracy.value is None


def test_an_unfinished_run_can_be_summarised(run, tmp_path, simulated):
    """A plan without any trial run yet is a table of unknowns, not an error."""
    from taskpace.store.store import Store

    plan = prepare(simulated(), Path())
    Store.create_or_continue(tmp_path / "empty.db", plan, "0").close()
    with taskpace.open(tmp_path / "empty.db") as empty:
        (row,) = empty.summary().tables[0].rows
        assert empty.frame().height == 0
    assert row.n == 0
    assert row.task_time_median_s.value is None
    assert row.rank_task_time is None


def test_an_empty_cell_has_no_numbers(run):
    """Unknown is null, never 0, and one empty cell takes nothing from the other."""
    with run(items=10) as done:
        trials = done.frame()
    cells = [
        CellPlan(system=system, task="mmlu-letter", scenario=Scenario(), planned=10, graded=True)
        for system in ("sim", "absent")
    ]
    (table,) = summarise_trials(trials, cells, name="x", limit_s=60, resamples=100).tables
    known, absent = table.rows
    assert known.rank_task_time == 1
    assert (absent.n, absent.valid, absent.rank_task_time, absent.makespan_s) == (0, False, None, None)
    numbers = {name: getattr(absent, name) for name in absent.__struct_fields__}
    assert {number for number in numbers.values() if isinstance(number, Estimate)} == {UNKNOWN}


def test_an_estimate_is_a_ceiling_until_there_are_measurements(run, simulated):
    """Before a run: every answer as long as allowed; from a run file: the cell's own mean."""
    plan = prepare(simulated(KNOWN, items=4, scenarios=("concurrency=2",), max_tokens=1000), Path())
    (before,) = estimate(plan, None, tokens_per_s=10)
    limit = plan.tasks[0].spec.max_tokens
    assert (before.trials, before.measured) == (4, False)
    assert before.seconds == pytest.approx(4 * limit / 10 / 2)
    with run(items=4, scenarios=("concurrency=2",)) as done:
        (after,) = estimate(plan, done.store, tokens_per_s=10)
    assert after.measured
    assert after.seconds == pytest.approx(4 * 1.48 / 2)


def test_a_run_is_opened_only_when_it_is_one(tmp_path):
    """Opening what is not there is a StoreError, from Python too."""
    with pytest.raises(StoreError, match="run file not found"):
        taskpace.open(tmp_path / "none.db")
