"""The split of a difference: exact, antisymmetric, and right about planted causes."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given, strategies as st

from taskpace.analysis.stats.items import differences
from taskpace.analysis.stats.split import LEAST_TEXT_BYTES, PARTS, Side, by_cause, log_mean, of_writing, split

seconds = st.floats(1e-6, 1e5)


@st.composite
def sides(draw: st.DrawFn, n: int) -> Side:
    """Trials of every kind: silent ones, single tokens, unknown paces, no bytes, huge ones."""
    wait = draw(st.lists(seconds, min_size=n, max_size=n))
    writing = draw(st.lists(st.just(0.0) | seconds, min_size=n, max_size=n))
    written = draw(st.lists(st.integers(0, 10**6).map(float), min_size=n, max_size=n))
    tpot = draw(st.lists(seconds | st.just(math.nan), min_size=n, max_size=n))
    return Side(
        time_s=np.array(wait) + np.array(writing),
        wait_s=np.array(wait),
        written_bytes=np.array(written),
        tpot_s=np.array(tpot),
    )


pairs = st.integers(1, 6).flatmap(lambda n: st.tuples(sides(n), sides(n)))


@given(pairs)
def test_nothing_is_left_over(both):
    """Whatever the trials are, the parts add up to the difference; residual below 1e-9 of the times involved."""
    base, other = both
    whole = other.time_s - base.time_s
    parts = np.nan_to_num(split(base, other)).sum(axis=1)
    scale = np.maximum(base.time_s, other.time_s)
    assert (np.abs(parts - whole) <= 1e-9 * scale).all()


@given(pairs)
def test_the_other_way_round_is_the_same_with_the_other_sign(both):
    """A against B is minus B against A, part by part."""
    there, back = split(*both), split(*reversed(both))
    scale = np.maximum(both[0].time_s, both[1].time_s)[:, None]
    assert np.isnan(there[:, 2]).all() == np.isnan(back[:, 2]).all()
    assert (np.abs(np.nan_to_num(there) + np.nan_to_num(back)) <= 1e-7 * scale).all()


def planted(wait=0.5, written=400.0, per_byte=0.25, tpot=0.02, n=5) -> Side:
    """Tokens = bytes x tokens per byte; the first comes at the end of the wait."""
    scatter = np.linspace(0.8, 1.25, n)
    tokens = written * per_byte * scatter
    return Side(
        time_s=wait + (tokens - 1) * tpot,
        wait_s=np.full(n, wait),
        written_bytes=written * scatter,
        tpot_s=np.full(n, tpot),
    )


@pytest.mark.parametrize(
    ("cause", "changed"),
    [("wait", {"wait": 1.5}), ("verbosity", {"written": 1600.0}), ("decode", {"tpot": 0.05})],
)
def test_a_single_cause_gets_all_of_it(cause, changed):
    """Only the wait, only the length, only the seconds per token differ: the whole difference is there."""
    base, other = planted(), planted(**changed)
    parts = split(base, other)
    place = PARTS.index(cause)
    assert parts[:, place] == pytest.approx(other.time_s - base.time_s, rel=1e-9)
    assert np.abs(np.delete(parts, place, axis=1)).max() < 1e-9


def test_a_tokenizer_gets_what_it_costs():
    """A third more tokens for the same text: all of it the tokenizer's, but for the first token's place in the wait."""
    parts = split(planted(), planted(per_byte=1 / 3)).sum(axis=0)
    assert parts[PARTS.index("tokenizer")] == pytest.approx(parts.sum(), rel=0.01)


def test_the_parts_are_angs_formula():
    """L(y_B, y_A) ln(x_B / x_A) for each factor, written out for one trial."""
    base, other = planted(n=1), planted(0.7, 900.0, 0.3, 0.01, n=1)
    y_a, y_b = (float(side.time_s[0] - side.wait_s[0]) for side in (base, other))
    weight = (y_b - y_a) / math.log(y_b / y_a)
    k_a, k_b = ((1 + y / side.tpot_s[0]) / side.written_bytes[0] for y, side in ((y_a, base), (y_b, other)))
    b_a, b_b = (y / (k * side.tpot_s[0]) for y, k, side in ((y_a, k_a, base), (y_b, k_b, other)))
    expected = [0.2, weight * math.log(b_b / b_a), weight * math.log(k_b / k_a), weight * math.log(0.01 / 0.02)]
    assert split(base, other)[0] == pytest.approx(expected)


@given(st.integers(1, 6).flatmap(lambda n: st.lists(sides(n), min_size=3, max_size=3)))
def test_many_pairs_at_a_time_are_each_pair_alone(systems):
    """Whatever else is made with it, and whatever the arrays held before, a pair's parts are its own, to the digit."""
    table = Side(*(np.stack([getattr(each, name) for each in systems]) for name in Side.__struct_fields__))
    pairs = [(0, 1), (2, 1), (0, 2), (1, 1)]
    into = np.full((len(PARTS) - 1, len(pairs), len(systems[0].time_s)), 7.0)
    of_writing(table, pairs, into=into)
    parts = by_cause(table, pairs)
    for pair, (a, b) in enumerate(pairs):
        alone = split(systems[a], systems[b])
        np.testing.assert_array_equal(parts[:, pair].T, alone)
        np.testing.assert_array_equal(into[:, pair].T, alone[:, 1:])


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=12))
def test_differences_are_those_of_each_pair(pairs):
    """In any order, one system against several or not, into what held other numbers: row of b less row of a."""
    values = np.random.default_rng(2).normal(size=(4, 5))
    into = np.full((len(pairs), 5), 7.0)
    assert differences(values, pairs, into) is into
    for row, (a, b) in zip(into, pairs, strict=True):
        np.testing.assert_array_equal(row, values[b] - values[a])


def test_a_silent_side_makes_all_writing_verbosity():
    """One token, or none: there is no pace to compare, and the other's writing is all length."""
    silent = Side(
        time_s=np.array([0.4]), wait_s=np.array([0.4]), written_bytes=np.array([2.0]), tpot_s=np.array([math.nan])
    )
    other = planted(n=1)
    assert split(silent, other)[0] == pytest.approx([0.1, float(other.time_s[0] - 0.5), 0, 0])


def test_unknown_tokens_leave_seconds_per_byte():
    """Without TPOT the tokenizer's part is unknown, and decode has both."""
    base, other = planted(), planted(per_byte=0.5)
    blind = Side(time_s=other.time_s, wait_s=other.wait_s, written_bytes=other.written_bytes, tpot_s=np.full(5, np.nan))
    parts = split(base, blind)
    assert np.isnan(parts[:, 2]).all()
    assert parts[:, 1] == pytest.approx(np.zeros(5), abs=1e-9)
    assert parts[:, 3] == pytest.approx(other.time_s - base.time_s)


def test_very_short_texts_blame_no_tokenizer():
    """A word or a line break is a token: below 16 bytes the tokenizer's part is 0 and the length counts in tokens."""
    short = planted(written=LEAST_TEXT_BYTES / 2, per_byte=0.5, n=1)
    parts = split(short, planted(n=1))
    assert parts[0, 2] == 0
    assert parts[0, 3] == pytest.approx(0)


def log_mean_of(u: float, v: float) -> float:
    one, other = np.array([u]), np.array([v])
    return float(log_mean(one - other, other, np.log(one) - np.log(other))[0])


@pytest.mark.parametrize(("u", "v"), [(1e-6, 498.0), (1e-6, 65537.0), (3e4, 2e-6), (0.4, 1.0), (0.6, 1.0)])
def test_the_logarithmic_mean_keeps_its_digits(u, v):
    """Far apart and near, it is what 50 digits of arithmetic give."""
    with localcontext(prec=50):
        exact = (Decimal(u) - Decimal(v)) / (Decimal(u) / Decimal(v)).ln()
    assert log_mean(*map(np.array, ([u - v], [v], [math.log(u) - math.log(v)])))[0] == pytest.approx(
        float(exact), rel=1e-14
    )


@given(st.floats(1e-6, 1e6), st.floats(-0.9, 10))
def test_the_logarithmic_mean_lies_between_its_arguments(v, step):
    """Geometric mean <= logarithmic mean <= arithmetic mean, and equality where they are equal."""
    u = v * (1 + step)
    mean = log_mean_of(u, v)
    assert math.sqrt(u * v) * (1 - 1e-9) <= mean <= (u + v) / 2 * (1 + 1e-9)
