"""The run file: what goes in comes out, nothing is ever changed, and what is not ours is refused."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

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
    """When SQLite finds no more room, the message says that, and the records before are whole."""
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
    impossible = Grade(outcome="splendid", answer=None, score=None, detail=None, committed_ns=None, scorer="x")  # type: ignore[arg-type]
    with Store.create_or_continue(tmp_path / "x.db", plan, "0") as store:
        with pytest.raises(StoreError):
            store.add(record, impossible, cell.id, None)
        assert store.recorded() == {}
