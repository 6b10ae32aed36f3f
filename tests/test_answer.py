"""The answer of a whole run: who finishes first, who only looks fast, why, how sure, and what to do about it."""

from __future__ import annotations

import io
import re
import shlex
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import tomli_w
from hypothesis import given, settings, strategies as st
from rich.console import Console
from tests.in_process import StopAfter, workers_here

import taskpace
from taskpace.analysis.schema.summary import Summary
from taskpace.analysis.summary import summarise
from taskpace.experiment.prepare import prepare
from taskpace.report.files.markdown import summary_markdown
from taskpace.report.notebook import notebook_html
from taskpace.report.terminal.answer import MOST_LINES, answer_lines
from taskpace.report.words.answer import make_answer
from taskpace.report.words.commands import beside, with_files
from taskpace.report.words.figures import digits, seconds
from taskpace.report.words.makespan import makespan_lines
from taskpace.report.words.sentences import sentences
from taskpace.runner.runner import run_plan
from taskpace.store.store import Store
from taskpace.text.safe_text import column_width

pytestmark = pytest.mark.usefixtures("workers_here")

N = 40
SCATTER = np.exp(np.linspace(-0.3, 0.3, N))
NOISE = np.exp(0.02 * np.sin(np.arange(N) * 2.4))
BRIEF = {"task_time_s": SCATTER * NOISE, "wait_s": 0.2 * SCATTER, "tpot_s": 0.02 * NOISE, "output_bytes": 160 * SCATTER}
WORDY = {"task_time_s": 2.2 * SCATTER, "wait_s": 0.2 * SCATTER, "tpot_s": 0.01 * NOISE, "output_bytes": 800 * SCATTER}


@pytest.fixture
def planted_run(trials_of: Callable, summary_of: Callable) -> Callable[..., Summary]:
    """``brief`` finishes first and ``wordy`` has twice the tokens per second, on each of the tasks."""

    def build(*tasks: str, brief: dict | None = None, wordy: dict | None = None) -> Summary:
        cells = []
        for task in tasks:
            cells.append(trials_of("brief", task=task, **BRIEF | (brief or {})))
            cells.append(trials_of("wordy", task=task, **WORDY | (wordy or {})))
        return summary_of(*cells)

    return build


def printed(summary: Summary, width: int = 80, file: str = "runs/x.db") -> list[str]:
    """The short form's lines."""
    return [line.plain for line in answer_lines(make_answer(summary, file), (file,), width)]


def test_the_first_line_says_who_finishes_first_and_who_only_looks_fast(planted_run):
    """A claimed inversion comes first, with seconds and tokens per second of both and the task it is from."""
    verdicts = make_answer(planted_run("qa", "essay"), None).verdicts
    assert verdicts[0] == (
        "On qa brief finishes first and wordy only looks fast: 1.00 s against 2.20 s, 50 against 100 tokens per "
        "second, 100 against 100 % right."
    )
    assert verdicts[1] == "brief finishes first on all 2 tasks, the next takes 2.2 times as long on average."


def test_speeds_whose_medians_say_the_contrary_are_told_as_they_were_compared(planted_run):
    """``wordy`` has more tokens per second item by item and the smaller median: the ratio is told; ranks go by it."""
    uneven = np.where(np.arange(N) % 2, 1 / 20, 1 / 38)
    uneven[1] = 1 / 38
    assert f"{np.exp(np.log(36 * uneven).mean()):.2f}" == "1.29"
    summary = planted_run("qa", brief={"tpot_s": uneven * NOISE}, wordy={"tpot_s": NOISE / 36})
    (brief, wordy) = summary.tables[0].rows
    assert wordy.tokens_per_s_median.value < brief.tokens_per_s_median.value
    assert printed(summary, 200)[0] == (
        "brief finishes first and wordy only looks fast: 1.00 s against 2.20 s, item by item 1.29 times the tokens "
        "per second, 100 against 100 % right."
    )
    assert sentences(summary.tables[0])[0].startswith(
        "wordy has the most tokens per second (item by item 1.29 times those of brief), yet brief finishes first: "
    )
    (pair,) = summary.tables[0].pairs
    of_most = msgspec.structs.replace(pair, tokens_per_s=msgspec.structs.replace(pair.tokens_per_s, basis="most"))
    by_sign = msgspec.structs.replace(summary, tables=[msgspec.structs.replace(summary.tables[0], pairs=[of_most])])
    assert "1.00 s against 2.20 s, on most items more tokens per second, " in printed(by_sign, 200)[0]
    assert sentences(by_sign.tables[0])[0].startswith(
        "wordy has the most tokens per second (more than brief on most items), yet brief finishes first: "
    )
    seen = planted_run("essay", wordy={"task_time_s": 1.5 * SCATTER})
    both = msgspec.structs.replace(summary, tables=[*summary.tables, *seen.tables])
    assert printed(both, 200)[0].startswith(
        "On essay brief finishes first and wordy only looks fast: 1.00 s against 1.50 s"
    )


def test_why_at_what_cost_and_how_sure_follow(planted_run):
    """The parts of the difference add up; the cost names the cheapest per correct answer; sure says which are not."""
    why, cost, sure = make_answer(planted_run("qa"), None).block.paragraphs
    assert why.startswith("Why: wordy takes 1.2 s longer than brief: +2.")
    assert sum(float(part) for part in re.findall(r"([+-]\d\.\d) s", why)) == pytest.approx(1.2)
    assert "s for 5 times the text" in why
    assert "s faster tokens" in why
    assert cost == f"Least time per correct answer: brief ({(SCATTER * NOISE).mean():#.3g} s)."
    assert sure == "Significant (5 %): the time difference."


def test_a_mean_that_says_otherwise_is_explained_and_not_told_first(planted_run):
    """Sooner on most items, later on average: the sentence says why, and a task where both agree is told before it."""
    long = np.where(np.arange(N) % 13 == 0, 20.0, 1.0)
    rambling = {"task_time_s": BRIEF["task_time_s"] * long, "output_bytes": BRIEF["output_bytes"] * long}
    why = make_answer(planted_run("qa", brief=rambling), None).block.paragraphs[0]
    assert why.startswith("A few long answers of brief make its mean time greater: on average wordy takes ")
    assert " s less: -" in why
    planted = planted_run("qa", "essay")
    summary = planted_run("qa", brief=rambling)
    table = msgspec.structs.replace(summary.tables[0], task="first")
    both = msgspec.structs.replace(planted, tables=(table, *planted.tables))
    assert make_answer(both, None).verdicts[0].startswith("On qa ")


def test_means_that_are_alike_are_called_so(planted_run):
    """Sooner on most items and as long on average, to the digits shown: no "0.0 s longer"."""
    often = np.arange(N) % 13 == 0
    missing = (WORDY["task_time_s"] - BRIEF["task_time_s"]).sum() / BRIEF["task_time_s"][often].sum()
    long = np.where(often, 1.0 + missing, 1.0)
    rambling = {"task_time_s": BRIEF["task_time_s"] * long, "output_bytes": BRIEF["output_bytes"] * long}
    why = make_answer(planted_run("qa", brief=rambling), None).block.paragraphs[0]
    assert why.startswith("Why: on average wordy takes as long as brief: ")


def test_ranks_that_are_not_those_of_the_medians_are_explained(planted_run):
    """Where the table's medians would rank a pair the other way, a line explains that ranks go item by item."""
    brief = np.where(np.arange(N) < 19, 1.0, 2.0)
    wordy = np.where(np.arange(N) < 38, 1.6 * brief, 1.0)
    assert np.median(wordy) < np.median(brief)
    planted = planted_run("qa", brief={"task_time_s": brief}, wordy={"task_time_s": wordy})
    told = "Ranks compare times item by item; the medians would put wordy before brief."
    assert told in " ".join(printed(planted))
    assert "item by item" not in " ".join(printed(planted_run("qa")))


def test_without_an_inversion_the_first_line_says_who_finishes_first(planted_run):
    """Where tokens per second gives the same order, that is said; no system is said to look fast."""
    verdicts = make_answer(planted_run("qa", brief={"tpot_s": 0.005 * NOISE}), None).verdicts
    (verdict,) = verdicts
    assert verdict == (
        "brief finishes first, the next takes 2.2 (2.2 to 2.2) times as long on average. "
        "It has the most tokens per second, too."
    )


def test_what_cannot_be_distinguished_is_not_decided(trials_of, summary_of):
    """Two systems of one pace share the first place in the table, in the verdict and in what is not sure."""
    jitter = np.exp(np.random.default_rng(3).normal(0, 0.3, (2, N)))
    answer = make_answer(
        summary_of(*(trials_of(name, task_time_s=t) for name, t in zip("ab", jitter, strict=True))), None
    )
    assert answer.verdicts[0].startswith("a and b finish first (no significant difference).")
    assert [cell.text for cell in answer.block.columns[-1].cells] == ["shared first"] * 2
    assert answer.block.paragraphs[-1] == "Significant (5 %): 0 of 1 time differences; the rest may be chance."


def test_tasks_that_are_not_decided_are_named_together(trials_of, summary_of):
    """Where one system is first alone on some task, whoever shares the first place elsewhere is left to the table."""
    jitter = np.exp(np.random.default_rng(3).normal(0, 0.3, (3, N)))
    times = {"clear": (1, 9, 9), "two": (1, 1, 9), "all": (1, 1, 1)}
    cells = [
        trials_of(name, task=task, task_time_s=time * one)
        for task, three in times.items()
        for name, time, one in zip("abc", three, jitter, strict=True)
    ]
    (verdict,) = make_answer(summary_of(*cells), None).verdicts
    assert "a finishes first on clear, " in verdict
    assert "; not decided on two and all." in verdict


def test_one_system_and_none_are_no_ranking(trials_of, summary_of):
    """A single system has its own numbers and no place; without a valid result nothing is claimed."""
    alone = make_answer(summary_of(trials_of("s")), None)
    assert alone.verdicts == (
        "No ranking: there is one system. s finishes in 1.00 s (median), a correct answer takes 1.00 s.",
    )
    assert [cell.text for cell in alone.block.columns[-1].cells] == ["alone"]
    cached = make_answer(summary_of(*(trials_of(name, cached_tokens=40) for name in "ab")), None)
    assert cached.verdicts == ("No ranking: no system has a valid result.",)
    assert {cell.text for cell in cached.block.columns[-1].cells} == {"INVALID"}
    assert cached.advice[0].sentence.startswith("INVALID, 80 % of the prompt tokens came from a cache. ")


def test_cautions_are_grouped_ranked_and_counted(planted_run):
    """One line for a caution on two tasks, what invalidates a result before what only widens intervals."""
    few = {name: values[:12] if isinstance(values, np.ndarray) else values for name, values in WORDY.items()}
    short = {name: values[:12] for name, values in BRIEF.items()}
    late = few | {"send_delay_s": 1.0, "outcome": ["truncated"] * 3 + ["correct"] * 9}
    answer = make_answer(planted_run("qa", "essay", brief=short, wordy=late), "x.db")
    assert [each.code for each in answer.advice[:3]] == ["send-delay", "truncated", "too-few"]
    assert [each.who for each in answer.advice[:3]] == [
        "wordy on all 2 tasks",
        "wordy on all 2 tasks",
        "",
    ]
    assert answer.advice[1].what == "6 of 48 answers hit the token limit"
    assert answer.advice[2].command == "taskpace run x.db --items 30"
    assert answer.more >= 0


def test_one_is_no_plural(tmp_path, simulated):
    """Of a run that was stopped after its first trial: one item, not "1 items"; likewise a trial that is left."""
    plan = prepare(simulated(tasks=("mmlu-letter", "qa-context"), items=1), tmp_path)
    with Store.create_or_continue(tmp_path / "x.db", plan, "0") as store:
        first = StopAfter(1)
        run_plan(plan, store, on_event=first, stop=first)
        told = [each.what for each in make_answer(summarise(store), None).advice]
    assert "one trial is not run yet" in told
    assert any(each.startswith("one item") for each in told)


def test_many_tasks_have_a_row_each(planted_run):
    """With more rows than a screen holds, a task has one: who is first there, and who only looks fast."""
    answer = make_answer(planted_run(*(f"task{number}" for number in range(9))), None)
    assert [column.heading for column in answer.block.columns] == [
        "task",
        "finishes first",
        "task time",
        "correct",
        "only looks fast",
    ]
    assert len(printed(planted_run(*(f"task{number}" for number in range(9))))) <= MOST_LINES + 3


NAMES = st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=60), min_size=6, max_size=6, unique=True)


@settings(max_examples=3 * settings.default.max_examples // 10)
@given(names=NAMES, seed=st.integers(0, 4), width=st.sampled_from([80, 120]))
def test_three_systems_on_three_tasks_fit_one_screen(names, seed, width):
    """Whatever the names: at most 20 lines before "more", none wider than the terminal, no control codes."""
    summary = drawn(names, seed)
    lines = printed(summary, width)
    (more,) = [index for index, line in enumerate(lines) if line.startswith("more: ")]
    assert more <= MOST_LINES
    assert max(map(column_width, lines)) <= width
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", "".join(lines))


def drawn(names: list[str], seed: int) -> Summary:
    """Three systems on three tasks with numbers drawn at random, some cut or wrong."""
    given = dict(zip(PLACEHOLDERS, names, strict=True))

    def renamed(value: Any) -> Any:
        if isinstance(value, str):
            return re.sub("|".join(PLACEHOLDERS), lambda found: given[found[0]], value)
        if isinstance(value, dict):
            return {key: renamed(each) for key, each in value.items()}
        return [renamed(each) for each in value] if isinstance(value, list | tuple) else value

    return msgspec.convert(renamed(msgspec.to_builtins(numbers(seed))), Summary)


PLACEHOLDERS = ("system-0", "system-1", "system-2", "task-0", "task-1", "task-2")


@cache
def numbers(seed: int) -> Summary:
    """The numbers of it."""
    from tests.conftest import summary_of, trials_of

    rng = np.random.default_rng(seed)
    build, make = trials_of.__wrapped__(), summary_of.__wrapped__()
    cells = [
        build(
            system,
            task=task,
            task_time_s=rng.lognormal(rng.normal(0, 0.5), 0.3, 12),
            tpot_s=rng.lognormal(-4, 0.3, 12),
            output_bytes=rng.integers(20, 900, 12).astype(float),
            outcome=list(rng.choice(["correct", "wrong", "truncated", "error"], 12, p=[0.5, 0.3, 0.1, 0.1])),
        )
        for task in PLACEHOLDERS[3:]
        for system in PLACEHOLDERS[:3]
    ]
    return make(*cells, resamples=0)


def test_the_makespan_of_a_load_is_shown_and_fits_the_screen(tmp_path, cli):
    """Short and long form have it where several were in flight, as the JSON has it; one at a time there is no line."""
    experiment = taskpace.quick_experiment(
        models=("one", "two"),
        engine="simulated",
        tasks=("mmlu-letter",),
        items=12,
        scenarios=("single", "concurrency=4"),
        options={"time": "virtual"},
    )
    with workers_here(), taskpace.run(experiment, tmp_path / "x.db") as run:
        alone, loaded = run.summary(resamples=0).tables
    assert makespan_lines(alone) == []
    (said,) = makespan_lines(loaded)
    for row in loaded.rows:
        assert row.tasks_per_hour == pytest.approx(3600 * row.n / row.makespan_s)
        assert f"{row.system} {seconds(row.makespan_s)} ({digits(row.tasks_per_hour, 3)} tasks an hour)" in said
    short, long = (cli("summary", "x.db", "--resamples", "0", *form).stdout for form in ((), ("--full",)))
    told = ", ".join(f"{row.system} {seconds(row.makespan_s)}" for row in loaded.rows)
    assert f"Makespan on mmlu-letter concurrency=4: {told}." in " ".join(short.split())
    assert max(map(len, short.splitlines())) <= 80
    assert said in " ".join(long.split())


# -- commands ----------------------------------------------------------------------------------------------------------


def test_commands_get_the_names_of_the_readers_files():
    """`RUN` and `NEW` become quoted file names, within commands only."""
    text = "RUN it: `taskpace run RUN --timeout 9 -o NEW`"
    assert with_files(text, "my runs/x.db") == "RUN it: `taskpace run 'my runs/x.db' --timeout 9 -o 'my runs/x-new.db'`"
    assert with_files(text, None) == text
    assert beside("x") == "x-new.db"


@pytest.fixture
def cautious(tmp_path: Path) -> Path:
    """A run that gives reason for cautions: few items, few correct, cut answers, errors, a wordy system."""
    common = {"engine": "simulated", "model": "sim"}
    time = {"kind": "lognormal", "median": 0.02, "sigma": 0.2}
    file = tmp_path / "cautious.toml"
    file.write_text(
        tomli_w.dumps(
            {
                "items": 12,
                "tasks": ["mmlu-letter", "qa-context"],
                "max_tokens": 40,
                "system": [
                    common | {"name": "plain", "options": {"time": "virtual", "token_time": time, "length": 40}},
                    common
                    | {
                        "name": "wordy one",
                        "options": {
                            "time": "virtual",
                            "correct": 0.3,
                            "length": {"kind": "lognormal", "median": 120, "sigma": 0.4},
                            "faults": [{"kind": "error", "rate": 0.1, "after_tokens": 2}],
                        },
                    },
                ],
            }
        ),
        "utf-8",
    )
    with taskpace.run(file, tmp_path / "x.db"):
        return tmp_path / "x.db"


@pytest.mark.slow
def test_every_command_that_a_summary_names_works_when_pasted(cautious, cli):
    """Short and long form: each command between backticks or on a line of its own exits with 0."""
    texts = cli("summary", "x.db", columns=500).stdout + cli("summary", "x.db", "--full", columns=500).stdout
    found = set(re.findall(r"`(taskpace [^`]*)`", texts)) | set(re.findall(r"^ +(taskpace .*)$", texts, re.MULTILINE))
    commands = sorted(found)
    assert {shlex.split(command)[1] for command in commands} >= {"run", "show", "summary"}
    assert any("--items" in command for command in commands)
    assert any("--max-tokens" in command for command in commands)
    for command in commands:
        words = shlex.split(command)
        quiet = ["--progress", "quiet"] if words[1] in ("run", "brevity") else []
        if "-o" in words:
            (cautious.parent / words[words.index("-o") + 1]).unlink(missing_ok=True)
        done = cli(*words[1:], *quiet)
        assert done.returncode == 0, (command, done.stderr)


@pytest.mark.slow
def test_a_run_file_is_grown_by_itself(cautious, cli):
    """`taskpace run RUN --items N` asks more, of a task with less data all that there is, and the summary has them."""
    grown = cli("run", "x.db", "--items", "1000", "--progress", "plain")
    assert grown.returncode == 0
    assert "qa-context: its data have 34 items, all are asked" in grown.stderr
    with taskpace.open(cautious) as run:
        tables = {table.task: table for table in run.summary(resamples=0).tables}
    assert tables["qa-context"].rows[0].items == 34
    assert tables["mmlu-letter"].rows[0].items > 12


def test_what_a_run_file_cannot_do_is_one_line(cautious, cli):
    """Another model is refused, another limit needs another file, and a missing file says where paths start."""
    other = cli("run", "x.db", "--model", "sim").stderr
    assert other.startswith("taskpace: --model cannot change x.db, which holds an experiment: leave it out; --items, ")
    limit = cli("run", "x.db", "--max-tokens", "80", "--progress", "quiet").stderr
    assert "max_tokens was 40, is now 80" in limit
    own = cautious.parent / "own.toml"
    own.write_text(
        cautious.with_name("cautious.toml")
        .read_text("utf-8")
        .replace('"qa-context"', '{prompts = "p.jsonl", items = 1}')
    )
    (cautious.parent / "p.jsonl").write_text('{"prompt": "Say yes."}\n', "utf-8")
    assert cli("run", "own.toml", "-o", "own.db", "--progress", "quiet").returncode == 0
    (cautious.parent / "p.jsonl").unlink()
    missing = cli("run", "own.db", "--progress", "quiet")
    assert missing.returncode == 2
    assert "the relative paths of own.db start from the current folder" in missing.stderr


def test_one_task_has_its_long_form(cautious, cli):
    """`--task` prints that task's table alone; a name that is not there is told with a hint."""
    text = cli("summary", "x.db", "--task", "qa-context").stdout
    assert "qa-context · single" in text
    assert "mmlu-letter" not in text
    assert (
        'unknown task "qa-contxt" in the run (did you mean "qa-context"?)'
        in cli("summary", "x.db", "--task", "qa-contxt").stderr
    )
    assert "--task is for a terminal" in cli("summary", "x.db", "--task", "x", "--format", "csv").stderr


# -- every medium ------------------------------------------------------------------------------------------------------


def test_every_medium_begins_with_the_answer(cautious, tmp_path, undrawn):
    """Terminal, Markdown, notebook and page have the same first sentence, before anything else of the run."""
    with taskpace.open(cautious) as run:
        summary = summarise(run.store, resamples=0)
        first = make_answer(summary, "x.db").verdicts[0]
        page = run.report(tmp_path / "x.html", trials=False).read_text("utf-8")
    out = io.StringIO()
    Console(file=out, width=500).print("\n".join(printed(summary, 500)))
    assert out.getvalue().startswith(first)
    assert summary_markdown(summary, "x.db").split("\n\n")[1] == f"**{first.replace('~', chr(92) + '~')}**"
    assert notebook_html(summary, "x.db").index(first) < notebook_html(summary, "x.db").index("<table")
    assert page.index(first) < page.index("<figure") < page.index("<table")


def test_tokens_per_task_and_per_correct_answer_are_in_the_row(trials_of, summary_of):
    """Mean tokens over all trials, and the same per correct answer: wrong answers' tokens count."""
    (row,) = summary_of(trials_of(output_tokens=30, outcome=["correct", "wrong"] * 20)).tables[0].rows
    assert row.output_tokens_mean.value == pytest.approx(30)
    assert row.tokens_per_correct.value == pytest.approx(60)
    (none,) = summary_of(trials_of(output_tokens=30, outcome="wrong")).tables[0].rows
    assert none.tokens_per_correct.bound == ">="
    (unknown,) = summary_of(trials_of(output_tokens=[None, *[30] * 39])).tables[0].rows
    assert unknown.output_tokens_mean.value is None
