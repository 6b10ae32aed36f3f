"""Rankings and their agreement against scipy and plain counting."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp
from tests.later import Later

from taskpace.analysis.stats.bootstrap import MOST_UNITS, Resamples, percentile
from taskpace.analysis.stats.ranking import inversion_probability, kendall_tau_b, shared_ranks, spearman_rho

stats = Later("scipy.stats")

scores = st.integers(0, 4).map(float)
two = hnp.arrays(np.float64, st.tuples(st.just(2), st.integers(2, 9)), elements=scores)


@given(two)
def test_agreement_is_scipys_with_ties_too(xy):
    """Kendall's tau-b and Spearman's rho; NaN where one side is all ties."""
    x, y = xy
    tau, rho = float(kendall_tau_b(x, y)), float(spearman_rho(x, y))
    if len(set(x)) == 1 or len(set(y)) == 1:
        assert math.isnan(tau)
        assert math.isnan(rho)
    else:
        assert tau == pytest.approx(stats.kendalltau(x, y, variant="b").statistic)
        assert rho == pytest.approx(stats.spearmanr(x, y).statistic)


def test_agreement_is_computed_for_many_resamples_at_once():
    """Along the last axis: each row by itself."""
    x, y = np.random.default_rng(0).normal(size=(2, 50, 6))
    rows = [stats.kendalltau(a, b).statistic for a, b in zip(x, y, strict=True)]
    assert kendall_tau_b(x, y) == pytest.approx(np.array(rows))
    assert spearman_rho(x, y) == pytest.approx(
        np.array([stats.spearmanr(a, b).statistic for a, b in zip(x, y, strict=True)])
    )


@given(st.sets(st.tuples(st.integers(0, 5), st.integers(0, 5)).filter(lambda pair: pair[0] < pair[1])))
def test_a_rank_counts_who_is_better(beats):
    """1 + the number of systems that are significantly better."""
    ranks = shared_ranks("abcdef", [("abcdef"[a], "abcdef"[b]) for a, b in beats])
    for place, name in enumerate("abcdef"):
        assert ranks[name] == 1 + sum(worse == place for _, worse in beats)


@given(two)
def test_inversion_probability_is_a_share_of_resamples(xy):
    """Faster and later, or slower and sooner: counted; a tie counts half."""
    times, speeds = xy - 2
    counted = sum(1.0 if t * s > 0 else 0.5 if t * s == 0 else 0.0 for t, s in zip(times, speeds, strict=True))
    assert float(inversion_probability(times, speeds)) == pytest.approx(counted / len(times))


def test_resamples_draw_items_with_replacement():
    """Every resample has as many items as there are, and each item comes once on average."""
    counts = Resamples(40, 3000).totals(np.eye(40))
    assert (counts.sum(axis=1) == 40).all()
    assert counts.mean(axis=0) == pytest.approx(np.ones(40), abs=0.1)
    assert counts.var(axis=0) == pytest.approx(np.full(40, 39 / 40), abs=0.15)


def test_resampled_totals_are_those_of_the_drawn_items():
    """The matrix product is a loop over items, each as often as drawn."""
    columns = np.random.default_rng(0).normal(size=(7, 3))
    resamples = Resamples(7, 50)
    for drawn, totals in zip(resamples.totals(np.eye(7)), resamples.totals(columns), strict=True):
        slow = sum(columns[item] for item, times in enumerate(drawn) for _ in range(int(times)))
        assert totals == pytest.approx(slow)


def test_the_same_arguments_draw_the_same():
    """Same run, same bytes: no state, no clock; another seed draws otherwise."""
    first, again, other = (Resamples(9, 20, seed).totals(np.eye(9)) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_chunks_do_not_show(monkeypatch):
    """What is too large to keep is drawn again, the same, in pieces."""
    whole = Resamples(30, 500).totals(np.eye(30))
    monkeypatch.setattr("taskpace.analysis.stats.bootstrap._KEPT_BYTES", 0)
    piecewise = Resamples(30, 500)
    assert (piecewise.totals(np.eye(30)) == whole).all()
    assert (piecewise.totals(np.eye(30)) == whole).all()


def test_many_items_are_drawn_in_groups():
    """A mean over more items than are drawn one by one scatters as its standard error says, at no more draws."""
    n = 2 * MOST_UNITS + 1000
    values = np.random.default_rng(3).lognormal(size=n)
    totals = Resamples(n, 600).totals(np.stack([values, np.ones(n)]).T)
    means = totals[:, 0] / totals[:, 1]
    assert means.mean() == pytest.approx(values.mean(), rel=0.005)
    assert means.std() == pytest.approx(values.std() / np.sqrt(n), rel=0.12)


def test_a_percentile_interval_leaves_out_what_is_unknown():
    """2.5 and 97.5 % of what is known; nothing of nothing."""
    low, high = percentile(np.array([*range(1000), math.nan], dtype=float))
    assert (low, high) == pytest.approx((25, 975), abs=1.5)
    assert all(math.isnan(end) for end in percentile(np.array([math.nan])))
