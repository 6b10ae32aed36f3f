"""A stream that arrives in bursts, from the run file to the sentence: what is unknown is not ranked, and is said."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from tests.in_process import workers_here

import taskpace
from taskpace.analysis.schema.summary import Summary
from taskpace.experiment.experiment import Experiment
from taskpace.records import Arrival, pack_arrivals
from taskpace.report.words.answer import make_answer
from taskpace.report.words.sentences import sentences
from taskpace.report.words.tasks import finding_lines

pytestmark = pytest.mark.usefixtures("workers_here")

SHOWN = ("tokens_per_s", "tpot_s", "bytes_per_s")


@pytest.fixture(scope="module")
@workers_here()
def run_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two systems; what ``slow`` wrote came over HTTP and in one arrival at the end, as a file of before holds it."""
    path = tmp_path_factory.mktemp("bursts") / "run.db"
    experiment = taskpace.quick_experiment(
        models=("quick", "slow"), tasks=("mmlu-letter",), items=12, engine="simulated", options={"time": "virtual"}
    )
    with taskpace.run(experiment, path):
        pass
    with sqlite3.connect(path) as file:
        file.execute("DROP TRIGGER turn_is_final")
        turns = file.execute(
            "SELECT trial_id, end_ns, finish_ns, length(text) FROM turn WHERE trial_id IN "
            "(SELECT trial.id FROM trial JOIN cell ON cell.id = trial.cell_id WHERE cell.system = 'slow')"
        ).fetchall()
        for trial, end_ns, finish_ns, size in turns:
            late = 1_000_000_000
            burst = pack_arrivals((Arrival(end_ns + late - 90_000, size // 2, 0), Arrival(end_ns + late, size, 0)))
            file.execute(
                "UPDATE turn SET arrivals = ?, end_ns = ?, finish_ns = ?, token_source = 'usage' WHERE trial_id = ?",
                (burst, end_ns + late, finish_ns + late, trial),
            )
    return path


@pytest.fixture(scope="module")
def summary(run_file: Path) -> Summary:
    with taskpace.open(run_file) as run:
        return run.summary()


def test_speeds_of_a_burst_are_unknown_and_times_stand(run_file):
    """Trial by trial: no tokens per second of what came at once; task time and TTFT are what a user saw."""
    with taskpace.open(run_file) as run:
        trials = run.frame()
    slow, quick = (trials.filter(pl.col("system") == name) for name in ("slow", "quick"))
    assert slow["bursts"].all()
    assert not quick["bursts"].any()
    for column in SHOWN:
        assert slow[column].null_count() == slow.height
        assert quick[column].null_count() == 0
    assert slow["task_time_s"].null_count() == slow["ttft_s"].null_count() == 0


def test_a_burst_is_said_and_not_ranked(summary):
    """VALID, ranked by task time, not by tokens per second; the difference has no parts; one line shows why."""
    (table,) = summary.tables
    rows = {row.system: row for row in table.rows}
    slow = rows["slow"]
    assert (slow.valid, slow.rank_task_time, slow.rank_tokens_per_s) == (True, 2, None)
    assert slow.tokens_per_s_median.value is slow.tpot_median_s.value is slow.bytes_per_s_median.value is None
    assert rows["quick"].rank_tokens_per_s == 1
    said = {reason.code: reason for reason in slow.reasons}["bursts"]
    assert said.text == "the stream arrives in bursts; TTFT and tokens per second are the proxy's"
    assert said.invalidates == "decode speed"
    codes = {finding.code for finding in slow.findings}
    assert "bursts" in codes
    assert "waiting" not in codes
    (pair,) = table.pairs
    assert pair.split.difference_s.value == pytest.approx(1.0, rel=0.2)
    parts = (pair.split.wait_s, pair.split.verbosity_s, pair.split.tokenizer_s, pair.split.decode_s)
    assert [part.value for part in parts] == [None] * 4
    assert pair.tokens_per_s.change.value is None


def test_words_say_what_is_unknown(summary):
    """The sentences name no cause where the stream hides it."""
    (table,) = summary.tables
    why = "why is unknown, as one of them does not show when it wrote."
    assert any(said.endswith(why) for said in sentences(table))
    assert any(paragraph.endswith(why) for paragraph in make_answer(summary, "run.db").block.paragraphs)
    assert not any("bursts" in line for line in finding_lines(table))
    assert "bursts" in {advice.code for advice in make_answer(summary, "run.db").advice}


@pytest.mark.parametrize(
    ("column", "value", "code"),
    [
        ("miscounted", [True] * 2 + [False] * 38, "miscounted"),
        ("hidden_reasoning", [True] * 9 + [False] * 31, "hidden-reasoning"),
        ("prompt_tokens", 2050, "same-prompt-tokens"),
    ],
)
def test_counts_that_are_not_believed_are_said(trials_of, summary_of, column, value, code):
    """Each with its code and a remedy; counts that contradict themselves take the rank by tokens per second."""
    prompts = {"prompt_bytes": [200 + 10 * each for each in range(40)], "prompt_tokens": list(range(50, 90))}
    (row,) = summary_of(trials_of(**prompts | {column: value}), trials_of("b", **prompts)).tables[0].rows[:1]
    reasons = {reason.code: reason for reason in row.reasons}
    assert list(reasons) == [code]
    assert reasons[code].remedy
    assert row.valid
    assert (row.rank_tokens_per_s is None) is (reasons[code].invalidates == "token counts")


def test_the_simulated_engine_streams(simulated: Callable[..., Experiment], tmp_path):
    """What an engine in process stamps is never called a burst, however quick it is."""
    quick = simulated({"token_time": 1e-6, "wait": 5.0, "length": 4000})
    with taskpace.run(quick, tmp_path / "run.db") as run:
        assert not run.frame()["bursts"].any()
        assert run.frame()["tokens_per_s"].null_count() == 0


def test_an_answer_that_is_not_streamed_hides_the_causes(trials_of, summary_of):
    """As the user asked for it there is no caution; but neither waiting nor verbosity is told as the cause."""
    whole = trials_of("b", task_time_s=[2.0] * 40, wait_s=[2.0] * 40, tpot_s=None, untimed=True)
    (table,) = summary_of(trials_of("a"), whole).tables
    row = table.rows[1]
    assert not row.reasons
    assert "waiting" not in {finding.code for finding in row.findings}
    (pair,) = table.pairs
    assert pair.split.difference_s.value == pytest.approx(1.0)
    assert pair.split.parts_known is False
