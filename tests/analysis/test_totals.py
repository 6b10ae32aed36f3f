"""Totals of all systems of a table against those of one after the other."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import polars as pl
import pytest

from taskpace.analysis.data.arrays import to_arrays
from taskpace.analysis.stats import intervals
from taskpace.analysis.stats.estimates import UNKNOWN, ratios
from taskpace.analysis.stats.items import item_counts, item_sums
from taskpace.analysis.stats.per_correct import mean_and_per_correct
from taskpace.analysis.table.per_correct import of_time
from taskpace.analysis.table.totals import time_totals, token_totals

approx = partial(pytest.approx, rel=1e-12, abs=0, nan_ok=True)
"""Means have a shorter way to the same numbers."""


def alike(one, other):
    ends, others = ([math.nan if end is None else end for end in (e.value, e.low, e.high)] for e in (one, other))
    return one.bound == other.bound and ends == approx(others)


@pytest.fixture
def arrays(trials_of):
    """Systems of 30 items: plain; with a wrong answer in two; with unknown tokens; few correct; with errors; cut; none
    that ended.
    """
    rng = np.random.default_rng(1)

    def cell(system, **columns):
        return trials_of(
            system, task_time_s=rng.lognormal(0, 0.5, 30), output_tokens=rng.integers(1, 90, 30), **columns
        )

    half = ["correct", "wrong"] * 15
    trials = pl.concat(
        [
            cell("plain"),
            cell("half", outcome=half),
            cell("gaps").with_columns(output_tokens=pl.when(pl.int_range(30) > 0).then("output_tokens")),
            cell("few", outcome=["correct"] * 3 + ["wrong"] * 27),
            cell("errors", outcome=["error"] * 4 + ["correct"] * 26),
            cell("cut", outcome=["truncated"] * 4 + ["correct"] * 26),
            cell("none", outcome=["error"] * 30),
        ]
    )
    return to_arrays(trials, tuple(trials["system"].unique(maintain_order=True)))


@pytest.mark.parametrize("values", [1, 70, 1 << 15])
def test_totals_are_each_system_s_own(arrays, values, monkeypatch):
    """In blocks of one system, of two, or all at a time: means and ratios are those of the system alone; bounds where
    answers were cut or failed, unknown where a number is.
    """
    monkeypatch.setattr(intervals, "AT_A_TIME", values)
    tokens, per_correct = token_totals(arrays, None)
    for index, name in enumerate(arrays.systems):
        there = ~np.isnan(arrays.task_time_s[index])
        mean, each = mean_and_per_correct(arrays.output_tokens[index], arrays.correct[index], there, None)
        assert (tokens[index].value is None) == (mean.value is None), name
        assert mean.value is None or tokens[index].value == approx(mean.value), name
        assert per_correct[index].value == each.value, name
        assert alike(tokens[index], mean) == (name not in ("errors", "cut"))
        assert (per_correct[index] == each) == (name != "errors")
    assert tokens[2] == per_correct[2] == tokens[6] == per_correct[6] == UNKNOWN
    means, seconds, par2 = time_totals(arrays, 60.0, None, of_time(arrays))
    for index, name in enumerate(arrays.systems):
        spent, right = arrays.spent_s[index], arrays.correct[index]
        recorded = arrays.recorded_s[index]
        columns = (item_sums(recorded), item_sums(spent)), (item_counts(~np.isnan(recorded)), item_sums(right))
        mean, each = ratios(*(np.stack(pair).T for pair in columns))
        assert means[index].value == approx(mean.value), name
        if name not in ("few", "none"):
            assert alike(seconds[index], each), name
    assert seconds[3].value == pytest.approx(arrays.spent_s[3].sum() / 3)
    assert seconds[6].bound == ">="
    assert par2[1].value == pytest.approx((arrays.task_time_s[1, ::2].sum() + 15 * 120) / 30)
