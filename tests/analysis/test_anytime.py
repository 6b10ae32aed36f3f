"""Inference that one may stop by: against integrals, exact probabilities and simulated experiments."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from tests.later import Later

from taskpace.analysis.stats import anytime
from taskpace.analysis.stats.claims import decide, log_ratios
from taskpace.analysis.stats.intervals import log_influence
from taskpace.analysis.stats.sequential import Looked, adjust, items_more, look, look_per_correct, settle
from taskpace.analysis.until import decider
from taskpace.experiment.until import Seen, Until

integrate = Later("scipy.integrate")
stats = Later("scipy.stats")

EXPERIMENTS = 400
"""Each count has an error of about 1.1 points at 5 %; limits below allow for three of them."""


def drawn(seed: int, items: int, pairs: int, mean: float = 0.0):
    return np.random.default_rng(seed).normal(mean, 1.0, (items, pairs))


@pytest.mark.parametrize(("t", "n"), [(0.0, 2), (1.3, 5), (-2.5, 20), (4.0, 60)])
def test_the_evidence_about_a_mean_is_the_likelihood_ratio_of_t_mixed_over_effects(t, n):
    """The closed form equals the integral of noncentral over central t densities under the normal prior."""
    prior = stats.norm(0, math.sqrt(anytime.SPREAD))

    def part(effect: float) -> float:
        return prior.pdf(effect) * stats.nct.pdf(t, n - 1, effect * math.sqrt(n)) / stats.t.pdf(t, n - 1)

    mixed, _ = integrate.quad(part, -3, 3, limit=200)
    found = anytime.log_e_mean(np.array([t**2 / (n - 1)]), np.array([float(n)]))
    assert math.exp(found[0]) == pytest.approx(mixed, rel=1e-4)


@given(n=st.integers(12, 2000), error=st.sampled_from([0.2, 0.05, 0.01, 0.05 / 15]))
def test_the_reach_of_t_is_where_the_evidence_suffices(n, error):
    """At the end of the confidence sequence e is exactly 1 / error."""
    reach = anytime.t_reach(np.array([n]), error)
    if np.isfinite(reach[0]):
        found = anytime.log_e_mean(reach**2 / (n - 1), np.array([float(n)]))
        assert found[0] == pytest.approx(-math.log(error), rel=1e-6)


@pytest.mark.parametrize(("wins", "n"), [(0, 0), (3, 4), (2, 9), (31, 50)])
def test_the_evidence_about_most_items_is_a_mixture_over_shares(wins, n):
    """The closed form equals the integral of the likelihood ratio under the Beta(2, 2) cut off at 1/2."""

    def part(p: float) -> float:
        return 2 * stats.beta.pdf(p, 2, 2) * (2 * p) ** wins * (2 - 2 * p) ** (n - wins)

    mixed, _ = integrate.quad(part, 0.5, 1)
    found = anytime.log_e_most(np.array([float(wins)]), np.array([float(n)]))
    assert math.exp(found[0]) == pytest.approx(mixed)


def test_a_fair_coin_is_ever_called_unfair_as_seldom_as_promised():
    """By exact probabilities of all ways through 300 tosses: 2.5 % at most, and not far below 1 %."""
    error, alive, called = 0.025, np.array([1.0]), 0.0
    for n in range(1, 301):
        alive = (np.append(alive, 0.0) + np.append(0.0, alive)) / 2
        needed = anytime.wins_needed(n, error)
        called += alive[needed:].sum()
        alive[needed:] = 0.0
    assert 0.008 < called <= error


@given(n=st.integers(1, 300))
@settings(max_examples=30)
def test_the_wins_needed_are_the_fewest_that_suffice(n):
    """One win fewer does not reach 1 / error."""
    k = anytime.wins_needed(n, 0.025)
    log_e = anytime.log_e_most(np.array([k - 1.0, k]), np.array([float(n)] * 2))
    assert log_e[0] < -math.log(0.025)
    assert k > n or log_e[1] >= -math.log(0.025)


def test_equal_systems_are_seldom_ever_told_apart():
    """Two-sided, looking after every one of 300 items: 5 % of experiments at most, for light and heavy tails."""
    rng = np.random.default_rng(5)
    for values in (rng.normal(size=(300, EXPERIMENTS)), rng.standard_t(3, (300, EXPERIMENTS))):
        p = 2 * np.minimum(anytime.one_sided(values)[0], anytime.one_sided(-values)[0])
        assert (p <= 0.05).mean() <= 0.05 + 0.033


@given(seed=st.integers(0, 10_000), mean=st.floats(-0.5, 0.5), n=st.integers(3, 120))
@settings(max_examples=40)
def test_more_items_never_take_evidence_back(seed, mean, n):
    """The p-value of uncut answers only falls, and so does the width of the sequence."""
    values = drawn(seed, 130, 3, mean)
    assert (anytime.one_sided(values)[0] <= anytime.one_sided(values[:n])[0] + 1e-12).all()
    sequence = anytime.mean_sequence(values, 0.05)
    width = sequence.high - sequence.low
    with np.errstate(invalid="ignore"):
        steps = np.diff(width, axis=0)
    assert not (steps > 1e-9).any()


def test_nothing_is_said_of_a_mean_before_fifty_items():
    """Up to 49 items claims are about most items, from 50 common ones on about the mean."""
    values = drawn(3, 61, 1, 0.1)
    assert anytime.one_sided(values[:49])[1][0]
    assert not anytime.one_sided(values[:50])[1][0]
    holes = values.copy()
    holes[:12] = np.nan
    assert anytime.one_sided(holes)[1][0]
    assert np.isinf(anytime.mean_sequence(values[:49], 0.05).high).all()


def test_a_cut_answer_makes_the_claim_one_about_most_items():
    """Minus infinity anywhere: the sign e-process of all items, whatever the others are."""
    values = drawn(4, 90, 1, 0.8)
    values[70] = -np.inf
    p, on_most = anytime.one_sided(values)
    wins, n = np.cumsum(values > 0), np.arange(1.0, 91.0)
    assert on_most[0]
    assert p[0] == pytest.approx(math.exp(-anytime.log_e_most(wins.astype(float), n).max()))


def test_ends_that_cross_are_those_of_the_last_look():
    """Values whose mean moves away exclude what they said before: no empty interval is shown."""
    values = np.concatenate([drawn(1, 300, 1, 3.0), drawn(2, 2000, 1, -3.0)])
    sequence = anytime.mean_sequence(values, 0.05)
    assert (sequence.low <= sequence.high).all()
    assert sequence.low[-1, 0] < values.mean() < sequence.high[-1, 0]


def test_the_error_of_time_per_correct_answer_is_the_jackknifes():
    """After each item the running sums give what the influence of all items so far gives."""
    rng = np.random.default_rng(6)
    seconds = rng.lognormal(size=(2, 40, 1))
    correct = (rng.random((2, 40, 1)) < 0.6).astype(float)
    found = anytime.per_correct((seconds[0], correct[0]), (seconds[1], correct[1]))
    for n in (20, 40):
        a, b = (log_influence(seconds[side, :n], correct[side, :n]) for side in (0, 1))
        error = math.sqrt(n / (n - 1) * float(((b - a) ** 2).sum()))
        assert found.error[n - 1, 0] == pytest.approx(error)
    assert not found.look[(np.cumsum(correct, axis=1).min(axis=0) < anytime.LEAST_CORRECT)].any()


def test_equal_times_per_correct_answer_are_seldom_ever_told_apart():
    """What takes long is answered wrong more often, looking after every item: 5 % of experiments at most."""
    rng = np.random.default_rng(7)
    item = rng.normal(0, 0.5, (300, EXPERIMENTS))
    sides = []
    for _ in range(2):
        logs = item + rng.normal(0, 0.5, item.shape)
        sides.append((np.exp(logs), (rng.random(item.shape) < 1 / (1 + np.exp(item))).astype(float)))
    found = look_per_correct(anytime.per_correct(*sides), 1)
    assert (found.p <= 0.05).mean() <= 0.05 + 0.033
    assert ((found.low > 0) | (found.high < 0)).mean() <= 0.05 + 0.033


def looked(ratio: float = 1.0, n: int = 200, pairs: int = 1, seed: int = 1, share: int = 1) -> Looked:
    rng = np.random.default_rng(seed)
    logs = rng.normal(0, 0.3, (pairs + 1, n, 1)) + math.log(ratio) * np.arange(pairs + 1)[:, None, None]
    values = np.exp(logs)
    return look(log_ratios(values, np.zeros(values.shape, bool), [(0, b + 1) for b in range(pairs)]), share)


def test_without_a_margin_the_error_is_holms_and_with_one_it_is_shared():
    """A pair that is settled leaves its error to the others only where no pair can be claimed to be equivalent."""
    p = np.array([0.001, 0.03, np.nan])
    assert adjust(p, shared=False)[:2] == [0.002, 0.03]
    assert adjust(p, shared=True)[:2] == [pytest.approx(0.003), pytest.approx(0.09)]


def test_pairs_are_settled_by_a_difference_or_by_the_margin():
    """Far apart: who is sooner. Alike and within the margin: equivalent. Neither: open."""
    far, alike = looked(1.5), looked(1.0, n=600)
    assert (settle(far, None).sign, settle(far, None).equivalent) == ([1], [False])
    assert (settle(alike, 0.2).sign, settle(alike, 0.2).equivalent) == ([0], [True])
    assert (settle(alike, None).sign, settle(alike, None).equivalent) == ([0], [False])
    assert not settle(alike, 0.01).equivalent[0]


def test_systems_that_differ_by_the_margin_are_seldom_ever_equivalent():
    """At the very margin, whenever one stops: 5 % of experiments at most."""
    rng = np.random.default_rng(8)
    values = rng.normal(math.log(1.1), 0.3, (300, EXPERIMENTS))
    sequence = anytime.mean_sequence(values, 0.05)
    close = np.maximum(-sequence.low, sequence.high)
    assert (close.min(axis=0) <= math.log(1.1)).mean() <= 0.05 + 0.033


def test_what_a_pair_will_take_is_told_from_what_it_shows():
    """A clear difference takes few more, a smaller one more, no difference is not settled unless there is a margin."""
    few, many = (items_more(looked(ratio, n=60), 0, 0.01, None) for ratio in (1.25, 1.12))
    assert few is not None
    assert many is not None
    assert 0 < few < many
    alike = looked(1.0, n=100)
    margin = math.expm1(float(alike.close[0]))
    assert items_more(alike, 0, 0.05, 0.8 * margin) is not None
    flat = Looked(*(np.array([each]) for each in (60.0, 1.0, 0.0)), np.array([False]),
                  *(np.array([each]) for each in (0.0, -0.2, 0.2, 0.2, 0.0)))  # fmt: skip
    assert items_more(flat, 0, 0.05, None) is None


def seen(seed: int, n: int, ratio: float = 1.3) -> list[list[Seen]]:
    rng = np.random.default_rng(seed)
    return [
        [Seen(float(each), False, bool(rng.random() < 0.8)) for each in ratio**system * rng.lognormal(0, 0.3, n)]
        for system in range(3)
    ]


@pytest.mark.parametrize("by", ["task-time", "s-per-correct"])
def test_the_decision_is_a_function_of_the_records_alone(by):
    """Asked once or after every item, by this object or another: the same standing."""
    trials = seen(9, 70)
    decide, again = decider(Until(by=by)), decider(Until(by=by))
    for n in (0, 1, 2, 20, 70):
        told = {name: each[:n] for name, each in zip("abc", trials, strict=True)}
        assert decide(told) == again(told)
    assert decide(told).items == 70
    assert len(decide(told).pairs) == 3


def test_what_was_not_asked_of_a_system_at_rest_is_no_observation():
    """A system that rests from item 40 on keeps its pairs as they were, and its claim."""
    trials = seen(10, 80, 2.0)
    decide = decider(Until())
    before = decide({name: each[:40] for name, each in zip("abc", trials, strict=True)})
    rested = [trials[0], trials[1], [*trials[2][:40], *[None] * 40]]
    after = decide(dict(zip("abc", rested, strict=True)))
    assert before.pairs[1] == after.pairs[1]
    assert after.pairs[1].items == 40
    assert {pair.verdict for pair in after.pairs} == {"a"}
    assert after.needed() == frozenset()


def test_a_failed_trial_is_never_in_favour_of_its_system():
    """A system all of whose trials fail at once is not the sooner one."""
    quick = [Seen(None, True, False) for _ in range(80)]
    slow = [Seen(1.0, False, True) for _ in range(80)]
    (pair,) = decider(Until())({"failing": quick, "working": slow}).pairs
    assert pair.verdict in {"open", "b"}


def test_systems_of_equal_times_without_any_scatter_are_equivalent_and_never_different():
    """A constant: no division by the scatter, no claim that one is sooner."""
    trials = {name: [Seen(1.0, False, True) for _ in range(60)] for name in "ab"}
    (pair,) = decider(Until())(trials).pairs
    assert pair.verdict == "open"
    (pair,) = decider(Until(margin=0.05))(trials).pairs
    assert pair.verdict == "equivalent"


def test_both_directions_share_the_error_of_a_pair():
    """The p-value of the pair is twice the smaller one, as with a fixed number of items."""
    values = np.exp(drawn(11, 80, 2).T[..., None] * 0.3)
    found = log_ratios(values, np.zeros(values.shape, bool), [(0, 1)])
    claims = decide(found, anytime.one_sided)
    sides = [anytime.one_sided(each)[0][0] for each in (found.low, -found.high)]
    assert claims.p[0] == pytest.approx(min(1.0, 2 * min(sides)))
