"""``taskpace compare BASE --run FILE --until decided``: a gate that asks until it can say pass or fail."""

from __future__ import annotations

import json
import os
import random
import re
import shlex
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given, strategies as st
from tests.commandline import Cli
from tests.in_process import InProcess, StopAfter, instant

import taskpace
from taskpace.analysis.conditions import parse_condition
from taskpace.analysis.data.cells import CellPlan
from taskpace.analysis.gate import judge
from taskpace.analysis.stats.anytime import per_correct
from taskpace.analysis.stats.gate import Evidence, OfItems, OfShares, OfTotals, bounds
from taskpace.analysis.table.again import again, further
from taskpace.analysis.until import as_arrays
from taskpace.experiment.experiment import Experiment
from taskpace.experiment.scenario import Scenario
from taskpace.experiment.until import Against, Gate, Seen
from taskpace.report.words.answer import make_answer
from taskpace.runner.runner import run_plan
from taskpace.store import queries
from taskpace.worker import worker

GATE = ("--until", "decided", "--fail-if", "task_time > 5%")


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers in the process of the test, uncalibrated: dozens of runs, none of them about processes."""
    monkeypatch.setattr(worker, "calibrate", instant)
    monkeypatch.setitem(run_plan.__kwdefaults__, "launch", InProcess)


@pytest.fixture
def made(tmp_path: Path, here: None, cli: Cli) -> Callable[..., Path]:
    """Writes NAME.toml; 120 items whose times scatter by 10 % about so many seconds."""
    rows = [{"question": f"{n} + 1?", "choices": ["1", "2", "3", "4"], "answer": 0, "subject": "s"} for n in range(120)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")

    def make(name: str, median: float = 1.0, seed: int = 0, tasks: str = "", **options: Any) -> Path:
        wait = f'{{ kind = "lognormal", sigma = 0.07, median = {median} }}'
        more = "".join(f", {key} = {value}" for key, value in options.items())
        path = tmp_path / f"{name}.toml"
        path.write_text(
            f'items = 120\ntasks = [{{ use = "mmlu-letter", data = "rows.jsonl" }}{tasks}]\n[[system]]\nname = "sim"\n'
            f'engine = "simulated"\noptions = {{ time = "virtual", wait = {wait}, token_time = 0, length = 20, '
            f"seed = {seed}{more} }}\n",
            "utf-8",
        )
        return path

    make("base")
    assert cli("run", "base.toml", "-o", "base.db", "--progress", "quiet").returncode == 0
    return make


def asked(path: Path) -> pl.DataFrame:
    """What was asked of whom when, but for what differs from run to run."""
    with taskpace.open(path) as run:
        return run.frame().select("task", "system", "item_id", "round", "place", "task_time_s").sort("task", "round",
                                                                                                  "place")  # fmt: skip


def test_a_regression_fails_after_few_items(made, cli, tmp_path):
    """30 % more: exit code 1, the baseline asked beside the new one in rounds, and the later compare says the same."""
    made("new", 1.3, 1)
    done = cli("compare", "base.db", "--run", "new.toml", *GATE, "-o", "new.db")
    assert done.returncode == 1, done.stderr
    assert "base.db's systems are asked again, in turns with the new ones" in done.stderr
    assert "FAILED: task_time > 5%: mmlu-letter · single · sim: +" in done.stderr
    trials = asked(tmp_path / "new.db")
    assert 10 < trials.height < 60
    assert set(trials["system"]) == {"sim", "sim (base)"}
    assert trials.group_by("round").len()["len"].unique().to_list() == [2]
    later = cli("compare", "base.db", "new.db", "--fail-if", "task_time > 5%")
    assert (later.returncode, later.stdout) == (1, done.stdout)
    with taskpace.open(tmp_path / "new.db") as run:
        kept = msgspec.json.decode(queries.run_row(run.store).experiment, type=Experiment).until
        assert kept is not None
        assert kept.gate is not None
        assert (kept.gate.conditions, kept.gate.again) == (("task_time > 5%",), True)
        (table,) = run.summary(resamples=0).tables
    assert table.settled is not None
    assert table.settled.gate == ("task_time > 5%",)
    assert all(row.n == row.planned for row in table.rows)
    with taskpace.open(tmp_path / "new.db") as run:
        short = " ".join(make_answer(run.summary(resamples=0), "new.db").verdicts)
    pasted = shlex.split(re.findall("`(.*)`", short)[0])
    assert pasted == ["taskpace", "compare", "base.db", "new.db", "--fail-if", "task_time > 5%"]
    assert "all conditions and tasks share its 5 %" in " ".join(later.stdout.split())


@pytest.mark.slow
def test_no_change_passes_and_a_change_at_the_limit_is_left_open(made, cli, tmp_path):
    """Exit codes 0 and 2; an open condition reports the further items needed, and the same file continues."""
    made("new", 1.0, 1)
    done = cli("compare", "base.db", "--run", "new.toml", *GATE, "-o", "new.db", "--max-items", "12")
    assert done.returncode == 2
    assert 'the gate is undecided: --fail-if "task_time > 5%" is open' in done.stderr
    assert "more items are needed: the same command with more --max-items continues" in done.stderr
    before = asked(tmp_path / "new.db")
    done = cli("compare", "base.db", "--run", "new.toml", *GATE, "-o", "new.db", "--format", "markdown")
    assert done.returncode == 0, done.stderr
    assert "passed: task_time > 5%: mmlu-letter · single · sim: " in done.stdout
    after = asked(tmp_path / "new.db")
    assert after.head(before.height).equals(before)
    assert before.height < after.height < 240
    other = cli("compare", "base.db", "new.db", "--fail-if", "task_time > 1%")
    assert other.returncode == 2
    assert "new.db goes on when the `taskpace compare` that made it is given again" in other.stderr


def test_held_against_what_was_recorded(made, cli, tmp_path):
    """With --recorded, or for the same system, the baseline is not asked: its items count, and a note says so."""
    made("new", 1.3, 1)
    done = cli("compare", "base.db", "--run", "new.toml", *GATE, "--recorded", "-o", "new.db")
    assert done.returncode == 1, done.stderr
    assert set(asked(tmp_path / "new.db")["system"]) == {"sim"}
    assert "base was not asked again" in " ".join(done.stdout.split())
    again = cli("compare", "base.db", "--run", "base.toml", *GATE, "-o", "same.db")
    assert again.returncode == 0
    assert 'compared with what base.db recorded ("sim" is the same system as the new one' in again.stderr
    fewer = made("fewer", 1.02, 2)
    fewer.write_text(fewer.read_text("utf-8").replace("items = 120", "items = 5"), "utf-8")
    cli("run", "fewer.toml", "-o", "fewer.db", "--progress", "quiet")
    made("new", 1.0, 1)
    done = cli("compare", "fewer.db", "--run", "new.toml", *GATE, "--recorded", "-o", "five.db")
    assert done.returncode == 2
    assert "ask more items of fewer.db" in done.stderr
    assert asked(tmp_path / "five.db").height == 5


@pytest.mark.slow
def test_a_gate_that_failed_asks_no_other_task_and_passes_by_all(made, cli, tmp_path):
    """The second task is not asked where the first fails; where both pass, both are judged."""
    second = ', { use = "mmlu-explain", data = "rows.jsonl" }'
    made("base", tasks=second)
    cli("run", "base.toml", "-o", "both.db", "--progress", "quiet")
    made("new", 1.3, 1, tasks=second)
    done = cli("compare", "both.db", "--run", "new.toml", *GATE, "-o", "new.db")
    assert done.returncode == 1, done.stderr
    assert set(asked(tmp_path / "new.db")["task"]) == {"mmlu-letter"}
    assert cli("compare", "both.db", "new.db", "--fail-if", "task_time > 5%").returncode == 1
    made("same", 0.9, 2, tasks=second)
    done = cli("compare", "both.db", "--run", "same.toml", *GATE, "--fail-if", "accuracy < -20%", "-o", "same.db")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("passed: ") == 4


def test_answers_that_fail_are_no_quicker_ones(made, cli):
    """Half of the new answers fail at once: bounds, with which nothing passes, and exit code 2."""
    made("new", 0.5, 1, faults='[{ kind = "error", rate = 0.5 }]')
    done = cli("compare", "base.db", "--run", "new.toml", *GATE, "-o", "new.db", "--max-items", "30")
    assert done.returncode == 2
    assert "passed" not in done.stderr


def test_a_new_system_that_cannot_be_asked_is_what_the_last_line_says(made, cli):
    """An endpoint that is not there leaves the gate undecided for that reason, and the data are not blamed."""
    new = made("new")
    served = 'engine = "openai"\nmodel = "m"\noptions = { url = "http://127.0.0.1:9/v1", proxy = false }\n'
    new.write_text(new.read_text("utf-8").partition('engine = "simulated"')[0] + served, "utf-8")
    done = cli("compare", "base.db", "--run", "new.toml", *GATE, "-o", "new.db")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == (
        "taskpace: the gate is undecided: no item has both answers: sim could not be asked, see above; the same "
        "command continues"
    )
    assert "judged after 1 item\n" in done.stderr


def test_no_remedy_of_a_gate_is_a_command_that_does_not_take_it(made, cli):
    """What a gate's comparison and summary say to do names the gate, as ``taskpace run`` refuses its run file."""
    new = made("new", 1.3, 1)
    new.write_text(new.read_text("utf-8").replace("length = 20", "length = 2000"), "utf-8")
    done = cli("compare", "base.db", "--run", "new.toml", *GATE, "-o", "new.db")
    told = [done.stdout, cli("summary", "new.db").stdout, cli("summary", "new.db", "--full").stdout]
    for each in (" ".join(text.split()) for text in told):
        assert "taskpace run" not in each
        assert re.search(
            "et `max_tokens = [0-9]+` in the experiment file, then run the gate again with another -o", each
        )


@pytest.mark.parametrize(
    ("of_gate", "in_another", "in_its_own"),
    [
        (False, "`taskpace run RUN --max-tokens 9 -o NEW`", "`taskpace run RUN --items 9`"),
        (
            True,
            "set `max_tokens = 9` in the experiment file, then run the gate again with another -o",
            "set `items = 9` in the experiment file, then run the same gate again",
        ),
    ],
)
def test_a_remedy_knows_whether_a_gate_carries_the_run_out(of_gate, in_another, in_its_own):
    """Measuring again, and going on, is said of ``taskpace run`` or of the gate, with the setting that changes."""
    cell = CellPlan(system="a", task="t", scenario=Scenario(), planned=1, graded=True, of_gate=of_gate)
    assert again(cell, max_tokens="9") == in_another
    assert further(cell, items="9") == in_its_own
    assert [again(cell), further(cell)] == (
        ["run the gate again with another -o", "run the same gate again"]
        if of_gate
        else ["`taskpace run RUN -o NEW`", "`taskpace run RUN`"]
    )


def test_every_remedy_that_carries_a_run_out_asks_who_does():
    """No other module of the analysis writes the command, which would not hold for a run with a gate."""
    modules = (Path(taskpace.__file__).parent / "analysis").rglob("*.py")
    assert [path.name for path in modules if "`taskpace run RUN" in path.read_text("utf-8")] == ["again.py"]


def test_time_that_is_up_leaves_the_gate_open(made, cli, monkeypatch):
    """No trial is begun after --budget; exit code 2, and the same command goes on."""
    made("new", 1.0, 1)
    monkeypatch.setattr("taskpace.runner.budget.read_duration", lambda _text: 0.0)
    done = cli("compare", "base.db", "--run", "new.toml", *GATE, "-o", "new.db", "--budget", "1s")
    assert done.returncode == 2
    assert "nothing was asked: time was up; the same command continues" in done.stderr


def test_a_run_file_with_a_gate_is_no_other_run(made, cli):
    """Neither ``run`` nor another gate takes it for its own, nor a gate a run without one."""
    made("new", 1.3, 1)
    cli("compare", "base.db", "--run", "new.toml", *GATE, "-o", "new.db")
    for command in (("run", "new.db"), ("run", "new.toml", "-o", "new.db")):
        done = cli(*command)
        assert done.returncode == 2
        assert "ends when its gate against base.db can say pass or fail: it goes on when the" in done.stderr
    done = cli("compare", "base.db", "--run", "new.toml", *GATE, "-o", "new.db", "--recorded")
    assert "holds a run that has a gate against other systems: choose another -o" in done.stderr
    done = cli("compare", "base.db", "--run", "new.toml", *GATE, "-o", "base.db")
    assert "holds a run that has no gate: choose another -o" in done.stderr


@pytest.mark.parametrize("recorded", [(), ("--recorded",)])
def test_stopped_at_random_moments_it_decides_as_without(made, cli, tmp_path, monkeypatch, recorded):
    """Stopped within rounds and between them, up to three times: the same trials in the same rounds, the same code."""
    made("new", 1.12, 3)
    command = ("compare", "base.db", "--run", "new.toml", *GATE, *recorded)
    whole = cli(*command, "-o", "whole.db")
    expected = asked(tmp_path / "whole.db")
    rng = random.Random(4)
    for _ in range(3):
        stop = StopAfter(rng.randint(1, expected.height // 3))
        with monkeypatch.context() as patch:
            patch.setattr("taskpace.cli.running.Interrupts", lambda _console, stop=stop: _Context(stop))
            patch.setattr("taskpace.cli.running.follow", lambda _mode, _console, stop=stop: _Context(stop))
            cli(*command, "-o", "stopped.db")
    done = cli(*command, "-o", "stopped.db")
    assert done.returncode == whole.returncode
    assert asked(tmp_path / "stopped.db").equals(expected)


class _Context:
    """``StopAfter`` as what a run asks whether to stop, and as what it reports of its events."""

    def __init__(self, stop: StopAfter) -> None:
        self._stop = stop

    def __enter__(self) -> StopAfter:
        return self._stop

    def __exit__(self, *_: object) -> None:
        return None


SYSTEMS = "".join(
    f'[[system]]\nname = "{name}"\nengine = "simulated"\noptions = {{ time = "virtual", seed = {seed}, length = 20,'
    f' wait = {{ kind = "lognormal", sigma = 0.2, median = {median} }} }}\n'
    for name, seed, median in (("a", 1, 1.0), ("b", 2, 1.15))
)


@pytest.mark.slow
@pytest.mark.parametrize("gate", [False, True])
def test_killed_processes_decide_as_without(tmp_path, gate, here, cli, monkeypatch):
    """SIGKILL to the command while it asks, in real processes: in the end the same trials, and the same exit code."""
    rows = [{"question": f"{n} + 1?", "choices": ["1", "2", "3", "4"], "answer": 0, "subject": "s"} for n in range(90)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    head = 'max_items = 90\nuntil = "decided"\ntasks = [{ use = "mmlu-letter", data = "rows.jsonl" }]\n'
    (tmp_path / "both.toml").write_text(head + SYSTEMS, "utf-8")
    command = ["run", "both.toml", "--progress", "quiet"]
    if gate:
        first, second = (f"[[system]]{part}" for part in SYSTEMS.split("[[system]]")[1:])
        for name, system in (("old", first), ("new", second)):
            text = head.replace('until = "decided"\n', "").replace("max_items", "items") + system
            (tmp_path / f"{name}.toml").write_text(text, "utf-8")
        assert cli("run", "old.toml", "-o", "old.db", "--progress", "quiet").returncode == 0
        command = ["compare", "old.db", "--run", "new.toml", *GATE, "--progress", "quiet"]
    code = cli(*command, "-o", "whole.db").returncode
    expected = asked(tmp_path / "whole.db")
    rng, path = random.Random(gate), tmp_path / "killed.db"
    for share in (0.3, 0.6) if gate else (0.5,):
        process = _taskpace(tmp_path, *command, "-o", path.name)
        target = rng.randint(1, int(share * expected.height))
        while _count(path) < target and process.poll() is None:
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        assert _count(path) < expected.height
    assert _taskpace(tmp_path, *command, "-o", path.name).wait() == code
    assert asked(path).equals(expected)


def _taskpace(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "taskpace", *arguments],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _count(path: Path) -> int:
    """Trials that a run file holds by now."""
    if not path.exists():
        return 0
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    try:
        return int(db.execute("SELECT count(*) FROM record WHERE phase = 'measured'").fetchone()[0])
    except sqlite3.OperationalError:  # it is being made
        return 0
    finally:
        db.close()


def _evidence(kind: str, values: list[float]) -> Evidence:
    column = np.array(values)
    if kind == "items":
        return OfItems(column, column, column)
    if kind == "cut":
        return OfItems(column, np.where(column < -0.5, -np.inf, column), np.where(column > 0.5, np.inf, column))
    if kind == "shares":
        return OfShares(np.sign(np.round(column)))
    seconds = np.exp(column)[:, None]
    return OfTotals(per_correct((np.ones_like(seconds), np.ones_like(seconds)), (seconds, np.ones_like(seconds))))


@given(
    st.sampled_from(["items", "cut", "shares", "totals"]),
    st.lists(st.floats(-2, 2), max_size=90),
    st.floats(-0.6, 0.6),
)
def test_a_limit_that_is_passed_lies_beyond_the_end_that_is_told(kind, values, limit):
    """What is decided of a limit is what the interval says, to a thousandth, and never both ways."""
    found = bounds(_evidence(kind, values), limit, above=0.025, below=0.025)
    assert not (found.above and found.below)
    assert found.above == (found.least >= limit) or abs(found.least - limit) < 1e-3
    assert found.below == (found.most <= limit) or abs(found.most - limit) < 1e-3
    assert not found.above or found.least > -np.inf


def test_a_change_of_nothing_is_found_in_a_few_items():
    """Equal times item by item leave no scatter: below 5 % after nine items, as nine of nine are not chance."""
    for n in (8, 9):
        same = np.zeros(n)
        assert bounds(OfItems(same, same, same), np.log(1.05), above=0.025, below=0.025).below == (n == 9)


def test_betting_on_shares_is_exact_for_few_items():
    """All of twelve items lost: below no change; one of twelve: not."""
    lost = np.full(12, -1.0)
    assert bounds(OfShares(lost), 0.0, above=0.025, below=0.025).below
    assert not bounds(OfShares(np.where(np.arange(12) == 3, -1.0, 0.0)), 0.0, above=0.025, below=0.025).below


def test_conditions_share_the_error_where_one_suffices_to_fail():
    """Of twenty each needs more items to fail than alone; to pass each takes the same, as all have to."""
    pair = Against(base="old", new="new")

    def items(times: float, text: str, cells: int) -> int:
        gate = Gate(conditions=(text,), base="base", against=(pair,), again=True, cells=cells)
        for n in range(1, 60):
            seen = [[Seen(seconds, False, True)] * n for seconds in (1.0, times)]
            if judge(parse_condition(text), as_arrays(seen), ("t", "single"), pair, gate).verdict != "open":
                return n
        raise AssertionError("never judged")

    assert items(1.3, "task_time > 5%", 20) > items(1.3, "task_time > 5%", 1)
    assert items(1.0, "task_time > 5%", 20) == items(1.0, "task_time > 5%", 1)
    assert items(0.8, "task_time < -5%", 20) > items(0.8, "task_time < -5%", 1)
