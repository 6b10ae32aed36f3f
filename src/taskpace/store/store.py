"""One SQLite file per run: append only, safe against a kill at any moment, refused when it is not ours.

A record is acknowledged once its transaction is on disk (WAL, synchronous FULL); what was acknowledged survives.
"""

from __future__ import annotations

import contextlib
import shlex
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any, Self

import filelock

from taskpace.engines.base import EngineInfo
from taskpace.errors import StoreError
from taskpace.experiment.plan import Plan
from taskpace.records import FORMAT_VERSION, Failure, Grade, Record, Turn, Usage, unpack_arrivals
from taskpace.store import queries
from taskpace.store.check import NOT_OURS, RESTORE, check_rows, check_tables, distrust
from taskpace.store.file import make_file, remove_file, take_lock
from taskpace.store.growth import grow
from taskpace.store.migration import format_version, migrate, view_as_new
from taskpace.store.rows import Kept, as_json, insert, insert_records, insert_run, now
from taskpace.telemetry import Calibration, ClientMetrics

APPLICATION_ID = 0x7461736B  # "task" in ASCII; `file` and SQLite itself show it
_DAMAGE = ("not a database", "malformed", "Could not decode", "no such table", "no such column", "too big", "corrupt")
"""What SQLite reports about a file that is none of ours, or is one no longer."""
_PROBE_BYTES = 1_000_000
_CONTINUE = "free some space (or fix what is reported) and run the same command to continue"


def is_sqlite(path: Path) -> bool:
    """Whether a file is one of SQLite's, as every run file is."""
    try:
        with path.open("rb") as file:
            return file.read(16) == b"SQLite format 3\x00"
    except OSError:
        return False


class Store:
    """A run file. Use ``Store.create_or_continue`` to write and ``Store.open`` to read."""

    def __init__(self, path: Path, connection: sqlite3.Connection, lock: filelock.BaseFileLock | None) -> None:
        self.path = path
        self._db = connection
        self._lock = lock
        self.log_left = False
        """Once closed: the last records are in the log beside the file (``-wal``), as a query keeps them out of it."""

    # -- opening ---------------------------------------------------------------------------------------------------

    @classmethod
    def open(cls, path: Path, *, known: bool = False) -> Self:
        """Open a run file for reading.

        Args:
            path: of the file.
            known: this process has just written to it, and so has checked every value in it already.

        Raises:
            StoreError: no such file, not a run file, or a format newer than this taskpace.
        """
        if path.is_dir():
            raise StoreError(f"{path}: this is a folder: name the run file in it")
        if not path.is_file():
            raise StoreError(f"{path}: run file not found: `taskpace run ... -o {shlex.quote(str(path))}` makes one")
        with _explained(path):
            connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
            try:
                _check_ours(connection, path)
                view_as_new(connection)
                if not known:
                    check_rows(connection, path)
            except BaseException:
                connection.close()
                raise
        return cls(path, connection, lock=None)

    @classmethod
    def create_or_continue(cls, path: Path, plan: Plan, taskpace_version: str) -> Self:
        """Open ``path`` for this plan: a new run file, or one to be continued, which grows where the plan has more.

        Raises:
            StoreError: a run that the plan would change, another program's file, a newer format, not writable, or in
                use by another ``taskpace run``.
        """
        lock = take_lock(path)
        try:
            with _explained(path):
                made = make_file(path)
                # Absolute, for ":memory:" is a file's name like any other.
                connection = sqlite3.connect(path.absolute(), isolation_level=None, check_same_thread=False)
                try:
                    _initialise(connection, path, plan, taskpace_version)
                except BaseException:
                    connection.close()
                    if made:
                        remove_file(path)  # half a run file (a full disk) is none, and would stand in the way
                    raise
        except BaseException:
            lock.release()
            raise
        return cls(path, connection, lock)

    @staticmethod
    def check_target(path: Path) -> None:
        """See that a run file can be made there, before something is measured for it. Raises ``StoreError``."""
        lock = take_lock(path)
        probe = Path(f"{path.resolve()}.probe")
        try:
            # What a small run takes; a full disk refuses it now, and not once there is something to lose.
            with _explained(path), contextlib.closing(sqlite3.connect(probe)) as db:
                db.execute("CREATE TABLE probe AS SELECT zeroblob(?) AS bytes", (_PROBE_BYTES,))
                db.commit()
        finally:
            remove_file(probe)
            lock.release()

    def close(self) -> None:
        """Release the file. Everything acknowledged is already on disk; a file at rest is one file."""
        if self._lock is not None:
            with contextlib.suppress(sqlite3.OperationalError):
                self.log_left = not _merge_log(self._db)
        self._db.close()
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- writing ---------------------------------------------------------------------------------------------------

    def begin_session(self, host: Any, taskpace_version: str) -> int:
        """Note that a `taskpace run` starts on this file; returns its number."""
        return self._insert(
            "session", number=None, started_at=now(), taskpace_version=taskpace_version, host=as_json(host)
        )

    def add_worker(self, session: int, system: str, load_ns: int, info: EngineInfo, calibration: Calibration) -> int:
        """Note a worker whose engine is ready; returns its number."""
        return self._insert(
            "worker",
            number=None,
            session=session,
            system=system,
            load_ns=load_ns,
            info=as_json(info),
            calibration=as_json(calibration),
        )

    def add_worker_death(self, session: int, worker: int | None, system: str, reason: str) -> None:
        """Note a worker that ended without being asked to."""
        self._insert("worker_death", worker=worker, session=session, system=system, reason=reason)

    def add_segment(self, worker: int, cell_id: str, client: ClientMetrics) -> None:
        """Note how the client fared over an unbroken segment of a cell."""
        self._insert("segment", worker=worker, cell_id=cell_id, client=as_json(client))

    def add(self, record: Record, grade: Grade | None, cell_id: str, worker: int | None) -> None:
        """Keep one record; see ``add_all``."""
        self.add_all([Kept(record, grade)], cell_id, worker)

    def add_all(self, records: Iterable[Kept], cell_id: str, worker: int | None) -> None:
        """Keep records of one cell, in one transaction that is on disk when this returns."""
        self.add_many([(cell_id, worker, records)])

    def add_many(self, records: Iterable[tuple[str, int | None, Iterable[Kept]]]) -> None:
        """Records of several cells and workers, in one transaction."""
        with self._transaction():
            for cell_id, worker, kept in records:
                insert_records(self._db, kept, cell_id, worker)

    # -- reading ---------------------------------------------------------------------------------------------------

    def recorded(self) -> dict[str, int]:
        """The ids of what is finished, each with its last attempt. Warm-ups included."""
        return {trial_id: attempt for trial_id, attempt, final in queries.last_attempts(self) if final}

    def planned_count(self) -> int:
        """How many trials the plan has."""
        return queries.planned_count(self)

    def find_trials(self, prefix: str) -> list[str]:
        """The trial ids that start with ``prefix``."""
        return queries.trials_starting_with(self, prefix)

    def attempts(self, trial_id: str) -> list[tuple[Record, Grade | None]]:
        """Every attempt at a trial, in order, with its grade."""
        return [(kept.record, kept.grade) for kept in self.kept(trial_id)]

    def kept(self, trial_id: str) -> list[Kept]:
        """Every attempt at a trial, in order, with its grade and when it was made."""
        return [
            Kept(
                self._record(trial_id, row),
                self._grade(trial_id, row["attempt"]),
                row["round"],
                row["place"],
                row["anchor_of"],
            )
            for row in queries.record_rows(self, trial_id)
        ]

    def query(self, sql: str, *values: Any) -> tuple[list[str], queries.Rows]:
        """Column names and rows of a query of ours, for ``taskpace.analysis``."""
        with _explained(self.path):
            cursor = self._db.execute(sql, values)
            return [column[0] for column in cursor.description], cursor.fetchall()

    # -- inside ----------------------------------------------------------------------------------------------------

    def _record(self, trial_id: str, kept: dict[str, Any]) -> Record:
        kind, message = kept["failure_kind"], kept["failure_message"]
        turns = queries.turn_rows(self, trial_id, kept["attempt"])
        return Record(
            trial_id=trial_id,
            turns=tuple(_turn(turn) for turn in turns),
            failure=None if kind is None else Failure(kind=kind, message=message),
            **{name: kept[name] for name in Record.__struct_fields__ if name in kept and name != "final"},
            final=kept["final"] != 0,
        )

    def _grade(self, trial_id: str, attempt: int) -> Grade | None:
        row = queries.grade_row(self, trial_id, attempt)
        return None if row is None else Grade(**row)

    def _insert(self, table: str, **values: Any) -> int:
        with _explained(self.path):
            return insert(self._db, table, **values)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with _explained(self.path), _transaction(self._db):
            yield


def _turn(row: dict[str, Any]) -> Turn:
    usage = Usage(**{name: row[name] for name in Usage.__struct_fields__})
    kept = {name: row[name] for name in Turn.__struct_fields__ if name in row and name != "arrivals"}
    return Turn(arrivals=unpack_arrivals(row["arrivals"]), usage=usage, **kept)


def _merge_log(db: sqlite3.Connection) -> bool:
    """Take what is in the log into the file, and see that there is no log any more.

    Whoever has the file open keeps it in WAL mode, but does not keep the records out of it, unless a query is going on.
    Returns whether the file has them all.
    """
    db.execute("PRAGMA busy_timeout = 0")
    _, logged, merged = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    with contextlib.suppress(sqlite3.OperationalError):
        db.execute("PRAGMA journal_mode = DELETE")
    return bool(logged == merged)


def _initialise(db: sqlite3.Connection, path: Path, plan: Plan, taskpace_version: str) -> None:
    db.execute("PRAGMA busy_timeout = 10000")
    if _is_empty(db):
        # WAL and the header go in only once the file is known to be new: another program's file is not touched. WAL is
        # last, as it would write a large plan twice; and so are indexes, made quicker of rows that are there.
        db.execute("PRAGMA synchronous = FULL")
        schema = files("taskpace.store").joinpath("schema.sql").read_text("utf-8")
        tables, index, rest = schema.partition("CREATE INDEX")
        with _transaction(db):
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            db.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
            _carry_out(db, tables)
            insert_run(db, plan, taskpace_version)
            _carry_out(db, index + rest)
        db.execute("PRAGMA journal_mode = WAL")
        return
    _check_ours(db, path)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    with _transaction(db):
        if format_version(db) < FORMAT_VERSION:
            migrate(db)
        check_rows(db, path)
        grow(db, path, plan)


def _carry_out(db: sqlite3.Connection, script: str) -> None:
    """The statements of a script one by one: ``executescript`` would commit before it begins."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            db.execute(statement)
            statement = ""


def _check_ours(db: sqlite3.Connection, path: Path) -> None:
    distrust(db)
    application = db.execute("PRAGMA application_id").fetchone()[0]
    version = format_version(db)
    if application != APPLICATION_ID:
        what = "an SQLite file, but not of taskpace" if path.stat().st_size else "an empty file"
        raise StoreError(f"{path}: {what}: choose another file")
    if version > FORMAT_VERSION:
        raise StoreError(
            f"{path}: has format version {version}, this taskpace knows {FORMAT_VERSION}: install a newer taskpace"
        )
    if version < 1:
        raise StoreError(f"{path}: {NOT_OURS} (format version {version}): {RESTORE}")
    check_tables(db, path, version)


def _is_empty(db: sqlite3.Connection) -> bool:
    tables: int = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    application: int = db.execute("PRAGMA application_id").fetchone()[0]
    return tables == 0 and application == 0


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """SQLite's complaints as one line with a remedy."""
    try:
        yield
    except UnicodeDecodeError as exc:  # of SQLite's own complaint, which repeats what is in the file
        raise StoreError(f"{path}: {NOT_OURS} ({exc.reason}): {RESTORE}") from None
    except sqlite3.Error as exc:
        text = str(exc)
        if any(word in text for word in _DAMAGE) or isinstance(exc, sqlite3.InternalError | sqlite3.DataError):
            raise StoreError(f"{path}: {NOT_OURS} ({text.partition(' with text')[0]}): {RESTORE}") from None
        if "full" in text:
            raise StoreError(f"{path}: the disk is full; all records up to here are kept: {_CONTINUE}") from None
        if "unable to open" in text:
            raise StoreError(f"{path}: cannot be opened ({text}): see that it may be read, or choose another") from None
        if "readonly" in text:
            raise StoreError(f"{path}: cannot be written ({text}): put it where it can, or choose another -o") from None
        raise StoreError(f"{path}: {text}: {_CONTINUE}") from None
