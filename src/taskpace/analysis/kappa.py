"""How far two judges agree beyond chance: Cohen's kappa.

Source: Cohen (1960), "A coefficient of agreement for nominal scales": kappa = (p_o - p_e) / (1 - p_e), with p_o the
share of cases in one and the same category, p_e the share that two with these marginal shares would agree on by
chance.
"""

from __future__ import annotations

import numpy as np

from taskpace.analysis.bootstrap import Resamples, percentile
from taskpace.analysis.estimates import Number, number
from taskpace.analysis.intervals import Floats


def agreement_by_chance(counts: Floats) -> Floats:
    """The p_e of tables of counts, (..., k, k), whose rows are one judge's categories and columns the other's."""
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = counts / counts.sum(axis=(-2, -1), keepdims=True)
    expected: Floats = (shares.sum(axis=-1) * shares.sum(axis=-2)).sum(axis=-1)
    return expected


def kappa(counts: Floats) -> Floats:
    """Cohen's kappa of tables of counts, (..., k, k); NaN for an empty one, and where both always say the same one."""
    with np.errstate(divide="ignore", invalid="ignore"):
        observed = np.trace(counts, axis1=-2, axis2=-1) / counts.sum(axis=(-2, -1))
        expected = agreement_by_chance(counts)
        return np.where(1 - expected > 1e-12, (observed - expected) / (1 - expected), np.nan)


def kappa_number(counts: Floats, resamples: int) -> Number:
    """Kappa with its 95 % interval by the item bootstrap (``taskpace.analysis.bootstrap``).

    Without an interval where all resamples give the same value, as they do where every case agrees: that they cannot
    differ is no proof of certainty.

    Args:
        counts: (items, k, k), the table of each item's cases.
        resamples: of the bootstrap; 0: no interval.
    """
    items, k, _ = counts.shape
    value = float(kappa(counts.sum(axis=0)))
    if not resamples or items < 2:
        return number(value)
    drawn = Resamples(items, resamples).totals(counts.reshape(items, k * k)).reshape(-1, k, k)
    low, high = percentile(kappa(drawn))
    return number(value) if low == high else number(value, low, high)
