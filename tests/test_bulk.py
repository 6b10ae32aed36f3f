"""Many rows in few statements: what goes in comes out, and what goes wrong leaves nothing."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, strategies as st

from taskpace.store import bulk
from taskpace.store.bulk import BulkInserts

TABLE = "CREATE TABLE row (id TEXT PRIMARY KEY, position INTEGER NOT NULL, own TEXT, hexed TEXT, all_have TEXT) STRICT"
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=12)
rows = st.lists(st.tuples(texts, st.integers(0, 10**9), texts), unique_by=lambda row: row[0], min_size=1)


@contextmanager
def a_table() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)) as db:
        db.execute(TABLE)
        db.execute("BEGIN")
        yield db


def put(db: sqlite3.Connection, found: list[tuple[str, int, str]], all_have: str = "x", rows_each: int = 10) -> None:
    with BulkInserts(db) as inserts:
        for begin in range(0, len(found), rows_each):
            ids, positions, own = (list(column) for column in zip(*found[begin : begin + rows_each], strict=True))
            texts_in_utf8 = [text.encode() for text in own]
            columns = {"id": ids, "position": positions, "own": texts_in_utf8, "hexed": hexed(positions)}
            inserts.put("row", "id", columns | {"all_have": all_have})


def hexed(positions: list[int]) -> np.ndarray:
    return np.array(positions, ">u8").view(np.uint8).reshape(-1, 8)


@given(rows, texts, st.integers(1, 4))
def test_what_goes_in_comes_out(found, all_have, rows_each):
    """Texts of any letters and lengths and whole numbers are those that were put, in statements of any size."""
    with a_table() as db, patch.object(bulk, "_MOST_WAITING", 2):
        put(db, found, all_have, rows_each)
        assert db.execute("SELECT * FROM row ORDER BY rowid").fetchall() == [
            (*row, f"{row[1]:016x}", all_have) for row in found
        ]


def test_a_row_that_is_there_gets_its_new_position_alone():
    """What a larger plan has again stays as it is, at its place in that plan."""
    with a_table() as db:
        put(db, [("a", 1, "first"), ("b", 2, "second")])
        put(db, [("b", 1, "other"), ("c", 2, "third")])
        assert db.execute("SELECT id, position, own FROM row ORDER BY id").fetchall() == [
            ("a", 1, "first"),
            ("b", 1, "second"),
            ("c", 2, "third"),
        ]


def test_rows_take_few_statements():
    """A statement takes all rows that it is given, whatever they are."""
    said: list[str] = []
    with a_table() as db:
        db.set_trace_callback(said.append)
        put(db, [(str(number), number, "text" * (number % 3)) for number in range(2001)], rows_each=1000)
        db.set_trace_callback(None)
    assert len(said) == 3


def test_after_an_error_nothing_more_is_written():
    """A disk that is full ends the transaction, so what was still to come would stay without what was before it."""
    with a_table() as db, patch.object(bulk, "_MOST_WAITING", 50):
        db.execute("COMMIT")
        db.execute(f"PRAGMA max_page_count = {db.execute('PRAGMA page_count').fetchone()[0] + 20}")
        db.execute("BEGIN")
        with pytest.raises(sqlite3.OperationalError, match="full"):
            put(db, [(str(number), number, "text" * (50_000 if number == 50 else 1)) for number in range(400)])
        if db.in_transaction:
            db.execute("ROLLBACK")
        assert db.execute("SELECT count(*) FROM row").fetchone() == (0,)


def test_an_interruption_ends_what_waits():
    """Of many statements only the one that is under way is carried out when the caller is interrupted."""
    with a_table() as db, patch.object(bulk, "_MOST_WAITING", 200):
        with pytest.raises(KeyboardInterrupt):
            interrupted(db)
        assert db.execute("SELECT count(*) FROM row").fetchone() == (0,)


def interrupted(db: sqlite3.Connection) -> None:
    with BulkInserts(db) as inserts:
        inserts._thread.submit(time.sleep, 0.2)
        for number in range(100):
            inserts.put("row", "id", {"id": [str(number)], "position": [number]})
        raise KeyboardInterrupt
