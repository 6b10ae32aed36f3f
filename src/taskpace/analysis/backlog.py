"""What piles up when tasks arrive by a schedule that no answer moves."""

from __future__ import annotations

import math

import numpy as np
import polars as pl

from taskpace.analysis.intervals import Floats
from taskpace.analysis.significance import welch
from taskpace.analysis.views import Backlog

_LEAST_IN_A_THIRD = 3


def find_backlog(trials: pl.DataFrame) -> Backlog:
    """Of one worker's trials of an open-loop cell (columns of ``load_frame``); at least one."""
    arrived = np.sort(trials["dispatch_ns"].to_numpy())
    ended = np.sort(trials["end_clock_ns"].to_numpy())
    # At each arrival: so many have come, this one included, and so many have gone.
    present = np.arange(1, len(arrived) + 1) - np.searchsorted(ended, arrived, side="right")
    whole_ns = max(1, int(ended[-1] - arrived[0]))
    ratio, p = growth(trials.sort("dispatch_ns")["task_time_s"].to_numpy())
    return Backlog(
        in_flight_mean=float((ended - arrived).sum() / whole_ns),  # sums do not mind who is whose
        in_flight_max=int(present.max()),
        unfinished_at_last_arrival=int((ended > arrived[-1]).sum()),
        growth=ratio,
        growth_p=p,
    )


def growth(times_s: Floats) -> tuple[float | None, float | None]:
    """Last third over first third of ``times_s``, in order of arrival: ratio of geometric means, and Welch's p."""
    third = len(times_s) // 3
    first, last = (part[np.isfinite(part) & (part > 0)] for part in (times_s[:third], times_s[len(times_s) - third :]))
    if min(len(first), len(last)) < _LEAST_IN_A_THIRD:
        return None, None
    difference, p = welch(np.log(last), np.log(first))
    return math.exp(difference), None if math.isnan(p) else p
