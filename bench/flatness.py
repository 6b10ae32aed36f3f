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
PARTS, OUTSIDE = 12, 2
"""Of a long life after its warm-up, and how many of them lie outside the interval on either side."""


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
    """Growth of one long life per minute after its first third: the median of its parts, with its 96 % interval."""

    median: float
    low: float
    high: float
    first: float
    """In the rest of the first third after the warm-up, in all."""
    rest: float
    """After it, in all."""
    minutes: float
    """Watched after it."""


def settled(life: Life, *, warm_up_s: float) -> Settled | None:
    """The median growth of twelve parts of the last two thirds of a life, with the sign test's interval of it.

    The third least and the third greatest of twelve bound their median with 96 % confidence, however they are
    distributed: 1 - 2 P(Binomial(12, 1/2) <= 2). What is kept for each trial grows in all parts alike, so the interval
    is narrow and above zero. A table that is enlarged once grows in one part, and leaves the median alone.

    Args:
        life: of a process that does the same all the time.
        warm_up_s: from its start, left out of ``first``; less than a third of it.

    Returns:
        None: fewer samples than ends of parts.
    """
    seconds, values = np.asarray(life.seconds, np.float64), np.asarray(life.values, np.float64)
    begin = int(np.searchsorted(seconds, seconds[0] + np.ptp(seconds) / 3))
    if len(seconds) - begin <= PARTS:
        return None
    ends = np.linspace(begin, len(seconds) - 1, PARTS + 1).round().astype(int)
    each = np.sort(60 * np.diff(values[ends]) / np.diff(seconds[ends]))
    return Settled(
        median=float(np.median(each)),
        low=float(each[OUTSIDE]),
        high=float(each[-1 - OUTSIDE]),
        first=float(values[begin] - values[min(begin, int(np.searchsorted(seconds, seconds[0] + warm_up_s)))]),
        rest=float(values[-1] - values[begin]),
        minutes=float(seconds[-1] - seconds[begin]) / 60,
    )


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
