"""Student's t and the normal distribution without scipy, against scipy."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import example, given, strategies as st
from tests.later import Later

from taskpace.analysis.stats.student import normal_below, normal_quantile, t_below, t_quantile, t_quantiles, ts_below

special = Later("scipy.special")

freedoms = st.floats(0.5, 1e6) | st.integers(1, 100).map(float)
shares = st.floats(1e-6, 1 - 1e-6) | st.sampled_from([0.975, 0.95, 0.9995, 0.5])


@given(st.floats(-40, 40), freedoms)
@example(math.sqrt(1.5), 2.0)  # where one fraction takes over from the other
@example(-math.sqrt(0.6 * 3), 3.0)
def test_probabilities_are_scipys(t, freedom):
    """Of both distributions, in the tails as well: to ten digits."""
    assert t_below(t, freedom) == pytest.approx(float(special.stdtr(freedom, t)), rel=1e-9, abs=1e-300)
    assert normal_below(t) == pytest.approx(float(special.ndtr(t)), rel=1e-9, abs=1e-300)


@given(shares, freedoms)
def test_quantiles_are_scipys(share, freedom):
    """Likewise, and as far above the middle as below it."""
    assert t_quantile(share, freedom) == pytest.approx(float(special.stdtrit(freedom, share)), rel=1e-8, abs=1e-9)
    assert normal_quantile(share) == pytest.approx(float(special.ndtri(share)), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(("t", "freedom"), [(math.nan, 3.0), (1.0, math.nan), (1.0, 0.0), (1.0, -1.0)])
def test_what_is_unknown_stays_unknown(t, freedom):
    """NaN in, NaN out; so where nothing is left to tell a spread from."""
    assert math.isnan(t_below(t, freedom))
    assert math.isnan(t_quantile(t - 0.025, freedom))


def test_ends():
    """At infinity everything lies below, or nothing."""
    assert (t_below(-math.inf, 3), t_below(math.inf, 3), t_below(0.0, 3)) == (0.0, 1.0, 0.5)


def test_a_summary_of_one_system_imports_no_scipy():
    """Which would take longer than the summary itself."""
    code = "import sys, taskpace.report.terminal.answer, taskpace.analysis.summary; sys.exit('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@given(st.lists(st.tuples(st.floats(1e-3, 40) | st.floats(-40, -1e-3), freedoms), min_size=1, max_size=12))
@example([(t, freedom) for t in (-37.0, -2.0, 0.0, 6.0) for freedom in (8.0, 9.5, 79.9, 80.0, 384.0, 7e5)])
def test_many_at_once_are_scipys(pairs):
    """Tails that are integrated together, and those that are too few or have few degrees of freedom, are exact."""
    t, freedom = np.array(pairs).T
    np.testing.assert_allclose(ts_below(t, freedom), special.stdtr(freedom, t), rtol=1e-9, atol=1e-300)


@given(shares, st.lists(freedoms, min_size=1, max_size=12))
@example(0.975, [8.0, 20.5, 79.0, 81.0, 384.0, 385.0, 1e6])
def test_quantiles_of_many_are_those_of_each(share, freedom):
    """To the last digits, however many degrees of freedom are asked for at once."""
    alone = [t_quantile(share, each) for each in freedom]
    np.testing.assert_allclose(t_quantiles(share, np.array(freedom)), alone, rtol=1e-12, atol=1e-13)


def test_what_is_unknown_among_many_stays_unknown():
    """NaN, infinite t and no degrees of freedom beside values that are integrated together."""
    t = np.array([1.0, -1.0, math.nan, math.inf, -math.inf, 1.0, 2.0, 3.0, 1.0, 1e200])
    freedom = np.array([9.0, 10.0, 11.0, 12.0, 13.0, math.nan, 0.0, 14.0, 2.0, 20.0])
    np.testing.assert_allclose(
        ts_below(t, freedom), [t_below(*each) for each in zip(t.tolist(), freedom.tolist(), strict=True)]
    )
    np.testing.assert_allclose(t_quantiles(0.975, freedom), [t_quantile(0.975, each) for each in freedom.tolist()])
