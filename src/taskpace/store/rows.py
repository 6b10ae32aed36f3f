"""What is written into a run file: every INSERT."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import cache
from itertools import chain, islice, repeat
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec

from taskpace.experiment.plan import Plan, PlannedTask
from taskpace.records import Grade, Record, Turn, Usage, pack_arrivals


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
_TOGETHER = 50
"""Rows of a plan that a statement writes: one statement for each takes half as long again."""


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
        _put_items(db, chosen)
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
    _put_trials(db, plan)


def _put_items(db: sqlite3.Connection, task: PlannedTask) -> None:
    """The items of a task, in the order of their ids: a table that is kept in that order only grows at its end, which
    takes a quarter of the time.
    """
    ids = [item.id for item in task.items]
    order = sorted(range(len(ids)), key=ids.__getitem__)
    items = [task.items[index] for index in order]
    rows = zip(
        repeat(task.name),
        map(ids.__getitem__, order),
        order,
        (as_json(item.spec.fields) for item in items),
        (as_json(item.prompts) for item in items),
        strict=False,
    )
    _put_all(db, "item", "task, id", ("task", "id", "position", "fields", "prompts"), rows)


def _put_trials(db: sqlite3.Connection, plan: Plan) -> None:
    """The trials of all cells together, in the order of their ids, likewise."""
    ids: list[str] = []
    cells: list[str] = []
    items: list[str] = []
    repeats: list[int] = []
    positions: list[int] = []
    for cell in plan.cells:
        trials = plan.trials(cell)
        ids += trials.ids()
        cells += [cell.id] * len(trials)
        items += trials.item_ids()
        repeats += trials.repeats()
        positions += range(len(trials))
    order = sorted(range(len(ids)), key=ids.__getitem__)
    # Column by column: no row is made in Python code.
    columns: tuple[Sequence[Any], ...] = (ids, cells, items, repeats, positions)
    rows = zip(*(map(column.__getitem__, order) for column in columns), strict=True)
    _put_all(db, "trial", "id", ("id", "cell_id", "item_id", "repeat", "position"), rows)


def _put(db: sqlite3.Connection, table: str, key: str, **values: Any) -> None:
    """One row, by column; see ``_placing``."""
    db.execute(_placing(table, key, *values), tuple(values.values()))


def _put_all(
    db: sqlite3.Connection, table: str, key: str, columns: tuple[str, ...], rows: Iterable[tuple[Any, ...]]
) -> None:
    """Many rows; see ``_placing``."""
    width = len(columns)
    values = chain.from_iterable(rows)
    together = _placing(table, key, *columns, rows=_TOGETHER)
    while len(found := tuple(islice(values, width * _TOGETHER))) == width * _TOGETHER:
        db.execute(together, found)
    rest = (found[begin : begin + width] for begin in range(0, len(found), width))
    db.executemany(_placing(table, key, *columns), rest)


def _placing(table: str, key: str, *columns: str, rows: int = 1) -> str:
    """The statement for so many rows; where there is one of that key it gets the new position alone."""
    more = f", ({', '.join('?' * len(columns))})" * (rows - 1)
    return f"{_insertion(table, *columns)}{more} ON CONFLICT ({key}) DO UPDATE SET position = excluded.position"


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
