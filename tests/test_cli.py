"""The command line: every command, its exit code and what it prints, in terminals of 80 and of 120 columns."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from rich.console import Console

import taskpace
from taskpace.report.terminal.trial import print_trials

pytestmark = pytest.mark.usefixtures("workers_here")

EXPERIMENT = """
items = 4
tasks = ["mmlu-letter", "mmlu-explain"]
[[system]]
name = "terse"
engine = "simulated"
options = { time = "virtual", token_time = 0.05, length = 40 }
[[system]]
name = "verbose"
engine = "simulated"
options = { time = "virtual", token_time = 0.02, length = 600, correct = 0.6 }
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "x.toml").write_text(EXPERIMENT)
    return tmp_path


def test_help_lists_every_command(cli):
    """``--help`` names all commands, each with help of its own that works."""
    text = cli("--help").stdout
    names = re.findall(r"^  (\w+)  ", text[text.index("Commands:") :], re.MULTILINE)
    assert names == [
        *(
            "run",
            "plan",
            "summary",
            "compare",
            "whatif",
            "judge",
            "report",
            "chart",
            "export",
            "import",
            "show",
            "brevity",
            "tokenizers",
            "list",
            "models",
            "doctor",
        )
    ]
    for name in names:
        done = cli(name, "--help")
        assert done.returncode == 0
        assert f"taskpace {name}" in done.stdout


@pytest.mark.parametrize("columns", [80, 120])
def test_run_ends_with_the_table_and_the_sentence(cli, folder, columns):
    """After a run: the answer of the whole run within the terminal's width, and where everything is."""
    # Fewer than ten items are not ranked.
    (folder / "x.toml").write_text(EXPERIMENT.replace("items = 4", "items = 10"))
    done = cli("run", "x.toml", "-o", "x.db", columns=columns)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("On mmlu-explain terse finishes first and verbose only looks fast: ")
    assert "more: `taskpace summary x.db --task mmlu-explain`," in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= columns
    assert done.stdout.endswith("\nEverything is in x.db:\n  taskpace report x.db\n  taskpace show x.db\n")
    assert (folder / "x.db").exists()
    assert "0/40" in done.stderr
    assert "terse · mmlu-letter · single" in done.stderr


@pytest.mark.slow
def test_a_terminal_gets_a_live_line(folder):
    """On a terminal a status line counts up while the run goes on, and is gone when the table comes."""
    # In real time: a run in virtual time may end before the line is drawn a second time.
    slow = re.sub(
        r'time = "virtual", token_time = .*, length = \d+', "wait = 0.15, token_time = 0, length = 5", EXPERIMENT
    )
    (folder / "x.toml").write_text(slow)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "taskpace", "run", "x.toml", "-o", "x.db"],
        cwd=folder,
        env=os.environ | {"COLUMNS": "80", "TERM": "xterm"},
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # the other end is closed: the command has ended
        while part := os.read(ours, 65536):
            shown += part
    os.close(ours)
    assert process.wait(timeout=60) == 0
    assert re.search(rb"[1-9]\d*/16, (about [^,]* left, )?(terse|verbose)", shown)
    assert shown.rindex(b"\x1b[2K") > shown.rindex(b"/16")


def test_run_writes_json_lines_for_a_log(cli, folder):
    """``--progress json``: standard output is one event a line, from start to end, and nothing else."""
    done = cli("run", "x.toml", "-o", "x.db", "--progress", "json")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[0]["event"] == "RunStarted"
    assert events[-1] == {
        "event": "RunEnded", "path": "x.db", "planned": 16, "done": 16, "interrupted": False, "given_up": [],
        "spared": 0,
    }  # fmt: skip
    assert sum(event["event"] == "TrialFinished" for event in events) == 16


def test_a_quiet_run_prints_nothing(cli, folder):
    """``--progress quiet``: no news is good news."""
    done = cli("run", "x.toml", "-o", "x.db", "--progress", "quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_running_again_does_nothing_twice(cli, folder):
    """A finished run is not run again: the same table, no new trial."""
    first = cli("run", "x.toml", "-o", "x.db")
    again = cli("run", "x.toml", "-o", "x.db", "--progress", "json")
    events = [json.loads(line) for line in again.stdout.splitlines()]
    assert [event["event"] for event in events] == ["RunStarted", "RunEnded"]
    assert events[0]["done"] == 16
    assert cli("summary", "x.db").stdout in first.stdout


def test_the_output_has_a_default_place(cli, folder):
    """Without -o the run file is runs/NAME.db."""
    assert cli("run", "x.toml", "--progress", "quiet").returncode == 0
    assert (folder / "runs" / "x.db").exists()


def test_plan_shows_cells_and_runs_nothing(cli, folder):
    """``plan`` prints the cells, the number of trials and a ceiling, and leaves no file behind."""
    done = cli("plan", "x.toml")
    assert done.returncode == 0, done.stderr
    assert "2 systems x 2 tasks x 1 scenario = 4 cells, 16 trials" in done.stdout
    assert "up to" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert [path.name for path in folder.iterdir()] == ["x.toml"]
    cli("run", "x.toml", "-o", "x.db")
    assert "about" in cli("plan", "x.toml", "-o", "x.db").stdout


def test_show_lists_trials_and_opens_one(cli, folder):
    """``show`` lists trials, narrows them down, and shows prompt, answer, timeline and outcome of one."""
    cli("run", "x.toml", "-o", "x.db")
    listing = cli("show", "x.db", "--system", "verbose", "--task", "mmlu-letter").stdout.splitlines()
    assert len(listing) == 1 + 4
    trial = listing[1].split()[0]
    shown = cli("show", "x.db", trial).stdout
    for words in ("prompt", "answer", "timeline", "first token 0.100 s", "outcome:"):
        assert words in shown
    assert cli("show", "x.db", "--outcome", "timeout").stdout == "No recorded trial matches.\n"


@pytest.mark.parametrize(("columns", "headings"), [(80, "system task outcome"), (60, "system outcome")])
def test_the_list_of_trials_names_the_systems_in_a_narrow_terminal(columns, headings):
    """The answer gives way to the other columns, and no column but the answer is left out."""
    rows = [("7d602fd23d5b", "smollm2 brief", "qa-context", "single", "correct", 0.5, "A name, a number, a few words")]
    heads = ("trial_id", "system", "task", "scenario", "outcome", "time", "answer")
    console = Console(width=columns, record=True, file=io.StringIO())
    print_trials(pl.DataFrame(rows, schema=heads, orient="row"), console)
    heading, *_ = console.export_text().splitlines()
    assert set(headings.split()) <= set(heading.split())
    assert ("answer" in heading) is (columns == 80)


def test_lists_of_engines_tasks_and_models(cli):
    """``list`` knows the engines, the paper's tasks and the packaged models."""
    assert "llamacpp" in cli("list", "engines").stdout
    tasks = cli("list", "tasks").stdout
    for name in ("mmlu-letter", "mmlu-paraphrase", "mmlu-explain"):
        assert name in tasks
    models = cli("list", "models").stdout
    assert "smollm2-135m" in models
    assert "gemma3-270m" in models


def test_doctor_knows_the_machine(cli):
    """``doctor`` reports the machine, the clock and the extras, for people and for programs."""
    text = cli("doctor").stdout
    for words in ("python", "usable cores", "read cost ns", "llamacpp"):
        assert words in text
    facts = json.loads(cli("doctor", "--json").stdout)
    assert facts["host"]["taskpace"] is not None
    assert facts["clock"]["read_cost_ns"] > 0


def test_own_prompts_need_no_task(cli, tmp_path):
    """``--prompts`` runs a file of prompts; without right answers every trial is completed."""
    (tmp_path / "mine.jsonl").write_text('{"prompt": "Write a haiku."}\n{"prompt": "Name a river."}\n')
    done = cli("run", "-m", "sim", "--engine", "simulated", "--prompts", "mine.jsonl", "-o", "x.db")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("No ranking: ")
    # The engine keeps real time: on a busy machine the client may have been late, which is not what is asked here.
    with sqlite3.connect(tmp_path / "x.db") as db:
        db.execute("DROP TRIGGER record_is_final")
        db.execute("DROP TRIGGER turn_is_final")
        db.execute("UPDATE record SET loop_lag_ns = 0")
        db.execute("UPDATE turn SET send_delay_ns = 0")
    db.close()
    assert cli("summary", "x.db").stdout.startswith("No ranking: there is one system. sim finishes in ")
    long = cli("summary", "x.db", "--full").stdout
    assert "mine · single · 2 trials each" in long
    assert "2 completed" in long


def test_a_system_that_is_given_up_is_exit_code_1(cli, tmp_path):
    """A system that cannot be seen through is said, the rest is kept, and the exit code is 1."""
    (tmp_path / "x.toml").write_text(EXPERIMENT.replace("length = 40", 'length = 40, faults = [{ kind = "crash" }]'))
    done = cli("run", "x.toml", "-o", "x.db")
    assert done.returncode == 1
    assert "terse: given up" in done.stderr
    assert "the same command continues" in done.stderr
    assert "4 correct" in done.stdout or "correct" in done.stdout


def test_hostile_model_output_does_nothing_in_the_terminal(cli, tmp_path):
    """A prompt with escape sequences, echoed in ``show``, reaches the terminal as visible escapes."""
    (tmp_path / "mine.jsonl").write_text(json.dumps({"prompt": "say \x1b[31mred\x1b[0m \u202e"}) + "\n")
    cli("run", "-m", "sim", "--engine", "simulated", "--prompts", "mine.jsonl", "-n", "1", "-o", "x.db")
    trial = cli("show", "x.db").stdout.splitlines()[1].split()[0]
    shown = cli("show", "x.db", trial).stdout
    assert "\x1b" not in shown
    assert "say \\x1b[31mred\\x1b[0m \\u202e" in shown


def test_arguments_that_are_no_text_are_refused(tmp_path):
    """A byte that is not UTF-8 is one line and exit code 2, not a traceback: names are written down as UTF-8."""
    command = [os.fsencode(sys.executable), b"-m", b"taskpace", b"run", b"-m", b"a\xff", b"--engine", b"simulated"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "taskpace: argument 3 (a\\udcff) is not UTF-8 text: rename what it names\n"


def test_a_cell_under_load_before_one_at_a_time_leaves_nothing_to_wait_for(simulated, tmp_path):
    """Only one-at-a-time cells wait for the disk, also when they come after others and when trials come in groups."""
    scenarios = ("concurrency=3", "single", "rate=50", "concurrency=2")
    run = taskpace.run(simulated(scenarios=scenarios, items=8), tmp_path / "x.db")
    assert run.frame().height == 4 * 8
