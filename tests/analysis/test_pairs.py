"""Two systems compared: against plain loops over items, and the same whichever comes first."""

from __future__ import annotations

import itertools
import math

import msgspec
import numpy as np
import pytest
from tests.later import Later

from taskpace.analysis.data.arrays import Arrays
from taskpace.analysis.stats import claims, intervals, split as stats_split
from taskpace.analysis.stats.bootstrap import Resamples
from taskpace.analysis.stats.significance import holm, holms
from taskpace.analysis.stats.split import of_writing
from taskpace.analysis.table import comparison, per_correct, splits
from taskpace.analysis.table.pairs import MEASURES, Pair, Pairing, adjust, compare_pairs

stats = Later("scipy.stats")


def arrays_of(systems: int, items: int, repeats: int, seed: int = 0, missing: float = 0.1) -> Arrays:
    """Random trials, some not recorded."""
    rng = np.random.default_rng(seed)
    shape = (systems, items, repeats)
    gone = rng.random(shape) < missing

    def some(values):
        return np.where(gone, np.nan, values)

    time_s = rng.lognormal(0, 0.5, shape)
    visible = rng.integers(20, 400, shape).astype(float)
    return Arrays(
        systems=tuple("abcdefgh"[:systems]),
        items=tuple(map(str, range(items))),
        task_time_s=some(time_s),
        spent_s=some(time_s),
        wait_s=some(time_s * 0.2),
        written_bytes=some(visible),
        visible_bytes=some(visible),
        reasoning_bytes=some(np.zeros(shape)),
        tpot_s=some(rng.lognormal(-4, 0.2, shape)),
        output_tokens=some(visible / 4),
        correct=some((rng.random(shape) < 0.6).astype(float)),
        cut=some(np.zeros(shape)),
        session=some(np.ones(shape)),
        round=some(np.full(shape, np.nan)),
        untimed=some(np.zeros(shape)),
        late=some(np.zeros(shape)),
        cost_usd=some((200 * 0.15 + visible / 4 * 0.6) / 1e6),
    )


def compare(arrays: Arrays, a: str = "a", b: str = "b", resamples: int = 0) -> Pair:
    drawn = Resamples(len(arrays.items), resamples) if resamples else None
    (pair,) = compare_pairs(arrays, [(a, b)], drawn, graded=True)
    return pair


@pytest.mark.parametrize("repeats", [1, 3])
def test_every_ratio_is_that_of_a_plain_loop(repeats):
    """Geometric means over items of the means over repeats that both have."""
    arrays = arrays_of(2, 40, repeats)
    logs, differences, seconds, right = [], [], [0.0, 0.0], [0.0, 0.0]
    for i in range(40):
        both = [r for r in range(repeats) if not np.isnan(arrays.correct[:, i, r]).any()]
        if not both:
            continue
        a, b = (arrays.task_time_s[s, i, both] for s in (0, 1))
        logs.append(np.mean(np.log(b) - np.log(a)))
        differences.append(np.mean(arrays.correct[1, i, both] - arrays.correct[0, i, both]))
        for s in (0, 1):
            seconds[s] += arrays.task_time_s[s, i, both].sum()
            right[s] += arrays.correct[s, i, both].sum()
    pair = compare(arrays)
    theirs = stats.ttest_1samp(logs, 0)
    assert pair.task_time.change.value == pytest.approx(math.exp(np.mean(logs)))
    assert pair.task_time.p == pytest.approx(theirs.pvalue)
    assert math.log(pair.task_time.change.high) == pytest.approx(theirs.confidence_interval(0.95).high)
    assert pair.wilcoxon_p == pytest.approx(stats.wilcoxon(logs, method="approx", correction=False).pvalue, rel=1e-6)
    assert pair.accuracy.change.value == pytest.approx(np.mean(differences))
    ratio = seconds[1] / right[1] / (seconds[0] / right[0])
    assert pair.time_per_correct.change.value == pytest.approx(ratio)
    assert pair.task_time.items == pair.accuracy.items == len(logs)


def test_the_split_is_a_mean_over_items():
    """Its whole is the mean difference in seconds; the parts add up to it."""
    arrays = arrays_of(2, 30, 1)
    split = compare(arrays).split
    differences = (arrays.task_time_s[1] - arrays.task_time_s[0]).ravel()
    assert split.difference_s.value == pytest.approx(np.nanmean(differences))
    parts = (split.wait_s, split.verbosity_s, split.tokenizer_s, split.decode_s)
    assert sum(part.value for part in parts) == pytest.approx(split.difference_s.value, rel=1e-9)


def test_the_other_way_round_says_the_same():
    """B against A: ratios inverted, differences negated, intervals mirrored, p-values the same."""
    arrays = arrays_of(2, 30, 2)
    there, back = compare(arrays, resamples=500), compare(arrays, "b", "a", resamples=500)
    for measure in MEASURES:
        one, other = getattr(there, measure), getattr(back, measure)
        if one.change.value is None:
            assert other.change.value is None
            continue
        mirror = (lambda x: -x) if measure == "accuracy" else (lambda x: 1 / x)
        assert one.change.value == pytest.approx(mirror(other.change.value))
        assert (one.change.low, one.change.high) == pytest.approx((mirror(other.change.high), mirror(other.change.low)))
        assert one.p == pytest.approx(other.p)
    assert there.split.difference_s.value == pytest.approx(-back.split.difference_s.value)
    assert there.inversion_probability == pytest.approx(back.inversion_probability)


def test_the_probability_of_inversion_is_a_loop_over_resamples():
    """Draw items, compare both geometric means, count."""
    arrays = arrays_of(2, 25, 1, missing=0)
    time = np.log(arrays.task_time_s[1] / arrays.task_time_s[0]).ravel()
    speed = -np.log(arrays.tpot_s[1] / arrays.tpot_s[0]).ravel()
    counts = Resamples(25, 400).totals(np.eye(25))
    inverted = sum((row @ time) * (row @ speed) > 0 for row in counts)
    assert compare(arrays, resamples=400).inversion_probability == pytest.approx(inverted / 400)


def test_one_item_or_none_claims_nothing():
    """No spread to judge by: values, and no significance; nothing in common: nulls."""
    lonely = compare(arrays_of(2, 1, 1, missing=0), resamples=50)
    assert lonely.task_time.change.value is not None
    assert lonely.task_time.p is None
    assert not lonely.task_time.significant
    nothing = compare(arrays_of(2, 4, 1, missing=1), resamples=50)
    assert nothing.task_time.change.value is None
    assert nothing.split is None
    assert nothing.inversion_probability is None
    assert nothing.items_for_5_percent is None
    assert compare_pairs(arrays_of(2, 4, 1), [], None, graded=True) == []


def test_only_the_family_is_adjusted():
    """Holm over the marked pairs, measure by measure; the others keep a p-value and are never significant."""
    arrays = arrays_of(4, 30, 1)
    pairs = compare_pairs(arrays, [("a", "b"), ("a", "c"), ("a", "d")], None, graded=True)
    adjusted = adjust(pairs, [True, False, True])
    for measure in ("task_time", "accuracy", "output_bytes"):
        before = [getattr(pair, measure).p for pair in pairs]
        after = [getattr(pair, measure).p_holm for pair in adjusted]
        expected = holm([before[0], before[2]])
        assert [after[0], after[2]] == pytest.approx(expected)
        assert after[1] is None
        assert not getattr(adjusted[1], measure).significant


def test_all_measures_of_a_table_are_adjusted_at_once(monkeypatch):
    """Holm's adjustment is one call for a table, not one for each measure and for its least p-values."""
    made: list[tuple[int, ...]] = []
    monkeypatch.setattr(comparison, "holms", lambda p: made.append(p.shape) or holms(p))
    adjust(compare_pairs(arrays_of(4, 30, 1), [("a", "b"), ("a", "c")], None, graded=True), [True, True])
    assert made == [(2, len(MEASURES), 2)]


def test_short_columns_are_worked_on_together(monkeypatch):
    """Splits of all pairs of a small table are made by one call, and of a larger one in as few as its blocks allow."""
    made: list[int] = []
    monkeypatch.setattr(
        splits, "of_writing", lambda sides, pairs, **kept: made.append(len(pairs)) or of_writing(sides, pairs, **kept)
    )
    arrays = arrays_of(4, 10, 1)
    pairs = list(itertools.combinations(arrays.systems, 2))
    whole = compare_pairs(arrays, pairs, None, graded=True)
    assert made == [6]
    made.clear()
    for module in (splits, intervals, per_correct):
        monkeypatch.setattr(module, "AT_A_TIME", 4 * 6 * 10)
    assert compare_pairs(arrays, pairs, None, graded=True) == whole
    assert made == [4, 2]


def test_what_is_linear_in_the_systems_is_not_looked_at_pair_by_pair(monkeypatch):
    """Where all is known the items' values are subtracted for ranks and for the parts of writing, once each: not for
    means of times, speeds, lengths, waiting, or what a correct answer takes.
    """
    subtracted: list[int] = []
    for module in (claims, stats_split, splits):
        found = module.differences
        monkeypatch.setattr(
            module,
            "differences",
            lambda values, pairs, out, found=found: subtracted.append(len(pairs)) or found(values, pairs, out),
        )
    arrays = arrays_of(4, 40, 1, missing=0)
    pairs = list(itertools.combinations(arrays.systems, 2))
    Pairing(arrays, graded=True).pairs(pairs, None)
    assert sum(subtracted) == 5 * len(pairs)


def test_a_pair_that_is_adjusted_is_made_once(monkeypatch):
    """Whatever the number of measures; a measure that was not tested stays the comparison that it was."""
    arrays = arrays_of(3, 30, 1)
    free = msgspec.structs.replace(arrays, cost_usd=np.full(arrays.cost_usd.shape, np.nan))
    pairs = compare_pairs(free, [("a", "b"), ("a", "c")], None, graded=True)
    made = []
    replace = msgspec.structs.replace
    monkeypatch.setattr(msgspec.structs, "replace", lambda each, **new: made.append(type(each)) or replace(each, **new))
    adjusted = adjust(pairs, [True, True])
    assert made.count(Pair) == 2
    assert all(after.cost_per_correct is before.cost_per_correct for after, before in zip(adjusted, pairs, strict=True))


def test_equal_systems_are_equal_exactly():
    """A system against its own copy: ratio 1, no difference, p 1, nothing to split."""
    arrays = arrays_of(1, 20, 2)
    twice = Arrays(
        systems=("a", "b"),
        items=arrays.items,
        **{name: np.repeat(getattr(arrays, name), 2, axis=0) for name in Arrays.__struct_fields__[2:]},
    )
    pair = compare(twice, resamples=100)
    assert (pair.task_time.change.value, pair.task_time.p) == (1, 1)
    assert pair.accuracy.change.value == 0
    assert pair.time_per_correct.p == 1
    assert pair.split.difference_s.value == 0
    assert pair.inversion_probability == 0.5


@pytest.mark.parametrize("repeats", [1, 2])
def test_blocks_of_pairs_do_not_show(monkeypatch, repeats):
    """Pairs are compared some at a time, so many as the cache holds: the same to the last digit as all at once."""
    arrays = arrays_of(4, 30, repeats)
    cut = np.where(np.random.default_rng(3).random(arrays.cut.shape) < 0.1, 1.0, arrays.cut)
    arrays = msgspec.structs.replace(arrays, cut=np.where(np.arange(4)[:, None, None] < 2, cut, arrays.cut))
    names = list(itertools.combinations("abcd", 2))
    drawn = Resamples(30, 40)
    whole = compare_pairs(arrays, names, drawn, graded=True)
    monkeypatch.setattr(intervals, "BLOCK_VALUES", 1)
    assert compare_pairs(arrays, names, drawn, graded=True) == whole


def test_the_other_way_round_a_split_has_the_other_sign():
    """Whichever system comes first, and whichever of several pairs it is in; and nothing is minus 0."""
    arrays = arrays_of(4, 30, 1)
    arrays = msgspec.structs.replace(arrays, wait_s=np.zeros(arrays.wait_s.shape))
    pairs = [(a, b) for a in "abcd" for b in "abcd" if a != b]
    found = dict(zip(pairs, compare_pairs(arrays, pairs, None, graded=True), strict=True))
    for a, b in pairs:
        one, other = found[a, b].split, found[b, a].split
        assert one == compare(arrays, a, b).split
        for name in one.__struct_fields__:
            mine, its = getattr(one, name), getattr(other, name)
            assert (mine.value, mine.low, mine.high) == (-its.value, -its.high, -its.low)
        assert math.copysign(1, one.wait_s.value) == 1
