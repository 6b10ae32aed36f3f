"""How long a cell took as a whole."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from taskpace.telemetry import ClientMetrics

CLOCK_LIMIT = 0.01
"""Of the makespan: where the clocks of the machines that shared a load may be further apart, it is unknown."""


def makespan_s(part: pl.DataFrame, planned: int, segments: Sequence[ClientMetrics] = ()) -> float | None:
    """First dispatch to last end; where systems took turns, the sum over the system's own.

    Otherwise only a cell that one worker carried out whole has one: clocks do not compare across workers. Nor has one
    whose machines' clocks may be too far apart.

    Args:
        part: the cell's trials, last attempts (columns of ``load_frame``).
        planned: how many there are to be.
        segments: how the client fared, for clocks.
    """
    whole_s = _span_s(part, planned)
    return None if whole_s is None or makespan_error_s(part, segments) > CLOCK_LIMIT * whole_s else whole_s


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


def _span_s(part: pl.DataFrame, planned: int) -> float | None:
    if not part.height or part.height < planned or part["dispatch_ns"].null_count():
        return None
    if not part["round"].null_count():
        rounds = part["round"].to_numpy()
        if (rounds[1:] > rounds[:-1]).all():
            # One trial a round, as a rule.
            return int((part["end_clock_ns"] - part["dispatch_ns"]).sum()) / 1e9
        spans = part.group_by("worker", "round").agg(pl.col("end_clock_ns").max() - pl.col("dispatch_ns").min())
        return int(spans["end_clock_ns"].sum()) / 1e9
    if part["worker"].n_unique() != 1:
        return None
    return int(part.select(pl.col("end_clock_ns").max() - pl.col("dispatch_ns").min()).item()) / 1e9
