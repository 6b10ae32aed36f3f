"""What is written into a run file: every INSERT."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from functools import cache
from typing import Any, NamedTuple

import msgspec

from taskpace.experiment.plan import Plan
from taskpace.records import Grade, Record, pack_arrivals


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


def insert_record(db: sqlite3.Connection, kept: Kept, cell_id: str, worker: int | None) -> None:
    """One attempt with its conversation turns and its grade."""
    record, grade = kept.record, kept.grade
    failure = record.failure
    insert(
        db,
        "record",
        trial_id=record.trial_id,
        attempt=record.attempt,
        cell_id=cell_id,
        worker=worker,
        phase=record.phase,
        started_at=record.started_at,
        loop_lag_ns=record.loop_lag_ns,
        failure_kind=failure.kind if failure else None,
        failure_message=failure.message if failure else None,
        machine_ns=record.machine_ns,
        round=kept.round,
        place=kept.place,
        final=record.final,
    )
    if kept.anchor_of is not None and record.attempt == 1:
        insert(db, "anchor", id=record.trial_id, trial_id=kept.anchor_of)
    for number, turn in enumerate(record.turns, 1):
        insert(
            db,
            "turn",
            trial_id=record.trial_id,
            attempt=record.attempt,
            turn=number,
            dispatch_ns=turn.dispatch_ns,
            send_delay_ns=turn.send_delay_ns,
            end_ns=turn.end_ns,
            finish_ns=turn.finish_ns,
            finish_reason=turn.finish_reason,
            text=turn.text,
            reasoning=turn.reasoning,
            arrivals=pack_arrivals(turn.arrivals),
            **msgspec.structs.asdict(turn.usage),
        )
    if grade is not None:
        insert(
            db,
            "grade",
            trial_id=record.trial_id,
            attempt=record.attempt,
            **msgspec.structs.asdict(grade),
        )


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
        for index, planned_item in enumerate(chosen.items):
            item = planned_item.spec
            _put(
                db,
                "item",
                "task, id",
                task=task.name,
                id=item.id,
                position=index,
                fields=as_json(item.fields),
                prompts=as_json(planned_item.prompts),
            )
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
        db.executemany(
            "INSERT INTO trial (id, cell_id, item_id, repeat, position) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET position = excluded.position",
            ((t.id, cell.id, t.item.id, t.repeat, index) for index, t in enumerate(plan.trials(cell))),
        )


def _put(db: sqlite3.Connection, table: str, key: str, **values: Any) -> None:
    """One row; where there is one of that key it gets the new position alone."""
    keep = f" ON CONFLICT ({key}) DO UPDATE SET position = excluded.position"
    db.execute(_insertion(table, *values) + keep, tuple(values.values()))


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
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608


def as_json(value: Any) -> str:
    """A value as it is kept in a column of JSON."""
    return msgspec.json.encode(value).decode()
