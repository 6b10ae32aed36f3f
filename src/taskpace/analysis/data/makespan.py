"""How long a cell took as a whole."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from taskpace.analysis.data.columns import Alike, Trials
from taskpace.telemetry import ClientMetrics

CLOCK_LIMIT = 0.01
"""Of the makespan: where the clocks of the machines that shared a load may be further apart, it is unknown."""


def makespan_s(trials: Trials, planned: int, segments: Sequence[ClientMetrics] = ()) -> float | None:
    """First dispatch to last end; where systems took turns, the sum over the system's own.

    Otherwise only a cell that one worker carried out whole has one: clocks do not compare across workers. Nor has one
    whose machines' clocks may be too far apart.

    Args:
        trials: the cell's, last attempts.
        planned: how many there are to be.
        segments: how the client fared, for clocks.
    """
    whole_s = _span_s(trials, planned)
    return None if whole_s is None or makespan_error_s(trials.frame, segments) > CLOCK_LIMIT * whole_s else whole_s


def clocks_apart_s(segments: Sequence[ClientMetrics]) -> float | None:
    """By how much the clocks of two nodes that shared a load may be apart; null: no two shared it."""
    errors: dict[int | None, int] = {}
    for segment in segments:
        if segment.clock:
            errors[segment.node] = max(errors.get(segment.node, 0), segment.clock.error_ns)
    return None if len(errors) < 2 else sum(sorted(errors.values())[-2:]) / 1e9


def makespan_error_s(part: pl.DataFrame, segments: Sequence[ClientMetrics]) -> float:
    """By how much a makespan may be wrong for that: in each of the system's turns, where they had turns."""
    apart_s = clocks_apart_s(segments)
    return 0.0 if apart_s is None else apart_s * (part["round"].drop_nulls().n_unique() or 1)


def _span_s(trials: Trials, planned: int) -> float | None:
    if not trials.height or trials.height < planned or trials.unknown("dispatch_ns") is not None:
        return None
    if trials.unknown("round") is None:
        own_ns, part = trials.found_by(_one_a_round_ns), trials.frame
        if own_ns is None:
            spans = part.group_by("worker", "round").agg(pl.col("end_clock_ns").max() - pl.col("dispatch_ns").min())
            own_ns = int(spans["end_clock_ns"].sum())
        return own_ns / 1e9
    part = trials.frame
    if part["worker"].n_unique() != 1:
        return None
    return int(part.select(pl.col("end_clock_ns").max() - pl.col("dispatch_ns").min()).item()) / 1e9


def _one_a_round_ns(alike: Alike) -> list[int | None]:
    """Of each cell the sum of its trials' own times, where each round has one of them, as a rule; null: not so."""
    begin, end, rounds = alike["dispatch_ns"], alike["end_clock_ns"], alike["round"]
    # Of a column with gaps they are floats, which have no digits for all nanoseconds.
    if begin.dtype.kind != "i" or end.dtype.kind != "i":
        return [None] * len(rounds)
    one: list[bool] = np.asarray((rounds[:, 1:] > rounds[:, :-1]).all(axis=1)).tolist()
    return [total if alone else None for total, alone in zip((end - begin).sum(axis=1).tolist(), one, strict=True)]
