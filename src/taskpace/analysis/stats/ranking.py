"""Rankings that say no more than the data: shared ranks, agreement of two rankings, inversions of pairs."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from taskpace.analysis.stats.intervals import Floats
from taskpace.analysis.stats.significance import average_ranks


def shared_ranks(members: Iterable[str], beats: Iterable[tuple[str, str]]) -> dict[str, int]:
    """1 + how many of the others are significantly better: systems that cannot be distinguished share a rank.

    ``beats``: pairs (better, worse). A rank is a lower bound: where only the first and the last of three systems
    differ, their ranks are 1, 1 and 2.
    """
    worse_than: dict[str, int] = dict.fromkeys(members, 0)
    for _, worse in set(beats):
        worse_than[worse] += 1
    return {name: 1 + count for name, count in worse_than.items()}


def kendall_tau_b(x: Floats, y: Floats) -> Floats:
    """Kendall's tau-b along the last axis, (..., systems) -> (...); NaN where one side is all ties.

    (concordant - discordant) / sqrt((pairs - ties in x) (pairs - ties in y)).
    Source: Kendall (1945), "The treatment of ties in ranking problems".
    """
    upper = np.triu_indices(x.shape[-1], 1)
    dx = np.sign(x[..., upper[0]] - x[..., upper[1]])
    dy = np.sign(y[..., upper[0]] - y[..., upper[1]])
    with np.errstate(divide="ignore", invalid="ignore"):
        tau: Floats = (dx * dy).sum(axis=-1) / np.sqrt((dx != 0).sum(axis=-1) * (dy != 0).sum(axis=-1))
    return np.where(np.isfinite(tau), tau, np.nan)


def spearman_rho(x: Floats, y: Floats) -> Floats:
    """Spearman's rho along the last axis: Pearson's correlation of average ranks; NaN where one side is all ties.

    Source: Spearman (1904), "The proof and measurement of association between two things".
    """
    rx, ry = average_ranks(x), average_ranks(y)
    rx, ry = rx - rx.mean(axis=-1, keepdims=True), ry - ry.mean(axis=-1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        rho: Floats = (rx * ry).sum(axis=-1) / np.sqrt((rx**2).sum(axis=-1) * (ry**2).sum(axis=-1))
    return np.where(np.isfinite(rho), rho, np.nan)


def inversion_probability(log_time: Floats, log_speed: Floats) -> Floats:
    """Share of resamples in which the system with more tokens per second takes longer.

    Args:
        log_time: resampled log ratios of task time, first over second system, any shape.
        log_speed: the same of tokens per second.

    A resample in which one of the two is a tie counts half: it favours neither.
    """
    product = np.sign(log_time) * np.sign(log_speed)
    return np.asarray((product > 0).mean(axis=0) + (product == 0).mean(axis=0) / 2)
