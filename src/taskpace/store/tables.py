"""What frames are made of: every attempt and every conversation turn of a run file, and what many of them share.

SQLite would look up for each attempt what its cell, item and worker have; a frame joins them once. The columns are
explained in ``schema.sql``.

Tables are kept in the order of trial ids, which are hashes: neighbours are of any cells. A file is read from its begin
to its end in spans of ids, each of which has the attempts at its trials and their turns.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

from taskpace.store.queries import Reader, Rows

_OF_TRIAL = {
    "cell_id": "trial.cell_id",
    "trial_id": "record.trial_id",
    "item_id": "trial.item_id",
    "repeat": "trial.repeat",
    "trial_position": "trial.position",
}
_OF_RECORD = ("attempt", "worker", "round", "place", "machine_ns", "loop_lag_ns", "failure_kind", "final")
_OF_GRADE = ("outcome", "score", "committed_ns")
NUMBERS: Mapping[str, str] = {
    **_OF_TRIAL,
    **{name: f"record.{name}" for name in _OF_RECORD},
    **{name: f"grade.{name}" for name in _OF_GRADE},
}
"""Of an attempt: column of the frame -> expression."""
TEXTS: Mapping[str, str] = {
    "started_at": "record.started_at",
    "failure_message": "record.failure_message",
    "answer": "grade.answer",
    "detail": "grade.detail",
}
"""What an attempt says in words, and when it began."""
_STORED = (
    *("trial_id", "attempt", "turn", "dispatch_ns", "send_delay_ns", "end_ns", "finish_ns", "finish_reason"),
    *("prompt_tokens", "output_tokens", "reasoning_tokens", "cached_tokens", "token_source", "arrivals"),
)
TURN: Mapping[str, str] = {
    **{name: f"turn.{name}" for name in _STORED},
    "output_bytes": "length(CAST(turn.text AS BLOB))",
    "reasoning_bytes": "length(CAST(turn.reasoning AS BLOB))",
}
"""Of a conversation turn: sizes in place of its texts."""

SPAN = 10_000
"""Attempts of a span: their turns' arrivals are unpacked together."""

# CROSS JOIN is SQLite's way to fix the order of its loops: records one after the other, and what belongs to each.
_TRIALS = "record CROSS JOIN trial ON trial.id = record.trial_id"
_ANCHORS = "anchor JOIN record ON record.trial_id = anchor.id JOIN trial ON trial.id = anchor.trial_id"
"""Records with the trial that they are of, or that they asked again."""


class Span(NamedTuple):
    """The attempts at the trials whose ids lie in a range."""

    after: str | None
    """Less than all of them; null: from the first id on."""
    last: str
    """Greater than none of them but itself, which is one of them."""


def spans(reader: Reader, *, anchors: bool) -> Iterator[Span]:
    """All attempts of a run file, warm-ups included, in the order of their ids; at least one span, which may be empty.

    Args:
        reader: of the run file.
        anchors: of the trials that were asked again, and of no others.
    """
    after: str | None = None
    while (last := _end(reader, after, *(("anchor", "id") if anchors else ("record", "trial_id")))) is not None:
        yield Span(after, last)
        after = last
    if after is None:
        yield Span(None, "")


def _end(reader: Reader, after: str | None, table: str, key: str) -> str | None:
    """The last id of the span that begins after an id; null: nothing is left."""
    left = f"SELECT {key} FROM {table}" + ("" if after is None else f" WHERE {key} > ?")  # noqa: S608 - our own names
    values = () if after is None else (after,)
    for which in (f"{key} LIMIT 1 OFFSET {SPAN - 1}", f"{key} DESC LIMIT 1"):
        for (found,) in reader.query(f"{left} ORDER BY {which}", *values)[1]:
            return str(found)
    return None


def attempts(
    reader: Reader, columns: Mapping[str, str], span: Span, *, anchors: bool, cells: Collection[str] | None = None
) -> Rows:
    """Every measured attempt of a span with its grade, in no order.

    Args:
        reader: of the run file.
        columns: ``NUMBERS``, and ``TEXTS`` where they are wanted.
        span: of ``spans``.
        anchors: as there.
        cells: ids of the cells that are wanted; null: all.
    """
    where, values = _within("record.trial_id", span)
    if cells is not None:
        where, values = f"{where} AND {_CELL}", (*values, _listed(cells))
    return reader.query(
        f"SELECT {_selected(columns)} FROM {_ANCHORS if anchors else _TRIALS}"  # noqa: S608 - our own names
        # Not USING (trial_id, attempt): of an anchor that would be the trial that was asked again.
        " LEFT JOIN grade ON grade.trial_id = record.trial_id AND grade.attempt = record.attempt"
        f" WHERE record.phase = 'measured' AND {where}",
        *values,
    )[1]


def turns(reader: Reader, span: Span, *, anchors: bool, cells: Collection[str] | None = None) -> Rows:
    """Every conversation turn of those attempts, in the columns ``TURN``; those of an attempt in order.

    Arguments as of ``attempts``; of anchors all turns come, whatever the cell.
    """
    where, values = _within("turn.trial_id", span)
    if cells is not None and not anchors:
        where, values = f"{where} AND {_CELL}", (*values, _listed(cells))
    table = "anchor" if anchors else "trial"
    return reader.query(
        f"SELECT {_selected(TURN)} FROM turn CROSS JOIN {table} ON {table}.id = turn.trial_id"  # noqa: S608 - our own
        f" WHERE {where} ORDER BY turn.trial_id, turn.attempt, turn.turn",
        *values,
    )[1]


_CELL = "trial.cell_id IN (SELECT value FROM json_each(?))"


def _listed(cells: Collection[str]) -> str:
    return msgspec.json.encode(list(cells)).decode()


def _within(column: str, span: Span) -> tuple[str, tuple[Any, ...]]:
    """The condition for ids of a span, and its values."""
    if span.after is None:
        return f"{column} <= ?", (span.last,)
    return f"{column} > ? AND {column} <= ?", (span.after, span.last)


def _selected(columns: Mapping[str, str]) -> str:
    return ", ".join(f"{expression} AS {name}" for name, expression in columns.items())


def cells(reader: Reader) -> Rows:
    """Id, position, system, task and scenario of every cell, in the experiment's order."""
    return reader.query("SELECT id, position, system, task, scenario FROM cell ORDER BY position")[1]


def planned(reader: Reader, cell_id: str) -> Rows:
    """Item and repeat of every trial of a cell."""
    return reader.query("SELECT item_id, repeat FROM trial WHERE cell_id = ?", cell_id)[1]


def prompt_sizes(reader: Reader) -> Rows:
    """Task, id and bytes of the user's messages of every item."""
    size = "(SELECT sum(length(CAST(value AS BLOB))) FROM json_each(prompts))"
    return reader.query(f"SELECT task, id, {size} FROM item")[1]  # noqa: S608 - our own text


def worker_sessions(reader: Reader) -> Rows:
    """Number and session of every worker."""
    return reader.query("SELECT number, session FROM worker")[1]
