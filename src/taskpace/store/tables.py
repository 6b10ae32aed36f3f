"""What frames are made of: every attempt and every conversation turn of a run file, and what many of them share.

SQLite would look up for each attempt what its cell, item and worker have; a frame joins them once. The columns are
explained in ``schema.sql``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

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

_TRIALS = "record JOIN trial ON trial.id = record.trial_id"
_ANCHORS = "anchor JOIN record ON record.trial_id = anchor.id JOIN trial ON trial.id = anchor.trial_id"
"""Records with the trial that they are of, or that they asked again."""


def attempts(reader: Reader, columns: Mapping[str, str], *, anchors: bool) -> Iterator[Rows]:
    """Every measured attempt with its grade, in no order.

    Args:
        reader: of the run file.
        columns: ``NUMBERS``, and ``TEXTS`` where they are wanted.
        anchors: of the trials that were asked again, and of no others.
    """
    return reader.batches(
        f"SELECT {_selected(columns)} FROM {_ANCHORS if anchors else _TRIALS}"  # noqa: S608 - our own names
        " LEFT JOIN grade USING (trial_id, attempt) WHERE record.phase = 'measured'"
    )


def turns(reader: Reader, *, anchors: bool) -> Iterator[Rows]:
    """Every conversation turn of those attempts, in the columns ``TURN``; those of an attempt in order."""
    return reader.batches(
        f"SELECT {_selected(TURN)} FROM turn"  # noqa: S608 - our own names
        f" JOIN {'anchor' if anchors else 'trial'} AS asked ON asked.id = turn.trial_id"
        " ORDER BY turn.trial_id, turn.attempt, turn.turn"
    )


def _selected(columns: Mapping[str, str]) -> str:
    return ", ".join(f"{expression} AS {name}" for name, expression in columns.items())


def cells(reader: Reader) -> Rows:
    """Id, position, system, task and scenario of every cell, in the experiment's order."""
    return reader.query("SELECT id, position, system, task, scenario FROM cell ORDER BY position")[1]


def prompt_sizes(reader: Reader) -> Rows:
    """Task, id and bytes of the user's messages of every item."""
    size = "(SELECT sum(length(CAST(value AS BLOB))) FROM json_each(prompts))"
    return reader.query(f"SELECT task, id, {size} FROM item")[1]  # noqa: S608 - our own text


def worker_sessions(reader: Reader) -> Rows:
    """Number and session of every worker."""
    return reader.query("SELECT number, session FROM worker")[1]
