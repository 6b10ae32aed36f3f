"""Quantiles and their intervals, from the values at a few ranks."""

from __future__ import annotations

import math
from itertools import chain
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from taskpace.analysis.stats.intervals import Floats, Intervals, Reach
from taskpace.analysis.stats.shares import effective_trials, reached

_NEAR = 1024
"""Ranks this close to each other share one range."""


class Quantiles(Intervals, frozen=True):
    """Quantiles of values that may be lower bounds; ``value`` and ``low`` take those as they are."""

    most: Floats
    """The quantiles if they are as great as they may be."""


def of_quantiles(
    values: Floats,
    item_of: NDArray[np.intp] | None,
    shares: tuple[float, ...],
    most: Floats | None = None,
    reach: Reach | None = None,
) -> Quantiles:
    """Quantiles over trials, linear interpolation, with Woodruff's intervals, from the values at a few ranks.

    The ends are the order statistics at the shares p -+ z sqrt(p (1 - p) / n): n is the number of trials, divided by
    the design effect of items with several repeats. No assumption about the distribution. Sources: Woodruff (1952),
    "Confidence intervals for medians and other position measures"; the design effect as in ``share_interval``.

    Args:
        values: (m,), one for a trial, at least one.
        item_of: (m,), the item of each trial, from 0; null: each is of an item of its own.
        shares: which quantiles, 0 to 1.
        most: (m,), how great each value may be where ``values`` are lower bounds; null: they are exact.
        reach: null: the number of items was fixed.

    Returns:
        One for each share; ends are NaN for a single value, p is NaN. With ``most`` the values and lower ends are
        those of the least values, the upper ends those of the greatest: inf where these have none.
    """
    m = len(values)
    trials = None if item_of is None else np.bincount(item_of)
    middles = [share * (m - 1) for share in shares]
    if item_of is None or trials is None or trials.max() == 1:
        # Where the ends are is known before any value is.
        ends = [_ends(share, float(m), m, reach) for share in shares]
        ranked = _ranked_at(values.copy(), [*middles, *chain(*ends)])
    else:
        ranked = np.sort(values)
        below = (_trials_below(values, _at(ranked, middle), item_of, trials) for middle in middles)
        ends = [_ends(share, n, m, reach) for share, n in zip(shares, below, strict=True)]
    greatest = ranked if most is None else _ranked_at(most.copy(), [*middles, *chain(*ends)])
    found, beyond = (np.array([_at(each, middle) for middle in middles]) for each in (ranked, greatest))
    low = np.array([_at(ranked, end[0]) if end else math.nan for end in ends])
    high = np.array([_at(greatest, end[1]) if end else math.nan for end in ends])
    return Quantiles(found, low, high, np.full(len(shares), np.nan), beyond)


def of_many(
    values: NDArray[Any], shares: tuple[float, ...], reach: Reach | None = None, *, ranked: bool = False
) -> Intervals:
    """``of_quantiles`` of many systems at a time: (systems, m), all exact, and each of an item of its own; by system
    and share.

    Args:
        values: are put in another order, unless they are ``ranked``.
        shares: which quantiles, 0 to 1.
        reach: null: the number of items was fixed.
        ranked: each system's values are in ascending order, or as ``ranked_for`` puts them.
    """
    middles, ends = _positions(values.shape[1], shares, reach)
    ranked_at = values if ranked else _ranked_at(values, [*middles, *chain(*ends)])
    unknown = np.full(len(values), math.nan)
    low, high = ([_column_at(ranked_at, end[side]) if end else unknown for end in ends] for side in (0, 1))
    middle = [_column_at(ranked_at, at) for at in middles]
    value, low_end, high_end = (np.stack(each, axis=1).ravel() for each in (middle, low, high))
    return Intervals(value, low_end, high_end, np.full(value.shape, math.nan))


def ranked_for(values: NDArray[Any], shares: tuple[float, ...], reach: Reach | None = None) -> NDArray[Any]:
    """Values, (systems, m), of each system in an order in which ``of_many`` finds what it looks for."""
    middles, ends = _positions(values.shape[1], shares, reach)
    return _ranked_at(values.copy(), [*middles, *chain(*ends)])


def _positions(m: int, shares: tuple[float, ...], reach: Reach | None) -> tuple[list[float], list[tuple[float, ...]]]:
    """Of quantiles of ``m`` values, and of their intervals' ends."""
    return [share * (m - 1) for share in shares], [_ends(share, float(m), m, reach) for share in shares]


def _ends(share: float, n: float, m: int, reach: Reach | None) -> tuple[float, ...]:
    """Positions of the ends of a quantile's interval among ``m`` ascending values, which tell as much as ``n``
    independent ones; none: they are not known.
    """
    half = reached(n, reach) * math.sqrt(share * (1 - share) / n)
    if m < 2 or not math.isfinite(half):
        return ()
    return tuple(min(max((share + side) * m - 0.5, 0.0), m - 1.0) for side in (-half, half))


def _ranked_at(ranked: NDArray[Any], positions: list[float]) -> NDArray[Any]:
    """The values, of each row if there are several, with the right ones at some positions, as if they were in order.

    One place at a time parts what is left, as numpy's partition by several places is slower than a sort; places that
    are near to each other, as those of an interval, lie in a range that is sorted.
    """
    last, begin = ranked.shape[-1] - 1, 0
    for first, end in _ranges({min(place, last) for at in positions for place in (math.floor(at), math.floor(at) + 1)}):
        ranked[..., begin:].partition(first - begin)
        ranked[..., first:].partition(end - first)
        ranked[..., first:end].sort()
        begin = end + 1
    return ranked


def _ranges(places: set[int]) -> list[tuple[int, int]]:
    """First and last of places that follow each other closely, in order."""
    found: list[tuple[int, int]] = []
    for place in sorted(places):
        if found and place - found[-1][1] <= _NEAR:
            found[-1] = (found[-1][0], place)
        else:
            found.append((place, place))
    return found


def _trials_below(values: Floats, value: float, item_of: NDArray[np.intp], trials: NDArray[np.intp]) -> float:
    """``effective_trials`` of the share of values up to ``value``; ``trials``: of each item, 0 or more."""
    below = np.bincount(item_of, weights=values <= value, minlength=len(trials)).astype(np.float64)
    return effective_trials(below[trials > 0], trials[trials > 0].astype(np.float64))


def median(values: Floats) -> float:
    """Of values that are all known, at least one; numpy's asks for several places at once, which takes far longer."""
    ranked, middle = values.copy(), len(values) // 2
    ranked.partition(middle)
    upper = float(ranked[middle])
    return upper if len(values) % 2 else (float(ranked[:middle].max()) + upper) / 2


def at_share(ranked: Floats, share: float) -> float:
    """A quantile of ascending values, the last of which may be infinite; linear interpolation."""
    return _at(ranked, share * (len(ranked) - 1))


def _at(ranked: Floats, position: float) -> float:
    before = math.floor(position)
    part = position - before
    if part == 0 or before + 1 >= len(ranked):
        return float(ranked[before])
    one, other = float(ranked[before]), float(ranked[before + 1])
    if math.isinf(one) or math.isinf(other):
        return one if math.isinf(one) else other
    return _between(one, other, part)


Value = TypeVar("Value", float, Floats)


def _between(one: Value, other: Value, part: float) -> Value:
    """As numpy does it, to the last digit."""
    return one + part * (other - one) if part < 0.5 else other - (1 - part) * (other - one)


def _column_at(ranked: NDArray[Any], position: float) -> Floats:
    """``_at`` of each row."""
    before = math.floor(position)
    part = position - before
    one = ranked[:, before].astype(np.float64)
    if part == 0 or before + 1 >= ranked.shape[1]:
        return one
    other = ranked[:, before + 1].astype(np.float64)
    with np.errstate(invalid="ignore"):
        between = _between(one, other, part)
    return np.where(np.isinf(one), one, np.where(np.isinf(other), other, between))
