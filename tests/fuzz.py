"""Damage and lies for the tests: what they are, how many there are, and what a command may do about them."""

from __future__ import annotations

import contextlib
import json
import random
import re
import signal
import sqlite3
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl
from tests.commandline import run_here

LIMIT_S = 300
"""Of a command that takes a second or two: a busy machine is not a hang."""
CODES = (0, 1, 2, 130)

VALUES: tuple[object, ...] = (
    None, -1, 0, 1, 2**31, 2**53 + 1, 2**63 - 1, -(2**63), 0.5, -1e308, float("inf"),
    "", "x", "\0", "-5", "1e999", "nan", "\u202e\x1b[2J", "<script>", "é" * 5000,
    "null", "{}", "[]", "[1]", '["x"]', '{"a": 1}', "[" * 20_000, "[" * 900 + "]" * 900,
    '{"a":' * 400 + "1" + "}" * 400,
    b"", b"\xff", b"\0" * 15, b"\0" * 16, b"\xff" * 32, struct.pack("<qII", 2**62, 2**32 - 1, 2**32 - 1) * 2,
)  # fmt: skip
"""Of all kinds, for any column."""


ODD: tuple[bytes, ...] = (
    b"", b"-1", b"0", b"1e999", b"nan", b"inf", b"9" * 400, b"9" * 5000, b"0x", b'""', b'"x"', b"true", b"null", b"[]",
    b"{}", b"[1, 2]", b'["a", 1]', b"{ a = 1 }", b'{"a": 1}', b"[" * 3000, b"{" * 3000, b"a." * 300, b"{{", b"{% for",
    b"{{ x.__class__ }}", b"{% for a in range(10**9) %}{% endfor %}", b"{{ question * 100000 }}", b"\0", b"\xff\xfe",
    b"\xed\xa0\x80", "\u202e".encode(), b"\n", b"\r", b"\t", b",", b'"', b"'", b"\\", b"#", b"=", b"]", b"}",
    b"\n[[system]]",
    b"\n[data]\n", b'"../../../etc/passwd"', b'"/dev/zero"', b'"http://127.0.0.1:9/x"', b'"' + b"a" * 70_000 + b'"',
    b'"file:///etc/passwd"', b'"\xc3\xa9\xe4\xb8\xad"', b"2024-01-01", b"18:00:00", b"0.1",
)  # fmt: skip
"""What somebody might have typed, or meant ill."""


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
options = { time = "virtual", correct = 0.5, length = 20 }
sweep = { temperature = [0.0, 1.0] }
[[system]]
name = "two"
engine = "openai"
brief_of = "one temperature=0.0"
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
FILES: dict[str, tuple[str, bytes | None, tuple[str, ...]]] = {
    "experiment": ("x.toml", EXPERIMENT, ("plan", "x.toml")),
    "task": ("mine.toml", TASK, (*PLAN, "-t", "mine.toml")),
    "judge": (
        "judge.toml",
        JUDGE,
        ("judge", "base.db", "judge.toml", "-o", "j.db", "--progress", "quiet", "--resamples", "0"),
    ),
    "jsonl": ("d.jsonl", None, (*PLAN, "-t", "mmlu-letter", "--data", "d.jsonl")),
    "csv": ("d.csv", None, (*PLAN, "-t", "math", "--data", "d.csv")),
    "parquet": ("d.parquet", None, (*PLAN, "-t", "mmlu-letter", "--data", "d.parquet")),
}
"""By kind: a file's name, what it holds before it is mutated (null: rows), and the command that reads it."""


def prepare(folder: Path) -> None:
    """Write what the commands of ``FILES`` and ``reading`` need, and make a run; all of it passes as it is."""
    (folder / "prompts.txt").write_text("one\ntwo\n")
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    pl.DataFrame(ROWS).write_parquet(folder / "rows.parquet")
    pl.DataFrame([{"question": row["question"], "answer": "7"} for row in ROWS]).write_csv(folder / "rows.csv")
    (folder / "grader.toml").write_bytes(JUDGE)
    (folder / "small.toml").write_text(SMALL)
    assert run_here(folder, "run", "small.toml", "-o", "base.db", "--progress", "quiet").returncode == 0


def drawn(name: str, number: int) -> random.Random:
    """Another one for each mutation, the same in every run."""
    return random.Random(f"{name} {number}")


def mutations(folder: Path, kind: str, numbers: range) -> Iterator[Tried]:
    """How the command of a kind of file ends on its mutations."""
    name, base, command = FILES[kind]
    data = (folder / f"rows{Path(name).suffix}").read_bytes() if base is None else base
    (folder / name).write_bytes(data)
    assert run_here(folder, *command).returncode == 0
    mutate = flipped if kind == "parquet" else mutated
    for number in numbers:
        (folder / name).write_bytes(mutate(data, drawn(name, number)))
        for leftover in folder.glob("j.db*"):
            leftover.unlink()
        yield _named(tried(folder, *command), f"{name} {number}")


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
        ("chart", "f.db", "ranks", "-o", "c.svg", "--force"),
        ("compare", "f.db", "base.db", "--resamples", "0"),
        ("plan", "f.db"),
        ("judge", "f.db", "grader.toml", "-o", "j.db", "--progress", "quiet", "--resamples", "0"),
    ]


def flips(folder: Path, numbers: range, *, commands: int) -> Iterator[Tried]:
    """How so many of the reading commands end on a run file with one to four bits flipped, anywhere."""
    data = (folder / "base.db").read_bytes()
    for number in numbers:
        rng = drawn("flips", number)
        (folder / "f.db").write_bytes(flipped(data, rng))
        yield from _read(folder, f"flips {number}", rng, commands)


def cases(folder: Path) -> list[tuple[str, str, int]]:
    """Table, column and number of a value, for each value in each column, in an order that is drawn."""
    with sqlite3.connect(folder / "base.db") as db:
        names = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        columns = [
            (table, column) for table in names for _, column, *_ in db.execute(f"PRAGMA table_info({table})").fetchall()
        ]
    found = [(table, column, index) for table, column in columns for index in range(len(VALUES))]
    drawn("values", 0).shuffle(found)
    return found


def values(folder: Path, numbers: range, *, commands: int) -> Iterator[Tried]:
    """Tries with a value of any kind in a column, in one row or in all; a value that cannot be there is skipped.

    ``numbers``: of ``cases``.
    """
    for table, column, index in cases(folder)[numbers.start : numbers.stop]:
        rng = drawn(f"{table}.{column}", index)
        if with_value(folder / "base.db", folder / "f.db", (table, column), VALUES[index], rng):
            yield from _read(folder, f"{table}.{column} = {VALUES[index]!r:.60}", rng, commands)


def _read(folder: Path, name: str, rng: random.Random, commands: int) -> Iterator[Tried]:
    for command in rng.sample(reading(folder), commands):
        for leftover in (*folder.glob("j.db*"), *folder.glob("f.db-*")):
            leftover.unlink()
        yield _named(tried(folder, *command), name)


def _named(found: Tried, name: str) -> Tried:
    return found if found.problem is None else Tried(found.code, f"{name}: {found.problem}")


WELL_FORMED: tuple[bytes, ...] = (
    b"-1", b"0", b"1", b"0.0", b"-0.0", b"0.1", b"1e-320", b"1e308", b"1e400", b"nan", b"inf", b"-inf",
    b"9223372036854775807", b"9223372036854775808", b"1" + b"0" * 400, b'""', b'" "', b'"x"', b'"a\\nb"', b'"\\u0000"',
    b'"\\u202e"', b'"../x"', b'"/dev/zero"', b'"."', b'"http://127.0.0.1:9/x"', b'"{{ x.__class__ }}"',
    b'"{{ question * 100000 }}"', b'"' + b"a" * 70_000 + b'"', b"true", b"false", b"[]", b"[[]]", b"[1, 2]",
    b'["a", 1]', b'["a", "a"]', b"[" * 90 + b"]" * 90, b"[" * 2000 + b"]" * 2000, b"{}", b"2024-01-01", b"18:00:00",
)  # fmt: skip
"""What a reader of TOML or JSON takes, and who asked for a value of another kind or size may not."""


class Hangs(BaseException):
    """A command that took longer than anybody waits."""


@contextlib.contextmanager
def limited() -> Iterator[None]:
    """Raise ``Hangs`` where that takes longer."""

    def over(*_: object) -> None:
        raise Hangs

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(LIMIT_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


class Tried(NamedTuple):
    """How a command ended."""

    code: int | None
    """Null: it did not."""
    problem: str | None
    """What is wrong with that; null: it ended by itself, in one line if it was not content."""


def tried(folder: Path, *arguments: str) -> Tried:
    """Carry a command out."""
    try:
        with limited():
            done = run_here(folder, *arguments)
    except Hangs:
        return Tried(None, f"{arguments}: hangs")
    said = done.stderr
    if done.returncode not in CODES or "Traceback" in said + done.stdout or "a fault of taskpace's own" in said:
        return Tried(done.returncode, f"{arguments}: {done.returncode}: {said[-1500:]}")
    return Tried(done.returncode, None)


def flipped(data: bytes, rng: random.Random) -> bytes:
    """``data`` with one to four bits turned over, anywhere."""
    found = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        found[rng.randrange(len(found))] ^= 1 << rng.randrange(8)
    return bytes(found)


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Text with one to three pieces of it taken away, said twice, put elsewhere, or replaced by something odd."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        begin = rng.randrange(len(data) + 1)
        end = min(len(data), begin + rng.choice((1, 1, 3, 10, 40)))
        piece = data[begin:end]
        match rng.randrange(14):
            case 0:
                data = data[:begin] + data[end:]
            case 1:
                data = data[:begin] + piece * rng.choice((2, 3, 50)) + data[end:]
            case 2:
                at = rng.randrange(len(data) + 1)
                data = data[:at] + piece + data[at:]
            case 3:
                data = data[:begin] + rng.choice(ODD) + data[begin:]
            case 4:
                data = _another_value(data, rng, ODD)
            case 5:
                data = flipped(data, rng) if data else data
            case 6:
                data = _without_a_line(data, rng)
            case _:
                data = _another_value(data, rng, WELL_FORMED)
    return data


def _another_value(data: bytes, rng: random.Random, values: Sequence[bytes]) -> bytes:
    """One number or text replaced by something else."""
    found = list(re.finditer(rb'"[^"\n]*"|-?\b\d[\d.]*\b|true|false', data))
    if not found:
        return data
    chosen = rng.choice(found)
    return data[: chosen.start()] + rng.choice(values) + data[chosen.end() :]


def _without_a_line(data: bytes, rng: random.Random) -> bytes:
    lines = data.split(b"\n")
    del lines[rng.randrange(len(lines))]
    return b"\n".join(lines)


def copied(source: Path, target: Path) -> sqlite3.Connection:
    """A copy without constraints that looks as the file itself does."""
    db = without_constraints(source, target)
    declared(db)
    return db


def with_value(source: Path, target: Path, place: tuple[str, str], value: object, rng: random.Random) -> bool:
    """A copy with another value in one row of a column, or in all; whether there can be one.

    ``place``: table and column.
    """
    table, column = place
    with contextlib.closing(without_constraints(source, target)) as db:
        sql = f"UPDATE OR REPLACE main.{table} SET {column} = ?"  # noqa: S608 - the schema's own names
        if rng.random() < 0.5:
            sql += f" WHERE {column} = (SELECT {column} FROM main.{table} LIMIT 1)"  # noqa: S608 - likewise
        try:
            db.execute(sql, (value,))
        except sqlite3.Error:
            return False  # a row's number is a number in any table
        declared(db)
    return True


def without_constraints(source: Path, target: Path) -> sqlite3.Connection:
    """A copy of a run file whose tables look as they should and hold whatever is put into them.

    The schema's text is put in place of that of the tables by ``declared``.
    """
    target.unlink(missing_ok=True)
    db = sqlite3.connect(target, isolation_level=None)
    db.execute("ATTACH ? AS old", (str(source),))
    for pragma in ("application_id", "user_version"):
        (value,) = db.execute(f"PRAGMA old.{pragma}").fetchone()
        db.execute(f"PRAGMA main.{pragma} = {value}")
    for table in tables(db):
        rows = db.execute("SELECT name, type, pk FROM pragma_table_info(?, 'old')", (table,)).fetchall()
        names = [name for name, _, _ in rows]
        key = [name for name, _, at in sorted(rows, key=lambda row: row[2]) if at]
        (sql,) = db.execute("SELECT sql FROM old.sqlite_schema WHERE name = ?", (table,)).fetchone()
        # What has an index, or is the row's number, has to be so in the file.
        numbered = next((name for name, kind, at in rows if at and kind == "INTEGER" and len(key) == 1), None)
        parts = [f"{name} INTEGER PRIMARY KEY" if name == numbered else name + _unique(name, sql) for name in names]
        if key and numbered is None:
            parts.append(f"PRIMARY KEY ({', '.join(key)})")
        kind = "WITHOUT ROWID" if "WITHOUT ROWID" in sql else ""
        db.execute(f"CREATE TABLE main.{table} ({', '.join(parts)}) {kind}")
        db.execute(f"INSERT INTO main.{table} ({', '.join(names)}) SELECT {', '.join(names)} FROM old.{table}")  # noqa: S608 - ours
    return db


def _unique(column: str, sql: str) -> str:
    return " UNIQUE" if re.search(rf"\b{column} +TEXT NOT NULL UNIQUE", sql) else ""


def declared(db: sqlite3.Connection) -> None:
    """Let the tables say of themselves what those of the file they were copied from say."""
    db.execute("PRAGMA writable_schema = ON")
    for table in tables(db):
        (sql,) = db.execute("SELECT sql FROM old.sqlite_schema WHERE name = ?", (table,)).fetchone()
        db.execute("UPDATE main.sqlite_schema SET sql = ? WHERE name = ?", (sql, table))
    db.execute("PRAGMA writable_schema = OFF")


def tables(db: sqlite3.Connection) -> list[str]:
    sql = "SELECT name FROM old.sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
    return [name for (name,) in db.execute(sql)]
