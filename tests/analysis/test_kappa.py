"""Cohen's kappa against published values and against its definition by brute force."""

from __future__ import annotations

import math
from collections import Counter
from itertools import permutations, product
from operator import eq

import numpy as np
import pytest
from hypothesis import given, strategies as st
from tests.later import Later

from taskpace.analysis.stats.kappa import agreement_p, kappa, kappa_number

stats = Later("scipy.stats")

LABELS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=40)


def tables(pairs: list[tuple[int, int]]) -> np.ndarray:
    """One item for each pair of labels."""
    counts = np.zeros((len(pairs), 3, 3))
    for place, (one, other) in enumerate(pairs):
        counts[place, one, other] = 1
    return counts


def brute_force(pairs: list[tuple[int, int]]) -> float:
    """By what the words say: agreement, and agreement of every label of one with every label of the other."""
    observed = sum(one == other for one, other in pairs) / len(pairs)
    every = list(product([one for one, _ in pairs], [other for _, other in pairs]))
    chance = sum(one == other for one, other in every) / len(every)
    return math.nan if chance == 1 else (observed - chance) / (1 - chance)


@given(pairs=LABELS)
def test_it_is_what_the_definition_says(pairs):
    """Observed agreement beyond that of labels drawn independently, over the most there could be."""
    wanted = brute_force(pairs)
    found = float(kappa(tables(pairs).sum(axis=0)))
    assert math.isnan(found) if math.isnan(wanted) else found == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize(
    ("table", "value"),
    [
        # Cohen (1960), table 1: p_o = .70, p_c = .475 by its marginals .60 .30 .10 and .50 .30 .20 of 200 cases.
        ([[88, 14, 18], [10, 40, 10], [2, 6, 12]], 0.492),
        ([[20, 5], [10, 15]], 0.4),
        ([[45, 15], [25, 15]], 0.1304),
        ([[25, 35], [5, 35]], 0.2593),
        ([[0, 10], [10, 0]], -1.0),
        ([[10, 0], [0, 10]], 1.0),
    ],
)
def test_published_values(table, value):
    """Tables whose kappa is known."""
    assert float(kappa(np.array(table, float))) == pytest.approx(value, abs=5e-4)


def test_a_reply_without_a_verdict_is_never_agreement():
    """Where the judge says nothing of any answer, kappa is 0: no better than chance."""
    assert kappa_number(tables([(0, 2), (1, 2), (0, 2)]), 100).value == 0.0


def test_the_interval_holds_the_truth():
    """Of 300 experiments with a known kappa about 95 % have it in their interval."""
    rng = np.random.default_rng(3)
    joint = np.array([[0.4, 0.1, 0.05], [0.1, 0.3, 0.05], [0.0, 0.0, 0.0]])
    truth = float(kappa(joint))
    held = 0
    for _ in range(300):
        cells = rng.choice(9, 80, p=joint.ravel())
        found = kappa_number(tables([divmod(int(cell), 3) for cell in cells]), 400)
        held += found.low <= truth <= found.high
    assert 0.90 <= held / 300 <= 0.99


def test_perfect_agreement_claims_no_certainty():
    """Where no resample can differ there is no interval; without two grades there is no kappa."""
    perfect = kappa_number(tables([(0, 0), (1, 1)] * 5), 100)
    assert perfect.value == 1.0
    assert kappa_number(tables([(0, 0)] * 5), 100).value is None
    assert (perfect.low, perfect.high) == (None, None)


@given(pairs=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=40))
def test_with_two_categories_the_test_is_fishers(pairs):
    """One case an item, no silence: scipy's exact test says the same."""
    counts = tables(pairs)
    assert agreement_p(counts) == pytest.approx(stats.fisher_exact(counts.sum(axis=0)[:2, :2]).pvalue, abs=1e-9)


@given(pairs=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 2)), min_size=1, max_size=7))
def test_with_silence_the_test_counts_every_matching(pairs):
    """By brute force: all ways of matching what one says with what the other says, and how often they agree."""
    ones, others = [one for one, _ in pairs], [other for _, other in pairs]
    agreements = Counter(sum(map(eq, ones, order)) for order in permutations(others))
    seen = agreements[sum(map(eq, ones, others))]
    wanted = sum(ways for ways in agreements.values() if ways <= seen) / math.factorial(len(pairs))
    assert agreement_p(tables(pairs)) == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize(("pairs", "p"), [([(0, 0), (1, 1)] * 2, 1 / 3), ([(0, 0), (1, 1)] * 2 + [(0, 0)], 1 / 10)])
def test_perfect_agreement_on_few_answers_may_be_chance(pairs, p):
    """Two right and two wrong, all agreed: one in three; three and two: one in ten."""
    assert agreement_p(tables(pairs)) == pytest.approx(p)


@given(
    pairs=st.lists(st.tuples(st.integers(0, 1), st.integers(0, 2)), min_size=1, max_size=12), times=st.integers(1, 9)
)
def test_repeats_prove_nothing_by_themselves(pairs, times):
    """The same cases again in the same items leave the p-value as it is."""
    assert agreement_p(tables(pairs) * times) == pytest.approx(agreement_p(tables(pairs)), abs=1e-9)


CASES = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 2)), min_size=1, max_size=4)


@given(items=st.lists(CASES, min_size=1, max_size=5))
def test_few_items_are_never_enough(items):
    """Whatever five items of up to four cases show, it may be chance: two against three have ten matchings."""
    assert 0.05 < agreement_p(np.array([tables(cases).sum(axis=0) for cases in items])) <= 1


def test_chance_is_seldom_taken_for_skill():
    """Of 400 judges that guess, two answers an item that share their fate, no more than about 5 % are distinguished."""
    rng = np.random.default_rng(5)
    found = 0
    for _ in range(400):
        scored, said = rng.integers(0, 2, 12), rng.choice(3, 12, p=(0.5, 0.4, 0.1))
        counts = tables(list(zip(scored, said, strict=True))) * 2
        found += agreement_p(counts) <= 0.05
    assert found / 400 <= 0.07
