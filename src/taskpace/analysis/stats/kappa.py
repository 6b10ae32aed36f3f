"""How far two judges agree beyond chance: Cohen's kappa.

Source: Cohen (1960), "A coefficient of agreement for nominal scales": kappa = (p_o - p_e) / (1 - p_e), with p_o the
share of cases in one and the same category, p_e the share that two with these marginal shares would agree on by
chance. Whether it is chance is told by an exact test, ``agreement_p``: on few cases intervals are too narrow.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from taskpace.analysis.stats.bootstrap import Resamples, percentile
from taskpace.analysis.stats.estimates import Estimate, number
from taskpace.analysis.stats.intervals import Floats
from taskpace.analysis.stats.special import log_factorials


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


def kappa_number(counts: Floats, resamples: int) -> Estimate:
    """Kappa with its 95 % interval by the item bootstrap (``taskpace.analysis.stats.bootstrap``).

    Without an interval where all resamples give the same value, as they do where every case agrees: that they cannot
    differ does not prove certainty.

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


def agreement_p(counts: Floats) -> float:
    """Two-sided exact p-value of "they agree by chance alone", one of them using only the first two categories.

    Given how often either gives each answer, chance gives every way of matching the two the same probability; p is the
    probability of all numbers of agreements at most as likely as the observed one. Where both use only the
    two categories that is Fisher's exact test; a third that only the other uses is never agreement. Sources: Fisher
    (1935), "The logic of inductive inference"; with a third category Freeman & Halton (1951), "Note on an exact
    treatment of contingency, goodness of fit and other problems of significance", with the agreements as what counts.

    The test takes cases for independent, and those of one item are not: each item counts as one case, its cases as
    fractions of it. The table that they add up to is rounded in favour of chance.

    Args:
        counts: (items, 3, 3), the table of each item's cases; the third row is empty, no item is.
    """
    fractions = (counts / counts.sum(axis=(1, 2), keepdims=True)).sum(axis=0).round(9)
    better = float(kappa(fractions)) > 0
    table = np.where(np.eye(3, dtype=np.bool_) == better, np.floor(fractions), np.ceil(fractions))
    if (float(kappa(table)) > 0) != better:
        return 1.0
    correct, wrong, silent = (int(column) for column in table.sum(axis=0))
    first = int(table[0].sum())
    likely = np.zeros(correct + wrong + 1)
    """By the number of agreements."""
    for without in range(min(silent, first) + 1):
        both = np.arange(max(0, first - without - wrong), min(correct, first - without) + 1)
        missed = first - without - both
        ways = _log_ways(correct, both) + _log_ways(wrong, missed) + _log_ways(silent, np.array(without))
        likely[both + wrong - missed] += np.exp(ways - _log_ways(correct + wrong + silent, np.array(first)))
    seen = likely[int(table[0, 0] + table[1, 1])]
    return min(1.0, float(likely[likely <= seen * (1 + 1e-7)].sum()))


def _log_ways(n: int, chosen: NDArray[np.intp]) -> Floats:
    """Logarithm of n over ``chosen``."""
    return np.asarray(log_factorials(np.array(n)) - log_factorials(chosen) - log_factorials(n - chosen))
