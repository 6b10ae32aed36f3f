"""Student's t and the normal distribution, for one value at a time or for many at once."""

from __future__ import annotations

import math
from functools import cache, lru_cache
from statistics import NormalDist
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from taskpace.analysis.stats.special import beta_below

Floats = NDArray[np.float64]
Number = TypeVar("Number", float, Floats)

_LARGE = 40.0
_LOG_PI = math.log(math.pi)
_MOST_CORRECTIONS = 20
_MANY = 100.0
"""Degrees of freedom, per unit of the squared normal quantile; from there the expansion is off by 1e-13 or less."""
_NEAR = 1e-8
"""A correction after which there is nothing left to correct, as its square is next to nothing."""
_LEAST_FREEDOM = 8.0
"""From which on ``_NODES`` tell a tail to 14 digits."""
_NODES = 32
_NEGLIGIBLE = 38.0
"""A factor of exp(-38) less counts nothing."""


@lru_cache(maxsize=1 << 6)
def normal_quantile(share: float) -> float:
    """Where a normal deviate lies below with probability ``share``, between 0 and 1."""
    return NormalDist().inv_cdf(share)


def normal_below(z: float) -> float:
    """The probability that a normal deviate lies below ``z``."""
    return math.erfc(-z / math.sqrt(2)) / 2


def t_below(t: float, freedom: float) -> float:
    """The probability that Student's t lies below ``t``; NaN for NaN, and without degrees of freedom.

    By the incomplete beta function: P(T < -|t|) = I_x(freedom / 2, 1 / 2) / 2 with x = freedom / (freedom + t^2).
    """
    if not freedom > 0 or math.isnan(t):
        return math.nan
    if math.isinf(t):
        return 0.0 if t < 0 else 1.0
    tail = _tail(abs(t), freedom)
    return tail if t < 0 else 1 - tail


@lru_cache(maxsize=1 << 10)
def _tail(t: float, freedom: float) -> float:
    """The probability that Student's t lies above ``t``, which is positive: asked for in both directions of a test."""
    return _beta_below(freedom / (freedom + t * t), t * t / (freedom + t * t), freedom / 2, 0.5) / 2


@lru_cache(maxsize=1 << 10)
def t_quantile(share: float, freedom: float) -> float:
    """Where Student's t lies below with probability ``share``; NaN without degrees of freedom.

    From an expansion for many degrees of freedom (Abramowitz and Stegun, 26.7.5), or the exact values for 1 and 2, on
    by Newton's method.
    """
    if not freedom > 0 or math.isnan(share):
        return math.nan
    if not 0.5 < share < 1:
        return 0.0 if share == 0.5 else -t_quantile(1 - share, freedom) if 0 < share < 0.5 else math.nan
    t = _first_guess(share, freedom)
    if freedom > _MANY * normal_quantile(share) ** 2 and freedom > _MANY:
        return t
    upper = 1 - share
    for _ in range(_MOST_CORRECTIONS):
        # On the logarithm of the tail, which is nearly straight in ln t however heavy it is.
        tail = t_below(-t, freedom)
        step = math.log(tail / upper) * tail / (t * _t_density(t, freedom))
        t *= math.exp(max(-1.0, min(1.0, step)))
        if abs(step) < _NEAR:
            break
    return t


def t_quantiles(share: float, freedom: Floats) -> Floats:
    """Quantiles of Student's t for each of several degrees of freedom."""
    found = np.empty(freedom.shape)
    many = _at_once(freedom) if 0.5 < share < 1 else np.zeros(freedom.shape, dtype=bool)
    if many.any():
        found[many] = _quantiles(share, freedom[many])
    found[~many] = [t_quantile(share, each) for each in freedom[~many].tolist()]
    return found


def ts_below(t: Floats, freedom: Floats) -> Floats:
    """``t_below`` for pairs of both."""
    found = np.empty(t.shape)
    many = np.isfinite(t) & _at_once(freedom)
    if many.any():
        some = t[many]
        tail = _tails(np.abs(some), freedom[many])
        found[many] = np.where(some < 0, tail, 1 - tail)
    found[~many] = [t_below(*each) for each in zip(t[~many].tolist(), freedom[~many].tolist(), strict=True)]
    return found


def _at_once(freedom: Floats) -> NDArray[np.bool_]:
    """Which of several degrees of freedom are worked out together, each as it is alone, to the digit."""
    enough: NDArray[np.bool_] = np.isfinite(freedom) & (freedom >= _LEAST_FREEDOM)
    return enough


def _tails(t: Floats, freedom: Floats) -> Floats:
    """``_tail`` of many: with t = sqrt(freedom) sinh u the density is that of cosh(u)^-freedom, up to a constant.

    cosh(u + s) / cosh(u) - 1 is cosh s - 1 + tanh(u) sinh s. Its power is integrated by Gauss and Legendre's rule, from
    s = 0 to where nothing is left.
    """
    nodes, weights = _rule()
    with np.errstate(over="ignore"):
        tanh, squared = t / np.hypot(np.sqrt(freedom), t), (t / np.sqrt(freedom)) ** 2
    least = np.exp(_NEGLIGIBLE / freedom)
    half = np.log((least + np.sqrt(least**2 - 1 + tanh**2)) / (1 + tanh)) / 2
    grown = np.expm1(half[:, None] * (1 + nodes))
    beyond = grown * (grown + tanh[:, None] * (2 + grown)) / (2 * (1 + grown))
    left = np.vecdot(np.exp(-freedom[:, None] * np.log1p(beyond)), weights) * half
    return np.asarray(np.exp(_log_gamma_steps(freedom / 2) - _LOG_PI / 2 - freedom / 2 * np.log1p(squared)) * left)


@cache
def _rule() -> tuple[Floats, Floats]:
    """Nodes from 1 to -1, and their weights: roots of a Legendre polynomial, by Newton's method.

    (numpy's own are in a package that takes longer to import than all tails of a summary.)
    """
    x = np.cos(math.pi * (np.arange(_NODES) + 0.75) / (_NODES + 0.5))
    slope = x
    for _ in range(4):
        before, value = np.ones(_NODES), x
        for k in range(2, _NODES + 1):
            before, value = value, ((2 * k - 1) * x * value - (k - 1) * before) / k
        slope = _NODES * (before - x * value) / (1 - x * x)
        x = x - value / slope
    return x, 2 / ((1 - x * x) * slope**2)


def _quantiles(share: float, freedom: Floats) -> Floats:
    """``t_quantile`` of many, above the middle."""
    t = _expansion(share, freedom)
    few = freedom <= _MANY * max(1.0, normal_quantile(share) ** 2)
    if not few.any():
        return t
    found, freedom = t[few], freedom[few]
    density = np.exp(_log_gamma_steps(freedom / 2) - np.log(freedom * math.pi) / 2)
    for _ in range(_MOST_CORRECTIONS):
        tail = _tails(found, freedom)
        slope = density * np.exp(-(freedom + 1) / 2 * np.log1p(found**2 / freedom))
        step = np.log(tail / (1 - share)) * tail / (found * slope)
        t[few] = found * np.exp(np.clip(step, -1, 1))
        more = np.abs(step) >= _NEAR
        if not more.any():
            break
        few[few] = more
        found, freedom, density = t[few], freedom[more], density[more]
    return t


def _first_guess(share: float, freedom: float) -> float:
    if freedom < 3:  # between Cauchy's distribution and that of two degrees
        return math.tan(math.pi * (share - 0.5)) ** (1 / freedom) if freedom < 1.5 else _of_two(share)
    return _expansion(share, freedom)


def _expansion(share: float, freedom: Number) -> Number:
    """For many degrees of freedom."""
    z = normal_quantile(share)
    g1 = (z**3 + z) / 4
    g2 = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    g3 = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    g4 = (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160
    return z + g1 / freedom + g2 / freedom**2 + g3 / freedom**3 + g4 / freedom**4


def _of_two(share: float) -> float:
    return (2 * share - 1) * math.sqrt(2 / (4 * share * (1 - share)))


def _t_density(t: float, freedom: float) -> float:
    constant = _log_gamma_step(freedom / 2) - 0.5 * math.log(freedom * math.pi)
    return math.exp(constant - (freedom + 1) / 2 * math.log1p(t * t / freedom))


def _log_gamma_step(a: float) -> float:
    """Ln(gamma(a + 1/2) / gamma(a)): of large numbers not as a difference, which would lose what is asked for."""
    if a < _LARGE:
        return math.lgamma(a + 0.5) - math.lgamma(a)
    return math.log(a) / 2 - 1 / (8 * a) + 1 / (192 * a**3) - 1 / (640 * a**5) + 17 / (14336 * a**7)


def _log_gamma_steps(a: Floats) -> Floats:
    """``_log_gamma_step`` of many."""
    large = np.maximum(a, _LARGE)
    found = np.log(large) / 2 - 1 / (8 * large) + 1 / (192 * large**3) - 1 / (640 * large**5)
    found += 17 / (14336 * large**7)
    small = a < _LARGE
    if small.any():
        found[small] = [_log_gamma_step(each) for each in a[small].tolist()]
    return found


def _beta_below(x: float, rest: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b), with ``rest`` = 1 - x to full precision; a or b is 1/2."""
    # The gamma function of 1/2 is the root of pi.
    return beta_below(x, a, b, rest=rest, log_beta=_LOG_PI / 2 - _log_gamma_step(a + b - 0.5))
