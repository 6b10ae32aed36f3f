"""How many items a run will take until its ranking is settled, from simulated runs."""

from __future__ import annotations

import math
from itertools import combinations

import msgspec
import numpy as np

from taskpace.analysis.data.arrays import Arrays, to_arrays
from taskpace.analysis.data.frame import last_attempts, load_frame
from taskpace.analysis.stats.anytime import mean_sequence, running
from taskpace.analysis.stats.claims import log_ratios
from taskpace.analysis.stats.intervals import Floats
from taskpace.analysis.stats.sequential import decided
from taskpace.analysis.stats.significance import ALPHA
from taskpace.store.queries import Reader

ASSUMED_SCATTER = 0.6
"""Of the log ratios of two systems from item to item, where nothing was measured."""
EXPERIMENTS = 100


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """What simulated runs took."""

    items: float
    """Asked of a system, on average; who is decided rests."""
    rounds_p90: float
    """Items by which nine of ten runs have ended."""
    settled_share: float
    """Of the runs; the others ended with the most items."""


def forecast(
    ratio: float, scatter: float, *, systems: int, most: int, margin: float | None, experiments: int = EXPERIMENTS
) -> Forecast:
    """Simulate runs in which each system takes ``ratio`` times as long as the one before it; nothing is cut.

    Args:
        ratio: of neighbours.
        scatter: standard deviation of the log ratios of two systems from item to item, normal.
        systems: two or more.
        most: items.
        margin: within which two systems are equivalent; null: none are.
        experiments: how many runs.
    """
    rng = np.random.default_rng(0)
    logs = rng.normal(0.0, scatter / math.sqrt(2), (systems, most, experiments))
    logs += math.log(ratio) * np.arange(systems)[:, None, None]
    pairs = list(combinations(range(systems), 2))
    settled = decided(np.stack([_log_p(logs[b] - logs[a]) for a, b in pairs], axis=-1), shared=margin is not None)
    if margin is not None:
        for index, (a, b) in enumerate(pairs):
            found = mean_sequence(logs[b] - logs[a], 2 * ALPHA / len(pairs))
            settled[..., index] |= np.maximum(-found.low, found.high) <= math.log1p(margin)
    taken = np.where(settled.any(axis=0), settled.argmax(axis=0) + 1, most)
    of_system = [
        taken[:, [index for index, pair in enumerate(pairs) if system in pair]].max(axis=1) for system in range(systems)
    ]
    return Forecast(
        items=float(np.mean(of_system)),
        rounds_p90=float(np.quantile(np.max(of_system, axis=0), 0.9)),
        settled_share=float(settled[-1].all(axis=-1).mean()),
    )


def _log_p(ratios: Floats) -> Floats:
    """Two-sided, after each item; ``ratios``: (items, experiments)."""
    return np.asarray(np.minimum(0.0, math.log(2) + np.minimum(running(ratios).log_p, running(-ratios).log_p)))


def measured_scatter(source: Reader) -> float | None:
    """The median over all pairs of all tasks of how their log ratios scatter; null: too little was recorded."""
    trials = last_attempts(load_frame(source))
    found: list[float] = []
    for _, part in trials.group_by("task", "scenario", maintain_order=True):
        found += _scatters(to_arrays(part, tuple(part["system"].unique(maintain_order=True))))
    return float(np.median(found)) if found else None


def _scatters(arrays: Arrays) -> list[float]:
    indices = list(combinations(range(len(arrays.systems)), 2))
    recorded = log_ratios(arrays.recorded_s, arrays.cut > 0, indices).recorded
    known = [column[np.isfinite(column)] for column in recorded.T]
    return [float(column.std(ddof=1)) for column in known if len(column) > 2]
