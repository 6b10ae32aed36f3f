"""Whatever is in a file that somebody hands over: a command ends by itself, with a code of its own and no traceback.

A few mutations of each kind with every run of the tests, thousands in the soak (``TASKPACE_FUZZ`` says how many).
"""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from tests import fuzz
from tests.commandline import run_here

FEW = 6


def batches(amount: int, size: int) -> list[object]:
    """The numbers of the mutations: a few, and in the soak all of them, so many to a test, as a test has a limit."""
    amount = fuzz.AMOUNT or amount
    ends = [(begin, min(begin + size, amount)) for begin in range(0, amount, size)]
    return [range(FEW), *(pytest.param(range(*each), marks=pytest.mark.soak) for each in ends)]


MUTATIONS = batches(2000, 250)
FLIPS = batches(1000, 20)
ALL_VALUES = batches(3000, 30)

EXPERIMENT = b"""
name = "base"
items = 2
seed = 3
repeats = 2
warmup = 1
timeout = 5.5
max_tokens = 64
deadline = 2.0
retries = 1
order = "blocks"
tasks = ["mmlu-letter", { use = "math", items = 1, max_tokens = 9 }, { prompts = "prompts.txt" }]
scenarios = ["single", "concurrency=2", { rate = [1.5, 3] }]
[[system]]
name = "one"
engine = "simulated"
model = "a"
system_prompt = "Be brief."
temperature = 0.5
top_p = 0.9
seed = 4
max_tokens = 32
options = { time = "virtual", correct = 0.5, length = [20, 30] }
sweep = { temperature = [0.0, 1.0] }
[[system]]
name = "two"
engine = "openai"
brief_of = "one 0"
[system.options]
url = "http://localhost:8000/v1?api-version=1"
headers = { X-Title = "x" }
body = { top_k = 5 }
omit = ["seed"]
"""
TASK = b"""
name = "mine"
version = 2
description = "A task"
max_tokens = 64
extraction = "letter"
scorer = "letter"
stop = ["\\n\\n"]
[data]
source = "rows.jsonl"
[[turns]]
prompt = \"\"\"
{{ question }}
{% for choice in choices %}{{ loop.index0 | letter }}) {{ choice }}
{% endfor %}Answer:\"\"\"
"""
JUDGE = b"""
rubric = "Is the answer right? Say yes or no."
max_tokens = 16
[judge]
name = "grader"
engine = "simulated"
model = "j"
temperature = 0.0
options = { time = "virtual" }
"""
ROWS = [
    {"question": f"Which is number {number}? \u00e9\u4e2d", "choices": ["red", "green", "blue", "brown"], "answer": "B"}
    for number in range(4)
]
SMALL = """
items = 4
tasks = ["mmlu-letter", "dialogue"]
scenarios = ["single", "concurrency=2"]
[[system]]
name = "one"
engine = "simulated"
options = { time = "virtual", correct = 0.7 }
[[system]]
name = "two"
engine = "simulated"
options = { time = "virtual", correct = 0.4 }
"""
PLAN = ("plan", "-m", "sim", "--engine", "simulated", "-n", "2")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a run and data that pass as they are."""
    found = tmp_path_factory.mktemp("fuzz")
    (found / "prompts.txt").write_text("one\ntwo\n")
    (found / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    pl.DataFrame(ROWS).write_parquet(found / "rows.parquet")
    pl.DataFrame([{"question": row["question"], "answer": "7"} for row in ROWS]).write_csv(found / "rows.csv")
    (found / "small.toml").write_text(SMALL)
    assert run_here(found, "run", "small.toml", "-o", "base.db", "--progress", "quiet").returncode == 0
    return found


def drawn(name: str, number: int) -> random.Random:
    """Another one for each mutation, the same in every run of the tests."""
    return random.Random(f"{name} {number}")


def watch(folder: Path, name: str, numbers: range, prepare: Callable[[random.Random], None], *command: str) -> None:
    """Carry a command out on these mutations, and say which were its undoing."""
    wrong = []
    for number in numbers:
        prepare(drawn(name, number))
        for leftover in folder.glob("j.db*"):
            leftover.unlink()
        if problem := fuzz.complaint(folder, *command):
            wrong.append(f"{name} {number}: {problem}")
    assert not wrong, "\n".join(wrong[:20])


@pytest.mark.parametrize("numbers", MUTATIONS, ids=str)
@pytest.mark.parametrize(
    ("name", "base", "command"),
    [
        ("x.toml", EXPERIMENT, ("plan", "x.toml")),
        ("mine.toml", TASK, (*PLAN, "-t", "mine.toml")),
        (
            "judge.toml",
            JUDGE,
            ("judge", "base.db", "judge.toml", "-o", "j.db", "--progress", "quiet", "--resamples", "0"),
        ),
        ("d.jsonl", None, (*PLAN, "-t", "mmlu-letter", "--data", "d.jsonl")),
        ("d.csv", None, (*PLAN, "-t", "math", "--data", "d.csv")),
        ("d.parquet", None, (*PLAN, "-t", "mmlu-letter", "--data", "d.parquet")),
    ],
    ids=["experiment", "task", "judge", "jsonl", "csv", "parquet"],
)
def test_mutated_files(folder, name, base, command, numbers):
    """Experiments, tasks, judges and data, from bases that pass."""
    data = (folder / f"rows{Path(name).suffix}").read_bytes() if base is None else base
    (folder / name).write_bytes(data)
    mutate = fuzz.flipped if name.endswith("parquet") else fuzz.mutated
    if name != "x.toml":  # whose server is not there
        assert run_here(folder, *command).returncode == 0
    watch(folder, name, numbers, lambda rng: (folder / name).write_bytes(mutate(data, rng)) and None, *command)


def reading(folder: Path) -> list[tuple[str, ...]]:
    """Every command that reads ``f.db``."""
    with sqlite3.connect(folder / "base.db") as db:
        (trial,) = db.execute("SELECT id FROM trial LIMIT 1").fetchone()
    return [
        ("summary", "f.db", "--resamples", "0"),
        ("summary", "f.db", "--resamples", "50", "--full", "--plots"),
        *(("summary", "f.db", "--resamples", "0", "--format", form) for form in ("json", "markdown", "csv")),
        ("show", "f.db"),
        ("show", "f.db", trial[:12]),
        ("export", "f.db", "--to", "jsonl", "-o", "-"),
        ("export", "f.db", "--to", "parquet", "--force"),
        ("report", "f.db", "--resamples", "0", "--force"),
        ("chart", "f.db", "ranking", "-o", "c.svg", "--force"),
        ("compare", "f.db", "base.db", "--resamples", "0"),
        ("plan", "f.db"),
        ("judge", "f.db", "-m", "j", "--engine", "simulated", "-o", "j.db", "--progress", "quiet", "--resamples", "0"),
    ]


def read_all(folder: Path, name: str, rng: random.Random, *, some: int | None) -> list[str]:
    """What is wrong with how reading commands end on ``f.db``; ``some``: with so many of them."""
    commands = reading(folder)
    wrong = []
    for command in commands if some is None else rng.sample(commands, some):
        for leftover in (*folder.glob("j.db*"), *folder.glob("f.db-*")):
            leftover.unlink()
        if problem := fuzz.complaint(folder, *command):
            wrong.append(f"{name}: {problem}")
    return wrong


@pytest.mark.parametrize("numbers", FLIPS, ids=str)
def test_flipped_bits_of_a_run_file(folder, numbers):
    """One to four bits, anywhere in the file, through reading commands: numbers, or one line."""
    data, wrong = (folder / "base.db").read_bytes(), []
    for number in numbers:
        rng = drawn("flips", number)
        (folder / "f.db").write_bytes(fuzz.flipped(data, rng))
        wrong += read_all(folder, f"flips {number}", rng, some=3)
    assert not wrong, "\n".join(wrong[:20])


@pytest.mark.parametrize("numbers", ALL_VALUES, ids=str)
def test_values_of_every_kind_in_every_column(folder, numbers):
    """In one row or in all, in tables that look as they should: each through reading commands."""
    with sqlite3.connect(folder / "base.db") as db:
        names = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        columns = [
            (table, column) for table in names for _, column, *_ in db.execute(f"PRAGMA table_info({table})").fetchall()
        ]
    cases = [(table, column, index) for table, column in columns for index in range(len(fuzz.VALUES))]
    drawn("values", 0).shuffle(cases)
    wrong = []
    for table, column, index in cases[numbers.start : numbers.stop]:
        rng = drawn(f"{table}.{column}", index)
        if fuzz.with_value(folder / "base.db", folder / "f.db", (table, column), fuzz.VALUES[index], rng):
            wrong += read_all(folder, f"{table}.{column} = {fuzz.VALUES[index]!r:.60}", rng, some=2)
    assert not wrong, "\n".join(wrong[:20])


def test_a_copy_without_constraints_is_read_as_the_file_itself(folder):
    """So that the values above are what is wrong, and not the copy."""
    fuzz.copied(folder / "base.db", folder / "f.db").close()
    done, same = (
        run_here(folder, "summary", name, "--format", "json", "--resamples", "0") for name in ("f.db", "base.db")
    )
    assert (done.returncode, done.stdout) == (0, same.stdout)
