"""Where the time of a trial goes, and how much systems write: what describes a cell and needs no interval."""

from __future__ import annotations

import msgspec
import numpy as np
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
    whole, wait, reasoning, committed = (
        ended[name].to_numpy() for name in ("task_time_s", "wait_s", "reasoning_s", "committed_s")
    )
    if not (timed := ~np.isnan(whole)).any():
        return None
    # What is unknown: all of the time is waiting, none of it reasoning, and the answer stood at the end.
    wait = np.fmin(wait, whole)
    reasoning = np.clip(np.nan_to_num(reasoning), 0.0, whole - wait)
    trailing = np.clip(np.nan_to_num(whole - committed), 0.0, whole - wait - reasoning)
    answer = whole - wait - reasoning - trailing
    means = (float(part[timed].mean()) for part in (wait, reasoning, answer, trailing))
    return Phases(**dict(zip(Phases.__struct_fields__, means, strict=True)))


def written_bytes(ended: pl.DataFrame) -> Spread | None:
    """Of output bytes, reasoning included; null without trials."""
    sizes = (ended["output_bytes"] + ended["reasoning_bytes"]).to_numpy()
    sizes = sizes[~np.isnan(sizes)]
    if not len(sizes):
        return None
    least, first, middle, third, most = np.quantile(sizes, (0.0, 0.25, 0.5, 0.75, 1.0)).tolist()
    return Spread(least=least, p25=first, p50=middle, p75=third, most=most)
