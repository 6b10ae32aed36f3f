"""The request to be brief: forms that differ in it alone, what it does as planted, and who finishes first."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest

import taskpace
from taskpace.analysis.across.brevity import Forms, find_forms
from taskpace.analysis.data.cells import CellPlan
from taskpace.analysis.summary import summarise_trials
from taskpace.errors import ExperimentError
from taskpace.experiment.brevity import INSTRUCTION, NEUTRAL, with_brevity
from taskpace.experiment.prepare import prepare
from taskpace.experiment.scenario import Scenario
from taskpace.report.words.brevity import brevity_blocks
from taskpace.runner.jobs import make_jobs
from taskpace.store.store import Store

pytestmark = pytest.mark.usefixtures("workers_here")

FORMS = (
    Forms("A", ("A, brief", "A, brief, 9 tokens at most"), (None, 9)),
    Forms("B", ("B, brief", "B, brief, 9 tokens at most"), (None, 9)),
)


def test_forms_differ_in_the_request_and_the_limit_alone(simulated):
    """Each system three times: a neutral prompt, the same with the request after it, and that with a limit."""
    plain, brief, limited = with_brevity(simulated(), limit=16).systems
    assert plain.system_prompt == NEUTRAL
    assert brief.system_prompt == limited.system_prompt == f"{NEUTRAL}\n{INSTRUCTION}"
    assert (plain.max_tokens, brief.max_tokens, limited.max_tokens) == (None, None, 16)
    assert len({(system.model, system.engine, system.sampling, str(system.options)) for system in (plain, brief)}) == 1
    own = with_brevity(simulated(system_prompt="You are a pirate."), "Short!").systems
    assert [system.system_prompt for system in own] == ["You are a pirate.", "You are a pirate.\nShort!"]


def test_an_empty_request_is_refused(simulated):
    """White space asks for nothing."""
    with pytest.raises(ExperimentError, match="--instruction: the text is empty"):
        with_brevity(simulated(), " ")


def test_a_limit_of_the_system_reaches_the_engine_and_only_lowers_the_task_s(simulated):
    """The least of the two limits is what a job asks for."""
    for limit, wanted in ((3, 3), (100_000, None)):
        plan = prepare(with_brevity(simulated(items=1), limit=limit), Path())
        cell = plan.cells[-1]
        ((job, _),) = make_jobs(plan, cell, plan.trials(cell), {})
        assert job.max_tokens == (wanted or cell.task.spec.max_tokens)


def test_forms_are_found_in_a_run_file(simulated, tmp_path):
    """A run file says which systems differ in the request alone; other systems are not forms of them."""
    experiment = with_brevity(simulated(models=("one", "two"), items=1), limit=7)
    plan = prepare(experiment, Path())
    with Store.create_or_continue(tmp_path / "x.db", plan, "0") as store:
        assert find_forms(store) == tuple(
            Forms(name, (f"{name}, brief", f"{name}, brief, 7 tokens at most"), (None, 7)) for name in ("one", "two")
        )
    longer = simulated(models=("one", "two"), items=1)
    one, two = longer.systems
    prompts = [
        msgspec.structs.replace(one, system_prompt="Think."),
        msgspec.structs.replace(two, system_prompt="Think. More."),
    ]
    other = prepare(msgspec.structs.replace(longer, systems=tuple(prompts)), Path())
    with Store.create_or_continue(tmp_path / "y.db", other, "0") as store:
        assert find_forms(store) == ()


def _trials(trials_of, system, factor, share, *, cut=0):
    n = 40
    outcomes = ["truncated"] * cut + ["correct"] * round(share * (n - cut))
    outcomes += ["wrong"] * (n - len(outcomes))
    times = [factor * (1 + number / n) for number in range(n)]
    return trials_of(system, task_time_s=pl.Series(times).to_numpy(), outcome=outcomes)


def _summary(trials_of, factors, cut=0):
    names = [name for forms in FORMS for name in (forms.plain, *forms.brief)]
    frames = [
        _trials(trials_of, name, factor, 0.5 if "most" not in name else 0.25, cut=cut if "most" in name else 0)
        for name, factor in zip(names, factors, strict=True)
    ]
    cells = [CellPlan(system=name, task="t", scenario=Scenario(), planned=40, graded=True) for name in names]
    return summarise_trials(pl.concat(frames), cells, name="x", limit_s=100, resamples=0, forms=FORMS)


def test_planted_savings_come_back_paired(trials_of):
    """Half the time for A and a quarter for B: exact ratios, the seconds saved, and no change in accuracy."""
    (brevity,) = _summary(trials_of, (2, 1, 0.5, 4, 1, 1)).brevity
    a, _, b, _ = brevity.forms
    assert a.task_time.change.value == pytest.approx(0.5)
    assert a.task_time.significant
    assert b.task_time.change.value == pytest.approx(0.25)
    assert a.seconds.value == pytest.approx(-(1 + 39 / 80))
    assert a.accuracy.change.value == 0
    assert not a.accuracy.significant
    assert a.time_per_correct.change.value == pytest.approx(0.5)


def test_a_limit_that_cuts_answers_off_is_told_with_what_it_costs(trials_of):
    """30 of 40 truncated: whether it finishes sooner is open, the loss of accuracy is told, and tested."""
    summary = _summary(trials_of, (2, 1, 0.5, 4, 1, 1), cut=30)
    limited = summary.brevity[0].forms[1]
    assert (limited.valid, limited.max_tokens, limited.truncated_brief) == (True, 9, 0.75)
    assert (limited.task_time.lower, limited.task_time.open) == (None, True)
    assert limited.accuracy.change.value == pytest.approx(-0.45)
    assert limited.accuracy.significant
    (block,) = brevity_blocks(summary)
    assert "accuracy falls by 45 points" in block.paragraphs[1]
    assert "75 % of its answers are cut off" in block.paragraphs[1]
    assert "no clear change in task time, for the cut answers decide" in block.paragraphs[1]


def test_brevity_that_turns_the_ranking_is_said_to(trials_of):
    """A is quicker by itself, B when both are brief; held to nine tokens they cannot be distinguished."""
    summary = _summary(trials_of, (2, 1.5, 1, 3, 1, 1))
    brief, limited = summary.brevity[0].rankings
    assert (brief.first_plain, brief.first_brief) == ("A", "B")
    assert limited.first_brief is None
    (block,) = brevity_blocks(summary)
    assert block.paragraphs[-2] == (
        "A and B: brevity changes who finishes first: as they are, A does; asked to be brief, B."
    )
    assert block.paragraphs[-1] == (
        "A and B: as they are, A finishes first; "
        "asked to be brief and held to 9 tokens, neither can be told to finish first."
    )


def test_a_row_that_is_invalid_says_nothing(trials_of):
    """Requests left late: no sentence on what brevity does, and no system is said to finish first."""
    names = [name for forms in FORMS for name in (forms.plain, *forms.brief)]
    frames = [
        trials_of(name, task_time_s=pl.Series([1.0 + place] * 40).to_numpy(), send_delay_s=9.0)
        for place, name in enumerate(names)
    ]
    cells = [CellPlan(system=name, task="t", scenario=Scenario(), planned=40, graded=True) for name in names]
    summary = summarise_trials(pl.concat(frames), cells, name="x", limit_s=100, resamples=0, forms=FORMS)
    assert not any(form.valid for form in summary.brevity[0].forms)
    assert {ranking.first_plain for ranking in summary.brevity[0].rankings} == {None}
    (block,) = brevity_blocks(summary)
    assert all("nothing can be said" in said for said in block.paragraphs[:4])


@pytest.mark.slow
def test_two_systems_that_ignore_the_request_seldom_change_places(trials_of):
    """Of 60 tables in which brevity does nothing, hardly one claims that it changes who finishes first."""
    claimed = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        names = [name for forms in FORMS for name in (forms.plain, *forms.brief)]
        frames = [trials_of(name, n=30, task_time_s=np.exp(0.5 * rng.standard_normal(30))) for name in names]
        cells = [CellPlan(system=name, task="t", scenario=Scenario(), planned=30, graded=True) for name in names]
        summary = summarise_trials(pl.concat(frames), cells, name="x", limit_s=100, resamples=0, forms=FORMS)
        claimed += any("changes who finishes first" in said for said in next(brevity_blocks(summary)).paragraphs)
    assert claimed <= 1


@pytest.mark.slow
def test_the_command_runs_both_forms_and_says_what_brevity_does(cli, tmp_path, undrawn):
    """From the command line, simulated: the sentence, the run file, the same again without a new trial, the JSON."""
    (tmp_path / "x.toml").write_text(
        'items = 12\ntasks = ["mmlu-explain"]\n[[system]]\nname = "A"\nengine = "simulated"\n'
        'options = { time = "virtual", length = 400 }\n'
    )
    first = cli("brevity", "x.toml", "--limit", "20", columns=120)
    assert first.returncode == 0, first.stderr
    assert (
        "A: asked to be brief and held to 20 tokens, it shows no clear change in task time, for the cut answers decide"
        in " ".join(first.stdout.split())
    )
    assert "100 % of its answers are cut off" in " ".join(first.stdout.split())
    again = cli("brevity", "x.toml", "--limit", "20", columns=120)
    assert again.stdout == first.stdout
    found = json.loads(cli("summary", "runs/x-brevity.db", "--format", "json").stdout)
    assert [form["max_tokens"] for form in found["brevity"][0]["forms"]] == [None, 20]
    assert "what the request to be brief does" in cli("summary", "runs/x-brevity.db", "--format", "markdown").stdout
    with taskpace.open(tmp_path / "runs" / "x-brevity.db") as run:
        page = run.report(tmp_path / "x.html").read_text()
    assert "what the request to be brief does" in page
