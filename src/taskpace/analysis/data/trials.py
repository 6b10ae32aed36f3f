"""Every trial of a run with its texts and its timeline, for a reader who wants to see what is behind the numbers."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from taskpace.analysis.data.frame import last_attempts, load_frame
from taskpace.experiment.imported import SCORER as IMPORTED_SCORER, Unknown
from taskpace.records import Arrival, unpack_arrivals
from taskpace.store import queries
from taskpace.store.decoding import decoded
from taskpace.store.imported import by_cell, load_imported
from taskpace.store.queries import Reader
from taskpace.tasks import Item, Task, script
from taskpace.tasks.scorers import SCORERS

SLICES = 60
"""Of a timeline: arrivals are counted in so many equal slices from dispatch to the last byte."""


class TurnText(msgspec.Struct, frozen=True, kw_only=True):
    """One request of a trial and what came back."""

    reasoning: str
    text: str | None
    """Null: of an imported log that does not have it."""
    committed_bytes: int | None
    """How much of ``text`` was there when the answer stopped changing; null where that is not in this turn."""
    first_s: float | None
    """Dispatch to the first arrival."""
    end_s: float | None
    """Null: of an imported log that does not have it."""
    arrived_bytes: tuple[int, ...]
    """In each of ``SLICES`` equal slices from dispatch to the end."""


class TrialRow(msgspec.Struct, frozen=True, kw_only=True):
    """The last attempt at one trial. Times in seconds since dispatch."""

    trial_id: str
    system: str
    task: str
    scenario: str
    item_id: str
    repeat: int
    attempt: int
    outcome: str
    answer: str | None
    detail: str | None
    failure: str | None
    task_time_s: float | None
    ttft_s: float | None
    committed_s: float | None
    score: float | None
    """The scorer's degree, 0 to 1."""
    started_at: str
    finish_reason: str | None
    prompt_tokens: int | None
    cached_tokens: int | None
    reasoning_tokens: int | None
    output_tokens: int | None
    output_bytes: int | None
    """Visible and reasoning."""
    turns: tuple[TurnText, ...]


def load_prompts(reader: Reader) -> dict[tuple[str, str], tuple[str, ...]]:
    """The user's messages of each item, by task and item id."""
    return {(item.task, item.id): tuple(msgspec.json.decode(item.prompts)) for item in queries.items(reader)}


def load_references(reader: Reader) -> dict[tuple[str, str], str]:
    """A right answer to each item that has one, by task and item id."""
    specs = {task.name: decoded(task.spec, Task, reader, "task") for task in queries.tasks(reader)}
    found = {}
    for row in queries.items(reader):
        task, fields = specs[row.task], msgspec.json.decode(row.fields)
        if task.scorer == IMPORTED_SCORER and isinstance(fields.get("answer"), str):
            found[row.task, row.id] = fields["answer"]
        elif (
            task.scorer is not None
            and task.scorer in SCORERS
            and all(name in fields for name in SCORERS[task.scorer].needs)
        ):
            found[row.task, row.id] = script(task, Item(id=row.id, fields=fields))[0]
    return found


def load_trials(reader: Reader) -> Iterator[TrialRow]:
    """All recorded trials in the experiment's order, one cell after the other."""
    frame = last_attempts(load_frame(reader))
    logs = by_cell(load_imported(reader))
    for (cell,), part in frame.group_by("cell_position", maintain_order=True):
        turns = _turns(reader, int(cell))
        place = tuple(part.select("system", "task", "scenario").row(0))
        unknown = logs[place][1].unknown if place in logs else ()
        for row in part.iter_rows(named=True):
            written = (row["output_bytes"], row["reasoning_bytes"])
            yield TrialRow(
                **{name: row[name] for name in TrialRow.__struct_fields__ if name in _AS_THEY_ARE},
                failure=_failure(row["failure_kind"], row["failure_message"]),
                output_bytes=None if None in written else sum(written),
                turns=tuple(_read(turns.get((row["trial_id"], row["attempt"]), []), row["committed_s"], unknown)),
            )


_AS_THEY_ARE = frozenset(TrialRow.__struct_fields__) - {"failure", "output_bytes", "turns"}


def _turns(reader: Reader, cell: int) -> dict[tuple[str, int], list[queries.TurnText]]:
    found: dict[tuple[str, int], list[queries.TurnText]] = {}
    for turn in queries.texts_of_cell(reader, cell):
        found.setdefault((turn.trial_id, turn.attempt), []).append(turn)
    return found


def _failure(kind: str | None, message: str | None) -> str | None:
    return None if kind is None else f"{kind}: {message}"


def _read(turns: list[queries.TurnText], committed_s: float | None, unknown: tuple[Unknown, ...]) -> Iterator[TurnText]:
    before_ns = 0
    for turn in turns:
        arrivals = unpack_arrivals(turn.arrivals)
        at_ns = None if committed_s is None else round(committed_s * 1e9) - before_ns
        yield TurnText(
            reasoning=turn.reasoning,
            text=None if "text" in unknown else turn.text,
            committed_bytes=committed_bytes(arrivals, at_ns, turn.end_ns),
            first_s=arrivals[0].ns / 1e9 if arrivals else None,
            end_s=None if "time" in unknown else turn.end_ns / 1e9,
            arrived_bytes=bytes_by_slice(arrivals, turn.end_ns, SLICES),
        )
        before_ns += turn.end_ns


def committed_bytes(arrivals: tuple[Arrival, ...], at_ns: int | None, end_ns: int) -> int | None:
    """How much visible text there was ``at_ns``, when the answer stopped changing; null when not in this turn."""
    if at_ns is None or not 0 < at_ns <= end_ns:
        return None
    return max((arrival.visible_bytes for arrival in arrivals if arrival.ns <= at_ns), default=None)


def bytes_by_slice(arrivals: tuple[Arrival, ...], end_ns: int, slices: int) -> tuple[int, ...]:
    """Bytes that arrived in each of so many equal slices from dispatch to the end."""
    counts = [0] * slices
    before = 0
    for arrival in arrivals:
        total = arrival.visible_bytes + arrival.reasoning_bytes
        # What a damaged file reports about times may lie anywhere.
        counts[max(0, min(slices - 1, arrival.ns * slices // max(1, end_ns)))] += max(0, total - before)
        before = total
    return tuple(counts)
