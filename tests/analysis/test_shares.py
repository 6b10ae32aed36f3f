"""The difference of two paired shares against written-out formulas, and counted as it is added up."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st
from tests.later import Later

from taskpace.analysis.stats.anytime import reach
from taskpace.analysis.stats.intervals import Intervals
from taskpace.analysis.stats.shares import AskedOnce, PairedShares

stats = Later("scipy.stats")

answers = st.lists(st.sampled_from([1.0, 0.0, math.nan]), min_size=1, max_size=40)


def _ends(found: Intervals) -> tuple[float, float, float]:
    """Of one pair."""
    return float(found.value[0]), float(found.low[0]), float(found.high[0])


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 60))
def test_the_difference_of_shares_is_bonett_and_prices(gained, lost, even):
    """Their formula, written out: (b + 1 - c - 1) / (n + 2) with Wald's error of the moved shares."""
    n = gained + lost + even
    if n == 0:
        return
    differences = np.array([1.0] * gained + [-1.0] * lost + [0.0] * even)
    value, low, high = _ends(PairedShares.of([differences]).difference())
    p12, p21 = (gained + 1) / (n + 2), (lost + 1) / (n + 2)
    half = stats.norm.ppf(0.975) * math.sqrt((p12 + p21 - (p12 - p21) ** 2) / (n + 2))
    assert value == pytest.approx((gained - lost) / n)
    assert low == pytest.approx(max(-1, p12 - p21 - half), abs=1e-9)
    assert high == pytest.approx(min(1, p12 - p21 + half), abs=1e-9)


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=40))
def test_with_repeats_an_items_mean_takes_the_place_of_its_answer(differences):
    """Mean and standard deviation of the items and the two imaginary ones, at any stopping time by its own reach."""
    moved = np.array([*differences, 1.0, -1.0])
    value, low, high = _ends(PairedShares.of([np.array(differences)]).difference(reach))
    half = float(reach(np.array([float(len(differences))]))[0]) * float(moved.std()) / math.sqrt(len(moved))
    assert value == pytest.approx(np.mean(differences), abs=1e-12)
    assert low == pytest.approx(max(-1.0, moved.mean() - half), abs=1e-9)
    assert high == pytest.approx(min(1.0, moved.mean() + half), abs=1e-9)


@given(answers, st.data())
def test_items_asked_once_are_counted_as_their_differences_add_up(a, data):
    """Counts of right and wrong answers give what the differences item by item give, unasked items left out."""
    b = data.draw(st.lists(st.sampled_from([1.0, 0.0, math.nan]), min_size=len(a), max_size=len(a)))
    both = np.array([a, b])
    differences = both[1] - both[0]
    counted, added = AskedOnce(both).shares([(0, 1)]), PairedShares.of([differences[~np.isnan(differences)]])
    for name in PairedShares.__struct_fields__:
        assert getattr(counted, name).tolist() == getattr(added, name).tolist()


def test_of_no_item_nothing_is_known():
    """No value and no end; and systems that were asked nothing yet are alike."""
    assert AskedOnce(np.empty((2, 0))).shares([(0, 1)]).n.tolist() == [0]
    assert np.isnan(_ends(PairedShares.of([np.empty(0)]).difference())).all()


@given(st.integers(0, 100), st.integers(0, 100))
def test_clustered_mcnemar_without_clusters_is_mcnemars_chi_square(first, second):
    """One trial an item: (b - c)^2 / (b + c), as McNemar had it."""
    differences = np.array([1.0] * first + [-1.0] * second + [0.0] * 5)
    expected = stats.chi2.sf((first - second) ** 2 / (first + second), 1) if first + second else 1.0
    assert PairedShares.of([differences]).clustered_mcnemar() == [pytest.approx(expected, rel=1e-9)]
