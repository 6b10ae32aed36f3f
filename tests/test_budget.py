"""A plan that fits a time budget: the sharing is pure, the pilot is kept, what is too short says so."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path

import filelock
import msgspec
import pytest
from hypothesis import given, strategies as st

import taskpace
from taskpace.errors import ExperimentError, StoreError
from taskpace.experiment.experiment import load_experiment
from taskpace.experiment.prepare import prepare
from taskpace.experiment.scenario import Scenario
from taskpace.report.words.coverage import fitted_lines, overrun_line
from taskpace.runner import budget
from taskpace.runner.budget import PILOT_ITEMS, Interrupted, begin, read_duration, share_out
from taskpace.runner.runner import run_plan
from taskpace.runner.session import Never
from taskpace.store import queries
from taskpace.store.store import Store

pytestmark = pytest.mark.usefixtures("workers_here")

SUITE = """
name = "suite"
suite = "core-1"
[[system]]
name = "A"
engine = "simulated"
[system.options]
time = "{time}"
length = 40
token_time = {token_time}
[[system]]
name = "B"
engine = "simulated"
[system.options]
time = "{time}"
length = 80
token_time = {token_time}
"""

tasks = st.dictionaries(
    st.text("abcdefgh", min_size=1, max_size=3),
    st.tuples(st.floats(0.01, 100), st.integers(1, 200)),
    min_size=1,
    max_size=9,
)


@given(tasks, st.floats(0, 1e5))
def test_a_share_fits_and_wastes_less_than_one_item(found, left_s):
    """Counts stay between the pilot's and the task's size and fit the time; a little more of everything would not."""
    per_item = {task: seconds for task, (seconds, _) in found.items()}
    sizes = {task: size for task, (_, size) in found.items()}
    done = {task: min(PILOT_ITEMS, size) for task, size in sizes.items()}
    counts = share_out(per_item, sizes, left_s, done=done)

    def cost(chosen):
        return sum(per_item[task] * (chosen[task] - done[task]) for task in chosen)

    assert all(min(PILOT_ITEMS, sizes[task]) <= counts[task] <= sizes[task] for task in sizes)
    assert cost(counts) <= left_s
    one_more = {task: min(sizes[task], count + 1) for task, count in counts.items()}
    assert one_more == counts or cost(one_more) > left_s


@given(tasks, st.lists(st.floats(0, 1e5), min_size=2, max_size=5))
def test_more_time_never_means_fewer_items(found, times):
    """Counts grow with the time that is left."""
    per_item = {task: seconds for task, (seconds, _) in found.items()}
    sizes = {task: size for task, (_, size) in found.items()}
    done = {task: min(PILOT_ITEMS, size) for task, size in sizes.items()}
    shares = [share_out(per_item, sizes, left_s, done=done) for left_s in sorted(times)]
    assert all(less[task] <= more[task] for less, more in pairwise(shares) for task in sizes)


def test_time_is_shared_by_the_square_root_of_the_cost():
    """Four times as long an item gets half as many, and both together fill the time."""
    counts = share_out(
        {"short": 1.0, "long": 4.0}, {"short": 10_000, "long": 10_000}, 6000.0, done={"short": 2, "long": 2}
    )
    assert counts["short"] == pytest.approx(2 * counts["long"], abs=2)
    assert counts["short"] + 4 * counts["long"] == pytest.approx(6000, abs=12)


def test_a_budget_that_is_used_up_says_by_how_much():
    """No time left after the pilot: one line with the seconds that are missing."""
    with pytest.raises(ExperimentError, match="too short: 2 items of each task, loading and warm-ups take 8 s more"):
        share_out({"t": 1.0}, {"t": 10}, -7.5, done={"t": 2})
    with pytest.raises(ExperimentError, match="take 1 s more"):
        share_out({"t": 1.0}, {"t": 10}, 1.0, done={"t": 0})


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("1h30m", 5400), ("2h", 7200), (" 5m ", 300)]
)
def test_durations_are_read(text, seconds):
    """Hours, minutes and seconds, together or alone."""
    assert read_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0m", "10", "ten minutes", "-5m", "1.5h", "m", "9999h", "5m1h", "9" * 5000 + "m"])
def test_what_is_no_duration_is_refused(text):
    """One line that shows how to write one."""
    with pytest.raises(ExperimentError, match="write hours, minutes and seconds, such as 30m"):
        read_duration(text)


def _experiment(folder: Path, *, time_: str = "virtual", token_time: float = 0.2) -> taskpace.Experiment:
    path = folder / "suite.toml"
    path.write_text(SUITE.format(time=time_, token_time=token_time))
    return load_experiment(path)


def _begin(folder: Path, budget_s: float, experiment=None, stop=None):
    return begin(
        experiment or _experiment(folder),
        folder,
        folder / "run.db",
        budget_s,
        on_event=lambda _event: None,
        stop=nullcontext(stop or Never()),
    ).plan


@pytest.mark.slow
def test_a_known_cost_gives_a_plan_that_fills_the_budget(tmp_path):
    """In virtual time the pilot takes no time of ours and items cost what they did: the rest fills the budget."""
    plan = _begin(tmp_path, 600.0)
    with Store.create_or_continue(tmp_path / "run.db", plan, "0") as store:
        run_plan(plan, store)
        spent = store.query(
            "SELECT sum(turn.end_ns) / 1e9, max(turn.end_ns) / 1e9 FROM turn JOIN trial ON trial.id = turn.trial_id"
            " JOIN record USING (trial_id, attempt) JOIN worker ON worker.number = record.worker WHERE session = 2"
        )[1]
    ((total_s, longest_s),) = spent
    # Items differ a little from the pilot's; below, each task may lack one item of each system.
    assert 0.9 * (600 - 2 * 9 * longest_s) < total_s < 1.1 * 600
    # A line is an answer there, and costs so little that all items fit.
    whole = {task.name for task in plan.tasks if len(task.items) == 30}
    assert whole == {"qa-context", "qa-closed"}
    assert all(PILOT_ITEMS < len(task.items) < 30 for task in plan.tasks if task.name not in whole)


@pytest.mark.slow
def test_what_the_pilot_asked_is_kept_and_not_asked_again(tmp_path):
    """The pilot's records are the run's first: every trial has one record, in two sessions, and a summary reads it."""
    plan = _begin(tmp_path, 300.0)
    with Store.create_or_continue(tmp_path / "run.db", plan, "0") as store:
        assert len(store.query("SELECT 1 FROM record WHERE phase = 'measured'")[1]) == 2 * 9 * PILOT_ITEMS
        run_plan(plan, store)
        records = store.query("SELECT trial_id, count(*) FROM record WHERE phase = 'measured' GROUP BY trial_id")[1]
        assert len(records) == plan.trial_count
        assert {count for _, count in records} == {1}
        assert len(store.query("SELECT 1 FROM session")[1]) == 2
    with taskpace.open(tmp_path / "run.db") as run:
        assert run.summary(resamples=0).done == plan.trial_count


@pytest.mark.slow
def test_an_unfinished_run_keeps_its_plan(tmp_path):
    """The same command on the run file that it began makes the same plan, whatever a new pilot would have found."""
    first = _begin(tmp_path, 300.0)
    assert _begin(tmp_path, 99_999.0).id == first.id


def test_another_experiment_s_file_is_refused_before_anything_is_asked(tmp_path):
    """One line, whether the other run had a budget or not, and nothing of the file changes."""
    _begin(tmp_path, 300.0)
    other = msgspec.structs.replace(_experiment(tmp_path), seed=7)
    with pytest.raises(StoreError, match="holds a run of another experiment"):
        _begin(tmp_path, 300.0, other)
    plain = msgspec.structs.replace(_experiment(tmp_path), name="plain")
    Store.create_or_continue(tmp_path / "plain.db", prepare(plain, tmp_path), "0").close()
    with pytest.raises(StoreError, match="begun without --budget"):
        begin(plain, tmp_path, tmp_path / "plain.db", 60.0, on_event=lambda _event: None, stop=nullcontext(Never()))


def test_a_target_that_cannot_be_written_is_refused_before_the_pilot(tmp_path):
    """A folder, and a file in place of a folder: nothing is asked."""
    asked = []
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "x.db"):
        with pytest.raises(StoreError):
            begin(_experiment(tmp_path), tmp_path, path, 60.0, on_event=asked.append, stop=nullcontext(Never()))
    assert asked == []


@pytest.mark.slow
def test_a_pilot_ends_with_the_budget(tmp_path):
    """Where not even the first items come in time the pilot is stopped, and says how far it came."""
    with pytest.raises(ExperimentError, match=r"too short: [0-9]+ of the 36 trials that say how long things take"):
        _begin(tmp_path, 1.5, _experiment(tmp_path, time_="real", token_time=0.05))
    assert not (tmp_path / "run.db").exists()


@pytest.mark.slow
def test_under_load_the_pilot_is_asked_again(tmp_path):
    """Two in flight are not four: with concurrency the run begins again, uninterrupted, and has a makespan."""
    experiment = _experiment(tmp_path)
    four = msgspec.structs.replace(experiment, scenarios=(Scenario(concurrency=4),))
    plan = _begin(tmp_path, 600.0, four)
    with Store.create_or_continue(tmp_path / "run.db", plan, "0") as store:
        assert store.recorded() == {}
        run_plan(plan, store)
    with taskpace.open(tmp_path / "run.db") as run:
        assert all(row.makespan_s for table in run.summary(resamples=0).tables for row in table.rows)


@pytest.mark.parametrize(("load", "told"), [(Scenario(), False), (Scenario(concurrency=8), True)])
def test_that_a_load_may_end_early_is_told_beforehand(tmp_path, load, told):
    """Two items in flight show more than an item of eight takes: a line shows it of a load, and of nothing else."""
    plan = prepare(msgspec.structs.replace(_experiment(tmp_path), scenarios=(Scenario(), load)), tmp_path)
    lines = list(fitted_lines(plan, "1m", 50.0, continued=False))
    assert any(line.startswith("concurrency=8 may take much less: ") for line in lines) is told


@pytest.mark.slow
def test_a_load_of_eight_that_costs_as_two_takes_a_quarter_of_its_time(tmp_path):
    """What docs/suite.md says of a server that answers eight as quickly as two."""
    (tmp_path / "prompts.jsonl").write_text("".join(f'{{"prompt": "say {n}"}}\n' for n in range(400)))
    path = tmp_path / "load.toml"
    suite = SUITE.format(time="virtual", token_time=0.1)
    path.write_text(
        suite.replace('suite = "core-1"', 'tasks = [{prompts = "prompts.jsonl"}]\nscenarios = ["concurrency=8"]')
    )
    plan = _begin(tmp_path, 300.0, load_experiment(path))
    with Store.create_or_continue(tmp_path / "run.db", plan, "0") as store:
        run_plan(plan, store)
        spent_s = sum(span.span_ns for span in queries.cell_spans(store)) / 1e9
    assert 0.24 * 300 < spent_s < 0.3 * 300


def test_an_overrun_is_told():
    """A run that takes a quarter longer than its budget says so; a tenth is what an estimate may miss."""
    assert overrun_line("10m", 600, 660) is None
    late = overrun_line("10m", 600, 780)
    assert late is not None
    assert late.startswith("it took 13 min, more than the 10m that it was given")


def test_a_continued_plan_is_not_called_a_fit(tmp_path):
    """Over a run that was begun before, nothing is said of what the budget is time for."""
    plan = _begin(tmp_path, 300.0)
    (line,) = fitted_lines(plan, "2h", 7000.0, continued=True)
    assert line.startswith("continues the plan that the run was begun with")


def test_more_time_than_there_are_items_takes_all(tmp_path):
    """A budget beyond the data asks all the items that the suite has."""
    plan = _begin(tmp_path, 90_000.0)
    assert [len(task.items) for task in plan.tasks] == [30] * 9


def test_arrivals_at_a_rate_are_refused(tmp_path):
    """An open loop cannot be carried out in two parts."""
    experiment = _experiment(tmp_path)
    rate = msgspec.structs.replace(experiment.scenarios[0], rate=2.0)
    with pytest.raises(ExperimentError, match="--budget: arrivals at a rate"):
        _begin(tmp_path, 60.0, msgspec.structs.replace(experiment, scenarios=(rate,)))


def test_static_batches_are_refused_before_anything_is_asked(tmp_path):
    """Two items are another batch than sixteen: what they take would give a plan for a fraction of the time."""
    experiment = _experiment(tmp_path)
    batches = (experiment.scenarios[0], msgspec.structs.replace(experiment.scenarios[0], batch=16))
    with pytest.raises(
        ExperimentError, match=r'--budget: .* static batch \("batch=16"\) takes: leave it out, and give'
    ):
        _begin(tmp_path, 60.0, msgspec.structs.replace(experiment, scenarios=batches))


def test_a_stop_during_the_pilot_keeps_nothing(tmp_path):
    """What fits is not known yet, so there is no run file to continue."""

    class Now:
        requested = True

    with pytest.raises(Interrupted):
        _begin(tmp_path, 60.0, stop=Now())
    assert not (tmp_path / "run.db").exists()


@pytest.mark.slow
def test_interrupted_it_says_what_it_has_and_what_it_lacks(tmp_path, cli):
    """Ctrl-C in the middle: exit code 130, the tasks that are whole, in part and missing; the same command goes on."""
    _experiment(tmp_path, time_="real", token_time=0.002)
    suite = (tmp_path / "suite.toml").read_text()
    few = suite.replace('suite = "core-1"', 'tasks = ["translate", "summarise", "math"]\nitems = 9')
    (tmp_path / "suite.toml").write_text(few.replace("length", "wait = 0.03\nlength"))
    command = ["run", "suite.toml", "-o", "run.db", "--budget", "10m", "--progress", "json"]
    with subprocess.Popen(
        [sys.executable, "-m", "taskpace", *command],
        cwd=tmp_path,
        env=os.environ | {"COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if '"TrialFinished"' in line and '"summarise"' in line:
                process.send_signal(signal.SIGINT)
                break
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    a, b = (next(line for line in said.splitlines() if line.startswith(f"{name}: ")) for name in "AB")
    for name, line in (("A", a), ("B", b)):
        assert line.startswith((f"{name}: has translate; has in part summarise (", f"{name}: has translate, summarise"))
        assert "math (2 of 9)" in line
    assert "the same command continues" in said
    ended = cli(*command)
    assert ended.returncode == 0, ended.stderr
    with taskpace.open(tmp_path / "run.db") as run:
        summary = run.summary(resamples=0)
    assert summary.done == summary.planned


def test_a_budget_that_is_too_short_is_one_line(tmp_path, cli):
    """From the command line: exit code 2, no traceback, no run file."""
    _experiment(tmp_path, time_="real", token_time=0.02)
    ended = cli("run", "suite.toml", "--budget", "1s", "--progress", "quiet")
    assert ended.returncode == 2, ended.stderr
    (line,) = ended.stderr.strip().splitlines()
    assert line.startswith("taskpace: --budget: too short: ")
    assert not (tmp_path / "runs" / "suite.db").exists()


def test_what_a_killed_pilot_has_left_is_removed(tmp_path, monkeypatch):
    """Its folder goes with the next pilot; one whose lock is held, or that is young, or none of a pilot's, stays."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for name in ("left", "held", "young", "empty"):
        folder = tmp_path / f"taskpace-pilot-{name}"
        folder.mkdir()
        if name != "empty":
            (folder / "pilot.db.lock").touch()
        if name != "young":
            os.utime(folder, (0, 0))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "taskpace-pilot-link").symlink_to(tmp_path / "elsewhere")
    with filelock.FileLock(tmp_path / "taskpace-pilot-held" / "pilot.db.lock"):
        os.utime(tmp_path / "taskpace-pilot-held", (0, 0))
        budget.remove_pilots()
    left = {each.name.removeprefix("taskpace-pilot-") for each in tmp_path.iterdir()}
    assert left == {"held", "young", "empty", "elsewhere", "link"}
