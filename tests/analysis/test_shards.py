"""A run in several files: the numbers of one file, or one line that says why they are not of one run."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest
from tests.in_process import workers_here

import taskpace
from taskpace.analysis.data import frame, shards
from taskpace.analysis.data.frame import load_frame
from taskpace.analysis.summary import summarise
from taskpace.analysis.table.nodes import node_findings
from taskpace.errors import StoreError
from taskpace.report.words.answer import make_answer
from taskpace.report.words.block import Words
from taskpace.report.words.commands import files_having, with_files
from taskpace.report.words.sentences import sentences
from taskpace.store import tables
from taskpace.store.store import Store

TASKS = ("mmlu-letter", "math")
ITEMS = 12
OPTIONS = {
    "time": "virtual",
    "correct": 0.7,
    "wait": {"kind": "lognormal", "median": 0.1, "sigma": 0.3},
    "length": {"kind": "lognormal", "median": 100, "sigma": 0.5},
}

Files = dict[str, Path]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Files]:
    """Run files by name: one experiment as a whole and by task; another as a whole, by data and by system."""
    folder = tmp_path_factory.mktemp("shards")
    rows = [
        json.dumps({"subject": "sums", "question": f"{n} + 1?", "choices": ["0", "1", "2", str(n + 1)], "answer": 3})
        for n in range(3, 2 * ITEMS + 3)
    ]
    parts = {"both": rows, "first": rows[:ITEMS], "second": rows[ITEMS:]}
    for name, lines in parts.items():
        (folder / f"{name}.jsonl").write_text("\n".join(lines), "utf-8")

    def carried_out(name: str, models: tuple[str, ...] = ("a", "b"), **settings: Any) -> Path:
        experiment = taskpace.quick_experiment(
            models=models, engine="simulated", options=OPTIONS, warmup=0, max_tokens=1000, **settings
        )
        taskpace.run(experiment, folder / f"{name}.db").close()
        return folder / f"{name}.db"

    with workers_here():
        found = {"whole": carried_out("whole", tasks=TASKS, items=ITEMS)}
        found |= {task: carried_out(task, tasks=(task,), items=ITEMS) for task in TASKS}
        for name, lines in parts.items():
            data = {"tasks": TASKS[:1], "data": str(folder / f"{name}.jsonl"), "items": len(lines)}
            found[name] = carried_out(name, **data)
        found |= {name: carried_out(name, (name,), tasks=TASKS, items=ITEMS) for name in "abc"}
    yield found
    shutil.rmtree(folder)


def numbers(summary: taskpace.Summary) -> dict[str, Any]:
    """All that is summarised but the name, what the client's processor did, and how files differ."""

    def kept(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: kept(each) for key, each in value.items() if key not in ("client", "name")}
        if isinstance(value, list):
            return [kept(each) for each in value if not (isinstance(each, dict) and each.get("code") == "nodes")]
        return value

    found: dict[str, Any] = kept(msgspec.json.decode(msgspec.json.encode(summary)))
    return found


def close(one: Any, other: Any) -> bool:
    """Whether two values are equal up to the last digits of sums in another order."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(close(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(close, one, other))
    return bool(one == pytest.approx(other, rel=1e-9)) if isinstance(one, float) else bool(one == other)


@pytest.mark.parametrize(("whole", "parts"), [("whole", TASKS), ("both", ("first", "second"))], ids=["task", "data"])
def test_files_of_one_run_give_its_numbers(files, whole, parts):
    """Split by task or by data: every number, rank, pair and mean over the tasks is that of one file."""
    one = taskpace.summary(files[whole], resamples=20)
    several = taskpace.summary(*(files[part] for part in parts), resamples=20)
    assert (several.done, several.planned) == (one.done, one.planned) == (48, 48)
    assert close(numbers(several), numbers(one))
    assert bool(one.overall) == (whole == "whole")


def test_a_run_is_the_same_however_little_is_read_at_a_time(files, monkeypatch):
    """Spans of five trials, cells and tables one by one: the same frame and the same summary."""
    with Store.open(files["whole"]) as store:
        before = load_frame(store), summarise(store, resamples=20)
        monkeypatch.setattr(tables, "SPAN", 5)
        monkeypatch.setattr(frame, "_AT_A_TIME", 1)
        monkeypatch.setattr(shards, "TOGETHER", 1)
        after = load_frame(store), summarise(store, resamples=20)
    assert after[0].equals(before[0])
    assert msgspec.json.encode(after[1]) == msgspec.json.encode(before[1])


def test_tables_of_different_files_are_not_in_memory_together(files):
    """Of a run by task each file is read for itself; tables that are in one file, or in two, are read at once."""

    def parts(*names: str) -> list[list[str]]:
        with ExitStack() as opened:
            stores = [opened.enter_context(Store.open(files[name])) for name in names]
            return [sorted({cell.task for cell in part.cells}) for part in shards.Shards(stores).parts()]

    assert parts(*TASKS) == [[task] for task in TASKS]
    assert parts("whole") == parts("a", "b") == [sorted(TASKS)]


def test_systems_of_two_files_are_in_no_pair(files):
    """What was asked on machines that may differ is shown beside each other and not compared."""
    summary = taskpace.summary(files["a"], files["b"], resamples=0)
    assert [row.system for row in summary.tables[0].rows] == ["a", "b"]
    for table in summary.tables:
        assert [row.n for row in table.rows] == [ITEMS, ITEMS]
        assert [pair.task_time.items for pair in table.pairs] == [0]
        assert {row.rank_task_time for row in table.rows} == {None}
        (finding,) = (each for each in table.findings if each.code == "nodes")
        assert finding.text == "asked in 2 run files, each system in one; systems of different files are not compared"
        (first, *_) = sentences(table)
        assert first == "No ranking: the systems have no items in common in one session."
    answer = make_answer(summary, None)
    assert answer.verdicts[0].startswith("No ranking: the systems have no items in common in one session. a finishes")
    assert all(cell.text == "not compared" for cell in answer.block.columns[-1].cells if isinstance(cell, Words))
    (overall,) = summary.overall
    assert all(row.accuracy.value is not None for row in overall.rows)
    assert "in one session" in (overall.rows[1].missing or "")


def test_a_system_of_another_file_has_no_rank_beside_those_of_one(files):
    """Two systems of one file are ranked as without the third, which was asked in another file."""
    alone = taskpace.summary(files["whole"], resamples=0)
    summary = taskpace.summary(files["whole"], files["c"], resamples=0)
    for table, own in zip(summary.tables, alone.tables, strict=True):
        ranks = {row.system: row.rank_task_time for row in table.rows}
        assert ranks == {row.system: row.rank_task_time for row in own.rows} | {"c": None}


def test_a_file_whose_tokens_come_slower_is_named(files):
    """Of the same systems in two files: one that takes twice as long per token is named with its ratio."""
    names = [str(files[name]) for name in ("first", "second")]
    found = []
    for name in names:
        with taskpace.open(name) as run:
            found.append(run.frame().with_columns(shard=pl.lit(name)))
    slower = pl.when(pl.col("shard") == names[1]).then(2.0).otherwise(1.0)
    noise = 1 + 0.01 * (pl.int_range(pl.len()) % 7)
    (finding,) = node_findings(pl.concat(found).with_columns(tpot_s=pl.col("tpot_s") * noise * slower), crossed=0)
    assert finding.evidence[f"ratio of {names[1]}"] == pytest.approx(2.0, rel=0.05)
    assert f"{names[1]} takes " in finding.text
    assert finding.text.startswith("asked in 2 run files: ")
    assert finding.remedy.startswith("pairs stay within a run file")


def changed(*statements: str) -> Callable[[Files, Path], list[Path]]:
    """The two files of a run by task, the second after SQL."""

    def make(files: Files, folder: Path) -> list[Path]:
        second = folder / "second.db"
        shutil.copy(files[TASKS[1]], second)
        with closing(sqlite3.connect(second)) as db:
            for statement in statements:
                db.execute(statement)
            db.commit()
        return [files[TASKS[0]], second]

    return make


def experiment(path: str, value: str) -> Callable[[Files, Path], list[Path]]:
    return changed(f"UPDATE run SET experiment = json_set(experiment, '$.{path}', json('{value}'))")  # noqa: S608 - ours


def linked(files: Files, folder: Path) -> list[Path]:
    """One file by two names."""
    link = folder / "link.db"
    link.symlink_to(files["a"])
    return [files["a"], link]


REFUSED: dict[str, tuple[Callable[[Files, Path], list[Path]], str]] = {
    "another timeout": (experiment("timeout_s", "5.0"), "second.db: its timeout is not that of .*: `taskpace compare"),
    "another seed": (experiment("seed", "7"), "second.db: its seed is not that of "),
    "another deadline": (experiment("deadline_s", "3.0"), "give one for all with --deadline"),
    "another price": (
        experiment("prices", '{"a": {"per_hour": 2.0}}'),
        'its price of "a" is not that of .* with --price a=PRICE',
    ),
    "another sampling": (
        changed("UPDATE system SET spec = json_set(spec, '$.sampling.temperature', 0.5) WHERE name = 'b'"),
        r'second.db: its system "b" is not that of .*\(sampling differs\): these are two runs',
    ),
    "until": (experiment("until", "{}"), "second.db: holds a run that ends when its ranking is settled.*read it alone"),
    "the same file": (lambda files, _: [files["a"], files["a"]], "a.db: given twice: leave it out once"),
    "the same file by a link": (linked, "link.db: given twice, as .*a.db, too: leave it out once"),
    "the same trials": (
        lambda files, _: [files["whole"], files["math"]],
        'math.db: 24 of its trials are in .*whole.db, too, such as item .* of "math" asked of "a": leave one of the',
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_one_run_is_refused_in_one_line(files, case, tmp_path, cli):
    """Other settings, the same trial twice, an end that the data decide: both files, what differs and what to do."""
    make, said = REFUSED[case]
    given = [str(path) for path in make(files, tmp_path)]
    done = cli("summary", *given)
    assert done.returncode == 2
    assert done.stdout == ""
    assert re.search(said, done.stderr), done.stderr
    assert done.stderr.count("\n") == 1
    assert all(name in done.stderr for name in given) or case == "until"


def test_a_deadline_or_a_price_for_all_takes_the_place_of_those_that_differ(files, tmp_path, cli):
    """The remedy of the message works as it is written."""
    given = [str(path) for path in experiment("deadline_s", "3.0")(files, tmp_path)]
    done = cli("summary", *given, "--deadline", "2", "--resamples", "0", "--format", "json")
    assert json.loads(done.stdout)["deadline_s"] == 2.0, done.stderr
    given = [str(path) for path in experiment("prices", '{"a": {"per_hour": 2.0}}')(files, tmp_path)]
    done = cli("summary", *given, "--price", "a=3/h", "--resamples", "0", "--format", "json")
    tables = json.loads(done.stdout)["tables"]
    assert [table["rows"][0]["cost"] is not None for table in tables] == [True, True], done.stderr


def test_the_command_line_names_all_files(files, cli):
    """The short form ends with commands that have every file; a name that is of none of them is refused."""
    given = [str(files[task]) for task in TASKS]
    done = cli("summary", *given, "--resamples", "0", columns=120)
    assert done.returncode == 0, done.stderr
    assert f"`taskpace summary {' '.join(given)} --full`" in " ".join(done.stdout.split())
    done = cli("summary", *given, "--price", "c=1/2")
    assert (done.returncode, done.stdout) == (2, "")
    assert 'unknown system "c"' in done.stderr


FORMS = ((), ("--full",), ("--format", "markdown"), ("--format", "csv"))


@pytest.mark.parametrize("names", [TASKS, ("first", "second"), ("a", "b")], ids=["by task", "by data", "by system"])
def test_every_command_of_several_files_works_when_pasted(files, tmp_path, cli, names):
    """No placeholder is in any form, and each command names the files that its system and task are in."""
    for name in names:
        shutil.copy(files[name], tmp_path / f"my-{name}.db")
    given = [f"my-{name}.db" for name in names]
    texts = [cli("summary", *given, "--resamples", "0", *form, columns=500).stdout for form in FORMS]
    found = {line for text in texts for line in re.findall(r"`(taskpace [^`]*)`|^ +(taskpace .*)$", text, re.MULTILINE)}
    commands = {"".join(each) for each in found}
    assert any(" --items " in command for command in commands)
    assert not [command for command in commands if re.search(r"\b(RUN|NEW|NAME|FILE)\b", command)]
    assert not re.search(r"\b(RUN|NEW)\b", "".join(texts))
    with workers_here():
        for each in {part for command in commands for part in command.split(" && ")}:
            words = shlex.split(each)
            done = cli(*words[1:], *(("--progress", "quiet") if words[1] == "run" else ()))
            assert done.returncode == 0, (each, done.stderr)


def test_a_remedy_is_for_the_files_that_have_what_it_concerns():
    """Of several files the one with the cell; of more than one each, and how many others there are."""
    asks = "ask more: `taskpace run RUN --items 9 -o NEW`"
    assert with_files(asks, "a.db") == "ask more: `taskpace run a.db --items 9 -o a-new.db`"
    both = "`taskpace run a.db --items 9 -o a-new.db && taskpace run 'b c.db' --items 9 -o 'b c-new.db'`"
    assert with_files(asks, "a.db", "b c.db") == f"ask more: {both}"
    assert with_files(asks, *"abcde").endswith(" && taskpace run c --items 9 -o c-new.db` (likewise 2 more run files)")
    having = {("s", "t", "single"): ("a.db",), ("s", "u", "single"): ("b.db", "a.db")}
    assert files_having(having, [("s", "t", "single")]) == ("a.db",)
    assert files_having(having, having) == ("a.db", "b.db")
    assert files_having(None, having) == ()


def test_no_file_is_no_run():
    """From Python, too, it is said in one line."""
    with pytest.raises(StoreError, match="no run file given"):
        taskpace.summary()
