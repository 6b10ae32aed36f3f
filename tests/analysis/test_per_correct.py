"""Time per correct answer with few correct answers or none."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st
from tests.later import Later

from taskpace.analysis.stats import per_correct
from taskpace.analysis.stats.estimates import Estimate
from taskpace.analysis.stats.intervals import log_influence
from taskpace.analysis.stats.per_correct import Spent, few_correct, none_against_some
from taskpace.analysis.table import per_correct as table_per_correct
from taskpace.analysis.table.per_correct import PerCorrect

stats = Later("scipy.stats")


def test_without_a_correct_answer_there_is_a_lower_bound():
    """0 of 20 correct in 1 s each: at least 1 / (1 - 0.05^(1/20)) = 7.2 s, and no more is said."""
    found = few_correct(np.ones(20), np.zeros(20), np.ones(20))
    assert found.value == pytest.approx(1 / (1 - 0.05**0.05))
    assert found.value == pytest.approx(7.19, abs=0.01)
    assert (found.bound, found.low, found.high) == (">=", None, None)


def test_with_few_it_is_mover_on_clopper_and_pearson():
    """Equal times: all that is uncertain is the share, and the interval is that of scipy's exact one."""
    correct = np.array([1.0] * 3 + [0.0] * 17)
    found = few_correct(np.full(20, 2.0), correct, np.ones(20))
    exact = stats.binomtest(3, 20).proportion_ci(0.95, "exact")
    assert found.value == pytest.approx(2 / 0.15)
    assert (found.low, found.high) == pytest.approx((2 / exact.high, 2 / exact.low))
    wider = few_correct(np.random.default_rng(1).lognormal(0.5, 1, 20), correct, np.ones(20))
    assert wider.high / wider.low > found.high / found.low


def test_no_time_is_no_bound():
    """Workers that crashed spent no recorded time: nothing is known."""
    assert few_correct(np.zeros(5), np.zeros(5), np.ones(5)).value is None


def test_none_against_many_is_a_claim_and_against_few_is_not():
    """0 of 60 against 55 of 60 at the same pace cannot be chance; 0 of 20 against 2 of 20 can."""
    seconds = np.random.default_rng(2).lognormal(0, 0.3, 60)
    many = np.array([1.0] * 55 + [0.0] * 5)
    assert none_against_some(Spent(seconds, np.zeros(60), np.ones(60)), Spent(seconds, many, np.ones(60))) < 1e-4
    few = np.array([1.0] * 2 + [0.0] * 18)
    cut = seconds[:20]
    assert none_against_some(Spent(cut, np.zeros(20), np.ones(20)), Spent(cut, few, np.ones(20))) > 0.5


def test_the_p_value_is_where_the_two_bounds_meet():
    """At the error that the p-value allows, the lower bound of the one is the upper bound of the other."""
    rng = np.random.default_rng(3)
    seconds, ones = rng.lognormal(0, 0.5, 40), np.ones(40)
    correct = (np.arange(40) % 3 == 0).astype(float)
    none, some = Spent(seconds, np.zeros(40), ones), Spent(seconds, correct, ones)
    p = none_against_some(none, some)
    assert 1e-12 < p < 1
    least, most = none.least_per_correct(p / 4), some.most_per_correct(p / 4)
    assert math.log(least / most) == pytest.approx(0, abs=1e-4)


def test_limits_are_found_once_for_all_errors(monkeypatch):
    """The p-value is searched for at some thirty errors; how far the totals scatter is worked out once a total."""
    made = []
    monkeypatch.setattr(per_correct, "log_influence", lambda *totals: made.append(1) or log_influence(*totals))
    seconds, ones = np.random.default_rng(3).lognormal(0, 0.5, 40), np.ones(40)
    none, some = Spent(seconds, np.zeros(40), ones), Spent(seconds, (np.arange(40) % 3 == 0).astype(float), ones)
    assert 1e-12 < none_against_some(none, some) < 1
    assert none_against_some(none, some) < 1
    assert len(made) == 2


@given(
    seconds=st.lists(st.floats(1e-3, 1e6), min_size=1, max_size=12),
    correct=st.data(),
)
def test_any_few_answers_have_a_value_and_ends_around_it(seconds, correct):
    """Also one item, and items where one took almost all the time: a value, and ends on either side where known."""
    right = correct.draw(st.lists(st.booleans(), min_size=len(seconds), max_size=len(seconds)))
    found = few_correct(np.array(seconds), np.array(right, dtype=float), np.ones(len(seconds)))
    assert found.value is not None
    if any(right):
        assert found.value == pytest.approx(sum(seconds) / sum(right))
        assert found.low is None or found.low <= found.value * (1 + 1e-9)
        assert found.high is None or found.high >= found.value * (1 - 1e-9)
    else:
        assert found.bound == ">="
        assert found.value > np.mean(seconds)


def test_one_item_has_no_interval():
    """One right answer of three seconds: three seconds, and nothing is known of the error."""
    assert few_correct(np.array([3.0]), np.array([1.0]), np.array([1.0])) == Estimate(pytest.approx(3.0))


@given(st.integers(0, 2**32 - 1))
def test_pairs_of_complete_systems_are_those_of_each_pair(seed):
    """Logarithms and influence made once for each system are those of the pairs, one by one, to the last digit."""
    rng = np.random.default_rng(seed)
    seconds, correct = rng.lognormal(0, 1, (3, 8, 2)), (rng.random((3, 8, 2)) < 0.5).astype(float)
    indices = [(0, 1), (2, 0)]
    whole = PerCorrect(seconds, correct)
    # An item that was asked of no system has every pair put together by itself.
    apart = PerCorrect(*(np.concatenate([each, np.full((3, 1, 2), np.nan)], axis=1) for each in (seconds, correct)))
    for pair in indices:
        influence, each = whole.influence_of_pair(*pair), apart.influence_of_pair(*pair)
        assert np.isnan(each[-1])
        assert whole.log_of_pair(*pair) == apart.log_of_pair(*pair)
        np.testing.assert_array_equal(influence, each[:-1])


@pytest.mark.parametrize("values", [1, 16, 1 << 18])
def test_blocks_of_pairs_are_those_of_each(monkeypatch, values):
    """One pair at a time, two, or all; with a system that misses an item or without: the pair's own numbers."""
    monkeypatch.setattr(table_per_correct, "AT_A_TIME", values)
    rng = np.random.default_rng(3)
    seconds, correct = rng.lognormal(0, 1, (4, 8, 1)), (rng.random((4, 8, 1)) < 0.6).astype(float)
    correct[3, 2] = seconds[3, 2] = np.nan
    indices = [(0, 1), (0, 2), (1, 2), (0, 3), (3, 1), (2, 0)]
    each = PerCorrect(seconds, correct)
    found, counts = each.logs(indices)
    for index, pair in enumerate(indices):
        (log, items), influence = each.log_of_pair(*pair), each.influence_of_pair(*pair)
        known = influence[~np.isnan(influence)]
        assert (found.value[index], counts[index], found.n[index]) == (log, items, len(known))
        assert found.squares[index] == pytest.approx((known**2).sum(), rel=1e-12)
        assert found.fourths[index] == pytest.approx((known**4).sum(), rel=1e-12)


@given(st.integers(0, 2**32 - 1), st.sampled_from([2, 5, 40]), st.sampled_from([0.5, 3.0, 20.0]))
def test_the_least_error_at_which_two_part_is_that_of_halving(seed, items, slower):
    """Found in fewer steps: the same p-value as by halving the logarithm of the error thirty times."""
    rng = np.random.default_rng(seed)
    right = (rng.random(items) < 0.5).astype(float)
    right[0] = 1.0
    none = Spent(slower * rng.lognormal(0, 0.7, items), np.zeros(items), np.ones(items))
    some = Spent(rng.lognormal(0, 0.7, items), right, np.ones(items))

    def part(log_error: float) -> bool:
        error = math.exp(log_error)
        return none.least_per_correct(error / 4) > some.most_per_correct(error / 4)

    low, high = math.log(1e-12), 0.0
    if part(low) or not part(high):
        assert none_against_some(none, some) == (1e-12 if part(low) else 1.0)
        return
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (low, middle) if part(middle) else (middle, high)
    assert none_against_some(none, some) == pytest.approx(math.exp(high), rel=1e-12)


def test_few_steps_find_where_two_part(monkeypatch):
    """Each step asks for two quantiles of Student's t: ten steps or so are enough, where halving takes 32."""
    asked: list[float] = []
    least = Spent.least_per_correct
    monkeypatch.setattr(Spent, "least_per_correct", lambda self, error: asked.append(error) or least(self, error))
    rng = np.random.default_rng(1)
    none = Spent(rng.lognormal(2, 0.5, 60), np.zeros(60), np.ones(60))
    some = Spent(rng.lognormal(0, 0.5, 60), (rng.random(60) < 0.3).astype(float), np.ones(60))
    assert 1e-12 < none_against_some(none, some) < 1
    assert len(asked) <= 16
