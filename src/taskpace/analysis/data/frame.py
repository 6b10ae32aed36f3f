"""Records as a polars frame: one row for every measured attempt, raw columns and those derived from one row alone.

Formulas are those of the project's definitions; where a number is unknown it is null, never 0.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import polars as pl

from taskpace.analysis.data.counts import believed
from taskpace.analysis.data.imported import without_texts, without_unknown, without_unknown_bytes
from taskpace.analysis.data.streams import find_bursts, in_bursts
from taskpace.experiment.imported import Imported
from taskpace.records import LATE_NS, LATE_SHARE, OUTCOMES, unpack_arrivals
from taskpace.store import queries, tables
from taskpace.store.imported import load_imported
from taskpace.store.queries import Reader
from taskpace.store.tables import Span
from taskpace.tasks.scoring import GRADER_FAILED

_RECORD_TYPES: dict[str, Any] = {
    "system": pl.String,
    "task": pl.String,
    "scenario": pl.String,
    "trial_id": pl.String,
    "item_id": pl.String,
    "repeat": pl.Int64,
    "attempt": pl.Int64,
    "worker": pl.Int64,
    "session": pl.Int64,
    "round": pl.Int64,
    "place": pl.Int64,
    "machine_ns": pl.Int64,
    "started_at": pl.String,
    "loop_lag_ns": pl.Int64,
    "failure_kind": pl.String,
    "failure_message": pl.String,
    "final": pl.Int64,
    "outcome": pl.String,
    "answer": pl.String,
    "score": pl.Float64,
    "detail": pl.String,
    "committed_ns": pl.Int64,
    "cell_position": pl.Int64,
    "trial_position": pl.Int64,
    "prompt_bytes": pl.Int64,
}
"""In the order of a frame's columns."""
_CELL = {"cell_id": pl.String, **{n: _RECORD_TYPES[n] for n in ("cell_position", "system", "task", "scenario")}}
_SIZE = {name: _RECORD_TYPES[name] for name in ("task", "item_id", "prompt_bytes")}
_SESSION = {name: _RECORD_TYPES[name] for name in ("worker", "session")}

_S_PER_NS = 1e-9
"""To multiply by: polars divides one value exactly and many by the reciprocal, so that a last digit would depend on how
many are read at a time."""

_LATE = (pl.col("loop_lag_s") >= LATE_NS / 1e9) & (pl.col("loop_lag_s") > LATE_SHARE * pl.col("task_time_s"))

_TURN_TYPES: dict[str, Any] = {
    "trial_id": pl.String,
    "attempt": pl.Int64,
    "turn": pl.Int64,
    "dispatch_ns": pl.Int64,
    "send_delay_ns": pl.Int64,
    "end_ns": pl.Int64,
    "finish_ns": pl.Int64,
    "finish_reason": pl.String,
    "prompt_tokens": pl.Int64,
    "output_tokens": pl.Int64,
    "reasoning_tokens": pl.Int64,
    "cached_tokens": pl.Int64,
    "token_source": pl.String,
    "arrivals": pl.Binary,
    "output_bytes": pl.Int64,
    "reasoning_bytes": pl.Int64,
}


def load_frame(reader: Reader) -> pl.DataFrame:
    """One row for every measured attempt; warm-ups count nowhere.

    Times are in seconds and end in ``_s``. Derived columns:

    - ``task_time_s``: dispatch to the last byte of the answer, summed over turns; for an attempt that failed, until
      the failure was known; null when nothing was dispatched or the worker crashed.
    - ``ttft_s``: dispatch to the first generated token of any kind, of the first turn.
    - ``wait_s``: the same summed over turns; a turn without any token is all waiting.
    - ``first_answer_s``: the same to the first visible token.
    - ``committed_s``: when the answer stopped changing, over all turns.
    - ``tpot_s``: (t_last - t_first) / (output tokens - 1), summed over the turns that have two tokens; ``tokens_per_s``
      is its inverse. t_last is the moment the finish was read where there is one: the end-of-sequence token counts
      among the output tokens and shows no text.
    - ``bytes_per_s``: bytes of output, reasoning included, / (t_last - t_first). These three are null for turns whose
      arrivals hold no decode speed (``data.streams``), for all of a cell where that is the rule (``bursts``), and the
      first two where reasoning is counted that was not sent (``hidden_reasoning``).
    - ``untimed``: when the tokens were made is unknown: the cell's answers arrive in bursts, or it was not streamed.
    - ``miscounted``: token counts were reported that contradict each other or the text (``data.counts``).
    - ``prompt_bytes``: UTF-8 bytes of the user's messages, without system prompt and chat template.
    - ``reasoning_s``: first generated to first visible token of the turns that reason, summed; to the end of a turn
      that shows nothing.
    - ``unanswered``: the last turn reasoned and showed nothing.
    - ``first_prompt_tokens``, ``first_cached_tokens``: of the first turn alone.
    - ``late``: the client stood still meanwhile (``loop_lag_s``), so the time is more than the answer took.
    - ``final``: false for an attempt that another one was to follow.
    - ``send_delay_s``: how much later than scheduled a request left, the greatest of the turns.

    - ``imported``: tool and file that an imported record comes from; null for one of taskpace's own. What its log does
      not say is null, and ``timed`` is false where it has no times.

    ``round`` and ``place`` say when a trial's system had its turn, ``session`` in which session; null where systems did
    not take turns. ``machine_ns`` is the dispatch on a clock that all workers of a machine share.
    """
    return pl.concat(_load(reader, anchors=False, texts=True), rechunk=True)


def load_numbers(reader: Reader, cells: Collection[str] | None = None) -> Iterator[pl.DataFrame]:
    """``load_frame`` without what an attempt says in words, and when it began; ``detail`` is of faults of graders.

    It comes in frames of whole cells, in the experiment's order, so that not all of it need be in memory as it is;
    at least one frame, which may be empty. ``cells``: ids of those that are wanted; null: all.
    """
    return _load(reader, anchors=False, texts=False, cells=cells)


def load_anchors(reader: Reader, cells: Collection[str] | None = None) -> Iterator[pl.DataFrame]:
    """Load the trials that were asked again beside a system that was added later; all else as of ``load_numbers``."""
    return _load(reader, anchors=True, texts=False, cells=cells)


_FAULT = {
    "detail": f"CASE WHEN substr(grade.detail, 1, {len(GRADER_FAILED)}) = '{GRADER_FAILED}' THEN grade.detail END"
}
_IN_NO_NUMBER = (
    *("trial_id", "machine_ns", "failure_kind", "final", "cell_position", "finish_reason"),
    *("turns", "reasoning_tokens"),
)
_COUNTS = (
    *("repeat", "attempt", "trial_position", "round", "place"),
    *("prompt_tokens", "output_tokens", "cached_tokens", "first_prompt_tokens", "first_cached_tokens"),
    *("prompt_bytes", "output_bytes", "reasoning_bytes"),
)
"""Columns of whole numbers that are small, as a rule."""


def compact(*frames: pl.DataFrame) -> list[pl.DataFrame]:
    """Last attempts (columns of ``load_numbers`` and ``with_costs``) in half the memory, for a summary.

    Names become codes, in the order of the names and the same in all frames; counts that fit have 32 bits; columns that
    no number is made of go.
    """
    names = [name for name, kind in frames[0].schema.items() if kind == pl.String and name not in _IN_NO_NUMBER]
    kinds: dict[str, Any] = {
        name: pl.Enum(pl.concat([frame[name].unique() for frame in frames]).unique().drop_nulls().sort())
        for name in names
    }
    kinds["outcome"] = pl.Enum(OUTCOMES)
    kinds |= {name: pl.Int32 for name in _COUNTS if all(_fits(frame[name]) for frame in frames)}
    return [
        frame.drop(_IN_NO_NUMBER).with_columns(pl.col(name).cast(kind) for name, kind in kinds.items())
        for frame in frames
    ]


def _fits(counts: pl.Series) -> bool:
    """Whether 32 bits are enough; counts are not negative."""
    return int(counts.max() or 0) < 2**31  # type: ignore[arg-type]  # an integer column


_AT_A_TIME = 200_000
"""Attempts of whole cells that are put in order and judged at a time."""


def _load(
    reader: Reader, *, anchors: bool, texts: bool, cells: Collection[str] | None = None
) -> Iterator[pl.DataFrame]:
    """Frames of whole cells: what the arrivals say is worked out span by span, a cell's attempts meet at the end."""
    imported, places = load_imported(reader), _frame(tables.cells(reader), _CELL)
    found: dict[int, list[pl.DataFrame]] = {}
    for span in tables.spans(reader, anchors=anchors):
        records = _load_records(reader, span, anchors=anchors, texts=texts, cells=cells)
        records = records.join(places, on="cell_id").drop("cell_id")
        rows = tables.turns(reader, span, anchors=anchors, cells=cells) if records.height else []
        attempts = _with_turns(records, _frame(rows, _TURN_TYPES), imported)
        for (position,), part in attempts.partition_by("cell_position", as_dict=True).items():
            found.setdefault(position, []).append(part)
    sizes = _frame(tables.prompt_sizes(reader) if found else [], _SIZE)
    sessions = _frame(tables.worker_sessions(reader), _SESSION)
    if not found:
        yield _finished(attempts, sizes, sessions, imported)
    for positions in _together({position: sum(part.height for part in parts) for position, parts in found.items()}):
        parts = [part for position in positions for part in found.pop(position)]
        yield _finished(pl.concat(parts, rechunk=True), sizes, sessions, imported)


def _together(heights: Mapping[int, int]) -> Iterator[list[int]]:
    """The positions of cells in order, in groups; ``heights``: attempts of each cell."""
    group: list[int] = []
    rows = 0
    for position in sorted(heights):
        group.append(position)
        rows += heights[position]
        if rows >= _AT_A_TIME:
            yield group
            group, rows = [], 0
    if group:
        yield group


def _load_records(
    reader: Reader, span: Span, *, anchors: bool, texts: bool, cells: Collection[str] | None
) -> pl.DataFrame:
    """The attempts of a span, each beside its trial and its grade."""
    columns = {**tables.NUMBERS, **(tables.TEXTS if texts else _FAULT)}
    types = {name: _RECORD_TYPES.get(name, pl.String) for name in columns}
    return _frame(tables.attempts(reader, columns, span, anchors=anchors, cells=cells), types)


def _with_turns(records: pl.DataFrame, turns: pl.DataFrame, imported: Mapping[str, Imported]) -> pl.DataFrame:
    """The attempts of a span with what their turns (columns as stored) say in numbers."""
    turns = believed(without_unknown_bytes(turns, without_texts(records, imported)))
    return records.join(_sum_turns(_derive_turns(turns)), on=["trial_id", "attempt"], how="left", maintain_order="left")


def _finished(
    attempts: pl.DataFrame, sizes: pl.DataFrame, sessions: pl.DataFrame, imported: Mapping[str, Imported]
) -> pl.DataFrame:
    """Attempts of whole cells in order, with what their items, their workers and each other say of them."""
    records = (
        attempts.sort("cell_position", "trial_position", "attempt")
        .join(sizes, on=("task", "item_id"), how="left", maintain_order="left")
        .join(sessions, on="worker", how="left", maintain_order="left")
    )
    names = [name for name in _RECORD_TYPES if name in records.columns]
    frame = _judge_cells(records.select(*names, pl.exclude(names)))
    return (
        without_unknown(frame, imported)
        .with_columns(
            committed_s=pl.col("committed_ns") * _S_PER_NS,
            loop_lag_s=pl.col("loop_lag_ns") * _S_PER_NS,
            final=pl.col("final").fill_null(1) != 0,
        )
        .with_columns(late=_LATE.fill_null(value=False))
        .drop("committed_ns", "loop_lag_ns")
    )


def _judge_cells(frame: pl.DataFrame) -> pl.DataFrame:
    """``bursts``, true for every trial of a cell whose decode speed is unknown as a whole, in place of each trial's."""
    told = frame.filter(pl.col("judged") | pl.col("short")).partition_by("cell_position")
    cells = [int(cell["cell_position"][0]) for cell in told if in_bursts(cell)]
    bursts = pl.col("cell_position").is_in(cells)
    return frame.with_columns(
        *(pl.when(~bursts).then(name).alias(name) for name in ("tpot_s", "tokens_per_s", "bytes_per_s")),
        *(pl.col(name).fill_null(value=False) for name in ("miscounted", "hidden_reasoning")),
        bursts=bursts,
        untimed=bursts | pl.col("whole").fill_null(value=False),
    ).drop("judged", "burst", "short", "at_once", "whole")


def last_attempts(frame: pl.DataFrame) -> pl.DataFrame:
    """One row per trial that has come to an end: its last attempt."""
    return frame.unique("trial_id", keep="last", maintain_order=True).filter("final")


def _frame(rows: queries.Rows, types: dict[str, Any]) -> pl.DataFrame:
    # By column: polars takes rows apart at twice the time.
    return pl.DataFrame(dict(zip(types, zip(*rows, strict=True), strict=True)) if rows else None, types)


def _derive_turns(turns: pl.DataFrame) -> pl.DataFrame:
    """What the arrivals of each turn say, in place of them: they are most of what a run file holds of it."""
    arrivals = pl.col("arrivals").bin
    first_ns = arrivals.slice(0, 8).bin.reinterpret(dtype=pl.Int64, endianness="little")
    last_arrival_ns = arrivals.slice(-16, 8).bin.reinterpret(dtype=pl.Int64, endianness="little")
    has_arrivals = arrivals.size() > 0
    return (
        turns.hstack(find_bursts(turns))
        .with_columns(
            # An answer that shows nothing, an immediate end of sequence, still has its first token at the finish.
            first_ns=pl.when(has_arrivals).then(first_ns).when(pl.col("output_tokens") >= 1).then(pl.col("finish_ns")),
            last_ns=pl.coalesce("finish_ns", pl.when(has_arrivals).then(last_arrival_ns)),
            first_visible_ns=pl.when(pl.col("output_bytes") > 0).then(
                pl.when(arrivals.slice(8, 4).bin.reinterpret(dtype=pl.UInt32, endianness="little") > 0)
                .then(first_ns)
                .otherwise(pl.col("arrivals").map_elements(_first_visible_ns, return_dtype=pl.Int64))
            ),
            whole=(pl.col("output_bytes") + pl.col("reasoning_bytes") > 0) & ~has_arrivals,
        )
        .drop("arrivals")
    )


def _first_visible_ns(blob: bytes) -> int | None:
    return next((arrival.ns for arrival in unpack_arrivals(blob) if arrival.visible_bytes), None)


def _sum_turns(turns: pl.DataFrame) -> pl.DataFrame:
    span_s = (pl.col("last_ns") - pl.col("first_ns")) * _S_PER_NS
    spread = (span_s > 0) & ~pl.col("burst")
    written = pl.col("output_bytes") + pl.col("reasoning_bytes")
    paced = spread & (pl.col("output_tokens") >= 2) & ~pl.col("hidden_reasoning")
    per_turn = turns.with_columns(
        spread_s=pl.when(spread).then(span_s).otherwise(0.0),
        spread_bytes=pl.when(spread).then(written).otherwise(0),
        wait_ns=pl.min_horizontal(pl.col("first_ns").fill_null(pl.col("end_ns")), "end_ns"),
        reasoned_ns=pl.when((pl.col("reasoning_bytes") > 0) & pl.col("first_ns").is_not_null())
        .then(pl.col("first_visible_ns").fill_null(pl.col("end_ns")) - pl.col("first_ns"))
        .otherwise(0)
        .clip(lower_bound=0),
        paced_s=pl.when(paced).then(span_s),
        steps=pl.when(paced).then(pl.col("output_tokens") - 1),
    )
    tpot_s = pl.when(pl.col("steps").sum() > 0).then(pl.col("paced_s").sum() / pl.col("steps").sum())
    summed = ("prompt_tokens", "output_tokens", "reasoning_tokens", "cached_tokens")
    return per_turn.group_by("trial_id", "attempt", maintain_order=True).agg(
        pl.len().alias("turns"),
        pl.col("dispatch_ns").min(),
        (pl.col("dispatch_ns") + pl.col("end_ns")).max().alias("end_clock_ns"),
        (pl.col("end_ns").sum() * _S_PER_NS).alias("task_time_s"),
        (pl.col("first_ns").first() * _S_PER_NS).alias("ttft_s"),
        (pl.col("first_visible_ns").first() * _S_PER_NS).alias("first_answer_s"),
        (pl.col("wait_ns").sum() * _S_PER_NS).alias("wait_s"),
        (pl.col("send_delay_ns").max() * _S_PER_NS).alias("send_delay_s"),
        tpot_s.alias("tpot_s"),
        # Their medians rely on it (``table.rows``).
        (1 / tpot_s).alias("tokens_per_s"),
        # One unknown turn makes the sum unknown.
        *(pl.when(pl.col(name).null_count() == 0).then(pl.col(name).sum()).alias(name) for name in summed),
        pl.col("prompt_tokens").first().alias("first_prompt_tokens"),
        pl.col("cached_tokens").first().alias("first_cached_tokens"),
        (pl.col("reasoned_ns").sum() * _S_PER_NS).alias("reasoning_s"),
        ((pl.col("reasoning_bytes").last() > 0) & (pl.col("output_bytes").last() == 0)).alias("unanswered"),
        pl.col("output_bytes").sum(),
        pl.col("reasoning_bytes").sum(),
        pl.when(pl.col("spread_s").sum() > 0)
        .then(pl.col("spread_bytes").sum() / pl.col("spread_s").sum())
        .alias("bytes_per_s"),
        *(pl.col(name).any() for name in ("judged", "short", "whole", "miscounted", "hidden_reasoning")),
        (pl.col("judged") & pl.col("burst")).any().alias("burst"),
        pl.col("at_once").all(),
        pl.col("finish_reason").last(),
        pl.col("token_source").first(),
    )
