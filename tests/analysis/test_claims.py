"""Claims about cut answers: against scipy, and against whatever the cut answers might have taken."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from tests.later import Later

from taskpace.analysis.stats.claims import decide, log_ratios, one_sided
from taskpace.analysis.stats.estimates import quantiles
from taskpace.analysis.stats.significance import holm
from taskpace.analysis.table.comparison import Comparison, adjusted, compared_by_item

stats = Later("scipy.stats")


def compared(a, b, cut_a=None, cut_b=None) -> Comparison:
    """One pair, one repeat of each item, adjusted as a family of its own."""
    values = np.array([a, b], dtype=float)
    values = values if values.ndim == 3 else values[..., None]
    cut = np.zeros(values.shape, dtype=bool)
    for side, which in enumerate((cut_a, cut_b)):
        if which is not None:
            cut[side] = np.reshape(which, values.shape[1:])
    (found,) = adjusted(compared_by_item(log_ratios(values, cut, [(0, 1)])), [True])
    return found


def times(seed: int, n: int, ratio: float = 1.0, sigma: float = 0.5):
    rng = np.random.default_rng(seed)
    item = rng.normal(0, 0.5, n)
    return (np.exp(item + rng.normal(0, sigma, n) + shift) for shift in (0.0, math.log(ratio)))


def test_without_cut_answers_it_is_the_paired_t_test():
    """P, ratio and interval are scipy's, two-sided; nothing is a bound, nothing can be open."""
    a, b = times(1, 40, 1.4)
    theirs = stats.ttest_rel(np.log(b), np.log(a))
    found = compared(a, b)
    assert found.p == pytest.approx(theirs.pvalue)
    assert found.p_least == found.p
    assert math.log(found.change.low) == pytest.approx(theirs.confidence_interval(0.95).low)
    assert (found.basis, found.lower, found.open, found.change.bound) == ("mean", "a", False, None)
    turned = compared(b, a)
    assert (turned.p, turned.lower) == (pytest.approx(found.p), "b")


def test_a_cut_answer_of_the_slower_side_leaves_a_claim_about_the_mean():
    """B has cut answers and A none: Student's t on what was recorded, and a ratio of at least so much."""
    a, b = times(2, 40, 1.8)
    found = compared(a, b, cut_b=b > np.quantile(b, 0.7))
    one = stats.ttest_1samp(np.log(b / a), 0, alternative="greater").pvalue
    assert found.p == pytest.approx(2 * one)
    assert found.change.value == pytest.approx(math.exp(np.log(b / a).mean()))
    assert (found.basis, found.lower, found.change.bound, found.change.high) == ("mean", "a", ">=", None)
    assert (found.cut_a, found.cut_b) == (0, 12)


def test_a_cut_answer_of_the_quicker_side_leaves_a_claim_about_most_items():
    """A has cut answers: the sign test, in which they count against it, as ties do."""
    a, b = times(3, 40, 2.0)
    cut = np.zeros(40, dtype=bool)
    cut[:3] = True
    a[5] = b[5]
    found = compared(a, b, cut_a=cut)
    wins = int(((b > a) & ~cut).sum())
    assert found.p == pytest.approx(2 * stats.binomtest(wins, 40, 0.5, alternative="greater").pvalue)
    assert (found.basis, found.lower) == ("most", "a")


def test_few_items_are_a_matter_of_most_items():
    """Nine items, nothing cut: the sign test; with ten the t-test."""
    a, b = times(4, 10, 3.0)
    nine = compared(a[:9], b[:9])
    wins = int((b[:9] > a[:9]).sum())
    assert nine.p == pytest.approx(2 * stats.binomtest(wins, 9, 0.5, alternative="greater").pvalue)
    assert nine.basis == "most"
    assert compared(a, b).basis == "mean"


def test_repeats_are_one_observation():
    """Means over repeats for the t-test; with one repeat of A cut the item counts as lost."""
    a, b = (np.exp(np.random.default_rng(seed).normal(shift, 0.3, (20, 3))) for seed, shift in ((5, 0), (6, 0.4)))
    theirs = stats.ttest_1samp(np.log(b / a).mean(axis=1), 0)
    assert compared(a, b).p == pytest.approx(theirs.pvalue)
    cut = np.zeros((20, 3), dtype=bool)
    cut[4, 1] = True
    means = np.log(b / a).mean(axis=1)
    means[4] = -1
    wins = int((means > 0).sum())
    found = compared(a, b, cut_a=cut)
    assert found.p == pytest.approx(min(1, 2 * stats.binomtest(wins, 20, 0.5, alternative="greater").pvalue))
    assert found.cut_a == 1


def test_a_system_all_of_whose_answers_are_cut_can_be_the_slower_one():
    """Every answer of B is cut at twice A's time: A finishes sooner, by 2 times or more."""
    a = np.linspace(1, 2, 20)
    found = compared(a, 2 * a * np.linspace(1, 1.1, 20), cut_b=np.ones(20, dtype=bool))
    assert (found.lower, found.basis, found.change.bound) == ("a", "mean", ">=")
    assert found.change.value > 2


def test_what_the_cut_answers_decide_is_open():
    """A is quicker as recorded, but half of its answers are cut: no claim, and open; nothing to see is not open."""
    a, b = times(7, 60, 2.0)
    cut = np.arange(60) % 2 == 0
    found = compared(a, b, cut_a=cut)
    assert (found.lower, found.open) == (None, True)
    same = np.tile([1.0, 1.1], 30), np.tile([1.1, 1.0], 30)
    closed = compared(*same, cut_a=np.arange(60) == 0)
    assert (closed.lower, closed.open) == (None, False)


def test_a_crashed_worker_s_trial_counts_against_both_sides():
    """An error without a time took 0 s or longer: it helps neither claim."""
    a, b = times(8, 30, 3.0)
    b[0] = 0.0
    cut = np.arange(30) == 0
    found = compared(a, b, cut_b=cut)
    wins = int((b[1:] > a[1:]).sum())
    assert found.items == 30
    assert found.p == pytest.approx(2 * stats.binomtest(wins, 30, 0.5, alternative="greater").pvalue)


@settings(max_examples=3 * settings.default.max_examples // 2)
@given(st.integers(0, 10**6), st.integers(2, 40), st.floats(0, 0.5), st.floats(0.5, 3))
def test_a_claim_holds_whatever_the_cut_answers_take(seed, n, share, ratio):
    """Partial identification by brute force: every completion keeps the claim that was made, by the same test."""
    rng = np.random.default_rng(seed)
    a, b = times(seed, n, ratio)
    cuts = rng.random((2, n)) < share
    found = compared(a, b, *cuts)
    if found.lower is None:
        return
    for longer in (1.0, 1.0 + 1e-9, 3.0, 1e6):
        grown = [
            side * np.where(cut, np.where(rng.random(n) < 0.5, longer, 1.0), 1.0)
            for side, cut in zip((a, b), cuts, strict=True)
        ]
        logs = np.log(grown[1] / grown[0]) * (1 if found.lower == "a" else -1)
        if found.basis == "mean":
            assert logs.mean() > 0
        else:
            assert (logs > 0).mean() > 0.5
            assert stats.binomtest(int((logs > 0).sum()), n, 0.5, alternative="greater").pvalue <= 0.025
        if found.change.value is not None and found.basis == "mean":
            truth = math.exp(np.log(grown[1] / grown[0]).mean())
            if found.change.bound == ">=":
                assert truth >= found.change.value * (1 - 1e-9)
            if found.change.bound == "<=":
                assert truth <= found.change.value * (1 + 1e-9)


@settings(max_examples=3 * settings.default.max_examples // 2)
@given(st.integers(0, 10**6), st.integers(2, 30), st.floats(0, 0.6))
def test_a_median_is_a_bound_where_cut_answers_decide_it(seed, n, share):
    """Whatever the cut answers take, the median lies where its value and bound say; exact without cut answers."""
    rng = np.random.default_rng(seed)
    values, cut = rng.lognormal(0, 1, n), rng.random(n) < share
    (found,) = quantiles(values, np.arange(n), (0.5,), cut)
    for longer in (1.0, 2.0, 1e9):
        truth = float(np.median(np.where(cut, values * longer, values)))
        if found.bound is None:
            assert truth == pytest.approx(found.value)
        else:
            assert truth >= found.value * (1 - 1e-12)
    (plain,) = quantiles(values, np.arange(n), (0.5,))
    assert found.low == plain.low
    if not cut.any():
        assert found == plain


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(2, 40))
def test_one_sided_p_values_are_scipy_s(seed, n):
    """Both tests, both directions, at once for many pairs."""
    rng = np.random.default_rng(seed)
    lows = rng.normal(0.2, 1, (n, 4))
    lows[rng.random(n) < 0.2, 1] = -np.inf
    lows[rng.random(n) < 0.2, 2] = np.nan
    p, on_most = one_sided(lows)
    for index in range(4):
        known = lows[~np.isnan(lows[:, index]), index]
        if len(known) < 2:
            assert np.isnan(p[index])
        elif len(known) < 10 or np.isinf(known).any():
            wins = int((known > 0).sum())
            assert on_most[index]
            assert p[index] == pytest.approx(stats.binomtest(wins, len(known), 0.5, alternative="greater").pvalue)
        else:
            assert p[index] == pytest.approx(stats.ttest_1samp(known, 0, alternative="greater").pvalue)


def test_holm_decides_and_the_direction_goes_with_it():
    """Only what survives the family is claimed; what is outside of it is not, however small its p."""
    rng = np.random.default_rng(9)
    values = np.exp(rng.normal([[0.0], [0.3], [0.35], [2.0]], 0.4, (4, 25)))[..., None]
    found = compared_by_item(log_ratios(values, np.zeros(values.shape, dtype=bool), [(0, 1), (0, 2), (0, 3)]))
    assert all(each.lower is None for each in found)
    made = adjusted(found, [True, True, False])
    assert [each.p_holm for each in made[:2]] == pytest.approx(holm([each.p for each in found[:2]]))
    assert made[2].p_holm is made[2].lower is None
    for each in made[:2]:
        assert (each.lower == "a") is (each.p_holm <= 0.05)
    alone = adjusted([msgspec.structs.replace(each) for each in found], [False, False, True])
    assert alone[2].lower == "a"


def test_no_pairs_are_no_claims():
    """Nothing to compare is nothing found."""
    found = log_ratios(np.ones((2, 5, 1)), np.zeros((2, 5, 1), dtype=bool), [])
    assert compared_by_item(found) == []
    assert decide(found).p.shape == (0,)


def test_an_item_without_bounds_on_either_side_is_unknown():
    """A failed trial without a time on each side, in different repeats: no mean, no claim, and no warning of numpy."""
    values = np.array([[[0.0, 2.0], [1.0, 1.0]], [[3.0, 0.0], [2.0, 2.0]]])
    found = log_ratios(values, values == 0, [(0, 1)])
    assert np.isnan(found.recorded[0, 0])
    assert (found.low[0, 0], found.high[0, 0]) == (-np.inf, np.inf)
    assert found.recorded[1, 0] == found.low[1, 0] == found.high[1, 0] == np.log(2.0)
