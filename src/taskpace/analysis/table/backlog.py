"""What piles up when tasks arrive by a schedule that no answer moves."""

from __future__ import annotations

import math

import numpy as np
import polars as pl

from taskpace.analysis.schema.summary import Backlog
from taskpace.analysis.stats.significance import growth


def find_backlog(trials: pl.DataFrame) -> Backlog:
    """Of one worker's trials of an open-loop cell (columns of ``load_frame``); at least one."""
    arrived = np.sort(trials["dispatch_ns"].to_numpy())
    ended = np.sort(trials["end_clock_ns"].to_numpy())
    # At each arrival: so many have come, this one included, and so many have gone.
    present = np.arange(1, len(arrived) + 1) - np.searchsorted(ended, arrived, side="right")
    whole_ns = max(1, int(ended[-1] - arrived[0]))
    grown = growth(trials.sort("dispatch_ns")["task_time_s"].to_numpy())
    return Backlog(
        in_flight_mean=float((ended - arrived).sum() / whole_ns),  # sums do not mind who is whose
        in_flight_max=int(present.max()),
        unfinished_at_last_arrival=int((ended > arrived[-1]).sum()),
        growth=None if grown is None else math.exp(grown[0]),
        growth_p=None if grown is None else grown[1],
    )
