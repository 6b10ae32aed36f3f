"""Items from their repeats, the last axis: most items are asked once, and then there is nothing to add up."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from taskpace.analysis.stats.intervals import Flags, Floats


def differences(values: Floats, pairs: list[tuple[int, int]], out: Floats) -> Floats:
    """Of each pair (a, b) of systems the row of ``b`` less that of ``a``, (systems, items) -> (pairs, items): ``out``.

    Pairs that follow each other and have ``a`` in common are subtracted at once; where their others do, too, row after
    row, in one step.
    """
    start = 0
    for a, same in groupby(pairs, key=itemgetter(0)):
        others = [b for _, b in same]
        some = out[start : start + len(others)]
        if others == list(range(others[0], others[0] + len(others))):
            np.subtract(values[others[0] : others[-1] + 1], values[a], out=some)
        else:
            # Without "clip" numpy would make a copy first, lest a wrong index leave ``out`` half done.
            np.take(values, others, axis=0, out=some, mode="clip")
            some -= values[a]
        start += len(others)
    return out


def side_by_side(pairs: list[tuple[int, int]]) -> tuple[list[int], list[tuple[int, int]]]:
    """Pairs in an order in which ``differences`` subtracts most of them at once.

    Returns their places among ``pairs``, and each with the smaller of its two first: some are the other way round.
    """
    order = sorted(range(len(pairs)), key=lambda index: sorted(pairs[index]))
    return order, [(min(pairs[index]), max(pairs[index])) for index in order]


def as_indices(pairs: list[tuple[int, int]]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """All first ones, and all second ones."""
    a, b = np.array(pairs, dtype=np.intp).reshape(-1, 2).T
    return a, b


def is_one(values: NDArray[Any]) -> bool:
    """Whether it is one number, seen in every place; false: who knows."""
    return bool(values.size) and not any(values.strides)


def item_means(values: Floats) -> Floats:
    """Mean over the last axis (repeats), leaving NaN out; NaN where nothing is left."""
    if values.shape[-1] == 1:
        return values[..., 0]
    known = ~np.isnan(values)
    counts = known.sum(axis=-1)
    sums = np.where(known, values, 0.0).sum(axis=-1)
    means: Floats = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    return means


def item_sums(values: Floats) -> Floats:
    """Sum over the last axis (repeats), leaving NaN out."""
    return _sums(values, _unknown(values))


def item_totals(values: Floats) -> tuple[Floats, Floats]:
    """Sum over the last axis (repeats), leaving NaN out, and of how many: one number, seen in every place, where
    nothing is left out.
    """
    unknown = _unknown(values)
    sums = _sums(values, unknown)
    if unknown is None:
        return sums, np.broadcast_to(float(values.shape[-1]), sums.shape)
    return sums, item_counts(~unknown)


def _unknown(values: Floats) -> Flags | None:
    """Where it is NaN; null: nowhere."""
    unknown = np.isnan(values)
    return unknown if unknown.any() else None


def _sums(values: Floats, unknown: Flags | None) -> Floats:
    known = values if unknown is None else np.where(unknown, 0.0, values)
    sums: Floats = known[..., 0] if values.shape[-1] == 1 else known.sum(axis=-1)
    return sums


def item_counts(flags: Flags) -> Floats:
    """How many over the last axis (repeats)."""
    counts = flags[..., 0] if flags.shape[-1] == 1 else flags.sum(axis=-1)
    return counts.astype(np.float64)


def any_of_system(flags: Flags) -> Flags:
    """Of each system whether there is one among its trials, (systems, items, repeats)."""
    return np.asarray(flags.any(axis=(1, 2)))


def any_of_item(flags: Flags) -> Flags:
    """Whether there is one over the last axis (repeats)."""
    once: Flags = flags[..., 0]
    return once if flags.shape[-1] == 1 else np.asarray(flags.any(axis=-1))
