"""Run files of older formats: read as if they were new, and made new when they are written to.

A file that is only read is never changed: temporary views give its tables today's names for as long as it is open.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import msgspec

from taskpace.records import FORMAT_VERSION


class _Step(msgspec.Struct, frozen=True, kw_only=True):
    """From one format to the next."""

    tables: dict[str, str] = {}
    """Old name -> new name."""
    columns: dict[str, dict[str, str]] = {}
    """Table (its new name) -> old column -> new column."""
    added: dict[str, dict[str, str]] = {}
    """Table -> column that is unknown in older files -> its type."""
    created: dict[str, str] = {}
    """Table that older files lack -> its columns."""

    @property
    def statements(self) -> Sequence[str]:
        return [
            *(f"ALTER TABLE {old} RENAME TO {new}" for old, new in self.tables.items()),
            *(
                f"ALTER TABLE {table} RENAME COLUMN {old} TO {new}"
                for table, columns in self.columns.items()
                for old, new in columns.items()
            ),
            *(
                f"ALTER TABLE {table} ADD COLUMN {column} {kind}"
                for table, columns in self.added.items()
                for column, kind in columns.items()
            ),
            *(f"CREATE TABLE {table} ({columns}) STRICT, WITHOUT ROWID" for table, columns in self.created.items()),
        ]


_STEPS: dict[int, _Step] = {
    1: _Step(
        tables={"sitting": "session", "stretch": "segment", "verdict": "grade"},
        columns={
            "worker": {"sitting": "session"},
            "worker_death": {"sitting": "session"},
            "turn": {"marks": "arrivals"},
        },
    ),
    2: _Step(
        added={"record": dict.fromkeys(("machine_ns", "round", "place"), "INTEGER")},
        created={"anchor": "id TEXT PRIMARY KEY, trial_id TEXT NOT NULL REFERENCES trial (id)"},
    ),
    3: _Step(added={"record": {"final": "INTEGER"}}),
}
"""By the format that a step starts from."""


def format_version(db: sqlite3.Connection) -> int:
    """The format that a file has, 0 for one without any."""
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    return version


class OldTable(msgspec.Struct, frozen=True):
    """How a table of today looks in an older file."""

    name: str
    renamed: dict[str, str] = {}
    """Old column -> new column."""
    lacking: tuple[str, ...] = ()
    """Columns that it has not yet."""


def old_table(table: str, version: int) -> OldTable | None:
    """A table of today in a file of that format; null: it has none."""
    name = table
    renamed: dict[str, str] = {}
    lacking: list[str] = []
    for step in (_STEPS[number] for number in range(version, FORMAT_VERSION)):
        if table in step.created:
            return None
        name = next((old for old, new in step.tables.items() if new == table), name)
        renamed |= step.columns.get(table, {})
        lacking += step.added.get(table, ())
    return OldTable(name, renamed, tuple(lacking))


def view_as_new(db: sqlite3.Connection) -> None:
    """Let queries see an older file as one of today's format. Nothing is written."""
    version = format_version(db)
    steps = [_STEPS[number] for number in range(version, FORMAT_VERSION)]
    for table in {name for step in steps for name in (*step.tables.values(), *step.columns, *step.added)}:
        if (old := old_table(table, version)) is None:
            continue
        found = [row[1] for row in db.execute(f"PRAGMA main.table_info({old.name})")]
        shown = [f"{column} AS {old.renamed.get(column, column)}" for column in found]
        shown += [f"NULL AS {column}" for column in old.lacking]
        db.execute(f"CREATE TEMP VIEW {table} AS SELECT {', '.join(shown)} FROM main.{old.name}")  # noqa: S608 - our own
    for table, definition in ((name, text) for step in steps for name, text in step.created.items()):
        db.execute(f"CREATE TEMP TABLE {table} ({definition.replace(' REFERENCES trial (id)', '')})")


def migrate(db: sqlite3.Connection) -> None:
    """Bring a file that is open for writing to today's format. To be called within a transaction."""
    for number in range(format_version(db), FORMAT_VERSION):
        for statement in _STEPS[number].statements:
            db.execute(statement)
    db.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
