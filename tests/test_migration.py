"""Run files of format 1, made by taskpace 0.1.0 before its names were settled, are read, exported and continued."""

from __future__ import annotations

import contextlib
import csv
import shutil
import sqlite3
from pathlib import Path

import pytest

import taskpace
from taskpace.records import FORMAT_VERSION

pytestmark = pytest.mark.usefixtures("workers_here")

MADE = Path(__file__).parent / "formats"
"""``format-1.db`` holds 24 of the 32 trials of ``format-1.toml``."""


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A copy of the file, which may be written to."""
    return Path(shutil.copy(MADE / "format-1.db", tmp_path / "old.db"))


def version_of(path: Path) -> int:
    with sqlite3.connect(path) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0])


def test_an_old_file_is_read_and_stays_as_it_is(old, undrawn):
    """Frame, summary, trials and report are there under today's names, and not a byte of the file has changed."""
    before = old.read_bytes()
    with taskpace.open(old) as run:
        frame = run.frame()
        summary = run.summary(resamples=0)
        trial = run.trial(frame["trial_id"][0])
        run.report(old.with_suffix(".html"))
    assert frame["trial_id"].n_unique() == summary.done == 24
    assert summary.planned == 32
    assert set(frame["outcome"]) == {"correct", "wrong"}
    record, grade = trial[-1]
    assert grade is not None
    assert record.turns[0].arrivals
    assert old.read_bytes() == before


def test_an_old_file_is_exported(old, cli):
    """Every attempt stands in the table that ``taskpace export`` writes."""
    done = cli("export", "old.db", "--to", "csv")
    assert done.returncode == 0, done.stderr
    with taskpace.open(old) as run:
        attempts = run.frame().height
    with old.with_suffix(".csv").open(encoding="utf-8", newline="") as table:
        assert len(list(csv.DictReader(table))) == attempts


def test_an_old_file_is_continued_and_made_new(old):
    """The rest is asked, what was recorded stays, and the file has today's format, whole."""
    with taskpace.open(old) as run:
        kept = run.frame()
    with taskpace.run(MADE / "format-1.toml", old) as run:
        frame = run.frame()
    assert frame["trial_id"].n_unique() == 32
    assert kept.join(frame, on=["trial_id", "attempt", "task_time_s", "outcome"], how="anti").height == 0
    assert version_of(old) == FORMAT_VERSION
    with sqlite3.connect(old) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        for table in ("record", "turn"):  # the triggers came along
            with pytest.raises(sqlite3.IntegrityError, match="append only"):
                connection.execute(f"DELETE FROM {table}")  # noqa: S608 - one of two words


def test_an_old_file_grows(old, tmp_path):
    """More items, a task and a system more: the old records stay, the new ones take turns, the schema is today's."""
    with taskpace.open(old) as run:
        kept = run.frame()
    larger = (
        (MADE / "format-1.toml")
        .read_text()
        .replace("items = 4", "items = 6")
        .replace('"dialogue"]', '"math", "dialogue"]')
    )
    third = '\n[[system]]\nname = "third"\nengine = "simulated"\noptions = { time = "virtual" }\n'
    (tmp_path / "larger.toml").write_text(larger + third)
    with taskpace.run(tmp_path / "larger.toml", old) as run:
        frame = run.frame()
        summary = run.summary(resamples=0)
    assert frame["trial_id"].n_unique() == summary.planned == 3 * 3 * 2 * 6
    assert kept.join(frame, on=["trial_id", "attempt", "task_time_s", "outcome"], how="anti").height == 0
    new = frame.filter(frame["session"] == frame["session"].max())
    assert new["round"].null_count() == 0
    assert summary.done == summary.planned
    taskpace.run(tmp_path / "larger.toml", tmp_path / "new.db").close()
    assert columns_of(old) == columns_of(tmp_path / "new.db")


def columns_of(path: Path) -> dict[str, list[tuple[str, str]]]:
    """Names and types of the columns of each table."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        sql = "SELECT name, type FROM pragma_table_info(?)"
        return {table: sorted(db.execute(sql, (table,))) for table in tables}
