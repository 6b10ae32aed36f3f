"""Damage and lies for the tests: what they are, how many there are, and what a command may do about them."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import sqlite3
import struct
from collections.abc import Iterator
from pathlib import Path

from tests.commandline import run_here

AMOUNT = int(os.environ.get("TASKPACE_FUZZ", "0"))
"""Of each kind of mutation in the soak; 0: as many as stand there."""
LIMIT_S = 60
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


class Hangs(BaseException):
    """A command that took longer than anybody waits."""


@contextlib.contextmanager
def limited(seconds: int = LIMIT_S) -> Iterator[None]:
    """Raise ``Hangs`` where that takes longer."""

    def over(*_: object) -> None:
        raise Hangs

    before = signal.signal(signal.SIGALRM, over)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def complaint(folder: Path, *arguments: str) -> str | None:
    """What is wrong with how a command ended; null: it ended by itself, in one line if it was not content."""
    try:
        with limited():
            done = run_here(folder, *arguments)
    except Hangs:
        return f"{arguments}: hangs"
    said = done.stderr
    if done.returncode not in CODES or "Traceback" in said + done.stdout or "a fault of taskpace's own" in said:
        return f"{arguments}: {done.returncode}: {said[-1500:]}"
    return None


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
        match rng.randrange(6):
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
                data = _another_value(data, rng)
            case _:
                data = flipped(data, rng) if data else data
    return data


def _another_value(data: bytes, rng: random.Random) -> bytes:
    """One number or text replaced by something odd."""
    found = list(re.finditer(rb'"[^"\n]*"|-?\b\d[\d.]*\b|true|false', data))
    if not found:
        return data
    chosen = rng.choice(found)
    return data[: chosen.start()] + rng.choice(ODD) + data[chosen.end() :]


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
        db.execute(f"INSERT INTO main.{table} ({', '.join(names)}) SELECT {', '.join(names)} FROM old.{table}")  # noqa: S608
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
