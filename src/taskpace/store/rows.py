"""What is written into a run file: every INSERT."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from itertools import chain
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec
import numpy as np

from taskpace.experiment.plan import ID_BYTES, Plan, PlannedTask
from taskpace.records import Grade, Record, Turn, Usage, pack_arrivals
from taskpace.store.bulk import MOST_BYTES, MOST_ROWS, BulkInserts, Column


def now() -> str:
    """A wall-clock label: ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class Kept(NamedTuple):
    """A record with what is to be kept beside it."""

    record: Record
    grade: Grade | None
    """Null: a warm-up."""
    round: int | None = None
    place: int | None = None
    """Of its system in that round; null: the systems do not take turns."""
    anchor_of: str | None = None
    """The trial that was asked again; null: the record is of the trial itself."""


_RECORD = (
    *("trial_id", "attempt", "cell_id", "worker", "phase", "started_at", "loop_lag_ns", "failure_kind"),
    *("failure_message", "machine_ns", "round", "place", "final"),
)
_USAGE = Usage.__struct_fields__
_TURN = (
    *("trial_id", "attempt", "turn", "dispatch_ns", "send_delay_ns", "end_ns", "finish_ns", "finish_reason", "text"),
    *("reasoning", "arrivals", *_USAGE),
)
_GRADE = ("trial_id", "attempt", *Grade.__struct_fields__)
_usage = attrgetter(*_USAGE)
_grade = attrgetter(*Grade.__struct_fields__)
_json = msgspec.json.Encoder().encode


def insert_records(db: sqlite3.Connection, records: Iterable[Kept], cell_id: str, worker: int | None) -> None:
    """Attempts at trials of one cell, with their conversation turns and their grades: a statement for each table."""
    rows: list[tuple[Any, ...]] = []
    anchors: list[tuple[Any, ...]] = []
    turns: list[tuple[Any, ...]] = []
    grades: list[tuple[Any, ...]] = []
    for record, grade, number, place, anchor_of in records:
        key = (record.trial_id, record.attempt)
        failure = record.failure
        failed = (None, None) if failure is None else (failure.kind, failure.message)
        begun = (record.phase, record.started_at, record.loop_lag_ns)
        rows.append((*key, cell_id, worker, *begun, *failed, record.machine_ns, number, place, record.final))
        if anchor_of is not None and record.attempt == 1:
            anchors.append((record.trial_id, anchor_of))
        turns += [(*key, at, *_turn_values(turn)) for at, turn in enumerate(record.turns, 1)]
        if grade is not None:
            grades.append((*key, *_grade(grade)))
    # In this order, as each refers to what comes before it.
    db.executemany(_insertion("record", *_RECORD), rows)
    db.executemany(_insertion("anchor", "id", "trial_id"), anchors)
    db.executemany(_insertion("turn", *_TURN), turns)
    db.executemany(_insertion("grade", *_GRADE), grades)


def _turn_values(turn: Turn) -> tuple[Any, ...]:
    """In the order of ``_TURN``."""
    times = (turn.dispatch_ns, turn.send_delay_ns, turn.end_ns, turn.finish_ns)
    said = (turn.finish_reason, turn.text, turn.reasoning, pack_arrivals(turn.arrivals))
    return (*times, *said, *_usage(turn.usage))


def insert_run(db: sqlite3.Connection, plan: Plan, taskpace_version: str) -> None:
    """Everything that is planned, before anything is carried out."""
    insert(
        db,
        "run",
        plan_id=plan.id,
        name=plan.experiment.name,
        created_at=now(),
        taskpace_version=taskpace_version,
        experiment=as_json(plan.experiment),
    )
    put_plan(db, plan)


def put_plan(db: sqlite3.Connection, plan: Plan) -> None:
    """The rows of a plan: new ones are added, those that are there get their place in it."""
    for table in ("system", "task"):
        # Positions are unique: out of the way with the old ones.
        db.execute(f"UPDATE {table} SET position = -1 - position")  # noqa: S608 - our own names
    for position, planned in enumerate(plan.systems):
        _put(
            db,
            "system",
            "name",
            position=position,
            name=planned.name,
            spec=as_json(planned.spec),
            sha256=planned.sha256,
            size_bytes=planned.size_bytes,
        )
    for position, chosen in enumerate(plan.tasks):
        task = chosen.spec
        _put(db, "task", "name", position=position, name=task.name, version=task.version, spec=as_json(task))
    for position, cell in enumerate(plan.cells):
        _put(
            db,
            "cell",
            "id",
            id=cell.id,
            position=position,
            system=cell.system.name,
            task=cell.task.name,
            scenario=cell.scenario.name,
        )
    with BulkInserts(db) as bulk:
        for chosen in plan.tasks:
            _put_items(bulk, chosen)
        _put_trials(bulk, plan)


def _put_items(bulk: BulkInserts, task: PlannedTask) -> None:
    """The items of a task, in the order of their ids: a table that is kept in that order only grows at its end, which
    takes a quarter of the time.
    """
    ids = [item.spec.id for item in task.items]
    positions: list[int] = []
    fields: list[bytes] = []
    prompts: list[bytes] = []
    size = 0

    def put() -> None:
        columns: dict[str, Column] = {"task": task.name, "id": list(map(ids.__getitem__, positions))}
        bulk.put("item", "task, id", columns | {"position": positions, "fields": fields, "prompts": prompts})

    for index in sorted(range(len(ids)), key=ids.__getitem__):
        item = task.items[index]
        positions.append(index)
        fields.append(_json(item.spec.fields))
        prompts.append(_json(item.prompts))
        size += len(fields[-1]) + len(prompts[-1])
        if len(positions) == MOST_ROWS or size > MOST_BYTES:
            put()
            positions, fields, prompts, size = [], [], [], 0
    if positions:
        put()


def _put_trials(bulk: BulkInserts, plan: Plan) -> None:
    """The trials of all cells together, in the order of their ids, likewise."""
    trials = [plan.trials(cell) for cell in plan.cells]
    cells = [cell.id for cell in plan.cells]
    items = list(chain.from_iterable(each.item_ids() for each in trials))
    repeats = list(chain.from_iterable(each.repeats() for each in trials))
    cell_of = np.repeat(np.arange(len(cells)), [len(each) for each in trials])
    position = np.concatenate([np.arange(len(each)) for each in trials])
    ids = np.frombuffer(b"".join(each.digests for each in trials), np.uint8).reshape(-1, ID_BYTES)
    # Where the first eight bytes are the same any order is near enough.
    order = np.argsort(np.ascontiguousarray(ids[:, :8]).view(">u8").ravel().astype(np.uint64), kind="stable")
    for begin in range(0, len(order), MOST_ROWS):
        block = order[begin : begin + MOST_ROWS]
        own = block.tolist()
        columns: dict[str, Column] = {
            "id": ids[block],
            "cell_id": list(map(cells.__getitem__, cell_of[block].tolist())),
            "item_id": list(map(items.__getitem__, own)),
            "repeat": list(map(repeats.__getitem__, own)),
            "position": position[block].tolist(),
        }
        bulk.put("trial", "id", columns)


def _put(db: sqlite3.Connection, table: str, key: str, **values: Any) -> None:
    """One row, by column; where there is one of that key it gets the new position alone."""
    statement = f"{_insertion(table, *values)} ON CONFLICT ({key}) DO UPDATE SET position = excluded.position"
    db.execute(statement, tuple(values.values()))


def set_experiment(db: sqlite3.Connection, plan: Plan) -> None:
    """Note that the run has become that of a larger plan."""
    db.execute("UPDATE run SET plan_id = ?, experiment = ?", (plan.id, as_json(plan.experiment)))


def set_until(db: sqlite3.Connection, plan: Plan) -> None:
    """Note when the run ends, where that is not by its number of items."""
    if plan.experiment.until is not None:
        until = as_json(plan.experiment.until)
        db.execute("UPDATE run SET experiment = json_set(experiment, '$.until', json(?))", (until,))


def set_prices(db: sqlite3.Connection, plan: Plan) -> None:
    """Note the prices of the plan in place of those that the file has."""
    prices = as_json(plan.experiment.prices)
    db.execute("UPDATE run SET experiment = json_set(experiment, '$.prices', json(?))", (prices,))


def insert(db: sqlite3.Connection, table: str, **values: Any) -> int:
    """One row, by column; returns its number."""
    return db.execute(_insertion(table, *values), tuple(values.values())).lastrowid or 0


@cache
def _insertion(table: str, *columns: str) -> str:
    """The statement; the names are ours alone, values are bound."""
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608 - ours


def as_json(value: Any) -> str:
    """A value as it is kept in a column of JSON."""
    return _json(value).decode()
