"""Whether a run file is what taskpace makes: its tables, their constraints, and what is in them.

A run file may come from anyone, and a disk may turn bits over, so nothing that is read relies on a file having been
written by this program. SQLite checks constraints on writing alone; here they are checked before reading.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from taskpace.engines.base import EngineInfo
from taskpace.errors import StoreError
from taskpace.experiment.experiment import Experiment, System
from taskpace.records import MOST_COUNT, OUTCOMES
from taskpace.store.migration import old_table
from taskpace.telemetry import Calibration, ClientMetrics

NOT_OURS = "not a run file, or damaged"
RESTORE = "choose another file, or a copy of this one"
_MOST_BYTES = 256 * 1024 * 1024
"""Of one value. What is written is less: an answer has 64 MiB at most."""
_ALIKE = {"TEXT": ("text",), "INTEGER": ("integer",), "REAL": ("real", "integer"), "BLOB": ("blob",)}
"""What SQLite calls the values that a column of a type may hold."""


class _Column(NamedTuple):
    name: str
    type: str
    required: bool


class _Table(NamedTuple):
    columns: tuple[_Column, ...]
    key: tuple[str, ...]
    """The primary key's columns, in order."""


class _Data(msgspec.Struct, frozen=True):
    source: str


class _Task(msgspec.Struct, frozen=True):
    """What is read of a task's specification without reading all of it."""

    data: _Data
    max_tokens: int


_JSON: Mapping[str, Mapping[str, Any]] = {
    "run": {"experiment": Experiment},
    "session": {"host": dict[str, Any]},
    "system": {"spec": System},
    "task": {"spec": _Task},
    "worker": {"info": EngineInfo, "calibration": Calibration},
    "segment": {"client": ClientMetrics},
}
"""What the columns of JSON hold, in tables of few rows."""

_NOT_NEGATIVE = f"{{0}} BETWEEN 0 AND {MOST_COUNT}"
_FROM_ONE = f"{{0}} BETWEEN 1 AND {MOST_COUNT}"
_IF_JSON = "CASE WHEN json_valid({{0}}) THEN {} END"
"""Of AND, SQLite may look at the second part first."""
_COUNTED = {"attempt": _FROM_ONE, "turn": _FROM_ONE, "repeat": _FROM_ONE, "round": _FROM_ONE, "place": _FROM_ONE}
_RANGES: Mapping[str, Mapping[str, str]] = {
    "system": {"size_bytes": _NOT_NEGATIVE},
    "item": {
        "fields": _IF_JSON.format("json_type({0}) = 'object'"),
        "prompts": _IF_JSON.format(
            "json_type({0}) = 'array' AND NOT EXISTS (SELECT 1 FROM json_each({0}) WHERE type <> 'text')"
        ),
    },
    "trial": {"position": _NOT_NEGATIVE} | _COUNTED,
    "cell": {"position": _NOT_NEGATIVE},
    "worker": {"load_ns": _NOT_NEGATIVE},
    "record": {
        "phase": "{0} IN ('warm-up', 'measured')",
        "loop_lag_ns": _NOT_NEGATIVE,
        "machine_ns": "{0} >= 0",
        "final": "{0} IN (0, 1)",
    }
    | _COUNTED,
    "turn": {
        "dispatch_ns": f"{{0}} BETWEEN 0 AND {2**62}",
        **dict.fromkeys(("send_delay_ns", "end_ns", "finish_ns"), _NOT_NEGATIVE),
        **dict.fromkeys(("prompt_tokens", "output_tokens", "reasoning_tokens", "cached_tokens"), _NOT_NEGATIVE),
        "finish_reason": "{0} IN ('stop', 'length')",
        # Whole arrivals, the first one not before the dispatch: the eighth byte has the sign.
        "arrivals": "length({0}) % 16 = 0 AND hex(substr({0}, 8, 1)) < '80'",
    }
    | _COUNTED,
    "grade": {
        "outcome": f"{{0}} IN {OUTCOMES}",
        "score": "{0} BETWEEN 0 AND 1",
        "committed_ns": _NOT_NEGATIVE,
    }
    | _COUNTED,
}
"""What else holds of a value that is there; by table and column, ``{0}`` being the column."""

_TOGETHER = {
    "run": "SELECT 1 WHERE (SELECT count(*) FROM run) <> 1",
    "trial": "SELECT 1 FROM trial JOIN cell ON cell.id = trial.cell_id WHERE NOT EXISTS"
    " (SELECT 1 FROM item WHERE item.task = cell.task AND item.id = trial.item_id)",
}
"""By table: a query that finds what it lacks, or has too much of."""

_OF_RECORDS = {"turn": ("failure_kind IS NULL", "turn = 1"), "grade": ("phase = 'measured'", "1")}
"""By table: which records need a row in it, and which row. Others may have one."""


def distrust(db: sqlite3.Connection) -> None:
    """Let SQLite itself expect anything of a file: no functions from its schema, no cell beyond its page."""
    db.execute("PRAGMA trusted_schema = OFF")
    db.execute("PRAGMA cell_size_check = ON")
    db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MOST_BYTES)


def check_tables(db: sqlite3.Connection, path: Path, version: int) -> None:
    """See that every table is one, and is declared as taskpace declares it; before anything is read from one.

    Raises:
        StoreError: it is a view, say, or lacks a constraint.
    """
    for table, declared in _declared().items():
        if (old := old_table(table, version)) is None:
            continue
        sql = "SELECT type, strict FROM pragma_table_list WHERE schema = 'main' AND name = ?"
        kind = db.execute(sql, (old.name,)).fetchall()
        found = _table(db, old.name)
        columns = {each._replace(name=old.renamed.get(each.name, each.name)) for each in found.columns}
        key = tuple(old.renamed.get(name, name) for name in found.key)
        expected = {column for column in declared.columns if column.name not in old.lacking}
        if kind != [("table", 1)] or columns != expected or key != declared.key:
            raise _damaged(path, old.name, "it is not as taskpace makes it")
    triggers = db.execute("SELECT name, tbl_name FROM sqlite_schema WHERE type = 'trigger'").fetchall()
    for name, table in triggers:
        if name not in _triggers():
            raise _damaged(path, table, f'it has the trigger "{name}", which is not of taskpace')


def check_rows(db: sqlite3.Connection, path: Path) -> None:
    """See that every value is of its column's type and range, and that rows that belong together are there.

    Raises:
        StoreError: which table, and which column.
    """
    found: dict[str, int] = {}
    for table in _declared():
        column, found[table] = db.execute(_question(table)).fetchone()
        if column is not None:
            raise _damaged(path, table, f"column {column}")
    for table, column, kind in _json_columns():
        for (text,) in db.execute(f"SELECT {column} FROM {table}"):  # noqa: S608 - our own names
            try:
                msgspec.json.decode(text, type=kind)
            except (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError, OverflowError):
                raise _damaged(path, table, f"column {column}") from None
    for table, *_ in db.execute('SELECT "table" FROM pragma_foreign_key_check LIMIT 1'):
        raise _damaged(path, table, "a row refers to one that is missing")
    for table, sql in _TOGETHER.items():
        if db.execute(f"{sql} LIMIT 1").fetchone():
            raise _damaged(path, table, "rows are missing, or too many")
    for table in _OF_RECORDS:
        # Each refers to a record, and none twice, so that numbers say it: to look each up takes as long as all else.
        if found[table] != db.execute(_expected(table)).fetchone()[0]:
            raise _damaged(path, table, "rows are missing, or too many")


def _damaged(path: Path, table: str, what: str) -> StoreError:
    return StoreError(f"{path}: {NOT_OURS}, in table {table} ({what}): {RESTORE}")


def _condition(table: str, column: _Column) -> str:
    held = " OR ".join(f"typeof({column.name}) = '{kind}'" for kind in _ALIKE[column.type])
    if (more := _RANGES.get(table, {}).get(column.name)) is not None:
        # typeof() first: a comparison with NULL or with another type must not decide.
        held = f"({held}) AND ifnull({more.format(column.name)}, 0)"
    # As few steps as can be: each is taken for every value of the file.
    return f"({held})" if column.required else f"({column.name} IS NULL OR {held})"


@cache
def _question(table: str) -> str:
    """A query for a column of a table that holds what it must not, and for the number of rows that records need."""
    held = {column.name: _condition(table, column) for column in _declared()[table].columns}
    which = " ".join(f"WHEN NOT {condition} THEN '{name}'" for name, condition in held.items())
    _, row = _OF_RECORDS.get(table, ("", "1"))
    return f"SELECT max(CASE {which} END), count(CASE WHEN {row} THEN 1 END) FROM {table}"  # noqa: S608 - ours


def _expected(table: str) -> str:
    """A query for how many rows of a table belong to records: one to each that needs it, and those of others."""
    needs, row = _OF_RECORDS[table]
    key = f"{table}.trial_id = record.trial_id AND {table}.attempt = record.attempt"
    return (
        f"SELECT count(CASE WHEN {needs} OR EXISTS (SELECT 1 FROM {table} WHERE {key} AND {row}) THEN 1 END)"  # noqa: S608 - ours
        " FROM record"
    )


def _json_columns() -> Iterator[tuple[str, str, Any]]:
    for table, columns in _JSON.items():
        for column, kind in columns.items():
            yield table, column, kind


def _table(db: sqlite3.Connection, name: str) -> _Table:
    sql = 'SELECT name, type, "notnull", pk FROM pragma_table_info(?)'
    rows = db.execute(sql, (name,)).fetchall()
    columns = tuple(_Column(column, kind, bool(needed)) for column, kind, needed, _ in rows)
    return _Table(columns, tuple(column for column, _, _, at in sorted(rows, key=lambda row: row[3]) if at))


@cache
def _declared() -> dict[str, _Table]:
    """Every table, as the schema declares it."""
    with contextlib.closing(_empty()) as db:
        return {name: _table(db, name) for name in _names(db, "table")}


@cache
def _triggers() -> frozenset[str]:
    with contextlib.closing(_empty()) as db:
        return frozenset(_names(db, "trigger"))


def _names(db: sqlite3.Connection, kind: str) -> list[str]:
    return [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = ?", (kind,))]


def _empty() -> sqlite3.Connection:
    """A database with today's schema and nothing in it."""
    db = sqlite3.connect(":memory:")
    db.executescript(files("taskpace.store").joinpath("schema.sql").read_text("utf-8"))
    return db
