"""Are two systems different? Paired tests on items, and what many of them together may claim.

Items are the sampling unit: repeats of an item are averaged first, so every test here is one over clusters.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import special

from taskpace.analysis.bootstrap import LEVEL, Floats

ALPHA = 1 - LEVEL
POWER = 0.8
_EXACT_WILCOXON = 25
"""Up to so many differences the null distribution is counted out."""


def t_interval(differences: Floats) -> tuple[float, float, float, float]:
    """Mean, 95 % interval and two-sided p-value of "the mean is 0" by Student's t.

    ``differences``: (items,), one an item, at least two. On logarithms of paired task times this is the paired t-test;
    exp(mean) is the ratio of geometric means. Without any spread the mean is known exactly: p is 1 at 0, else 0.
    With fewer than two items the ends and p are NaN. Source: Student (1908), "The probable error of a mean".
    """
    n = len(differences)
    mean = float(differences.mean()) if n else math.nan
    if n < 2:
        return mean, math.nan, math.nan, math.nan
    error = float(differences.std(ddof=1)) / math.sqrt(n)
    if error <= 1e-12 * max(1.0, abs(mean)):
        return mean, mean, mean, 1.0 if abs(mean) < 1e-12 else 0.0
    half = float(special.stdtrit(n - 1, (1 + LEVEL) / 2)) * error
    p = 2 * float(special.stdtr(n - 1, -abs(mean) / error))
    return mean, mean - half, mean + half, p


def welch(a: Floats, b: Floats) -> tuple[float, float]:
    """Difference of two means, a - b, and the two-sided p-value of "there is none"; two or more values each.

    Source: Welch (1947), "The generalization of 'Student's' problem when several different population variances are
    involved".
    """
    difference = float(a.mean() - b.mean())
    va, vb = float(a.var(ddof=1)) / len(a), float(b.var(ddof=1)) / len(b)
    if va + vb <= 1e-24 * max(1.0, difference**2):
        return difference, 1.0 if abs(difference) < 1e-12 else 0.0
    freedom = (va + vb) ** 2 / (va**2 / (len(a) - 1) + vb**2 / (len(b) - 1))
    return difference, 2 * float(special.stdtr(freedom, -abs(difference) / math.sqrt(va + vb)))


def wilcoxon(differences: Floats) -> float:
    """Two-sided p-value of Wilcoxon's signed-rank test, a check on the t-test that no outlier can sway.

    Zero differences are dropped. Up to 25 differences without ties the p-value is exact, else by the normal
    approximation with the tie correction and no continuity correction. Nothing but zeros is 1.
    Source: Wilcoxon (1945), "Individual Comparisons by Ranking Methods".
    """
    nonzero = differences[differences != 0]
    n = len(nonzero)
    if n == 0:
        return 1.0
    _, place, ties = np.unique(np.abs(nonzero), return_inverse=True, return_counts=True)
    ranks = (np.cumsum(ties) - (ties - 1) / 2)[place]
    statistic = float(ranks[nonzero > 0].sum())
    if n <= _EXACT_WILCOXON and len(ties) == n:
        ways = np.zeros(n * (n + 1) // 2 + 1)
        ways[0] = 1.0
        for rank in range(1, n + 1):
            ways[rank:] = ways[rank:] + ways[:-rank]
        smaller = round(min(statistic, n * (n + 1) / 2 - statistic))
        return min(1.0, 2 * float(ways[: smaller + 1].sum()) / 2.0**n)
    variance = n * (n + 1) * (2 * n + 1) / 24 - float((ties**3 - ties).sum()) / 48
    return 2 * float(special.ndtr(-abs(statistic - n * (n + 1) / 4) / math.sqrt(variance)))


def mcnemar(first_only: int, second_only: int) -> float:
    """Two-sided exact p-value of McNemar's test: items that only one of two systems answers correctly.

    The smaller count is binomial with 1/2 when neither is better. Source: McNemar (1947), "Note on the sampling error
    of the difference between correlated proportions or percentages"; exact form as in Fleiss, "Statistical Methods for
    Rates and Proportions", 13.1.
    """
    n = first_only + second_only
    if n == 0:
        return 1.0
    return min(1.0, 2 * float(special.bdtr(min(first_only, second_only), n, 0.5)))


def clustered_mcnemar(differences: Floats) -> float:
    """The same for repeats: ``differences`` of the two systems' shares of correct repeats, one an item.

    z = sum d / sqrt(sum d^2), normal when neither is better. Source: Durkalski et al. (2003), "Analysis of clustered
    matched-pair data", Statistics in Medicine 22, with clusters (items) weighted alike.
    """
    squares = float((differences**2).sum())
    if squares == 0:
        return 1.0
    return 2 * float(special.ndtr(-abs(float(differences.sum())) / math.sqrt(squares)))


def share_difference(differences: Floats) -> tuple[float, float, float]:
    """Difference of two paired shares with its 95 % interval; ``differences``: one an item, from -1 to 1.

    Wald's interval after one imaginary item has been added for either system: it stays sensible where the systems
    disagree on few items. Source: Bonett & Price (2012), "Adjusted Wald confidence interval for a difference of
    binomial proportions based on paired data"; with repeats the item's mean takes the place of -1, 0 or 1.
    """
    n = len(differences)
    if n == 0:
        return math.nan, math.nan, math.nan
    moved = np.concatenate([differences, (1.0, -1.0)])
    half = float(special.ndtri((1 + LEVEL) / 2)) * float(moved.std()) / math.sqrt(n + 2)
    middle = float(moved.mean())
    return float(differences.mean()), max(-1.0, middle - half), min(1.0, middle + half)


def share_interval(correct: Floats, trials: Floats) -> tuple[float, float, float]:
    """A share with its 95 % interval: Wilson's, on the number of trials that clustering leaves.

    Args:
        correct: (items,), correct trials of each item.
        trials: (items,), trials of each item, not 0.

    The variance of the share over items, against that of as many independent trials, is the design effect; n is
    divided by it. Sources: Wilson (1927), "Probable inference, the law of succession, and statistical inference";
    Korn & Graubard (1998), "Confidence intervals for proportions with small expected number of positive counts".
    """
    n, items = float(trials.sum()), len(trials)
    if n == 0:
        return math.nan, math.nan, math.nan
    share = float(correct.sum()) / n
    if items > 1 and n > items and 0 < share < 1:
        residuals = correct - share * trials
        variance = items / (items - 1) * float((residuals**2).sum()) / n**2
        # Clustering can leave no more than the trials there are, and no less than one for each item.
        n = min(n, max(share * (1 - share) / variance, float(items))) if variance > 0 else n
    elif n > items:
        n = float(items)
    z2 = float(special.ndtri((1 + LEVEL) / 2)) ** 2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = math.sqrt(z2 * share * (1 - share) / n + z2**2 / (4 * n**2)) / (1 + z2 / n)
    return share, max(0.0, middle - half), min(1.0, middle + half)


def holm(p_values: list[float]) -> list[float]:
    """Adjusted p-values of a family: significant at 5 % where at most 0.05, with at most 5 % false alarms in all.

    NaN stays NaN and does not count. Source: Holm (1979), "A Simple Sequentially Rejective Multiple Test Procedure".
    """
    known = sorted((p, place) for place, p in enumerate(p_values) if not math.isnan(p))
    adjusted = [math.nan] * len(p_values)
    highest = 0.0
    for number, (p, place) in enumerate(known):
        highest = max(highest, min(1.0, (len(known) - number) * p))
        adjusted[place] = highest
    return adjusted


def items_needed(deviation: float, change: float) -> int | None:
    """Items that a paired comparison needs to find a relative change, in four of five cases at the 5 % level.

    n = ((z_0.975 + z_0.8) deviation / ln(1 + change))^2, plus z_0.975^2 / 2 for the t distribution. ``deviation`` is
    that of the paired log ratios over items; none when it is unknown. Source: Guenther (1981), "Sample Size Formulas
    for Normal Theory T Tests".
    """
    if not math.isfinite(deviation):
        return None
    z = float(special.ndtri((1 + LEVEL) / 2))
    needed = ((z + float(special.ndtri(POWER))) * deviation / math.log1p(change)) ** 2
    return max(2, math.ceil(needed + z**2 / 2))


def average_ranks(values: Floats) -> Floats:
    """Ranks from 1 along the (short) last axis; equal values share the mean of their ranks."""
    less = (values[..., :, None] > values[..., None, :]).sum(axis=-1)
    same = (values[..., :, None] == values[..., None, :]).sum(axis=-1)
    ranks: Floats = less + (same + 1) / 2
    return ranks
