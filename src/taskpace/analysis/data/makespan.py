"""How long a cell took as a whole."""

from __future__ import annotations

import numpy as np
import polars as pl


def makespan_s(part: pl.DataFrame, planned: int) -> float | None:
    """First dispatch to last end; where systems took turns, the sum over the system's own.

    Otherwise only a cell that one worker carried out whole has one: clocks do not compare across workers.

    Args:
        part: the cell's trials, last attempts (columns of ``load_frame``).
        planned: how many there are to be.
    """
    if not part.height or part.height < planned or part["dispatch_ns"].null_count():
        return None
    if not part["round"].null_count():
        if (np.diff(part["round"].to_numpy()) > 0).all():
            # One trial a round, as a rule.
            return int((part["end_clock_ns"] - part["dispatch_ns"]).sum()) / 1e9
        spans = part.group_by("worker", "round").agg(pl.col("end_clock_ns").max() - pl.col("dispatch_ns").min())
        return int(spans["end_clock_ns"].sum()) / 1e9
    if part["worker"].n_unique() != 1:
        return None
    return (int(part["end_clock_ns"].max()) - int(part["dispatch_ns"].min())) / 1e9  # type: ignore[arg-type]
