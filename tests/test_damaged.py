"""A run file is data from elsewhere: what is wrong with it is one line that names the table, before it is read."""

from __future__ import annotations

import contextlib
import random
import sqlite3
from pathlib import Path

import pytest
from tests import fuzz
from tests.in_process import workers_here

import taskpace
from taskpace.errors import StoreError
from taskpace.experiment.prepare import prepare
from taskpace.store.store import Store


@pytest.fixture(scope="module")
@workers_here()
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run file of two systems, with a dialogue."""
    folder = tmp_path_factory.mktemp("good")
    experiment = taskpace.quick_experiment(
        models=("a", "b"), engine="simulated", options={"time": "virtual"}, tasks=("mmlu-letter", "dialogue"), items=3
    )
    taskpace.run(experiment, folder / "x.db").close()
    return folder / "x.db"


def refusal(path: Path) -> str:
    with pytest.raises(StoreError) as refused:
        Store.open(path)
    line = str(refused.value)
    assert "\n" not in line
    return line


VALUES = {
    "turn": ["arrivals = zeroblob(7)", "output_tokens = 'x'", "end_ns = -5", "end_ns = 1e300", "finish_reason = 'tool'",
             "text = NULL", "dispatch_ns = NULL", f"prompt_tokens = {2**60}", "turn = turn - 1", "token_source = x'41'",
             "arrivals = x'ffffffffffffffff0000000000000000'"],
    "grade": ["outcome = 'best'", "score = 2", "score = 'x'", "committed_ns = -1", "answer = 5"],
    "record": ["phase = 'x'", "final = 7", "loop_lag_ns = 0.5", "round = 0"],
    "segment": ["client = 0", "client = '0'", "client = '{}'"],
    "run": ["experiment = '{'", "experiment = 'null'", "plan_id = NULL"],
    "item": ["prompts = '15'", "prompts = '[1]'", "prompts = '{}'", "fields = '[]'", "fields = 'x'"],
    "system": ["spec = '{}'", "size_bytes = -1"],
    "task": ["spec = '[]'", "spec = '{\"data\": {}}'"],
    "worker": ["info = 'null'", "load_ns = 'soon'"],
    "session": ["host = '[]'"],
    "trial": ["repeat = 0", "position = -1"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("table", "value"), [(table, value) for table, values in VALUES.items() for value in values], ids=str
)
def test_a_value_that_no_run_has_names_its_table_and_column(good, tmp_path, table, value):
    """In tables that look as they should: types, ranges, words, JSON of the wrong form."""
    with contextlib.closing(fuzz.without_constraints(good, tmp_path / "f.db")) as db:
        db.execute(f"UPDATE main.{table} SET {value}")  # noqa: S608 - from above
        fuzz.declared(db)
    line = refusal(tmp_path / "f.db")
    assert f"not a run file, or damaged, in table {table} (" in line
    assert value.partition(" ")[0] in line


@pytest.mark.parametrize(
    "gone",
    ["run", "turn", "grade", "item", "task", "session", "record", "worker", "cell", "system", "turn WHERE turn = 1"],
)
def test_rows_that_are_missing_name_their_table(good, tmp_path, gone):
    """What refers to nothing, or has nothing that refers to it."""
    with contextlib.closing(fuzz.without_constraints(good, tmp_path / "f.db")) as db:
        db.execute(f"DELETE FROM main.{gone}")  # noqa: S608 - from above
        fuzz.declared(db)
    assert "in table " in refusal(tmp_path / "f.db")


ENDLESS = """ALTER TABLE turn RENAME TO t;
CREATE VIEW turn AS WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT t.* FROM t, r"""


@pytest.mark.parametrize(
    ("statements", "words"),
    [
        (ENDLESS, "in table turn (it is not as taskpace makes it)"),
        ("DROP TABLE segment", "in table segment"),
        ("ALTER TABLE record DROP COLUMN final", "in table record"),
        ("ALTER TABLE record ADD COLUMN more TEXT", "in table record"),
        ("CREATE TRIGGER mine AFTER INSERT ON record BEGIN DELETE FROM trial; END", 'the trigger "mine"'),
        ("PRAGMA user_version = 0", "format version 0"),
        ("PRAGMA user_version = -3", "format version -3"),
        ("PRAGMA user_version = 99", "install a newer taskpace"),
        ("PRAGMA application_id = 1", "not of taskpace"),
    ],
)  # fmt: skip
def test_a_schema_of_another_kind_is_refused_unread(good, tmp_path, statements, words):
    """A view, which may never end, in place of a table; a missing table or column; a trigger of somebody's."""
    (tmp_path / "f.db").write_bytes(good.read_bytes())
    with contextlib.closing(sqlite3.connect(tmp_path / "f.db")) as db:
        db.executescript(statements)
    assert words in refusal(tmp_path / "f.db")


def test_tables_without_constraints_are_refused(good, tmp_path):
    """What such tables hold could be anything."""
    fuzz.without_constraints(good, tmp_path / "f.db").close()
    assert "it is not as taskpace makes it" in refusal(tmp_path / "f.db")


def test_a_damaged_file_is_not_continued(good, tmp_path, simulated):
    """Nothing is added to it, and it stays as it was."""
    with contextlib.closing(fuzz.without_constraints(good, tmp_path / "f.db")) as db:
        db.execute("UPDATE main.turn SET end_ns = -5")
        fuzz.declared(db)
    before = (tmp_path / "f.db").read_bytes()
    with pytest.raises(StoreError, match=r"in table turn \(column end_ns\)"):
        Store.create_or_continue(tmp_path / "f.db", prepare(simulated(), tmp_path), "0")
    with contextlib.closing(sqlite3.connect(tmp_path / "f.db")) as db:
        db.execute("PRAGMA journal_mode = DELETE")
    assert len((tmp_path / "f.db").read_bytes()) == len(before)


def test_text_that_is_not_utf_8_is_damage(good, tmp_path):
    """SQLite keeps any bytes as text; who reads them is told."""
    with contextlib.closing(fuzz.without_constraints(good, tmp_path / "f.db")) as db:
        db.execute("UPDATE main.turn SET text = CAST(x'41fffe' AS TEXT)")
        fuzz.declared(db)
    with Store.open(tmp_path / "f.db") as store, pytest.raises(StoreError, match="or damaged"):
        store.attempts(store.find_trials("")[0])


def test_every_truncation_is_one_line(good, tmp_path):
    """A file that was copied in part: refused, or read, at any length."""
    data = good.read_bytes()
    for size in random.Random(3).sample(range(len(data)), 25):
        (tmp_path / "f.db").write_bytes(data[:size])
        with contextlib.suppress(StoreError), Store.open(tmp_path / "f.db") as store:
            from taskpace.analysis.data.frame import load_frame

            load_frame(store)


def test_a_good_file_passes_whatever_made_it(good):
    """New ones, and those of the oldest format, by their views."""
    Store.open(good).close()
    Store.open(Path(__file__).parent / "formats" / "format-1.db").close()
