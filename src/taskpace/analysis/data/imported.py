"""Systems that another tool has measured: what their logs do not say is taken out of what a run file holds for it.

A run file has a number wherever it must have one; of an imported system's cell its specification shows which of these
stand for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from taskpace.experiment.imported import Imported
from taskpace.store.imported import by_cell

_ITS_BYTES = ("output_bytes", "reasoning_bytes")
_ITS_TIMES = ("task_time_s", "ttft_s", "first_answer_s", "wait_s", "tpot_s", "tokens_per_s", "reasoning_s")
_CELL = ("system", "task", "scenario")


def without_texts(records: pl.DataFrame, imported: Mapping[str, Imported]) -> pl.Series:
    """The trials, in order of their ids, whose text is not known; ``imported``: the run's imported systems."""
    cells = _with(imported, "text")
    return records.join(cells, on=_CELL, how="semi")["trial_id"].sort()


def without_unknown_bytes(turns: pl.DataFrame, textless: pl.Series) -> pl.DataFrame:
    """Turns whose text is not known have no sizes.

    Args:
        turns: columns as stored, in order of their trials' ids.
        textless: of ``without_texts``, for all batches of turns.
    """
    if not (turns.height and textless.len()):
        return turns
    first, last = textless.search_sorted(turns["trial_id"][0]), turns["trial_id"][-1]
    near = textless.slice(first, textless.search_sorted(last, "right") - first)
    known = ~pl.col("trial_id").is_in(near.implode())
    return turns.with_columns(pl.when(known).then(name).alias(name) for name in _ITS_BYTES)


def without_unknown(frame: pl.DataFrame, imported: Mapping[str, Imported]) -> pl.DataFrame:
    """Records (columns of ``load_frame``) without what their logs do not say, and with where they come from.

    Adds ``imported`` (tool and file; null: measured by taskpace) and ``timed`` (false: the cell's log has no times).
    """
    origins = {cell: f"{each.by}: {log.file}" for cell, (each, log) in by_cell(imported).items()}
    if not origins:
        return frame.with_columns(imported=pl.lit(None, dtype=pl.String), timed=pl.lit(value=True))
    names = pl.DataFrame([(*cell, origin) for cell, origin in origins.items()], (*_CELL, "imported"), orient="row")
    frame = frame.join(names, on=_CELL, how="left", maintain_order="left")
    for unknown in ("time", "text", "start"):
        cells = _with(imported, unknown).with_columns(pl.lit(value=True).alias(f"no_{unknown}"))
        frame = frame.join(cells, on=_CELL, how="left", maintain_order="left").with_columns(
            pl.col(f"no_{unknown}").fill_null(value=False)
        )
    theirs = pl.col("imported").is_not_null()
    no_clock = pl.col("no_start") | pl.col("no_time")
    return frame.with_columns(
        *(pl.when(~pl.col("no_time")).then(name).alias(name) for name in _ITS_TIMES),
        *(pl.when(~pl.col("no_text")).then(name).alias(name) for name in _ITS_BYTES),
        *(pl.when(~no_clock).then(name).alias(name) for name in ("dispatch_ns", "end_clock_ns")),
        bytes_per_s=pl.when(~pl.col("no_text") & ~pl.col("no_time")).then("bytes_per_s"),
        # A clock of another program: how late it was is not known, nor when a token came whose time it does not have.
        send_delay_s=pl.when(~theirs).then("send_delay_s"),
        untimed=pl.col("untimed") | (theirs & pl.col("ttft_s").is_null()),
        timed=~pl.col("no_time"),
    ).drop("no_time", "no_text", "no_start")


def _with(imported: Mapping[str, Imported], unknown: str) -> pl.DataFrame:
    """The cells whose log does not have something."""
    cells = [cell for cell, (_, log) in by_cell(imported).items() if unknown in log.unknown]
    return pl.DataFrame(cells, dict.fromkeys(_CELL, pl.String), orient="row")
