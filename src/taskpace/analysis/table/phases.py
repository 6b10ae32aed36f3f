"""Where the time of a trial goes, and how much systems write: what describes a cell and needs no interval."""

from __future__ import annotations

import msgspec
import polars as pl


class Phases(msgspec.Struct, frozen=True, kw_only=True):
    """Mean seconds of the stages of a trial, over the trials that ``task_time_mean_s`` is of; they add up to it."""

    wait_s: float
    """Dispatch to the first token, summed over turns."""
    reasoning_s: float
    """From there to the first visible token, where the system reasons; summed over turns, too."""
    answer_s: float
    """From there until the answer was committed; to the end where it never was."""
    trailing_s: float
    """What was written after the answer was committed: a reader could have stopped."""


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """Quantiles over trials, linear interpolation."""

    least: float
    p25: float
    p50: float
    p75: float
    most: float


def phases(ended: pl.DataFrame) -> Phases | None:
    """Of the trials that ended (columns of ``load_frame``); null when none has a task time."""
    whole = pl.col("task_time_s")
    wait = pl.min_horizontal(pl.col("wait_s").fill_null(whole), whole)
    reasoning = pl.col("reasoning_s").fill_null(0.0).clip(0.0, whole - wait)
    trailing = (whole - pl.col("committed_s")).fill_null(0.0).clip(0.0, whole - wait - reasoning)
    means = ended.filter(whole.is_not_null()).select(
        wait_s=wait, reasoning_s=reasoning, answer_s=whole - wait - reasoning - trailing, trailing_s=trailing
    )
    return Phases(**{name: float(means[name].mean()) for name in means.columns}) if means.height else None  # type: ignore[arg-type]


def written_bytes(ended: pl.DataFrame) -> Spread | None:
    """Of output bytes, reasoning included; null without trials."""
    sizes = (ended["output_bytes"] + ended["reasoning_bytes"]).drop_nulls()
    if not len(sizes):
        return None
    least, first, middle, third, most = (
        float(sizes.quantile(share, "linear"))  # type: ignore[arg-type]  # known: there are values
        for share in (0.0, 0.25, 0.5, 0.75, 1.0)
    )
    return Spread(least=least, p25=first, p50=middle, p75=third, most=most)
