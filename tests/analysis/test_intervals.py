"""Intervals against scipy, against plain loops, and at the edges where formulas break."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp
from tests.later import Later

from taskpace.analysis.stats import intervals, quantiles
from taskpace.analysis.stats.anytime import reach
from taskpace.analysis.stats.intervals import (
    LEAST_FREEDOM,
    Influence,
    Moments,
    degrees_of_freedom,
    dots,
    of_influence,
    of_means,
    of_ratios,
)
from taskpace.analysis.stats.quantiles import of_quantiles
from taskpace.analysis.stats.shares import effective_trials, share_interval

stats = Later("scipy.stats")

samples = hnp.arrays(np.float64, st.integers(3, 40), elements=st.floats(-100, 100, width=32))
positive = hnp.arrays(np.float64, st.integers(3, 40), elements=st.floats(0.0625, 1000, width=32))


def t_interval(values: np.ndarray) -> tuple[float, float, float, float]:
    """Mean, its interval and p-value of one column by ``Moments.intervals``."""
    found = Moments.of(values[:, None]).intervals()
    return float(found.value[0]), float(found.low[0]), float(found.high[0]), float(found.p[0])


@given(samples)
def test_the_t_interval_is_scipys(values):
    """Mean, ends and p as scipy's one-sample t-test gives them."""
    if values.std(ddof=1) < 1e-6:
        return
    mean, low, high, p = t_interval(values)
    theirs = stats.ttest_1samp(values, 0)
    ends = theirs.confidence_interval(0.95)
    assert (mean, low, high) == pytest.approx((values.mean(), ends.low, ends.high), rel=1e-9, abs=1e-9)
    assert p == pytest.approx(theirs.pvalue, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize(("values", "p"), [([0.0, 0.0, 0.0], 1.0), ([2.0, 2.0], 0.0)])
def test_without_spread_a_mean_is_known_exactly(values, p):
    """No interval and no doubt: p is 1 at 0, else 0."""
    assert t_interval(np.array(values)) == (values[0], values[0], values[0], p)
    found = Influence.of_means(np.array(values)[:, None])
    ends = found.intervals()
    assert (ends.low[0], ends.high[0], found.tested()[0]) == (values[0], values[0], p)


def test_one_item_says_nothing_of_the_spread():
    """The value is known, its interval is not; of nothing, nothing is."""
    mean, *rest = t_interval(np.array([3.0]))
    assert mean == 3
    assert all(math.isnan(number) for number in rest)
    for found in (of_means(np.array([[3.0]])), of_ratios(np.array([[3.0]]), np.array([[1.0]]))):
        assert found.value[0] == pytest.approx(3)
        assert np.isnan([found.low[0], found.high[0], found.p[0]]).all()
    assert np.isnan(of_quantiles(np.array([3.0]), np.array([0]), (0.5,)).low).all()
    assert all(math.isnan(number) for number in share_interval(np.empty(0), np.empty(0)))


@given(samples)
def test_the_error_of_a_mean_is_the_usual_one(values):
    """Infinitesimal jackknife of a mean: s / sqrt(n), with no more degrees of freedom than Student's."""
    if values.std(ddof=1) < 1e-6:
        return
    n = len(values)
    found = of_means(values[:, None])
    d = values - values.mean()
    spread = sum(d**4) - sum(d**2) ** 2 / n  # 0 where all squares are equal, as of 0, 0, 1, 1
    freedom = min(2 * sum(d**2) ** 2 / spread, n - 1) if spread > 0 else n - 1
    half = stats.t.ppf(0.975, freedom) * values.std(ddof=1) / math.sqrt(n)
    assert found.high[0] - found.value[0] == pytest.approx(half, rel=1e-6)
    _, low, high, _ = t_interval(values)
    assert high - low <= (found.high[0] - found.low[0]) * (1 + 1e-9)


@given(st.integers(0, 2**32 - 1))
def test_sums_of_columns_are_those_of_each_in_a_plain_loop(seed):
    """Value, items and powers of what each contributes, unknown ones left out, alone or together; none is tested."""
    rng = np.random.default_rng(seed)
    values = np.where(rng.random((30, 4)) < 0.2, np.nan, rng.lognormal(0, 1, (30, 4)))
    values[:, 0] = rng.normal(0, 1, 30)
    found = Influence.of_means(values, skewed=True)
    for column, all_of_it in enumerate(values.T):
        known = [value for value in all_of_it.tolist() if not math.isnan(value)]
        n, mean = len(known), math.fsum(known) / len(known)
        d = [(value - mean) / n for value in known]
        powers = [math.fsum(each**power for each in d) for power in (2, 3, 4)]
        assert [float(getattr(found, name)[column]) for name in Influence.__struct_fields__] == pytest.approx(
            [mean, n, *powers], rel=1e-9, abs=1e-15
        )
    together = Influence.together([Influence.of_means(values[:, [column]]) for column in range(4)]).intervals()
    assert np.isnan(together.p).all()
    for end in ("value", "low", "high"):
        np.testing.assert_allclose(getattr(together, end), getattr(found.intervals(), end), rtol=1e-12)


@pytest.mark.parametrize("items", [1, 3, 40])
def test_columns_in_blocks_are_each_alone(monkeypatch, items):
    """Two short columns at a time, a last one by itself, or a long one in a block of its own: to the digit the same."""
    values = np.random.default_rng(8).lognormal(0, 1, (7, items)).T
    monkeypatch.setattr(intervals, "AT_A_TIME", 7)
    whole, moments = Influence.of_means(values, skewed=True), Moments.of(values)
    for column in range(7):
        alone = Influence.of_means(values[:, [column]], skewed=True)
        for name in Influence.__struct_fields__:
            assert getattr(whole, name)[column] == getattr(alone, name)[0]
        np.testing.assert_equal(moments.deviation[column], Moments.of(values[:, [column]]).deviation[0])


@pytest.mark.parametrize("skewed", [False, True])
@pytest.mark.parametrize("unknown", [False, True])
def test_values_that_may_be_written_over_have_the_same_powers(skewed, unknown):
    """As rows in one piece, which are worked on where they lie, and as columns, which are not; what is unknown too."""
    values = np.random.default_rng(4).lognormal(0, 1, (60, 5))
    if unknown:
        values[3, 2] = np.nan
    expected = Influence.of_means(values, skewed=skewed)
    for spent in (values.copy(), np.ascontiguousarray(values.T).T):
        found = Influence.of_means(spent, skewed=skewed, spent=True)
        for name in Influence.__struct_fields__:
            np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-12)
    if not unknown:
        one, other = (
            Influence.of(np.zeros(5), np.ascontiguousarray(values.T).T, skewed=skewed, spent=each)
            for each in (False, True)
        )
        np.testing.assert_array_equal(one.fourths, other.fourths)
        np.testing.assert_array_equal(one.cubes, other.cubes)


@pytest.mark.parametrize("items", [0, 5, 8, 24, 29])
def test_sums_of_products_of_long_rows_come_in_pieces(monkeypatch, items):
    """Shorter than a piece, some pieces, and what is left of them: the sum of all."""
    monkeypatch.setattr(intervals, "_LONGEST_DOT", 8)
    one, other = np.random.default_rng(9).normal(size=(2, 3, items))
    np.testing.assert_allclose(dots(one, other), (one * other).sum(axis=1), rtol=1e-12)


@given(positive, st.randoms(use_true_random=False))
def test_the_error_of_a_ratio_is_the_jackknifes(numerators, random):
    """On the logarithm of a ratio of sums: close to leaving out one item at a time, where no item decides."""
    n = len(numerators)
    counts = np.array([random.randint(1, 3) for _ in range(n)], dtype=float)
    shares = np.concatenate([numerators / numerators.sum(), counts / counts.sum()])
    if n < 10 or shares.max() > 0.3:
        return
    left_out = np.log((numerators.sum() - numerators) / (counts.sum() - counts))
    jackknife = math.sqrt((n - 1) / n * sum((left_out - left_out.mean()) ** 2))
    found = of_ratios(numerators[:, None], counts[:, None])
    assert found.value[0] == pytest.approx(numerators.sum() / counts.sum())
    d = numerators / numerators.sum() - counts / counts.sum()
    freedom = degrees_of_freedom(d[:, None], n)[0]
    error = math.log(found.high[0] / found.value[0]) / stats.t.ppf(0.975, freedom)
    assert error == pytest.approx(jackknife, rel=0.5, abs=1e-9)
    assert found.value[0] ** 2 == pytest.approx(found.low[0] * found.high[0], rel=1e-9)


def test_degrees_of_freedom_say_how_many_items_decide():
    """About n for normal contributions; 2 where one item is all; n - 1 at most."""
    rng = np.random.default_rng(0)
    normal = rng.normal(0, 1, (2000, 1))
    assert degrees_of_freedom(normal - normal.mean(), 2000)[0] == pytest.approx(2000, rel=0.15)
    one = np.zeros((500, 1))
    one[0] = 1
    assert degrees_of_freedom(one - one.mean(), 500)[0] == pytest.approx(2, rel=0.02)
    even = np.array([[1.0], [-1.0], [1.0], [-1.0]])
    assert degrees_of_freedom(even, 4)[0] == 3


def test_items_that_do_not_belong_change_nothing():
    """A NaN contribution is not an observation: the interval is that of the others."""
    values = np.array([1.0, 2.0, 4.0, 8.0])
    d = (values - values.mean()) / 4
    mean = np.array([values.mean()])
    alone = of_influence(mean, d[:, None])
    padded = of_influence(mean, np.concatenate([d, [np.nan] * 5])[:, None])
    assert (alone.low, alone.high, alone.p) == (padded.low, padded.high, padded.p)


def test_a_ratio_over_nothing_is_unknown():
    """No correct answer: no time per correct answer, no warning, no infinity."""
    found = of_ratios(np.array([[1.0], [2.0]]), np.zeros((2, 1)))
    assert np.isnan([found.value[0], found.low[0], found.high[0], found.p[0]]).all()


@given(hnp.arrays(np.float64, st.integers(2, 60), elements=st.floats(0, 100)), st.sampled_from([0.5, 0.9, 0.95]))
def test_a_quantile_lies_within_its_interval_of_order_statistics(values, share):
    """The value is numpy's; the ends are where p -+ z sqrt(p (1 - p) / n) points among the sorted values."""
    found = of_quantiles(values, np.arange(len(values)), (share,))
    n = len(values)
    assert found.value[0] == np.quantile(values, share)
    half = stats.norm.ppf(0.975) * math.sqrt(share * (1 - share) / n)
    ranked = sorted(values)
    for end, place in ((found.low[0], share - half), (found.high[0], share + half)):
        position = min(max(place * n - 0.5, 0), n - 1)
        below, above = ranked[math.floor(position)], ranked[math.ceil(position)]
        assert below - 1e-9 <= end <= above + 1e-9


def test_repeats_of_an_item_are_no_new_items():
    """An item asked three times with the same result is worth one trial; with independent results, three."""
    rng = np.random.default_rng(1)
    items = rng.lognormal(0, 1, 200)
    same = of_quantiles(np.repeat(items, 3), np.repeat(np.arange(200), 3), (0.5,))
    once = of_quantiles(items, np.arange(200), (0.5,))
    assert same.high[0] - same.low[0] == pytest.approx(once.high[0] - once.low[0], rel=0.1)
    hits = rng.binomial(3, 0.4, 3000).astype(float)
    assert effective_trials(hits, np.full(3000, 3.0)) == pytest.approx(9000, rel=0.1)
    assert effective_trials(3 * (rng.random(3000) < 0.4), np.full(3000, 3.0)) == pytest.approx(3000, rel=0.01)


@given(st.integers(1, 200), st.data())
def test_the_share_interval_is_wilsons(n, data):
    """Without repeats: scipy's Wilson interval."""
    hits = data.draw(st.integers(0, n))
    flags = np.array([1.0] * hits + [0.0] * (n - hits))
    share, low, high = share_interval(flags, np.ones(n))
    theirs = stats.binomtest(hits, n).proportion_ci(0.95, "wilson")
    assert (share, low, high) == pytest.approx((hits / n, theirs.low, theirs.high), abs=1e-9)


@given(st.integers(20, 200), st.floats(0.1, 2.0), st.integers(0, 2**32 - 1))
def test_at_any_stopping_time_a_mean_has_no_end_beyond_its_tail_while_few_items_decide_it(n, sigma, seed):
    """Unknown is the end on the side of the skew, below 50 degrees of freedom alone; turned round, the other one."""
    values = np.exp(np.random.default_rng(seed).normal(0, sigma, (n, 1)))
    d = (values - values.mean()) / n
    few = degrees_of_freedom(d, n)[0] < LEAST_FREEDOM
    found, turned = of_means(values, reach), of_means(-values, reach)
    skewed_up = (d**3).sum() >= 0
    assert np.isnan(found.high[0]) == (few and skewed_up)
    assert np.isnan(found.low[0]) == (few and not skewed_up)
    assert [turned.low[0], turned.high[0]] == pytest.approx([-found.high[0], -found.low[0]], nan_ok=True)


@pytest.mark.parametrize("n", [1, 2, 7, 3000, 20_000])
def test_values_at_ranks_are_those_of_a_sort(n):
    """Quantiles and both ends of their intervals are read from a sort's values, ties and infinite ones among them."""
    rng = np.random.default_rng(n)
    for values in (
        rng.lognormal(0, 1, n),
        rng.integers(0, 5, n).astype(float),
        np.where(rng.random(n) < 0.3, np.inf, 1.0),
    ):
        positions = [*(rng.random(6) * (n - 1)), 0.0, n - 1.0]
        ranked, expected = quantiles._ranked_at(values.copy(), positions), np.sort(values)
        rows = quantiles._ranked_at(np.stack([values, -values]), positions)
        for place in {min(int(at) + step, n - 1) for at in positions for step in (0, 1)}:
            assert ranked[place] == expected[place]
            assert rows[:, place].tolist() == [expected[place], np.sort(-values)[place]]


@given(positive)
def test_the_median_is_numpys(values):
    """Of odd and even numbers of values, to the digit, and what was given stays in its order."""
    before = values.copy()
    assert quantiles.median(values) == np.median(values)
    np.testing.assert_array_equal(values, before)
