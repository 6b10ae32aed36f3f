"""Does memory grow? A slope for each life of a process, and their mean with its interval; or that of one long life.

A life is one process from its start to its end. Memory grows at its beginning, as caches fill and models load, so
a warm-up is left out of each life. Samples within a life depend on each other; lives do not, so the interval comes
from how the lives' slopes differ. A long life is cut into parts, and the interval comes from how their growths differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from taskpace.analysis.stats.student import t_quantile

CONFIDENCE = 0.95
PARTS = 12
"""Of a long life after its warm-up."""


class Life(NamedTuple):
    """What was sampled of one process."""

    seconds: Sequence[float]
    """On any clock; the first is when it was first seen."""
    values: Sequence[float]


class Drift(NamedTuple):
    """Mean slope of several lives per minute, with its 95 % interval."""

    mean: float
    low: float
    high: float
    """NaN, as ``low``, with fewer than two lives."""
    lives: int
    minutes: float
    """Watched in all, without warm-ups."""


class Settled(NamedTuple):
    """Growth of one long life per minute after its first third, with its 95 % interval."""

    mean: float
    low: float
    high: float
    first: float
    """In its first third, in all."""
    minutes: float
    """Watched after that."""


def settled(life: Life) -> Settled | None:
    """The mean growth of twelve parts of the last two thirds of a life, with Student's interval of it.

    What is kept for each trial grows in all parts alike, so its interval is narrow and above zero. A table that is
    enlarged once grows in one part, and the interval holds zero. A heap that wanders has independent growths; one that
    goes to and fro has growths that cancel, and an interval that is too wide rather than too narrow.

    Returns:
        None: fewer samples than ends of parts.
    """
    seconds, values = np.asarray(life.seconds, np.float64), np.asarray(life.values, np.float64)
    begin = int(np.searchsorted(seconds, seconds[0] + np.ptp(seconds) / 3))
    if len(seconds) - begin <= PARTS:
        return None
    ends = np.linspace(begin, len(seconds) - 1, PARTS + 1).round().astype(int)
    minutes = float(seconds[-1] - seconds[begin]) / 60
    each = np.diff(values[ends]) * PARTS / minutes
    half = t_quantile(0.5 + CONFIDENCE / 2, PARTS - 1) * float(each.std(ddof=1)) / PARTS**0.5
    mean = float(each.mean())
    return Settled(mean, mean - half, mean + half, float(values[begin] - values[0]), minutes)


def drift(lives: Sequence[Life], *, warm_up_s: float, least_s: float) -> Drift | None:
    """The mean of the lives' least-squares slopes, each weighted by how long it was watched.

    The interval is Student's, of a weighted mean: variance n/(n-1) * sum(w^2 (slope - mean)^2), weights w of sum 1.

    Args:
        lives: of processes that do the same.
        warm_up_s: from the start of each life, left out.
        least_s: that a life must have been watched after that; shorter ones are left out.

    Returns:
        None: no life is long enough.
    """
    slopes, watched = [], []
    for life in lives:
        seconds, values = np.asarray(life.seconds, np.float64), np.asarray(life.values, np.float64)
        warm = seconds >= seconds[0] + warm_up_s
        seconds, values = seconds[warm], values[warm]
        if len(seconds) < 3 or np.ptp(seconds) < least_s:
            continue
        slopes.append(60 * np.polyfit(seconds - seconds.mean(), values, 1)[0])
        watched.append(np.ptp(seconds) / 60)
    if not slopes:
        return None
    each, minutes = np.array(slopes), np.array(watched)
    weights = minutes / minutes.sum()
    mean, n = float(weights @ each), len(each)
    half = np.nan
    if n > 1:
        variance = n / (n - 1) * float(weights**2 @ (each - mean) ** 2)
        half = t_quantile(0.5 + CONFIDENCE / 2, n - 1) * variance**0.5
    return Drift(mean, mean - half, mean + half, n, float(minutes.sum()))
