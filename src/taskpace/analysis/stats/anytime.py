"""Inference that holds at any stopping time: looking after every item, and stopping when it suits, costs no more error.

An e-process is evidence against a hypothesis under which its mean never exceeds 1, whenever one stops; it exceeds
1 / error with probability ``error`` at most, ever (Ville 1939, "Etude critique de la notion de collectif"). What it
does not yet exclude is a confidence sequence: an interval that holds the truth at all times at once. Sources: Ramdas,
Grunwald, Vovk & Shafer (2023), "Game-theoretic statistics and safe anytime-valid inference"; Howard, Ramdas, McAuliffe
& Sekhon (2021), "Time-uniform, nonparametric, nonasymptotic confidence sequences".

Rows are items in the order in which they were asked, which must have been drawn at random.
"""

from __future__ import annotations

import math
from functools import lru_cache

import msgspec
import numpy as np

from taskpace.analysis.stats.intervals import LEVEL, Flags, Floats
from taskpace.analysis.stats.special import fair_at_most, log_factorials

SPREAD = 0.2
"""Variance of the normal prior on mean / standard deviation: quickest for means of 0.2 to 0.6 standard deviations."""
RATIO_SPREAD = 0.1
"""Variance of the prior for ratios of totals, whose differences are smaller for their scatter."""
FIRST_MEAN = 50
"""Items before which nothing is concluded about a mean: of fewer skewed ones Student's t errs too often."""
_MOST_U = 1e200
"""In place of infinity: no scatter at all."""


def log_e_mean(u: Floats, n: Floats, spread: float = SPREAD) -> Floats:
    """Logarithm of the e-process against "the mean is 0", of normal values whose scatter is unknown.

    e = (1 + n g)^(-1/2) ((1 + u) / (1 + u / (1 + n g)))^(n / 2), the likelihood ratio of Student's t mixed over mean /
    standard deviation with a normal prior of variance g. Sources: Lai (1976), "On confidence sequences"; Perez-Ortiz,
    Lardy, de Heide & Grunwald (2024), "E-statistics, group invariance and anytime-valid testing"; Wang & Ramdas (2025),
    "Anytime-valid t-tests and confidence sequences for Gaussian means with unknown variance".

    Args:
        u: t^2 / (n - 1), which is n mean^2 / the sum of squares about the mean.
        n: items, the same shape.
        spread: g.
    """
    u = np.minimum(u, _MOST_U)
    wider = 1 + n * spread
    found: Floats = n / 2 * (np.log1p(u) - np.log1p(u / wider)) - np.log(wider) / 2
    return found


def t_reach(n: Floats, error: float, spread: float = SPREAD) -> Floats:
    """The t from which on ``log_e_mean`` excludes a mean at ``error``.

    The confidence sequence is mean +- t s / sqrt(n). Infinite where so few items exclude nothing.
    """
    n = np.asarray(n, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        wider = 1 + n * spread
        # (1 + u) / (1 + u / wider) at which e is 1 / error.
        ratio = np.exp(2 / n * (np.log(wider) / 2 - math.log(error)))
        u = np.where(ratio < wider, (ratio - 1) / (1 - ratio / wider), np.inf)
        return np.where(n > 1, np.sqrt(u * (n - 1)), np.inf)


def reach(n: Floats) -> Floats:
    """Standard errors that a 95 % interval of any mean or share reaches (``intervals.Reach``).

    By the central limit theorem for confidence sequences, as Student's t is for intervals. Source: Waudby-Smith,
    Arbour, Sinha, Kennedy & Ramdas (2024), "Time-uniform central limit theory and asymptotic confidence sequences".
    """
    return t_reach(n, 1 - LEVEL)


def log_e_most(wins: Floats, n: Floats) -> Floats:
    """Logarithm of the e-process against "no more than half of the items are won".

    The likelihood ratio of a share p to 1/2, mixed over p in (1/2, 1) with a Beta(2, 2) cut off there:
    2^n 12 B(k + 2, n - k + 2) P(Beta(k + 2, n - k + 2) > 1/2). Under a smaller share than 1/2 each factor's mean is
    below 1. Source: Robbins (1970), "Statistical methods related to the law of the iterated logarithm" (mixtures).
    """
    won, asked = wins.astype(np.intp), n.astype(np.intp)
    # P(Beta(k + 2, n - k + 2) > 1/2) is a binomial tail.
    above = fair_at_most(won + 1, asked + 3)
    log_beta = log_factorials(won + 1) + log_factorials(asked - won + 1) - log_factorials(asked + 3)
    with np.errstate(divide="ignore"):
        return np.asarray(n * math.log(2) + math.log(12) + log_beta + np.log(above))


@lru_cache(maxsize=64)
def wins_needed(n: int, error: float) -> int:
    """The fewest wins of ``n`` with which ``log_e_most`` reaches 1 / ``error``; n + 1 where none suffice."""
    low, high = n // 2, n + 1
    while low < high:
        middle = (low + high) // 2
        reached = float(log_e_most(np.array([middle]), np.array([n]))[0]) >= -math.log(error)
        low, high = (low, middle) if reached else (middle + 1, high)
    return low


class _Sums:
    """Running sums down the items of each column, of what is known."""

    def __init__(self, values: Floats) -> None:
        self.known: Flags = ~np.isnan(values)
        finite = np.where(np.isfinite(values), values, 0.0)
        self.n: Floats = np.cumsum(self.known, axis=0).astype(np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):
            self.mean: Floats = np.cumsum(finite, axis=0) / self.n
            squares = np.cumsum(finite**2, axis=0)
            about = squares - self.n * self.mean**2
            # What is left of equal numbers is rounding.
            self.squares: Floats = np.where(about > 1e-12 * squares, about, 0.0)
            u = self.n * self.mean**2 / self.squares
        self.u: Floats = np.where(np.isnan(u), 0.0, u)


class Running(msgspec.Struct, frozen=True):
    """One direction of each pair after each item: arrays (items, pairs)."""

    log_p: Floats
    """Logarithm of the one-sided p-value, 0 at most."""
    on_most: Flags
    """It is about more than half of the items."""


def running(lows: Floats) -> Running:
    """P-values of "the log ratios are not above 0" after each item, (items, pairs), that hold at any stopping time.

    The smallest of all looks so far. A look at the mean (``log_e_mean``) is taken from ``FIRST_MEAN`` items on, before
    these one at most items (``log_e_most``). From the first minus infinity on looks at the mean count no more, and all
    at most items do.
    """
    sums = _Sums(lows)
    cut = np.logical_or.accumulate(np.isneginf(lows), axis=0)
    early = sums.n < FIRST_MEAN
    log_most = np.zeros(lows.shape)
    rows = (early | cut[-1:]).any(axis=1)
    wins = np.cumsum(lows > 0, axis=0)[rows].astype(np.float64)
    log_most[rows] = np.where(sums.known[rows], -log_e_most(wins, sums.n[rows]), 0.0)
    # Of both directions together 1 / e: of either half of it.
    looked = sums.known & ~early & (sums.mean > 0)
    log_mean = np.where(looked, -log_e_mean(sums.u, sums.n) - math.log(2), 0.0)
    least_mean, least_early, least_most = (
        np.minimum(np.minimum.accumulate(each, axis=0), 0.0)
        for each in (log_mean, np.where(early, log_most, 0.0), log_most)
    )
    at_first = (least_early < least_mean) & (least_early <= math.log((1 - LEVEL) / 2))
    return Running(np.where(cut, least_most, np.minimum(least_mean, least_early)), cut | early | at_first)


def one_sided(lows: Floats) -> tuple[Floats, Flags]:
    """One-sided log p after the last item, (pairs,); NaN with fewer than two items."""
    if not lows.size:
        return np.full(lows.shape[1], np.nan), np.ones(lows.shape[1], dtype=bool)
    found = running(lows)
    few = (~np.isnan(lows)).sum(axis=0) < 2
    return np.where(few, np.nan, np.exp(found.log_p[-1])), found.on_most[-1]


def most_differ(signs: Floats) -> float:
    """Two-sided p-value, at any stopping time, of "above 0 is as likely as below"; (items,), 0 counts as neither."""
    apart = signs[(signs != 0) & ~np.isnan(signs)]
    n = np.arange(1, len(apart) + 1, dtype=np.float64)
    best = [float(log_e_most(np.cumsum(side > 0), n).max(initial=0.0)) for side in (apart, -apart)]
    return min(1.0, 2 * math.exp(-max(best)))


class Sequence(msgspec.Struct, frozen=True):
    """A confidence sequence of each column: arrays (items, pairs), after each item; infinite while nothing is known."""

    low: Floats
    high: Floats


def mean_sequence(values: Floats, error: float) -> Sequence:
    """Of the means of values that are all finite, from ``FIRST_MEAN`` items on.

    What one look has excluded stays so: the ends only come closer. Where they cross (the values change with time, which
    this rules out) they are those of the last look.
    """
    sums = _Sums(values)
    look = sums.known & (sums.n >= FIRST_MEAN)
    with np.errstate(divide="ignore", invalid="ignore"):
        half = t_reach(sums.n, error) * np.sqrt(sums.squares / (sums.n - 1) / sums.n)
    return narrowing(sums.mean, half, look)


def narrowing(middle: Floats, half: Floats, look: Flags) -> Sequence:
    """The intersection of all intervals ``middle`` +- ``half`` so far, of the items that are a ``look``."""
    with np.errstate(invalid="ignore"):
        lows, highs = (np.where(look, middle + side * half, side * np.inf) for side in (-1, 1))
    low, high = np.maximum.accumulate(lows, axis=0), np.minimum.accumulate(highs, axis=0)
    crossed = low > high
    if crossed.any():
        # The last look of each column: its own index, carried down.
        last = np.maximum.accumulate(np.where(look, np.arange(len(look))[:, None], 0), axis=0)
        low, high = (
            np.where(crossed, np.take_along_axis(own, last, axis=0), end) for own, end in ((lows, low), (highs, high))
        )
    return Sequence(low, high)


def median_ends(low: Floats, high: Floats, error: float) -> tuple[float, float]:
    """The values not yet excluded for the median of values that each lie between two ends: order statistics.

    A lower bound is exceeded by so many values that "no more than half exceed it" is excluded at ``error`` / 2;
    likewise the upper one. Source: Howard & Ramdas (2022), "Sequential estimation of quantiles with applications to A/B
    testing and best-arm identification".
    """
    n = len(low)
    k = wins_needed(n, error / 2)
    if k > n or not n:
        return -math.inf, math.inf
    return float(np.sort(low)[n - k]), float(np.sort(high)[k - 1])


class Totals(msgspec.Struct, frozen=True):
    """The logarithm of a ratio of two ratios of totals after each item: arrays (items, pairs)."""

    n: Floats
    value: Floats
    error: Floats
    """Standard error, by the infinitesimal jackknife (``intervals.of_influence``)."""
    look: Flags
    """Whether there is enough on both sides to conclude anything."""

    @property
    def log_e(self) -> Floats:
        """Against "the ratio is 1", with ``RATIO_SPREAD``; 0 where nothing is concluded."""
        with np.errstate(divide="ignore", invalid="ignore"):
            u = np.where(self.look, (self.value / self.error) ** 2 / (self.n - 1), 0.0)
        return np.where(self.look, log_e_mean(np.nan_to_num(u, posinf=_MOST_U), self.n, RATIO_SPREAD), 0.0)

    def sequence(self, error: float) -> Sequence:
        """The confidence sequence."""
        with np.errstate(invalid="ignore"):
            return narrowing(self.value, t_reach(self.n, error, RATIO_SPREAD) * self.error, self.look)


LEAST_CORRECT = 5
"""Correct answers of both sides, before which nothing is concluded about the time per correct answer."""


def per_correct(a: tuple[Floats, Floats], b: tuple[Floats, Floats]) -> Totals:
    """Time per correct answer of b over that of a.

    Args:
        a: seconds and number of correct answers, (items, pairs) each; NaN where one of the two was not asked.
        b: likewise.
    """
    parts = [np.where(np.isnan(each), 0.0, each) for each in (b[0], b[1], a[0], a[1])]
    totals = [np.cumsum(part, axis=0) for part in parts]
    known = ~np.isnan(a[0] + b[0])
    n = np.cumsum(known, axis=0).astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        weights = [sign / total for sign, total in zip((1, -1, -1, 1), totals, strict=True)]
        # Sum of d^2, of d = the parts weighted: the running sums of their products suffice.
        squares = sum(
            weights[i] * weights[j] * np.cumsum(parts[i] * parts[j], axis=0) for i in range(4) for j in range(4)
        )
        value = np.log(totals[0]) - np.log(totals[1]) - np.log(totals[2]) + np.log(totals[3])
        error = np.sqrt(np.maximum(squares, 0.0) * n / (n - 1))
    enough = np.minimum(totals[1], totals[3]) >= LEAST_CORRECT
    return Totals(n, value, error, known & enough & (np.minimum(totals[0], totals[2]) > 0))
