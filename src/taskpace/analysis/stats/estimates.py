"""One system on one task: every number with its 95 % interval.

Arrays are (items, repeats); what was not recorded is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import islice
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from taskpace.analysis.stats.intervals import Flags, Floats, Intervals, Reach, column_blocks, of_ratios
from taskpace.analysis.stats.items import item_counts
from taskpace.analysis.stats.quantiles import of_many, of_quantiles
from taskpace.analysis.stats.shares import share_interval, wilson

_CONFIDENCE = 0.99


Bound = Literal[">=", "<="]
"""``>=``: the true value is at least the one given; ``<=``: at most."""


class Estimate(msgspec.Struct, frozen=True, gc=False):
    """A value and its 95 % interval. Null: unknown; a null end beside a known value: not known on that side."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    bound: Bound | None = None
    """Null: ``value`` is an estimate. Else all that is known is that the true value is at least (``>=``) or at most
    (``<=``) ``value``, because answers were cut or none was correct."""


UNKNOWN = Estimate()


def number(value: float, low: float = math.nan, high: float = math.nan, *, bound: Bound | None = None) -> Estimate:
    """A ``Estimate``; what is not finite becomes null."""
    if not math.isfinite(value):
        return UNKNOWN
    low_end, high_end = (float(low) if math.isfinite(low) else None), (float(high) if math.isfinite(high) else None)
    return Estimate(float(value), low_end, high_end, bound)


def mirrored(bound: Bound | None) -> Bound | None:
    """The bound of the inverse of a ratio, or of a difference the other way round."""
    return None if bound is None else "<=" if bound == ">=" else ">="


def numbers(intervals: Intervals) -> list[Estimate]:
    """``number`` of each."""
    ends = [each.tolist() for each in (intervals.value, intervals.low, intervals.high)]
    # As a rule all are finite, and then so is their sum.
    make = Estimate if math.isfinite(sum(map(sum, ends))) else number
    return list(map(make, *ends))


def quantiles(
    values: Floats,
    item_of: NDArray[np.intp] | None,
    shares: tuple[float, ...],
    cut: Flags | None = None,
    reach: Reach | None = None,
) -> list[Estimate]:
    """Quantiles over trials (linear interpolation) with ``of_quantiles``' intervals.

    Args:
        values: (trials,), NaN where unknown.
        item_of: (trials,), the item of each; null: each is of an item of its own.
        shares: which, from 0 to 1.
        cut: (trials,), where the value is only a lower bound; null: nowhere. Then a lower end takes cut values as
            they are, an upper end takes them to be infinite, and a quantile that depends on them is a bound.
        reach: null: the number of items was fixed.
    """
    known = ~np.isnan(values)
    if not known.any():
        return [UNKNOWN] * len(shares)
    if not known.all():
        values = values[known]
        item_of = None if item_of is None else item_of[known]
        cut = None if cut is None else cut[known]
    if cut is None or not cut.any():
        return numbers(of_quantiles(values, item_of, shares, reach=reach))
    found = of_quantiles(values, item_of, shares, np.where(cut, np.inf, values), reach)
    return [
        number(value, low, high, bound=">=" if most > value else None)
        for value, low, high, most in zip(found.value, found.low, found.high, found.most, strict=True)
    ]


def quantiles_of_each(
    values: NDArray[Any],
    shares: tuple[float, ...],
    reach: Reach | None = None,
    *,
    item_of: Sequence[NDArray[np.intp] | None],
    cut: Sequence[Flags | None],
    ranked: NDArray[Any] | None = None,
) -> list[list[Estimate]]:
    """``quantiles`` of several systems with as many values: (systems, trials); by system, each with its ``item_of`` and
    ``cut``. Those whose values are all exact are ranked together; ``ranked``: the same values, if that was done already
    (``ranked_for``), row by row.
    """
    able = np.array(
        [item is None and (cuts is None or not cuts.any()) for item, cuts in zip(item_of, cut, strict=True)]
    )
    if able.any() and values.dtype.kind == "f":
        # Of what is unknown so is the least.
        able &= ~np.isnan(values.min(axis=1))
    together = np.flatnonzero(able)
    found: dict[int, list[Estimate]] = {}
    for block in column_blocks(values.shape[1], len(together)):
        some = together[block]
        if ranked is None:
            intervals = of_many(values.take(some, axis=0), shares, reach)
        else:
            intervals = of_many(ranked[some], shares, reach, ranked=True)
        estimates = iter(numbers(intervals))
        found |= {index: list(islice(estimates, len(shares))) for index in some.tolist()}
    return [
        found[index] if index in found else quantiles(own, item, shares, cuts, reach)
        for index, (own, item, cuts) in enumerate(zip(values, item_of, cut, strict=True))
    ]


def ratios(numerators: Floats, denominators: Floats, reach: Reach | None = None) -> list[Estimate]:
    """Ratios of totals with ``of_ratios``' intervals: (items, k) over (items, k).

    Means (values over counts), PAR-2, time per correct answer (seconds of all trials over number correct: wrong
    answers' time counts). A ratio over nothing is unknown.
    """
    return numbers(of_ratios(numerators, denominators, reach))


def shares_of_correct(right: Floats, asked: Floats, reach: Reach | None = None) -> list[Estimate]:
    """Of each system the share of recorded trials that are correct.

    Args:
        right: of each item's trials how many are, (systems, items).
        asked: how many there are, likewise.
        reach: null: the number of items was fixed.
    """
    if asked.size and (asked == 1).all():
        shares = right.sum(axis=1) / asked.shape[1]
        return _of_independent(shares, asked.shape[1], reach)
    return [
        number(*share_interval(*((hits, trials) if trials.all() else (hits[trials > 0], trials[trials > 0])), reach))
        for hits, trials in zip(right, asked, strict=True)
    ]


def _of_independent(shares: Floats, n: int, reach: Reach | None) -> list[Estimate]:
    """Shares, each of ``n`` items that were asked once, with ``wilson``'s intervals."""
    return numbers(Intervals(shares, *wilson(shares, n, reach), np.full(shares.shape, math.nan)))


def par2_values(time_s: Floats, correct: Floats, limit_s: float) -> Floats:
    """Per trial t if correct (1), else (0) 2 L; NaN where there is no record. Their mean is PAR-2.

    The score of SAT competitions: Froleyks et al. (2021), "SAT Competition 2020", Artificial Intelligence 301, 2.3.
    """
    if np.isnan(time_s).any():
        return np.where(np.isnan(correct), np.nan, np.where(correct > 0, time_s, 2 * limit_s))
    # One of the two products is 0. To choose by flags takes far longer where these change from trial to trial.
    values = 1 - correct
    values *= 2 * limit_s
    values += time_s * correct
    return values


def solve_curves(
    time_s: Floats, correct: Floats, deadlines_s: Floats, reach: Reach | None = None
) -> list[list[Estimate]]:
    """Share of trials answered correctly within each deadline, F(tau) = #(correct and t <= tau) / #recorded, by system.

    The cactus plot of SAT competitions. A wrong answer is a competing event, not a censored one, so this is a plain
    share (the Aalen-Johansen estimator without censoring), pointwise with the interval of ``shares_of_correct``.

    Args:
        time_s: (systems, items, repeats).
        correct: 1, 0, or NaN where there is no record; likewise.
        deadlines_s: ascending.
        reach: null: the number of items was fixed.
    """
    unknown = np.isnan(correct)
    # The moments from which on trials are solved; others never are, or NaN, which is within no deadline either. To
    # choose one of two by flags takes far longer where these change from trial to trial.
    with np.errstate(divide="ignore", invalid="ignore"):
        solved_s = time_s / correct
    if correct.shape[-1] == 1:
        counts = (~unknown).sum(axis=(1, 2)) if unknown.any() else np.full(len(correct), correct.shape[1])
        moments = np.sort(solved_s[..., 0], axis=1)
        solved = np.array([own.searchsorted(deadlines_s, "right") for own in moments], dtype=np.float64)
        found = [[UNKNOWN] * len(deadlines_s)] * len(correct)
        # Those with as many trials have the same error.
        for n in sorted(set(counts.tolist()) - {0}):
            some = np.flatnonzero(counts == n)
            shares = iter(_of_independent(solved[some].ravel() / n, n, reach))
            for system in some.tolist():
                found[system] = list(islice(shares, len(deadlines_s)))
        return found
    return [
        _shares_of_repeats(moments, item_counts(there), deadlines_s, reach)
        for moments, there in zip(solved_s, ~unknown, strict=True)
    ]


def _shares_of_repeats(solved_s: Floats, trials: Floats, deadlines_s: Floats, reach: Reach | None) -> list[Estimate]:
    asked = trials > 0
    return [
        number(*share_interval((solved_s[asked] <= deadline).sum(axis=1).astype(np.float64), trials[asked], reach))
        for deadline in deadlines_s
    ]


@lru_cache
def samples_for(share: float) -> int:
    """The fewest samples that may claim a percentile: 64 for p90, 130 for p95, 662 for p99.

    The least n for which n trials hold two or more beyond the true percentile with 99 % confidence, that is
    P(Binomial(n, 1 - share) <= 1) <= 0.01: then the second largest is not an underestimate. Source: early stopping in
    MLPerf Inference (Reddi et al. 2020, "MLPerf Inference Benchmark", arXiv 1911.02549; mlcommons/inference,
    loadgen/early_stopping.cc, for a single stream).
    """
    n = np.arange(1, 10_000)
    at_most_one = share**n + n * (1 - share) * share ** (n - 1)
    return int(n[at_most_one <= 1 - _CONFIDENCE][0])
