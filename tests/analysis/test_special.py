"""The special functions that the statistics have of their own, against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st
from tests.later import Later

from taskpace.analysis.data.sample import _components
from taskpace.analysis.stats.special import (
    beta_below,
    beta_quantile,
    fair_at_most,
    least_squares,
    log_factorials,
    log_sum_exp,
)

optimize = Later("scipy.optimize")
sparse = Later("scipy.sparse")
special = Later("scipy.special")
csgraph = Later("scipy.sparse.csgraph")

counts = st.integers(0, 3000)
parameters = st.floats(0.05, 3000)


@given(st.lists(st.tuples(st.integers(-1, 3000), counts), min_size=1, max_size=8))
def test_binomial_tails_are_scipys(pairs):
    """Several pairs at once, of few and of many, on either side of the middle, to ten digits in the far tail."""
    n = np.array([n for _, n in pairs])
    k = np.minimum([k for k, _ in pairs], n)
    expected = np.where(k < 0, 0.0, special.bdtr(np.maximum(k, 0), n, 0.5))
    assert fair_at_most(k, n) == pytest.approx(expected, rel=1e-10, abs=1e-300)
    assert log_factorials(n) == pytest.approx(special.gammaln(n + 1.0), rel=1e-13)


@given(st.floats(1e-9, 1 - 1e-9), parameters, parameters)
def test_beta_probabilities_are_scipys(x, a, b):
    """To nine digits of either tail."""
    assert beta_below(x, a, b) == pytest.approx(float(special.betainc(a, b, x)), rel=1e-9, abs=1e-12)


@given(st.floats(1e-4, 0.5), st.floats(0.05, 50), st.floats(0.5, 3000))
def test_beta_quantiles_are_scipys(share, a, b):
    """Of whole counts and of effective ones, which are none."""
    assert beta_quantile(share, a, b) == pytest.approx(float(special.betaincinv(a, b, share)), rel=1e-8, abs=1e-250)


@given(st.lists(st.lists(st.floats(-800, 800), min_size=3, max_size=3), min_size=1, max_size=5))
def test_sums_of_exponentials_are_scipys(rows):
    """Where each of the terms would overflow, too."""
    values = np.array(rows)
    assert log_sum_exp(values) == pytest.approx(special.logsumexp(values, axis=1), rel=1e-12, abs=1e-12)


@given(st.integers(0, 2**32 - 1), st.integers(1, 4))
def test_least_squares_from_0_up_are_scipys(seed, size):
    """As near to the values as scipy's, with coefficients of 0 or more."""
    random = np.random.default_rng(seed)
    columns, values = random.normal(0.5, 1, (12, size)), random.normal(0.5, 1, 12)
    found = least_squares(columns, values)
    assert (found >= 0).all()
    assert found == pytest.approx(optimize.nnls(columns, values)[0], rel=1e-6, abs=1e-9)


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=1, max_size=30))
def test_connected_components_are_scipys(links):
    """Items and batches that hang together, numbered in the order of the items."""
    asked, sent = (np.unique(side, return_inverse=True)[1] for side in zip(*links, strict=True))
    items, batches = int(asked.max()) + 1, int(sent.max()) + 1
    graph = sparse.coo_array((np.ones(len(asked)), (asked, items + sent)), shape=(items + batches,) * 2)
    assert _components(asked, sent).tolist() == csgraph.connected_components(graph, directed=False)[1][asked].tolist()
