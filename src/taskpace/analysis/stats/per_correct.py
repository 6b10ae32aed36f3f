"""Time per correct answer where few are correct, or none: the seconds were spent, and the share is all but unknown.

Arrays are (items,): seconds of all trials of an item, how many were correct, how many there were.
"""

from __future__ import annotations

import math

import numpy as np

from taskpace.analysis.stats.estimates import UNKNOWN, Estimate, number, ratios
from taskpace.analysis.stats.intervals import (
    LEVEL,
    Flags,
    Floats,
    Reach,
    degrees_of_freedom,
    effective_trials,
    log_influence,
)
from taskpace.analysis.stats.special import beta_quantile
from taskpace.analysis.stats.student import t_quantile

FEW_CORRECT = 10
"""Fewer correct answers, and the error of a share is not normal on any scale."""
_LEAST_ERROR = 1e-12


def mean_and_per_correct(
    amounts: Floats, correct: Floats, there: Flags, reach: Reach | None
) -> tuple[Estimate, Estimate]:
    """Mean amount of a trial, and the amounts of all trials / number correct; of tokens, or of dollars.

    Arrays are (items, repeats).

    Args:
        amounts: NaN where one is unknown; then so are both numbers.
        correct: 1, 0, or NaN where there is no record.
        there: the trials that have an amount.
        reach: of the intervals; null: the number of items was fixed.
    """
    if not there.any() or np.isnan(amounts[there]).any():
        return UNKNOWN, UNKNOWN
    spent, counted = (each.sum(axis=-1).astype(np.float64) for each in (np.where(there, amounts, 0.0), there))
    right, asked = np.nansum(correct, axis=-1), (~np.isnan(correct)).sum(axis=-1).astype(np.float64)
    mean, per_correct = ratios(np.stack([spent, spent]).T, np.stack([counted, right]).T, reach)
    if right.sum() < FEW_CORRECT:
        per_correct = few_correct(spent, right, asked, anytime=reach is not None)
    return mean, per_correct


def few_correct(seconds: Floats, correct: Floats, trials: Floats, *, anytime: bool = False) -> Estimate:
    """Time per correct answer with fewer than ten correct.

    - One or more: MOVER on the logarithm, from Student's interval of the mean time and Clopper and Pearson's of the
      share. Sources: Zou & Donner (2008), "Construction of confidence limits about effect measures: a general
      approach"; Clopper & Pearson (1934), "The use of confidence or fiducial limits".
    - None: at least mean time / (1 - 0.05^(1/n)), n items, as the share is at most 1 - 0.05^(1/n) with 95 % confidence.
      Source: Louis (1981), "Confidence intervals for a binomial parameter after observing no successes".

    ``anytime``: the data decided how many items there are. Then the share is at most 1 - (0.05 / (n + 1))^(1/n), from
    the likelihood ratio mixed evenly over all shares (Robbins 1970), and with one or more correct there is no interval.
    """
    mean, n = _mean(seconds, trials), int((trials > 0).sum())
    if not mean > 0:
        return UNKNOWN
    if not correct.sum():
        error = (1 - LEVEL) / (n + 1) if anytime else 1 - LEVEL
        return number(mean / -math.expm1(math.log(error) / n), bound=">=")
    if anytime:
        return number(mean * float(trials.sum() / correct.sum()))
    share = float(correct.sum() / trials.sum())
    error = (1 - LEVEL) / 2
    value = math.log(mean / share)
    least, most = (_mean_end(seconds, trials, error, sign) for sign in (-1, 1))
    fewer, more = _share_ends(correct, trials, error)
    # Of one item, or where one took almost all the time, nothing is known of the mean's ends.
    known = least > 0 and most < math.inf
    low = value - math.hypot(math.log(mean / least), math.log(more / share)) if known else math.nan
    high = value + math.hypot(math.log(most / mean), math.log(share / fewer)) if known else math.nan
    with np.errstate(over="ignore"):
        return number(*np.exp((value, low, high)))


def none_against_some(none: tuple[Floats, Floats, Floats], some: tuple[Floats, Floats, Floats]) -> float:
    """P-value, two-sided, of "a correct answer takes no longer" of a system without a correct one against another.

    The lower bound of the one against the upper bound of the other, each with a quarter of the error (two bounds, two
    sides), split again between mean and share where both are estimated (Bonferroni): the least error at which they
    part. It errs on the safe side.

    Args:
        none: seconds, correct and trials of the system without a correct answer.
        some: the same of the other, which has one or more.
    """

    def part(log_error: float) -> bool:
        error = math.exp(log_error)
        return least_per_correct(none[0], none[2], error / 4) > most_per_correct(*some, error / 4)

    low, high = math.log(_LEAST_ERROR), 0.0
    if not part(high):
        return 1.0
    if part(low):
        return _LEAST_ERROR
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (low, middle) if part(middle) else (middle, high)
    return math.exp(high)


def least_per_correct(seconds: Floats, trials: Floats, error: float) -> float:
    """Lower confidence limit without a correct answer, wrong with probability ``error`` at most."""
    n = int((trials > 0).sum())
    return _mean_end(seconds, trials, error / 2, -1) / -math.expm1(math.log(error / 2) / n)


def most_per_correct(seconds: Floats, correct: Floats, trials: Floats, error: float) -> float:
    """Upper confidence limit with one or more correct answers, wrong with probability ``error`` at most."""
    if correct.sum() >= FEW_CORRECT:
        return _ratio_end(seconds, correct, error, 1)
    share, _ = _share_ends(correct, trials, error / 2)
    return _mean_end(seconds, trials, error / 2, 1) / share


def _mean(seconds: Floats, trials: Floats) -> float:
    return float(seconds.sum() / trials.sum()) if trials.sum() else math.nan


def _mean_end(seconds: Floats, trials: Floats, error: float, sign: int) -> float:
    """One-sided confidence limit of the mean time, Student's t on its logarithm; ``sign``: -1 lower, 1 upper."""
    return _ratio_end(seconds, trials, error, sign)


def _ratio_end(above: Floats, below: Floats, error: float, sign: int) -> float:
    d = log_influence(above[:, None], below[:, None])
    asked = ~np.isnan(d[:, 0])
    d, n = d[asked], int(asked.sum())
    value = float(above.sum() / below.sum())
    if n < 2:
        return math.inf if sign > 0 else 0.0
    deviation = math.sqrt(n / (n - 1) * float((d**2).sum()))
    freedom = float(degrees_of_freedom(d, n)[0])
    with np.errstate(over="ignore"):
        return value * float(np.exp(sign * t_quantile(1 - error, freedom) * deviation))


def _share_ends(correct: Floats, trials: Floats, error: float) -> tuple[float, float]:
    """Clopper and Pearson's limits, each wrong with probability ``error``, on the effective number of trials."""
    asked = trials > 0
    n = effective_trials(correct[asked], trials[asked])
    hits = n * float(correct.sum() / trials.sum())
    low = beta_quantile(error, hits, n - hits + 1) if hits > 0 else 0.0
    high = 1 - beta_quantile(error, n - hits, hits + 1) if hits < n else 1.0
    return low, high
