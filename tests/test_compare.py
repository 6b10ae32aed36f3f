"""``taskpace compare``: a guard that fails a build for a real change, and for nothing else."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

import taskpace
from taskpace.analysis.compare import Side, compare
from taskpace.analysis.conditions import parse_condition, relative_change
from taskpace.analysis.failures import failures
from taskpace.analysis.stats.estimates import Estimate
from taskpace.errors import StoreError, TaskpaceError

pytestmark = pytest.mark.usefixtures("workers_here")

NOISE = {"kind": "lognormal", "sigma": 0.15}


@pytest.fixture(scope="module")
def made() -> dict[str, bytes]:
    """Run files by what they hold: many tests look at the same."""
    return {}


@pytest.fixture
def make_run(simulated: Callable, tmp_path: Path, made: dict[str, bytes]) -> Callable[..., Path]:
    """Writes a run of 100 items whose task time scatters by 15 % around ``median`` seconds."""

    def build(name: str, median: float = 1.0, seed: int = 0, items: int = 100, **changes) -> Path:
        key = repr((median, seed, items, sorted(changes.items())))
        if key not in made:
            options = {"wait": NOISE | {"median": median}, "token_time": 0, "length": 20, "seed": seed}
            settings = {"models": changes.pop("models", ("sim",)), "timeout": changes.pop("timeout", 600.0)}
            experiment = simulated(options | changes, items=items, tasks=("mmlu-letter",), data=DATA, **settings)
            taskpace.run(experiment, tmp_path / name).close()
            made[key] = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(made[key])
        return tmp_path / name

    return build


DATA = "questions.jsonl"


@pytest.fixture(autouse=True)
def questions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred questions where the starter set has fewer."""
    monkeypatch.chdir(tmp_path)
    rows = (
        {"question": f"{n} + 1?", "subject": "sums", "choices": [str(n + k) for k in (1, 2, 3, 4)], "answer": 0}
        for n in range(400)
    )
    (tmp_path / DATA).write_text("\n".join(map(json.dumps, rows)))


def test_a_remedy_names_the_run_file_of_its_side(make_run, cli):
    """Ready to be pasted: each side's own file, in the terminal as in Markdown."""
    make_run("base.db", items=12)
    make_run("new.db", items=12, wait={"kind": "lognormal", "median": 1.0, "sigma": 0.8}, timeout=1.0)
    for form in ("terminal", "markdown"):
        said = " ".join(cli("compare", "base.db", "new.db", "--resamples", "0", "--format", form).stdout.split())
        commands = re.findall(r"`(taskpace [^`]*)`", said)
        assert commands
        assert not [command for command in commands if re.search(r"\b(RUN|NEW)\b", command)]
        assert any("new.db" in command for command in commands)


@pytest.mark.slow
def test_noise_passes_the_guard(make_run, cli):
    """Two runs of the same system: the change is shown as ``~``, the exit code is 0."""
    make_run("base.db")
    make_run("new.db", seed=1)
    done = cli("compare", "base.db", "new.db", "--fail-if", "task_time > 0%", "--fail-if", "accuracy < 0%")
    assert done.returncode == 0, done.stderr
    assert re.search(r"^task time .* ~ ", done.stdout, re.MULTILINE)
    assert "detecting a 5 % difference takes about" in " ".join(done.stdout.split())


def test_two_systems_of_one_run_are_compared_in_their_turns(make_run, cli):
    """The command knows as much of a run as its summary: the systems took turns, so what the machine did hit both."""
    two = make_run("two.db", models=("a", "b"), items=12)
    two.with_name("other.db").write_bytes(two.read_bytes())
    done = cli("compare", "two.db", "a", "b", "--format", "json", "--resamples", "0")
    assert [cell["pair"]["turns"] for cell in json.loads(done.stdout)["cells"]] == [True]
    apart = cli("compare", "two.db:a", "other.db:b", "--format", "json", "--resamples", "0")
    assert [cell["pair"]["turns"] for cell in json.loads(apart.stdout)["cells"]] == [False]


def test_a_run_and_its_copy_show_no_difference(make_run, cli):
    """A system beside itself: one sentence says that no difference was seen, and none how many seconds longer it is."""
    base = make_run("base.db", items=12)
    base.with_name("copy.db").write_bytes(base.read_bytes())
    for asked in (("base.db", "copy.db"), ("base.db", "sim", "sim")):
        said = " ".join(cli("compare", *asked, "--resamples", "0").stdout.split())
        assert "no difference in task time on any of 12 items." in said
        assert not re.search(r"longer than|a 5 % difference", said)


@pytest.mark.slow
def test_a_real_change_fails_the_build(make_run, cli):
    """A tenth more task time, with limit 5 %: exit code 1, and the line that failed."""
    make_run("base.db")
    make_run("new.db", median=1.10, seed=1)
    done = cli("compare", "base.db", "new.db", "--fail-if", "task_time > 5%")
    assert done.returncode == 1
    failed = re.fullmatch(
        r"FAILED: task_time > 5%: mmlu-letter · single · sim: (\+[\d.]+ % \(\+.* to \+.*\))\n", done.stderr
    )
    assert failed, done.stderr
    assert failed[1] in done.stdout


def test_a_change_within_the_limit_passes(make_run, cli):
    """Significant, and not larger than allowed: exit code 0."""
    make_run("base.db")
    make_run("new.db", median=1.10, seed=1)
    done = cli("compare", "base.db", "new.db", "--fail-if", "task_time > 20%")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_large_change_that_few_items_show_passes(make_run, cli):
    """Ten items of great scatter: a median 10 % worse says nothing yet, and nothing fails."""
    wild = {"wait": {"kind": "lognormal", "sigma": 1.0, "median": 1.0}}
    make_run("base.db", items=10, **wild)
    make_run("new.db", items=10, seed=1, **wild)
    done = cli("compare", "base.db", "new.db", "--fail-if", "task_time > 1%")
    assert done.returncode == 0


@pytest.mark.slow
def test_a_small_change_is_found_when_there_are_items_enough(make_run, cli):
    """3 % more is found on 400 items of 15 % scatter."""
    make_run("base.db", items=400, seed=5)
    make_run("new.db", median=1.04, items=400, seed=6)
    done = cli("compare", "base.db", "new.db", "--fail-if", "task_time > 0%")
    assert done.returncode == 1


@pytest.mark.slow
def test_lost_accuracy_fails_the_build(make_run, cli):
    """Quicker and wrong more often is not an improvement: accuracy is guarded in points."""
    make_run("base.db", correct=0.9)
    make_run("new.db", median=0.5, correct=0.6, seed=1)
    done = cli("compare", "base.db", "new.db", "--fail-if", "accuracy < -5%", "--fail-if", "task_time > 5%")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("FAILED: accuracy < -5%: mmlu-letter · single · sim: -")
    assert "points" in line


@pytest.mark.slow
def test_what_is_invalid_is_not_judged(make_run, cli):
    """A run whose requests left late cannot pass a guard, nor fail it: exit code 2, and what to do."""
    make_run("base.db")
    with sqlite3.connect(make_run("new.db", seed=1)) as db:
        db.execute("DROP TRIGGER turn_is_final")
        db.execute("UPDATE turn SET send_delay_ns = 10000000000")
    db.close()
    done = cli("compare", "base.db", "new.db", "--fail-if", "task_time > 5%")
    assert done.returncode == 2
    assert 'taskpace: --fail-if "task_time > 5%" cannot be judged: mmlu-letter, new, is INVALID' in done.stderr
    assert "Traceback" not in done.stderr
    assert "INVALID" in done.stdout
    assert cli("compare", "base.db", "new.db").returncode == 0


@pytest.mark.slow
def test_errors_of_the_new_side_do_not_pass_for_success(make_run, cli):
    """A fifth of the new trials fails, and the rest shows no difference: exit code 2, as nothing is known of them."""
    make_run("base.db")
    make_run("new.db", seed=1, faults=[{"kind": "error", "rate": 0.2, "after_tokens": 1}])
    done = cli("compare", "base.db", "new.db", "--fail-if", "task_time > 5%")
    assert done.returncode == 2, done.stdout
    assert "the cut answers decide (0 of base, " in done.stderr


@pytest.mark.slow
def test_what_the_cut_answers_decide_is_not_judged(make_run, cli):
    """The new run looks quicker, but half of its answers time out: exit code 2, and what to raise."""
    make_run("base.db", median=2.0, items=40)
    make_run("new.db", seed=1, items=40, timeout=1.0)
    done = cli("compare", "base.db", "new.db", "--fail-if", "task_time > 5%")
    assert done.returncode == 2
    assert "cannot be judged: mmlu-letter: the cut answers decide (0 of base, " in done.stderr
    assert done.stderr.endswith("allow 2 s: `taskpace run new.db --timeout 2 -o new-new.db`\n")
    assert "open" in done.stdout


@pytest.mark.slow
def test_a_change_beyond_doubt_fails_whatever_the_cut_answers_take(make_run, cli):
    """The new run takes twice as long and some of it times out beyond that: at least so much longer, exit code 1."""
    make_run("base.db", items=40)
    make_run("new.db", median=2.0, seed=1, items=40, timeout=2.2)
    done = cli("compare", "base.db", "new.db", "--fail-if", "task_time > 5%")
    assert done.returncode == 1, done.stderr
    assert re.search(r"FAILED: task_time > 5%: mmlu-letter · single · sim: >= \+\d+ %", done.stderr)
    unclear = cli("compare", "base.db", "new.db", "--fail-if", "task_time > 300%")
    assert unclear.returncode == 2, unclear.stderr


def test_two_systems_of_one_run_are_compared(make_run, cli):
    """RUN A B and FILE:SYSTEM twice are the same comparison; base and new are as given."""
    make_run("x.db", models=("a", "b"))
    first = cli("compare", "x.db", "b", "a", "--format", "json")
    second = cli("compare", "x.db:b", "x.db:a", "--format", "json")
    assert first.returncode == second.returncode == 0
    (cell,) = json.loads(first.stdout)["cells"]
    assert (cell["base_system"], cell["new_system"]) == ("b", "a")
    assert json.loads(second.stdout)["cells"] == [cell]


@pytest.mark.slow
def test_systems_of_two_runs_are_matched_by_name(make_run):
    """Each system with its namesake; one that only one side has is left out; the family is all that is compared."""
    make_run("base.db", models=("a", "b", "gone"))
    make_run("new.db", models=("b", "a", "added"), seed=1)
    with taskpace.open("base.db") as base, taskpace.open("new.db") as new:
        compared = compare(Side(base.store, "base"), Side(new.store, "new"), resamples=0)
    assert [(cell.base_system, cell.new_system) for cell in compared.cells] == [("a", "a"), ("b", "b")]
    p = [cell.pair.task_time.p for cell in compared.cells]
    assert max(cell.pair.task_time.p_holm for cell in compared.cells) == pytest.approx(min(1, max(2 * min(p), *p)))


def test_only_common_items_are_compared_and_that_is_said(make_run):
    """A baseline on 60 of the items: 60 are compared, and a note says so."""
    make_run("base.db", items=60)
    make_run("new.db", items=100)
    with taskpace.open("base.db") as base, taskpace.open("new.db") as new:
        compared = compare(Side(base.store, "base"), Side(new.store, "new"))
    common = compared.cells[0].pair.task_time.items
    assert 0 < common <= 60
    assert f"mmlu-letter: 60 and 100 items; {common} are compared" in compared.notes


def test_a_run_from_before_there_was_public_data_has_the_same_task(make_run):
    """Which public data set a task names, or that it names none, is not a change of the task; a new limit is one."""

    def said(change: str) -> list[str]:
        with sqlite3.connect(new) as connection:
            connection.execute(f"UPDATE task SET spec = {change}")  # noqa: S608 - two changes, both below
        connection.close()
        with taskpace.open(base) as before, taskpace.open(new) as after:
            compared = compare(Side(before.store, "base"), Side(after.store, "new"), resamples=0)
        return [note for note in compared.notes if "not the same" in note]

    base, new = make_run("base.db", items=20), make_run("new.db", items=20, seed=1)
    assert not said("json_remove(spec, '$.public', '$.data.values', '$.data.duplicates')")
    assert said("json_set(spec, '$.max_tokens', 65)")


def test_nothing_in_common_is_an_error(make_run):
    """Different systems on both sides, or no such system: the error names the systems."""
    base, new = make_run("base.db", models=("a", "b")), make_run("new.db", models=("c", "d"))
    with taskpace.open(base) as one, taskpace.open(new) as other:
        with pytest.raises(StoreError, match="base has the systems a, b and new has c, d: name one of each"):
            compare(Side(one.store, "base"), Side(other.store, "new"))
        with pytest.raises(StoreError, match='unknown system "e"'):
            compare(Side(one.store, "base", "e"), Side(other.store, "new", "c"))


@pytest.mark.parametrize("text", ["task_time > 5%", " task_time>5 % ", "accuracy < -2.5%", "time_per_correct > +0%"])
def test_conditions_that_can_be_read(text):
    """A measure, a sign and per cent, with or without spaces."""
    assert parse_condition(text).text == text.strip()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("task_time", "write a measure"),
        ("task_time > 5", "write a measure"),
        ("task_time >= 5%", "write a measure"),
        ("tasktime > 5%", "did you mean"),
        ("p99 > 5%", "unknown measure"),
        ("task_time > -5%", "has no minus"),
        ("accuracy < 5%", 'accuracy < -5%"'),
    ],
)
def test_conditions_that_cannot_be_read(text, message):
    """Each with what is wrong and how to write it."""
    with pytest.raises(TaskpaceError, match=re.escape(message)):
        parse_condition(text)


def test_a_relative_change_is_points_for_accuracy():
    """A ratio of 1.05 is 5 % more; a difference of shares is itself."""
    assert relative_change("task_time", Estimate(1.05)) == pytest.approx(0.05)
    assert relative_change("accuracy", Estimate(-0.1)) == -0.1
    assert relative_change("task_time", Estimate()) is None


def test_a_measure_that_is_unknown_cannot_be_guarded(make_run, tmp_path):
    """Accuracy of a task without right answers: silence would pass for success."""
    (tmp_path / "p.jsonl").write_text("\n".join(json.dumps({"prompt": str(n)}) for n in range(12)))
    for name in ("base.db", "new.db"):
        options = {"time": "virtual", "wait": NOISE | {"median": 1.0}}
        experiment = taskpace.quick_experiment(models=("s",), engine="simulated", prompts="p.jsonl", options=options)
        taskpace.run(experiment, name).close()
    with taskpace.open("base.db") as base, taskpace.open("new.db") as new:
        compared = compare(Side(base.store, "base"), Side(new.store, "new"))
    with pytest.raises(TaskpaceError, match=r'"accuracy < -1%" cannot be judged: p.*has no accuracy'):
        failures(compared, [parse_condition("accuracy < -1%")])


def test_a_run_from_before_think_time_has_the_same_task(make_run, tmp_path):
    """A key that an older run file lacks counts as its default; another think time is another task."""
    paths = [make_run(name, items=12) for name in ("base.db", "new.db")]

    def notes(change: str) -> tuple[str, ...]:
        with sqlite3.connect(paths[0]) as db:
            db.execute("UPDATE task SET spec = " + change)  # noqa: S608 - one of the two below
        with taskpace.open(paths[0]) as base, taskpace.open(paths[1]) as new:
            return compare(Side(base.store, "base"), Side(new.store, "new"), resamples=0).notes

    assert notes("json_remove(spec, '$.think_time_s')") == ()
    assert "is not the same" in notes("json_set(spec, '$.think_time_s', 5.0)")[0]
