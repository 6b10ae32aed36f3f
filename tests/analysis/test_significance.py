"""Tests of difference against scipy, and what several of them may claim against their definitions."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp
from tests.later import Later

from taskpace.analysis.stats import significance
from taskpace.analysis.stats.significance import (
    Groups,
    average_ranks,
    growth,
    growths,
    holm,
    holms,
    items_needed,
    mcnemar,
    welch,
    wilcoxon,
    wilcoxons,
)

stats = Later("scipy.stats")

p_values = st.lists(st.floats(0, 1) | st.just(math.nan), min_size=1, max_size=12)


@pytest.mark.parametrize("n", [3, 10, 25])
def test_wilcoxon_is_exact_for_few(n):
    """Up to 25 differences without ties: scipy's exact p-value."""
    for seed in range(20):
        differences = np.random.default_rng(seed).normal(0.3, 1, n)
        assert wilcoxon(differences) == pytest.approx(stats.wilcoxon(differences, method="exact").pvalue, rel=1e-9)


@given(st.lists(st.integers(-6, 6), min_size=1, max_size=80))
def test_wilcoxon_is_the_normal_approximation_with_ties(values):
    """Ties and zeros: scipy's approximation, zeros dropped, no continuity correction."""
    differences = np.array(values, dtype=float)
    nonzero = differences[differences != 0]
    if not len(nonzero):
        assert wilcoxon(differences) == 1
    elif len(set(np.abs(nonzero))) < len(nonzero):
        theirs = stats.wilcoxon(nonzero, method="approx", correction=False).pvalue
        assert wilcoxon(differences) == pytest.approx(theirs, rel=1e-9)


@given(*[hnp.arrays(np.float64, st.integers(2, 30), elements=st.floats(-50, 50, width=16))] * 2)
def test_welch_is_scipys(a, b):
    """Difference and p-value of scipy's t-test for unequal variances."""
    if min(a.std(), b.std()) < 1e-2:
        return  # scipy itself warns of it
    difference, p = (float(each[0]) for each in welch(Groups.of(a), Groups.of(b)))
    theirs = stats.ttest_ind(a, b, equal_var=False)
    assert difference == pytest.approx(a.mean() - b.mean(), abs=1e-12)
    assert p == pytest.approx(theirs.pvalue, rel=1e-6, abs=1e-12)


@given(st.lists(hnp.arrays(np.float64, st.integers(1, 9), elements=st.floats(-50, 50)), min_size=2, max_size=5))
def test_groups_together_are_one_group(groups):
    """Number, mean and squares of several groups are those of all their values, whichever are left out."""
    members = np.arange(len(groups)) != 1
    found, whole = Groups.of(*groups).together(members), Groups.of(np.concatenate(groups[:1] + groups[2:]))
    assert found.n == whole.n
    assert found.mean == pytest.approx(whole.mean, abs=1e-9)
    assert found.squares == pytest.approx(whole.squares, rel=1e-9, abs=1e-9)


@given(st.integers(0, 200), st.integers(0, 200))
def test_mcnemar_is_the_binomial_test(first, second):
    """Exact: scipy's two-sided binomial test of the discordant items."""
    expected = stats.binomtest(first, first + second).pvalue if first + second else 1.0
    assert mcnemar(first, second) == pytest.approx(expected, rel=1e-9)


def test_mcnemar_of_many_pairs_is_that_of_each():
    """Together or one by one, few items or more than have exact tails: the same p-values."""
    first, second = np.random.default_rng(4).integers(0, 3000, (2, 40))
    first[:20], second[:20] = first[:20] % 9, second[:20] % 9
    first[0] = second[0] = 0
    each = [float(mcnemar(np.array(a), np.array(b))) for a, b in zip(first, second, strict=True)]
    assert mcnemar(first, second).tolist() == each
    assert each[0] == 1.0


@given(p_values)
def test_holm_is_the_step_down_procedure(values):
    """An adjusted p-value is the largest of (m - j + 1) p over the smaller ones; unknown ones do not count."""
    known = sorted(p for p in values if not math.isnan(p))
    for p, adjusted in zip(values, holm(values), strict=True):
        if math.isnan(p):
            assert math.isnan(adjusted)
        else:
            smaller = [(len(known) - j) * q for j, q in enumerate(known) if q <= p]
            assert adjusted == pytest.approx(min(1, max(smaller)))


@given(
    hnp.arrays(
        np.float64, st.tuples(st.integers(0, 3), st.integers(0, 9)), elements=st.floats(0, 1) | st.just(math.nan)
    )
)
def test_families_side_by_side_are_adjusted_as_each_alone(values):
    """Holm's step-down procedure, one p-value after the other, family by family: the same to the digit."""
    for family, adjusted in zip(values.tolist(), holms(values).tolist(), strict=True):
        known = sorted((p, index) for index, p in enumerate(family) if not math.isnan(p))
        expected, highest = [math.nan] * len(family), 0.0
        for smaller, (p, index) in enumerate(known):
            highest = max(highest, min(1.0, (len(known) - smaller) * p))
            expected[index] = highest
        np.testing.assert_array_equal(adjusted, expected)


@given(st.lists(st.floats(0, 0.2), min_size=1, max_size=5))
def test_holm_is_closed_testing_with_bonferroni(values):
    """A hypothesis falls at 5 % exactly if every set of hypotheses that holds it falls to Bonferroni's test."""
    m = len(values)
    for place, adjusted in enumerate(holm(values)):
        sets = (s for r in range(1, m + 1) for s in itertools.combinations(range(m), r) if place in s)
        worst = max(len(s) * min(values[k] for k in s) for s in sets)
        assert adjusted == pytest.approx(min(1, worst))


@pytest.mark.parametrize("deviation", [0.1, 0.3, 1.0])
def test_the_items_needed_have_the_power_they_promise(deviation):
    """Of the t-test with so many items, by the noncentral t distribution: 80 %, within two points."""
    n = items_needed(deviation, 0.05)
    shift = math.log(1.05) / deviation * math.sqrt(n)
    critical = stats.t.ppf(0.975, n - 1)
    power = stats.nct.sf(critical, n - 1, shift) + stats.nct.cdf(-critical, n - 1, shift)
    assert power == pytest.approx(0.8, abs=0.02)
    assert items_needed(math.nan, 0.05) is None
    assert items_needed(0.0, 0.05) == 2


@given(hnp.arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(1, 8)), elements=st.integers(0, 5).map(float)))
def test_average_ranks_are_scipys(values):
    """Ties share the mean of their ranks, along the last axis."""
    assert average_ranks(values).tolist() == stats.rankdata(values, axis=-1).tolist()


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.sampled_from([1, 90, 1 << 18]))
def test_wilcoxon_of_rows_is_that_of_each(seed, items, values):
    """In blocks of any size: scipy's p-value of each row, with unknown, zero and equal differences left where they are,
    and the exact one of few without ties.
    """
    rng = np.random.default_rng(seed)
    rows = rng.normal(0.2, 1, (5, items))
    rows[1] = np.round(rows[1])
    rows[2, rng.random(items) < 0.3] = np.nan
    rows[3, rng.random(items) < 0.3] = -0.0
    rows[4] = np.nan
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(significance, "AT_A_TIME", values)
        found = wilcoxons(rows)
        assert wilcoxons(rows.copy(), spent=True) == found
    for row, p in zip(rows, found, strict=True):
        known = row[~np.isnan(row) & (row != 0)]
        if not len(known):
            assert p == 1
            continue
        exact = len(known) <= 25 and len(set(np.abs(known))) == len(known)
        theirs = stats.wilcoxon(known, method="exact" if exact else "approx", correction=False).pvalue
        assert p == pytest.approx(theirs, rel=1e-9)


@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 4, 9, 60]), st.sampled_from([0.0, 0.05, 0.3]))
def test_growths_of_rows_are_those_of_each(seed, count, unknown):
    """Of rows with a drift and without, with what is unknown, 0 or infinite among them: each as it is alone."""
    rng = np.random.default_rng(seed)
    values = rng.lognormal(0, 0.1, (6, count)) * np.linspace(1, [[1.0], [1.0], [1.0], [1.3], [1.6], [0.7]], count).T[0]
    values = np.where(rng.random(values.shape) < unknown, rng.choice([np.nan, 0.0, np.inf], values.shape), values)
    assert growths(values, 0.1) == [growth(row, 0.1) for row in values]
