"""One system's numbers against plain loops over its trials."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp
from tests.later import Later

from taskpace.analysis.stats.estimates import (
    UNKNOWN,
    Estimate,
    number,
    par2_values,
    quantiles,
    quantiles_of_each,
    ratios,
    samples_for,
    shares_of_correct,
    solve_curves,
)
from taskpace.analysis.stats.items import item_totals

stats = Later("scipy.stats")

shapes = st.tuples(st.integers(1, 12), st.integers(1, 3))


@st.composite
def trials(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """(items, repeats): times and correct; where nothing was recorded both are NaN, an error has no time."""
    shape = draw(shapes)
    times = draw(hnp.arrays(np.float64, shape, elements=st.floats(0.01, 100)))
    state = draw(hnp.arrays(np.int8, shape, elements=st.integers(0, 3)))
    correct = np.where(state == 0, np.nan, (state == 1).astype(float))
    return np.where((state == 0) | (state == 3), np.nan, times), correct


def recorded(times, correct):
    return [(t, c) for t, c in zip(times.ravel(), correct.ravel(), strict=True) if not math.isnan(c)]


@st.composite
def timed(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """``trials`` that all have a time, as where nothing failed; some may not be recorded as right or wrong."""
    times, correct = draw(trials())
    return np.nan_to_num(times, nan=3.0), correct


@given(trials() | timed(), st.floats(1, 200))
def test_par2_is_the_mean_of_time_or_twice_the_limit(data, limit):
    """T if correct, else 2 L, over all that is recorded."""
    values = par2_values(*data, limit)
    scores = [t if c else 2 * limit for t, c in recorded(*data)]
    assert sorted(values[~np.isnan(values)]) == pytest.approx(sorted(scores))


@given(trials(), st.floats(0.01, 100))
def test_the_solve_curve_counts_what_is_right_in_time(data, deadline):
    """#(correct and t <= tau) / #recorded, errors and wrong answers in the denominator."""
    ((found,),) = solve_curves(*(each[None] for each in data), np.array([deadline]))
    known = recorded(*data)
    if known:
        assert found.value == pytest.approx(sum(bool(c) and t <= deadline for t, c in known) / len(known))
    else:
        assert found == UNKNOWN


@given(trials())
def test_accuracy_counts_every_record(data):
    """Correct over recorded; errors count against it."""
    _, correct = data
    known = [c for c in correct.ravel() if not math.isnan(c)]
    (found,) = shares_of_correct(*item_totals(correct[None]))
    if known:
        assert found.value == pytest.approx(sum(known) / len(known))
        assert found.low <= found.value + 1e-12
        assert found.value <= found.high + 1e-12
    else:
        assert found == UNKNOWN


@given(st.lists(st.tuples(st.floats(0.01, 100), st.booleans()), min_size=1, max_size=30))
def test_time_per_correct_answer_is_all_seconds_over_the_number_correct(rows):
    """Wrong answers' time counts; nothing correct is unknown, not infinite."""
    times, right = np.array([[t, float(c)] for t, c in rows]).T
    (found,) = ratios(times[:, None], right[:, None])
    if right.sum():
        assert found.value == pytest.approx(sum(t for t, _ in rows) / sum(c for _, c in rows))
    else:
        assert found == UNKNOWN


@given(st.lists(st.floats(0, 1000) | st.just(math.nan), max_size=40))
def test_medians_leave_out_what_is_unknown(values):
    """The plain median of what is known; nothing known is null."""
    (found,) = quantiles(np.array(values, dtype=float), np.arange(len(values)), (0.5,))
    known = [value for value in values if not math.isnan(value)]
    assert found.value == (pytest.approx(statistics.median(known)) if known else None)


@pytest.mark.parametrize(("share", "n"), [(0.90, 64), (0.95, 130), (0.99, 662)])
def test_percentile_floors_are_mlperfs(share, n):
    """64, 130, 662: the least n with P(Binomial(n, 1 - p) <= 1) <= 1 %, by scipy's binomial."""
    assert samples_for(share) == n
    assert stats.binom.cdf(1, n, 1 - share) <= 0.01 < stats.binom.cdf(1, n - 1, 1 - share)


def test_what_is_not_finite_becomes_null():
    """A value that is not a number has no interval either; an end that is none is null by itself."""
    assert number(math.inf, 1, 2) == UNKNOWN
    assert number(1.5, 1, math.inf) == Estimate(1.5, 1.0, None)


@given(
    st.lists(
        st.tuples(
            st.lists(st.none() | st.floats(0, 1e6) | st.just(math.inf), min_size=5, max_size=5),
            st.booleans(),
            st.booleans(),
        ),
        max_size=5,
    )
)
def test_quantiles_of_each_system_are_its_own(found):
    """Ranked together or alone, with gaps, cut values, repeats and none at all: numbers are the same to the digit."""
    rows = np.array([values for values, *_ in found], dtype=float).reshape(len(found), 5)
    item_of = [np.zeros(5, dtype=np.intp) if repeated else None for _, repeated, _ in found]
    cut = [np.arange(5) % 2 == 0 if some else None for *_, some in found]
    shares = (0.5, 0.9)
    expected = [quantiles(*each[:2], shares, each[2]) for each in zip(rows, item_of, cut, strict=True)]
    assert quantiles_of_each(rows, shares, item_of=item_of, cut=cut) == expected


def test_quantiles_of_whole_numbers_are_those_of_floats():
    """Columns that stay whole, in the frame's own memory, are ranked in a copy."""
    counts = np.random.default_rng(1).integers(0, 50, (3, 99), dtype=np.int32)
    before = counts.copy()
    found = quantiles_of_each(counts, (0.5,), item_of=[None] * 3, cut=[None] * 3)
    assert found == [quantiles(each.astype(float), None, (0.5,)) for each in counts]
    np.testing.assert_array_equal(counts, before)


@pytest.mark.parametrize("n", [1, 2, 39, 40])
@pytest.mark.parametrize("late", [0, 1])
def test_tokens_per_second_are_those_of_each_trial(trials_of, summary_of, n, late):
    """Their median lies between the two middle trials, and is not the inverse of TPOT's; of trials that are late, too,
    which have neither.
    """
    tpot_s = np.random.default_rng(n).lognormal(-4, 1, n + late)
    trials = trials_of(n=n + late, task_time_s=np.ones(n + late), tpot_s=tpot_s, late=[True] * late + [False] * n)
    (row,) = summary_of(trials).tables[0].rows
    (expected,) = quantiles(1 / tpot_s[late:], None, (0.5,))
    found = row.tokens_per_s_median
    for mine, its in ((found.value, expected.value), (found.low, expected.low), (found.high, expected.high)):
        assert mine == (None if its is None else pytest.approx(its, rel=1e-12))
    assert row.tpot_median_s.value == pytest.approx(np.median(tpot_s[late:]))
