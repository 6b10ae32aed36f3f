"""The few special functions that the statistics need: binomial and beta distributions, and least squares from 0 up.

scipy has them all, and would be a third of what an installation of taskpace weighs; the tests hold each to scipy.
"""

from __future__ import annotations

import math
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.intp]

_LEAST_BITS = 10
_EXACT = 53
_NEGLIGIBLE = 1e-17
_AT_ONCE = 32
"""Terms of a sum between two looks at whether they still count."""
_CLOSE = 1e-15
_TINY = 1e-300
_MOST_STEPS = 100_000
"""Of a continued fraction: some times the root of the larger parameter are enough."""
_MOST_CORRECTIONS = 100


def log_factorials(n: Counts) -> Floats:
    """Natural logarithm of n! for each of several whole numbers, 0 or more."""
    return _log_factorials(int(n.max(initial=0)).bit_length())[n]


@cache
def _log_factorials(bits: int) -> Floats:
    """Of all numbers of so many bits; a table of one bit more begins with the one before."""
    if bits <= _LEAST_BITS:
        return np.array([math.lgamma(n + 1.0) for n in range(1 << _LEAST_BITS)])
    before = _log_factorials(bits - 1)
    return np.append(before, [math.lgamma(n + 1.0) for n in range(len(before), 2 * len(before))])


def fair_at_most(k: Counts, n: Counts) -> Floats:
    """P(Binomial(n, 1/2) <= k) for each pair of both, n up to 53 without any error.

    The lower tail is a sum of positive terms from the largest on, each the one before times (k - j) / (n - k + j + 1);
    the upper tail is the lower one of the other outcome.
    """
    k, n = np.broadcast_arrays(np.asarray(k, dtype=np.intp), np.asarray(n, dtype=np.intp))
    few = n <= _EXACT
    of_few = np.where(few, n, 0)
    exact = np.where(k < 0, 0.0, _exact_tails()[of_few, np.clip(k, 0, of_few)])
    if few.all():
        return exact
    other = n - k - 1
    upper = k > other
    least = np.where(upper, other, k)
    tail = np.where(least < 0, 0.0, _lower_tail(np.maximum(least, 0), n, upper))
    return np.where(few, exact, np.where(upper, 1 - tail, tail))


@lru_cache(maxsize=1)
def _exact_tails() -> Floats:
    """P(Binomial(n, 1/2) <= k) by n and k, 0 for k above n: of so few the counts are whole numbers of a double."""
    found = np.zeros((_EXACT + 1, _EXACT + 1))
    ways = np.ones(1)
    for n in range(_EXACT + 1):
        found[n, : n + 1] = np.cumsum(ways) / 2.0**n
        ways = np.append(ways, 0) + np.append(0, ways)
    return found


def _lower_tail(k: Counts, n: Counts, rounded: NDArray[np.bool_]) -> Floats:
    """P(Binomial(n, 1/2) <= k) for k of at most about half of n; ``rounded``: to what counts beside 1."""
    last = np.exp(log_factorials(n) - log_factorials(k) - log_factorials(n - k) - n * math.log(2)).ravel()
    total = np.ones(last.shape)
    enough = np.where(rounded.ravel(), 1 / np.maximum(last, _TINY), 1.0)
    left = np.arange(len(last))
    above, below, term = k.ravel().astype(np.float64), (n - k).ravel() + 1.0, total
    steps = np.arange(_AT_ONCE)
    while len(left):
        # After k terms the factor is 0, and so is all that follows.
        terms = np.maximum(above[:, None] - steps, 0) / (below[:, None] + steps)
        terms[:, 0] *= term
        np.cumprod(terms, axis=1, out=terms)
        total[left] += terms.sum(axis=1)
        term = terms[:, -1]
        more = term > _NEGLIGIBLE * np.maximum(enough[left], total[left])
        left, above, below, term = left[more], above[more] - _AT_ONCE, below[more] + _AT_ONCE, term[more]
    return np.asarray((last * total).reshape(k.shape))


def beta_below(x: float, a: float, b: float, *, rest: float | None = None, log_beta: float | None = None) -> float:
    """The regularised incomplete beta function I_x(a, b): the probability that a beta deviate lies below ``x``.

    Args:
        x: where.
        a: parameter of the distribution.
        b: the other one.
        rest: 1 - x, where the difference would lose digits.
        log_beta: logarithm of the beta function of ``a`` and ``b``, likewise.
    """
    rest = 1 - x if rest is None else rest
    if x <= 0 or rest <= 0:
        return 0.0 if x <= 0 else 1.0
    if swapped := x > (a + 1) / (a + b + 2):  # on this side of it the fraction converges
        x, rest, a, b = rest, x, b, a
    log_x, log_rest = (math.log(one) if one < 0.5 else math.log1p(-other) for one, other in ((x, rest), (rest, x)))
    log_beta = _log_beta(a, b) if log_beta is None else log_beta
    below = math.exp(a * log_x + b * log_rest - log_beta) * _beta_fraction(x, a, b) / a
    return 1 - below if swapped else below


def beta_quantile(share: float, a: float, b: float) -> float:
    """Where a beta deviate lies below with probability ``share``, between 0 and 1/2.

    By Newton's method on logarithms, where a tail is nearly straight, kept between a low end and a high one.
    """
    low, high = 0.0, 1.0
    x = a / (a + b)
    log_beta = _log_beta(a, b)
    for _ in range(_MOST_CORRECTIONS):
        below = beta_below(x, a, b)
        low, high = (x, high) if below < share else (low, x)
        # d ln I / d ln x = x * density / I
        slope = math.exp(a * math.log(x) + (b - 1) * math.log1p(-x) - log_beta) / max(below, _TINY)
        step = math.log(max(below, _TINY) / share) / max(slope, _TINY)
        better = x * math.exp(min(-step, 1.0))
        if not low < better < high:
            better = (low + high) / 2 if low else high / 16
        if abs(better - x) <= _CLOSE * x:
            break
        x = better
    return x


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _beta_fraction(x: float, a: float, b: float) -> float:
    """The continued fraction of I_x(a, b) (Abramowitz and Stegun, 26.5.8), from the front by Lentz's method."""
    c, d = 1.0, 1 / _off_zero(1 - (a + b) * x / (a + 1))
    value = d
    for m in range(1, _MOST_STEPS):
        k = a + 2 * m
        # Two steps, written out and without calls: this loop is most of what a test costs.
        numerator = m * (b - m) * x / ((k - 1) * k)
        d, c = 1 + numerator * d, 1 + numerator / c
        if -_TINY < d < _TINY or -_TINY < c < _TINY:
            d, c = _off_zero(d), _off_zero(c)
        value *= c / d
        numerator = -(a + m) * (k - m + b) * x / (k * (k + 1))
        d, c = 1 + numerator / d, 1 + numerator / c
        if -_TINY < d < _TINY or -_TINY < c < _TINY:
            d, c = _off_zero(d), _off_zero(c)
        value *= c / d
        d = 1 / d
        if -_CLOSE < c * d - 1 < _CLOSE:
            break
    return value


def _off_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def log_sum_exp(values: Floats) -> Floats:
    """Logarithm of the sum of exponentials of each row."""
    most = values.max(axis=1)
    return np.asarray(most + np.log(np.exp(values - most[:, None]).sum(axis=1)))


def least_squares(columns: Floats, values: Floats) -> Floats:
    """Coefficients of 0 or more for which ``columns`` times them comes nearest to ``values``.

    Source: Lawson & Hanson (1974), "Solving Least Squares Problems", chapter 23.
    """
    size = columns.shape[1]
    found = np.zeros(size)
    free = np.zeros(size, dtype=np.bool_)
    tolerance = 1e-12 * max(float(np.abs(columns.T @ values).max(initial=0.0)), _TINY)
    for _ in range(3 * size):
        pull = np.where(free, -np.inf, columns.T @ (values - columns @ found))
        if free.all() or pull.max() <= tolerance:
            break
        free[int(pull.argmax())] = True
        while True:
            trial = np.zeros(size)
            trial[free] = np.linalg.lstsq(columns[:, free], values, rcond=None)[0]
            below = free & (trial <= 0)
            if not below.any():
                found = trial
                break
            way = float((found[below] / (found[below] - trial[below])).min())
            found = found + way * (trial - found)
            free &= found > 0
            found[~free] = 0.0
    return found
