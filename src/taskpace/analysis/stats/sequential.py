"""When to stop asking: how every two systems stand after each item, at 5 % error over all that is ever claimed of them.

Without a margin Holm's adjustment of the running p-values. With one each pair has its share of the error (Bonferroni):
a pair can then be claimed wrongly in two ways, as different and as equivalent; one alone is wrong, but one
that is settled rightly leaves no error over for the others.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np

from taskpace.analysis.stats.anytime import (
    FIRST_MEAN,
    RATIO_SPREAD,
    SPREAD,
    Totals,
    log_e_mean,
    log_e_most,
    mean_sequence,
    median_ends,
    one_sided,
)
from taskpace.analysis.stats.claims import LogRatios, decide
from taskpace.analysis.stats.intervals import Flags, Floats
from taskpace.analysis.stats.quantiles import at_share
from taskpace.analysis.stats.significance import ALPHA, holm

_HORIZON = 100_000
"""Items beyond which the number still needed is not reported."""


class Looked(msgspec.Struct, frozen=True):
    """Many pairs after the last item: arrays (pairs,). Values and ends are logarithms of the ratio b / a."""

    items: Floats
    p: Floats
    """Two-sided, the smallest so far: at most x with probability x, whenever one stops. NaN: nothing to test."""
    leaning: Floats
    """1: p supports that a is the smaller, -1: b, 0: neither."""
    on_most: Flags
    """The value is a median, for answers were cut or items are few; else a mean."""
    value: Floats
    low: Floats
    high: Floats
    """95 %, ever."""
    close: Floats
    """The distance from 0 within which the value is known to lie, with this pair's share of the error. Of a value
    beyond it one end alone can be wrong, which has half of an interval's error."""
    effect: Floats
    """For how it goes on: mean / standard deviation; with ``on_most`` the share of items that the leading one wins."""
    spread: float = SPREAD
    """The prior's (``stats.anytime``)."""


def look(found: LogRatios, pairs: int) -> Looked:
    """At log ratios in the order in which the items were asked; ``pairs``: among how many the error is shared."""
    claims = decide(found, one_sided)
    cut = np.isinf(found.low).any(axis=0) | np.isinf(found.high).any(axis=0)
    known = ~np.isnan(found.recorded)
    n = known.sum(axis=0).astype(np.float64)
    count = found.low.shape[1]
    value, low, high, close, effect = (np.full(count, np.nan) for _ in range(5))
    medians = claims.on_most | cut | (n < FIRST_MEAN)
    if not len(found.low):
        return Looked(n, claims.p, claims.leaning, medians, value, low, high, close, effect)
    sequences = [mean_sequence(found.recorded, error) for error in (ALPHA, 2 * ALPHA / pairs)]
    for index in range(count):
        own = known[:, index]
        recorded, lows, highs = (each[own, index] for each in (found.recorded, found.low, found.high))
        if medians[index]:
            ends = [median_ends(lows, highs, error) for error in (ALPHA, 2 * ALPHA / pairs)]
            value[index] = at_share(np.sort(recorded), 0.5) if len(recorded) else math.nan
            wins = (lows > 0).sum() if claims.leaning[index] >= 0 else (highs < 0).sum()
            effect[index] = wins / max(1, len(recorded))
        else:
            ends = [(float(each.low[-1, index]), float(each.high[-1, index])) for each in sequences]
            value[index] = recorded.mean()
            scatter = float(recorded.std(ddof=1))
            effect[index] = abs(value[index]) / scatter if scatter > 0 else math.inf
        low[index], high[index] = with_claim(ends[0], float(claims.p[index]), float(claims.leaning[index]))
        close[index] = max(-ends[1][0], ends[1][1])
    return Looked(n, claims.p, claims.leaning, medians, value, low, high, close, effect)


def with_claim(ends: tuple[float, float], p: float, leaning: float) -> tuple[float, float]:
    """An interval of a log ratio less what a claim has excluded, once and for all; ``leaning``: its sign."""
    low, high = ends
    if p <= ALPHA and leaning > 0 and high > 0:
        low = max(low, 0.0)
    if p <= ALPHA and leaning < 0 and low < 0:
        high = min(high, 0.0)
    return low, high


def look_per_correct(found: Totals, pairs: int) -> Looked:
    """How the pairs stand by time per correct answer."""
    count = found.value.shape[1]
    if not len(found.value):
        none = np.full(count, np.nan)
        return Looked(none, none, none, np.zeros(count, dtype=bool), none, none, none, none, none, RATIO_SPREAD)
    log_e = found.log_e
    best = log_e.argmax(axis=0)
    columns = np.arange(count)
    p = np.minimum(1.0, np.exp(-log_e[best, columns]))
    wide, shared = (found.sequence(error) for error in (ALPHA, 2 * ALPHA / pairs))
    with np.errstate(divide="ignore", invalid="ignore"):
        effect = np.abs(found.value[-1]) / (found.error[-1] * np.sqrt(found.n[-1]))
    return Looked(
        found.n[-1],
        np.where(found.look.any(axis=0), p, np.nan),
        np.where(p < 1, np.sign(found.value[best, columns]), 0.0),
        np.zeros(count, dtype=bool),
        found.value[-1],
        wide.low[-1],
        wide.high[-1],
        np.maximum(-shared.low[-1], shared.high[-1]),
        np.where(found.look[-1], effect, np.nan),
        RATIO_SPREAD,
    )


def adjust(p: Floats, *, shared: bool) -> list[float]:
    """P-values for the family: Holm's, or ``shared`` evenly; NaN stays NaN and counts among those who share."""
    return [min(1.0, len(p) * each) for each in p.tolist()] if shared else holm(p.tolist())


def decided(log_p: Floats, *, shared: bool) -> Flags:
    """Whether each pair is decided by each item at 5 % over all pairs: (items, experiments, pairs) of two-sided log p.

    By Holm, or with the error ``shared`` evenly: ``adjust`` for many moments at once.
    """
    pairs = log_p.shape[-1]
    if shared:
        return np.asarray(log_p <= math.log(ALPHA / pairs))
    order = np.argsort(log_p, axis=-1)
    ranked = np.take_along_axis(log_p, order, axis=-1)
    holds = np.logical_and.accumulate(ranked <= np.log(ALPHA / (pairs - np.arange(pairs))), axis=-1)
    found = np.zeros_like(holds)
    np.put_along_axis(found, order, holds, axis=-1)
    return found


class Settled(msgspec.Struct, frozen=True):
    """How pairs stand: lists (pairs,)."""

    sign: list[int]
    """1: a is sooner, -1: b is; 0 otherwise."""
    equivalent: list[bool]


def settle(found: Looked, margin: float | None) -> Settled:
    """What is claimed of each pair; ``margin``: relative, null: none."""
    adjusted = adjust(np.where(np.isnan(found.p), 1.0, found.p), shared=margin is not None)
    sign = [int(lean) if p <= ALPHA else 0 for p, lean in zip(adjusted, found.leaning.tolist(), strict=True)]
    within = -math.inf if margin is None else math.log1p(margin)
    return Settled(sign, [not s and close <= within for s, close in zip(sign, found.close.tolist(), strict=True)])


def items_more(found: Looked, index: int, error: float, margin: float | None) -> int | None:
    """About how many items more settle an open pair, if what comes is like what was; null: too many, or unknown.

    Args:
        found: the pairs.
        index: which.
        error: of this pair.
        margin: within which it would be equivalent; null: none.
    """
    n = float(found.items[index])
    counts = np.unique(np.ceil(np.geomspace(max(n, 2) + 1, _HORIZON, 400)))
    effect = float(found.effect[index])
    reached = np.zeros(len(counts), dtype=bool)
    if effect > 0:  # a NaN is not
        if found.on_most[index]:
            log_e = log_e_most(np.rint(min(effect, 1.0) * counts), counts) - math.log(2)
        else:
            log_e = log_e_mean(np.full(len(counts), min(effect, 1e3) ** 2), counts, found.spread)
        reached = log_e >= -math.log(error)
    close, value = float(found.close[index]), abs(float(found.value[index]))
    if margin is not None and math.isfinite(close):
        reached |= value + (close - value) * np.sqrt(n / counts) <= math.log1p(margin)
    return int(counts[reached.argmax()] - n) if reached.any() else None
