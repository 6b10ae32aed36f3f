"""Time per correct answer where few are correct, or none: the seconds were spent, and the share is all but unknown.

Arrays are (items,): seconds of all trials of an item, how many were correct, how many there were.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import NamedTuple, Self

import msgspec
import numpy as np

from taskpace.analysis.stats.estimates import UNKNOWN, Estimate, number, ratios
from taskpace.analysis.stats.intervals import LEVEL, Flags, Floats, Reach, degrees_of_freedom, log_influence
from taskpace.analysis.stats.shares import effective_trials
from taskpace.analysis.stats.special import beta_quantile
from taskpace.analysis.stats.student import t_quantile

FEW_CORRECT = 10
"""Fewer correct answers, and the error of a share is not normal on any scale."""
_LEAST_ERROR = 1e-12
_STEPS = 1 << 30
"""From that to 1, on the logarithm: between two errors that follow each other nothing is looked for."""


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
    limits = _Ratio.of(seconds, trials)
    least, most = (limits.end(error, sign) for sign in (-1, 1))
    fewer, more = _share_ends(correct, trials, error)
    # Of one item, or where one took almost all the time, nothing is known of the mean's ends.
    known = least > 0 and most < math.inf
    low = value - math.hypot(math.log(mean / least), math.log(more / share)) if known else math.nan
    high = value + math.hypot(math.log(most / mean), math.log(share / fewer)) if known else math.nan
    with np.errstate(over="ignore"):
        return number(*np.exp((value, low, high)))


class Spent(msgspec.Struct, frozen=True, dict=True):
    """What one system spent on its items, added up over their repeats: arrays (items,). Made once for all pairs."""

    spent: Floats
    right: Floats
    asked: Floats

    @cached_property
    def items(self) -> int:
        """How many were asked."""
        return int(np.count_nonzero(self.asked))

    @cached_property
    def all_right(self) -> float:
        return float(self.right.sum())

    @cached_property
    def log(self) -> float:
        """Logarithm of what a correct answer takes."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return float(np.log(self.spent.sum()) - np.log(self.right.sum()))

    @cached_property
    def influence(self) -> Floats:
        """Each item's on it."""
        return log_influence(self.spent, self.right)

    @cached_property
    def without_correct(self) -> Estimate:
        return few_correct(self.spent, self.right, self.asked)

    @cached_property
    def mean(self) -> _Ratio:
        """Of a trial."""
        return _Ratio.of(self.spent, self.asked)

    @cached_property
    def per_correct(self) -> _Ratio:
        return _Ratio.of(self.spent, self.right)

    def least_per_correct(self, error: float) -> float:
        """Lower confidence limit without a correct answer, wrong with probability ``error`` at most."""
        return self.mean.end(error / 2, -1) / -math.expm1(math.log(error / 2) / self.items)

    def most_per_correct(self, error: float) -> float:
        """Upper confidence limit with one or more correct answers, wrong with probability ``error`` at most."""
        if self.all_right >= FEW_CORRECT:
            return self.per_correct.end(error, 1)
        share, _ = _share_ends(self.right, self.asked, error / 2)
        return self.mean.end(error / 2, 1) / share


def none_against_some(none: Spent, some: Spent) -> float:
    """P-value, two-sided, of "a correct answer takes no longer" of a system without a correct one against another,
    which has one or more.

    The lower bound of the one against the upper bound of the other, each with a quarter of the error (two bounds, two
    sides), split again between mean and share where both are estimated (Bonferroni): the least error at which they
    part. It errs on the safe side.
    """

    def gap(step: int) -> float:
        """How far they part: above 0 where they do. The greater the error, the more."""
        error = math.exp(math.log(_LEAST_ERROR) * (1 - step / _STEPS))
        least, most = none.least_per_correct(error / 4), some.most_per_correct(error / 4)
        return math.log(least) - math.log(most) if least > 0 and most < math.inf else -math.inf

    left, right, moved = 0, _STEPS, -1
    below, above = gap(left), gap(right)
    if not above > 0:
        return 1.0
    if below > 0:
        return _LEAST_ERROR
    # False position; the end that stays twice counts half, so that it moves (the Illinois algorithm).
    while right - left > 1:
        share = below / (below - above) if math.isfinite(below) else 0.5
        step = min(max(left + round(share * (right - left)), left + 1), right - 1)
        found = gap(step)
        if found > 0:
            below = below / 2 if right == moved else below
            right, above, moved = step, found, step
        else:
            above = above / 2 if left == moved else above
            left, below, moved = step, found, step
    return math.exp(math.log(_LEAST_ERROR) * (1 - right / _STEPS))


def _mean(seconds: Floats, trials: Floats) -> float:
    return float(seconds.sum() / trials.sum()) if trials.sum() else math.nan


class _Ratio(NamedTuple):
    """A ratio of totals, and how far its logarithm scatters; of fewer than two items, any way."""

    value: float
    deviation: float
    freedom: float

    @classmethod
    def of(cls, above: Floats, below: Floats) -> Self:
        d = log_influence(above[:, None], below[:, None])
        asked = ~np.isnan(d[:, 0])
        d, n = d[asked], int(asked.sum())
        value = float(above.sum() / below.sum())
        if n < 2:
            return cls(value, math.inf, math.nan)
        return cls(value, math.sqrt(n / (n - 1) * float((d**2).sum())), float(degrees_of_freedom(d, n)[0]))

    def end(self, error: float, sign: int) -> float:
        """One-sided confidence limit, Student's t on the logarithm; ``sign``: -1 lower, 1 upper."""
        if self.deviation == math.inf:
            return math.inf if sign > 0 else 0.0
        with np.errstate(over="ignore"):
            return self.value * float(np.exp(sign * t_quantile(1 - error, self.freedom) * self.deviation))


def _share_ends(correct: Floats, trials: Floats, error: float) -> tuple[float, float]:
    """Clopper and Pearson's limits, each wrong with probability ``error``, on the effective number of trials."""
    asked = trials > 0
    n = effective_trials(correct[asked], trials[asked])
    hits = n * float(correct.sum() / trials.sum())
    low = beta_quantile(error, hits, n - hits + 1) if hits > 0 else 0.0
    high = 1 - beta_quantile(error, n - hits, hits + 1) if hits < n else 1.0
    return low, high
