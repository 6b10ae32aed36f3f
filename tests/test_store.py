"""The run file: what goes in comes out, nothing is ever changed, and what is not ours is refused."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import filelock
import msgspec
import pytest
from hypothesis import given, strategies as st

from taskpace.errors import StoreError
from taskpace.experiment.experiment import Experiment
from taskpace.experiment.plan import Plan
from taskpace.experiment.prepare import prepare
from taskpace.records import (
    FORMAT_VERSION,
    Arrival,
    Failure,
    Grade,
    Record,
    Turn,
    Usage,
    pack_arrivals,
    unpack_arrivals,
)
from taskpace.store import rows
from taskpace.store.store import APPLICATION_ID, Store


@pytest.fixture
def plan(simulated: Callable[..., Experiment]) -> Plan:
    return prepare(simulated(items=3), Path())


def a_record(trial_id: str, attempt: int = 1) -> Record:
    turn = Turn(
        dispatch_ns=10,
        send_delay_ns=2,
        arrivals=(Arrival(5, 3, 0), Arrival(9, 7, 4)),
        text="naïve \x00\n",
        reasoning="hm",
        end_ns=9,
        finish_ns=11,
        finish_reason="stop",
        usage=Usage(prompt_tokens=4, output_tokens=None, cached_tokens=0, token_source="engine"),
    )
    return Record(
        trial_id=trial_id,
        attempt=attempt,
        phase="measured",
        started_at="2026-01-01T00:00:00.000+00:00",
        turns=(turn, turn),
        failure=Failure(kind="engine", message="why"),
        loop_lag_ns=None,
    )


A_VERDICT = Grade(outcome="error", answer=None, score=None, detail="why", committed_ns=None, scorer="letter/1")


def test_what_goes_in_comes_out(tmp_path, plan):
    """A record with its turns, failure and grade is read back equal, unknown values as unknown."""
    cell = plan.cells[0]
    trial = plan.trials(cell)[0]
    with Store.create_or_continue(tmp_path / "x.db", plan, "0") as store:
        store.add(a_record(trial.id), A_VERDICT, cell.id, None)
    with Store.open(tmp_path / "x.db") as store:
        assert store.attempts(trial.id) == [(a_record(trial.id), A_VERDICT)]
        assert store.recorded() == {trial.id: 1}
        assert store.planned_count() == 3
        assert store.find_trials(trial.id[:12]) == [trial.id]


@pytest.mark.parametrize("most_bytes", [rows.MOST_BYTES, 1], ids=["many items", "one item"])
def test_a_plan_is_written_whole_and_grows_in_place(tmp_path, simulated, most_bytes):
    """Every item and every trial of all cells has one row with its place; those of a larger plan come to them.

    However many items a statement has room for.
    """
    for items in (4, 7):
        plan = prepare(simulated(models=("a", "b"), items=items, repeats=2), Path())
        with (
            patch.multiple(rows, MOST_ROWS=3, MOST_BYTES=most_bytes),
            Store.create_or_continue(tmp_path / "x.db", plan, "0") as store,
        ):
            trials = store.query("SELECT id, cell_id, item_id, repeat, position FROM trial")[1]
            texts = store.query("SELECT id, position, json_extract(prompts, '$[0]') FROM item")[1]
        assert sorted(trials) == sorted(
            (trial.id, cell.id, trial.item.id, trial.repeat, index)
            for cell in plan.cells
            for index, trial in enumerate(plan.trials(cell))
        )
        assert sorted(texts) == sorted(
            (item.id, index, item.prompts[0]) for index, item in enumerate(plan.tasks[0].items)
        )


@given(
    st.lists(
        st.builds(
            Arrival,
            ns=st.integers(-(2**63), 2**63 - 1),
            visible_bytes=st.integers(0, 2**32 - 1),
            reasoning_bytes=st.integers(0, 2**32 - 1),
        )
    ).map(tuple)
)
def test_marks_survive_packing(arrivals):
    """Packing and unpacking arrivals changes nothing."""
    assert unpack_arrivals(pack_arrivals(arrivals)) == arrivals


@pytest.mark.parametrize("statement", ["UPDATE {0} SET attempt = 9", "DELETE FROM {0}"])
@pytest.mark.parametrize("table", ["record", "turn"])
def test_records_are_append_only(tmp_path, plan, statement, table):
    """Not even SQL can change or remove a record."""
    cell = plan.cells[0]
    with Store.create_or_continue(tmp_path / "x.db", plan, "0") as store:
        store.add(a_record(plan.trials(cell)[0].id), A_VERDICT, cell.id, None)
    database = sqlite3.connect(tmp_path / "x.db")
    with pytest.raises(sqlite3.IntegrityError, match="append only"):
        database.execute(statement.format(table))
    database.close()


def test_an_attempt_is_recorded_once(tmp_path, plan):
    """The same attempt at the same trial cannot be added twice."""
    cell = plan.cells[0]
    record = a_record(plan.trials(cell)[0].id)
    with Store.create_or_continue(tmp_path / "x.db", plan, "0") as store:
        store.add(record, A_VERDICT, cell.id, None)
        with pytest.raises(StoreError, match="UNIQUE"):
            store.add(record, A_VERDICT, cell.id, None)
        assert len(store.attempts(record.trial_id)) == 1


def test_the_same_plan_continues_and_another_is_refused(tmp_path, simulated, plan):
    """A run file takes its own plan again and says in what another one differs."""
    path = tmp_path / "x.db"
    Store.create_or_continue(path, plan, "0").close()
    Store.create_or_continue(path, plan, "0").close()
    with pytest.raises(StoreError, match="another plan \\(seed was 0, is now 4\\)"):
        Store.create_or_continue(path, prepare(simulated(seed=4), Path()), "0")


def test_two_runs_cannot_write_at_once(tmp_path, plan):
    """A second writer is refused while the first is there, and welcome afterwards."""
    path = tmp_path / "x.db"
    with Store.create_or_continue(path, plan, "0"), pytest.raises(StoreError, match="another `taskpace run`"):
        Store.create_or_continue(path, plan, "0")
    Store.create_or_continue(path, plan, "0").close()


def test_reading_works_while_a_run_is_writing(tmp_path, plan):
    """A reader sees what has been acknowledged while the writer is still at work."""
    cell = plan.cells[0]
    trial = plan.trials(cell)[0]
    with Store.create_or_continue(tmp_path / "x.db", plan, "0") as writer, Store.open(tmp_path / "x.db") as reader:
        assert reader.recorded() == {}
        writer.add(a_record(trial.id), A_VERDICT, cell.id, None)
        assert reader.recorded() == {trial.id: 1}


def test_the_file_says_what_it_is(tmp_path, plan):
    """Application id and format version stand in the header; durability is on while a run writes."""
    for _ in range(2):
        with Store.create_or_continue(tmp_path / "x.db", plan, "0") as store:
            assert store.query("PRAGMA application_id")[1] == [(APPLICATION_ID,)]
            assert store.query("PRAGMA user_version")[1] == [(FORMAT_VERSION,)]
            assert store.query("PRAGMA journal_mode")[1] == [("wal",)]
            assert store.query("PRAGMA synchronous")[1] == [(2,)]


def test_a_file_at_rest_is_one_file(tmp_path, plan):
    """After a run nothing but the run file (and its lock) lies there, so it can be copied and read from anywhere."""
    Store.create_or_continue(tmp_path / "x.db", plan, "0").close()
    assert {path.name for path in tmp_path.iterdir()} <= {"x.db", "x.db.lock"}
    Store.open(tmp_path / "x.db").close()


def test_a_full_disk_says_so_and_keeps_what_there_is(tmp_path, plan):
    """When SQLite finds no more room, the message shows that, and the records before are whole."""
    cell = plan.cells[0]
    first, second, _ = plan.trials(cell)
    with Store.create_or_continue(tmp_path / "x.db", plan, "0") as store:
        store.add(a_record(first.id), A_VERDICT, cell.id, None)
        (pages,) = store.query("PRAGMA page_count")[1][0]
        store.query(f"PRAGMA max_page_count = {pages}")
        large = msgspec.structs.replace(a_record(second.id).turns[0], text="x" * 100_000)
        with pytest.raises(StoreError, match="disk is full; all records up to here are kept"):
            store.add(msgspec.structs.replace(a_record(second.id), turns=(large,)), A_VERDICT, cell.id, None)
        assert store.recorded() == {first.id: 1}


def test_a_strangers_database_is_left_as_it_was(tmp_path, plan):
    """Another program's SQLite file is refused and not a byte of it changes."""
    path = tmp_path / "x.db"
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE bookmarks (url)")
    database.commit()
    database.close()
    before = path.read_bytes()
    for use in (lambda: Store.open(path), lambda: Store.create_or_continue(path, plan, "0")):
        with pytest.raises(StoreError, match="not of taskpace"):
            use()
    assert path.read_bytes() == before


def test_a_record_without_its_transaction_is_not_there(tmp_path, plan):
    """A record whose grade cannot be stored is not stored either: all or nothing."""
    cell = plan.cells[0]
    record = a_record(plan.trials(cell)[0].id)
    impossible = Grade(outcome="splendid", answer=None, score=None, detail=None, committed_ns=None, scorer="x")
    with Store.create_or_continue(tmp_path / "x.db", plan, "0") as store:
        with pytest.raises(StoreError):
            store.add(record, impossible, cell.id, None)
        assert store.recorded() == {}


def test_a_reader_does_not_keep_records_out_of_the_file(tmp_path, plan):
    """With somebody who has it open for reading, a closed run file holds all records by itself."""
    path, cell = tmp_path / "x.db", plan.cells[0]
    (first, *_) = plan.trials(cell)
    store = Store.create_or_continue(path, plan, "0")
    reader = Store.open(path)
    assert reader.recorded() == {}
    store.add(a_record(first.id), A_VERDICT, cell.id, None)
    store.close()
    assert not store.log_left
    (tmp_path / "copy.db").write_bytes(path.read_bytes())
    with Store.open(tmp_path / "copy.db") as copy:
        assert copy.recorded() == {first.id: 1}
    reader.close()


def test_a_query_that_goes_on_keeps_them_out_and_that_is_told(tmp_path, plan):
    """Who is in the middle of reading sees the file as it was: ``log_left`` says that there are two files now."""
    path, cell = tmp_path / "x.db", plan.cells[0]
    (first, *_) = plan.trials(cell)
    store = Store.create_or_continue(path, plan, "0")
    reading = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    rows = reading.execute("SELECT a.id FROM trial AS a, trial AS b")
    rows.fetchone()
    store.add(a_record(first.id), A_VERDICT, cell.id, None)
    store.close()
    assert store.log_left
    rows.close()
    reading.close()
    with Store.create_or_continue(path, plan, "0") as again:
        assert again.recorded() == {first.id: 1}
    assert not again.log_left
    assert sorted(each.name for each in tmp_path.iterdir()) == ["x.db", "x.db.lock"]


def test_a_run_file_is_its_owner_s_alone(tmp_path, plan):
    """Mode 0600, whatever the umask: prompts, answers and addresses are in it, and in the log beside it."""
    before = os.umask(0)
    try:
        with Store.create_or_continue(tmp_path / "x.db", plan, "0") as store:
            store.begin_session({}, "0")  # the log is made by the first record
            modes = {each.name: each.stat().st_mode & 0o777 for each in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert modes == dict.fromkeys(("x.db", "x.db-wal", "x.db-shm", "x.db.lock"), 0o600)


def test_a_folder_that_takes_no_lock_is_not_called_busy(tmp_path, plan, monkeypatch):
    """Where no lock can be made, as in /proc, no other `taskpace run` is said to write to the file."""

    def never(self: filelock.FileLock, *_: object, **__: object) -> None:
        raise filelock.Timeout(self.lock_file)

    monkeypatch.setattr(filelock.FileLock, "acquire", never)
    with pytest.raises(StoreError, match="no file can be made in its folder: choose another -o"):
        Store.create_or_continue(tmp_path / "x.db", plan, "0")


def test_a_lock_is_the_file_s_by_whatever_name_it_is_opened(tmp_path, plan):
    """A symbolic link shares the lock; a file of two names is refused, as SQLite would destroy it."""
    with Store.create_or_continue(tmp_path / "x.db", plan, "0"):
        (tmp_path / "link.db").symlink_to("x.db")
        with pytest.raises(StoreError, match=r"link\.db: another `taskpace run` is writing to it"):
            Store.create_or_continue(tmp_path / "link.db", plan, "0")
    Store.create_or_continue(tmp_path / "link.db", plan, "0").close()
    (tmp_path / "twin.db").hardlink_to(tmp_path / "x.db")
    with pytest.raises(StoreError, match="the file has 2 names"):
        Store.create_or_continue(tmp_path / "twin.db", plan, "0")
    (tmp_path / "circle.db").symlink_to("circle.db")
    with pytest.raises(StoreError, match=r"circle\.db: cannot be written"):
        Store.create_or_continue(tmp_path / "circle.db", plan, "0")


@pytest.mark.parametrize("name", [":memory:", "file:x?mode=memory", "a?b#c%20.db"])
def test_a_run_file_may_be_called_anything(tmp_path, plan, monkeypatch, name):
    """Names that mean something to SQLite are names of files."""
    monkeypatch.chdir(tmp_path)
    Store.create_or_continue(Path(name), plan, "0").close()
    assert (tmp_path / name).stat().st_size > 0
    with Store.open(Path(name)) as store:
        assert store.planned_count() == 3


def test_an_attempt_that_is_not_final_leaves_its_trial_to_be_done(tmp_path, plan):
    """Until a final one comes, whatever ended the run meanwhile."""
    cell = plan.cells[0]
    (first, *_) = plan.trials(cell)
    with Store.create_or_continue(tmp_path / "x.db", plan, "0") as store:
        store.add(msgspec.structs.replace(a_record(first.id), final=False), A_VERDICT, cell.id, None)
        assert store.recorded() == {}
        store.add(a_record(first.id, attempt=2), A_VERDICT, cell.id, None)
        assert store.recorded() == {first.id: 2}
        assert [record.final for record, _ in store.attempts(first.id)] == [False, True]


def test_a_run_that_could_not_be_begun_leaves_no_half_file(tmp_path, plan, monkeypatch):
    """On a full disk, say: what is there next time is nothing, not a file that is not a run."""

    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr("taskpace.store.store.insert_run", full)
        with pytest.raises(StoreError, match="the disk is full"):
            Store.create_or_continue(tmp_path / "x.db", plan, "0")
    assert [each.name for each in tmp_path.iterdir()] == ["x.db.lock"]
    Store.create_or_continue(tmp_path / "x.db", plan, "0").close()
    with monkeypatch.context() as patched:
        patched.setattr("taskpace.store.store.grow", full)
        with pytest.raises(StoreError, match="the disk is full"):
            Store.create_or_continue(tmp_path / "x.db", plan, "0")
    with Store.open(tmp_path / "x.db") as store:  # what was there before stays
        assert store.planned_count() == 3


def test_a_target_is_tried_before_something_is_measured_for_it(tmp_path, plan):
    """Nothing of the trial is left, the lock is free again, and a file that is there is not touched."""
    Store.check_target(tmp_path / "new.db")
    assert [each.name for each in tmp_path.iterdir()] == ["new.db.lock"]
    Store.create_or_continue(tmp_path / "x.db", plan, "0").close()
    before = (tmp_path / "x.db").read_bytes()
    Store.check_target(tmp_path / "x.db")
    assert (tmp_path / "x.db").read_bytes() == before


def test_what_is_no_regular_file_is_no_run_file(plan):
    """A device is refused before anything is written to it."""
    with pytest.raises(StoreError, match="not a regular file"):
        Store.create_or_continue(Path(os.devnull), plan, "0")
    with pytest.raises(StoreError, match="not a regular file"):
        Store.check_target(Path(os.devnull))
