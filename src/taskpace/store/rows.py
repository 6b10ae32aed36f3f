"""What is written into a run file: every INSERT."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from functools import cache
from typing import Any

import msgspec

from taskpace.experiment.plan import Plan
from taskpace.records import Grade, Record, pack_arrivals


def now() -> str:
    """A wall-clock label: ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def insert_record(
    db: sqlite3.Connection, record: Record, grade: Grade | None, cell_id: str, worker: int | None
) -> None:
    """One attempt with its conversation turns and its grade; null for a warm-up."""
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
    )
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


def insert_plan(db: sqlite3.Connection, plan: Plan, taskpace_version: str) -> None:
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
    for position, planned in enumerate(plan.systems):
        insert(
            db,
            "system",
            position=position,
            name=planned.name,
            spec=as_json(planned.spec),
            sha256=planned.sha256,
            size_bytes=planned.size_bytes,
        )
    for position, chosen in enumerate(plan.tasks):
        task = chosen.spec
        insert(db, "task", position=position, name=task.name, version=task.version, spec=as_json(task))
        for index, planned_item in enumerate(chosen.items):
            item = planned_item.spec
            insert(
                db,
                "item",
                task=task.name,
                id=item.id,
                position=index,
                fields=as_json(item.fields),
                prompts=as_json(planned_item.prompts),
            )
    for position, cell in enumerate(plan.cells):
        insert(
            db,
            "cell",
            id=cell.id,
            position=position,
            system=cell.system.name,
            task=cell.task.name,
            scenario=cell.scenario.name,
        )
        db.executemany(
            "INSERT INTO trial (id, cell_id, item_id, repeat, position) VALUES (?, ?, ?, ?, ?)",
            ((t.id, cell.id, t.item.id, t.repeat, index) for index, t in enumerate(plan.trials(cell))),
        )


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
