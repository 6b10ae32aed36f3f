"""The unit of observation: items, and of times in static batches the batch."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, strategies as st

from taskpace.analysis.data.cells import CellPlan
from taskpace.analysis.data.sample import by_batch, take_sample
from taskpace.analysis.schema.summary import Summary
from taskpace.analysis.stats.bootstrap import Resamples
from taskpace.analysis.summary import summarise_trials
from taskpace.experiment.scenario import Scenario


def frame(batches: dict[str, list[list[int]]]) -> pl.DataFrame:
    """Trials of systems as lists of batches of items; the same item twice is another repeat."""
    rows = []
    for system, sent in batches.items():
        seen: dict[int, int] = {}
        for number, batch in enumerate(sent):
            for item in batch:
                seen[item] = seen.get(item, 0) + 1
                rows.append((system, f"i{item}", seen[item], 1, 1000 * number))
    schema = {"system": str, "item_id": str, "repeat": int, "worker": int, "dispatch_ns": int}
    return pl.DataFrame(rows, schema, orient="row")


def merged(batches: dict[str, list[list[int]]]) -> set[frozenset[int]]:
    """Batches that share an item, joined until nothing changes."""
    groups = [set(batch) for sent in batches.values() for batch in sent]
    while True:
        pair = next(((a, b) for a, b in itertools.combinations(groups, 2) if a & b), None)
        if pair is None:
            return {frozenset(group) for group in groups}
        groups = [group for group in groups if group is not pair[0] and group is not pair[1]] + [pair[0] | pair[1]]


@given(
    orders=st.lists(st.permutations(range(9)), min_size=1, max_size=3),
    size=st.integers(2, 4),
)
def test_units_are_batches_joined_by_what_they_share(orders, size):
    """Whatever the batches of each system, units are those of brute force, and an item has one place in all systems."""
    batches = {
        f"s{number}": [list(order[start : start + size]) for start in range(0, 9, size)]
        for number, order in enumerate(orders)
    }
    trials = frame(batches)
    units = by_batch(trials)
    found = trials.with_columns(unit=units["item_id"], place=units["repeat"])
    groups = found.group_by("unit").agg(pl.col("item_id").unique())
    assert {frozenset(int(name[1:]) for name in names) for names in groups["item_id"]} == merged(batches)
    assert found.group_by("item_id").agg(pl.struct("unit", "place").n_unique().alias("n"))["n"].max() == 1
    assert found.select("system", "unit", "place").is_unique().all()


def test_a_trial_that_was_never_sent_is_a_unit_of_its_own():
    """What was not tried after the memory ran out joins no batch and breaks none."""
    trials = frame({"a": [[0, 1], [2, 3]]}).with_columns(
        dispatch_ns=pl.when(pl.col("item_id").is_in(["i2", "i3"])).then(None).otherwise("dispatch_ns")
    )
    assert by_batch(trials)["item_id"].n_unique() == 3
    assert by_batch(trials.clear()).is_empty()


def test_without_batches_nothing_changes(trials_of):
    """The item is the unit, and both views are one."""
    sample = take_sample(trials_of("a"), ("a",), batched=False)
    assert sample.timed is sample.cells
    assert sample.shared is sample.own


SIZE, BATCHES = 8, 12


def experiment(trials_of: Any, rng: np.random.Generator) -> Summary:
    """Two systems that are alike; all items of a batch end with it."""
    cells = []
    for system in "ab":
        time_s = np.repeat(rng.lognormal(0, 0.5, BATCHES), SIZE)
        order = np.repeat(np.arange(BATCHES), SIZE)
        cells.append(
            trials_of(system, task_time_s=time_s, tpot_s=time_s / 100).with_columns(
                scenario=pl.lit(f"batch={SIZE}"), dispatch_ns=pl.Series(order * 10**9)
            )
        )
    plans = [
        CellPlan(system=system, task="t", scenario=Scenario(batch=SIZE), planned=SIZE * BATCHES, graded=True)
        for system in "ab"
    ]
    return summarise_trials(pl.concat(cells), plans, name="x", limit_s=60.0, resamples=0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("experiments", "least", "most"),
    [
        (60, 1 / 60, {"ratio": 0.16, "mean": 0.25, "median": 0.16}),
        # The mean's are of twelve skewed observations.
        pytest.param(300, 0.02, {"ratio": 0.09, "mean": 0.15, "median": 0.09}, marks=pytest.mark.soak),
    ],
)
def test_intervals_of_times_hold_the_truth_in_static_batches(trials_of, experiments, least, most):
    """Of experiments with equal systems the intervals of ratio, mean and median miss about one in twenty."""
    rng = np.random.default_rng(5)
    missed = dict.fromkeys(("ratio", "mean", "median"), 0)
    for _ in range(experiments):
        (table,) = experiment(trials_of, rng).tables
        ratio = table.pairs[0].task_time.change
        row = table.rows[0]
        assert (row.items, row.batches, table.pairs[0].task_time.items) == (SIZE * BATCHES, BATCHES, BATCHES)
        for name, number, truth in (
            ("ratio", ratio, 1.0),
            ("mean", row.task_time_mean_s, np.exp(0.125)),
            ("median", row.task_time_median_s, 1.0),
        ):
            missed[name] += not number.low <= truth <= number.high
    assert missed["ratio"] / experiments >= least
    for name, share in most.items():
        assert missed[name] / experiments <= share
    # Of what is each item's own the item stays the unit.
    assert table.pairs[0].accuracy.items == SIZE * BATCHES


def in_codes(trials: pl.DataFrame) -> pl.DataFrame:
    return trials.with_columns(pl.col("item_id").cast(pl.Enum(trials["item_id"].unique().sort())))


@pytest.mark.parametrize("coded", [False, True])
def test_items_asked_in_one_order_stay_in_it(trials_of, coded):
    """Where all systems were asked the same items in one order no column is gathered, and the bootstrap finds the order
    of the ids; where one was asked in another order items are sorted, and each has its own numbers either way.
    """
    ids = ["i3", "i0", "i2", "i1"]
    one = trials_of("a", 4, task_time_s=np.arange(1.0, 5.0)).with_columns(item_id=pl.Series(ids))
    other = trials_of("b", 4, task_time_s=np.arange(5.0, 9.0)).with_columns(item_id=pl.Series(ids))
    for second, stays in ((other, True), (other[::-1], False)):
        trials = pl.concat([one, second], rechunk=True)
        trials = in_codes(trials) if coded else trials
        arrays = take_sample(trials, ("a", "b"), batched=False).own
        assert np.shares_memory(arrays.task_time_s, trials["task_time_s"].to_numpy()) == stays
        items = arrays.items.cast(pl.String).to_list()
        assert items == (ids if stays else sorted(ids))
        assert [items[place] for place in arrays.by_id] == sorted(ids)
        by_item = dict(zip(items, arrays.task_time_s[..., 0].T.tolist(), strict=True))
        assert by_item == {item: [1.0 + place, 5.0 + place] for place, item in enumerate(ids)}
        np.testing.assert_array_equal(arrays.ranked_s, [[1, 2, 3, 4], [5, 6, 7, 8]])


def test_items_are_drawn_by_their_ids_however_they_stand():
    """The totals of resamples are the same, to the digit, for items in another order."""
    rng = np.random.default_rng(6)
    for count in (50, 5000):
        columns, places = rng.normal(size=(count, 2)), rng.permutation(count)
        turned = np.empty_like(columns)
        turned[places] = columns
        expected = Resamples(count, 20).totals(columns)
        np.testing.assert_array_equal(Resamples(count, 20, order=places).totals(turned), expected)


def test_trials_that_were_never_sent_are_in_no_batch(trials_of):
    """Where the server never came up there is no batch, and nothing to say of how few there are."""
    trials = trials_of("a", n=4, outcome="error").with_columns(
        scenario=pl.lit("batch=4"), dispatch_ns=pl.lit(None, dtype=pl.Int64)
    )
    cell = CellPlan(system="a", task="t", scenario=Scenario(batch=4), planned=4, graded=True)
    (row,) = summarise_trials(trials, [cell], name="x", limit_s=60, resamples=0).tables[0].rows
    assert row.batches == 0
    assert "few-batches" not in {finding.code for finding in row.findings}
