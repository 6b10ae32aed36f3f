"""Trials as arrays: what a column says is what the frame says, of all trials and of some."""

from __future__ import annotations

import gc
import sys
import weakref

import numpy as np
import polars as pl
import pytest
from hypothesis import given, strategies as st

from taskpace.analysis.data import columns
from taskpace.analysis.data.arrays import arrays_of, cells_of, to_arrays, with_items
from taskpace.analysis.data.columns import Trials, Whole, together
from taskpace.analysis.data.parts import Parts
from taskpace.analysis.data.sample import sample_of
from taskpace.records import OUTCOMES

rows = st.lists(
    st.tuples(
        st.none() | st.integers(0, 2**40),
        st.none() | st.floats(-1e6, 1e6),
        st.none() | st.booleans(),
        st.none() | st.sampled_from(OUTCOMES),
        st.none() | st.just("a log"),
        st.integers(0, 3),
        st.booleans(),
    ),
    max_size=12,
)
SCHEMA = {
    "count": pl.Int64,
    "task_time_s": pl.Float64,
    "unanswered": pl.Boolean,
    "outcome": pl.String,
    "imported": pl.String,
    "item": pl.UInt32,
    "late": pl.Boolean,
}


def as_frame(found: list[tuple[object, ...]], *, coded: bool) -> pl.DataFrame:
    frame = pl.DataFrame(found, SCHEMA, orient="row")
    return frame.with_columns(pl.col("outcome").cast(pl.Enum(OUTCOMES))) if coded else frame


@given(rows, st.booleans())
def test_a_column_is_the_frames(found, coded):
    """Unknown numbers are NaN, unknown flags false, texts known or not; outcomes are counted, whatever their type."""
    frame = as_frame(found, coded=coded)
    trials = Trials(frame)
    for name in ("count", "task_time_s"):
        expected = [np.nan if each is None else float(each) for each in frame[name]]
        np.testing.assert_array_equal(trials[name], expected)
        assert trials[name] is trials[name]
    assert trials["unanswered"].tolist() == [each is True for each in frame["unanswered"]]
    assert trials["imported"].tolist() == [each is not None for each in frame["imported"]]
    assert trials["item"].tolist() == frame["item"].to_list()
    assert trials.outcomes == {each: n for each in OUTCOMES if (n := frame["outcome"].to_list().count(each))}
    assert trials.items == len(set(frame["item"]))


@given(rows)
def test_some_trials_are_those_of_the_frame(found):
    """What ended, what ended in time and what has an outcome are the rows that a filter of the frame leaves."""
    frame = as_frame(found, coded=False)
    trials = Trials(frame)
    ended = frame.filter(pl.col("outcome") != "error")
    assert trials.ended["item"].tolist() == ended["item"].to_list()
    assert trials.ended.in_time["item"].tolist() == ended.filter(~pl.col("late"))["item"].to_list()
    cut = trials.having("truncated", "timeout")
    assert (cut is None) == frame.filter(pl.col("outcome").is_in(["truncated", "timeout"])).is_empty()
    if cut is not None:
        assert cut.tolist() == [each in ("truncated", "timeout") for each in frame["outcome"]]


def test_all_of_them_are_no_copy(trials_of):
    """Where nothing failed the trials that ended are the trials; numbers without a gap are the frame's own."""
    trials = Trials(trials_of())
    assert trials.ended is trials
    assert trials.ended.in_time is trials
    assert np.shares_memory(trials["task_time_s"], trials.frame["task_time_s"].to_numpy())


@given(rows)
def test_what_is_known_is_what_the_frame_has(found):
    """Which numbers are unknown, which trials have a flag and what numbers add up to, of all trials and of a cell's."""
    frame = as_frame(found, coded=True)
    half = len(found) // 2
    whole = Whole(frame)
    for trials, part in (
        (Trials(frame), frame),
        (whole.rows(0, half), frame[:half]),
        (whole.rows(half, len(found) - half), frame[half:]),
    ):
        for name in ("count", "task_time_s"):
            numbers = part[name].drop_nulls()
            unknown = trials.unknown(name)
            assert (unknown is None) == (not part[name].null_count())
            assert unknown is None or unknown.tolist() == part[name].is_null().to_list()
            assert trials.known(name).tolist() == numbers.to_list()
            assert trials.knowing(name)["item"].tolist() == part.drop_nulls(name)["item"].to_list()
            assert trials.total(name) == pytest.approx(sum(numbers), abs=1e-6)
        for name in ("unanswered", "imported"):
            flags = (part[name] if name == "unanswered" else part[name].is_not_null()).fill_null(value=False).to_list()
            seen = trials.flagged(name)
            assert (seen is None) == (not any(flags))
            assert seen is None or seen.tolist() == flags
        outcomes = part["outcome"].to_list()
        assert trials.outcomes == {each: n for each in OUTCOMES if (n := outcomes.count(each))}


def test_cells_see_the_frame_and_copy_what_has_gaps(trials_of):
    """Numbers without a gap, whole or not, are the frame's own in every cell; each copies columns with gaps."""
    frame = pl.concat([trials_of("a", 4, score=[None, 1.0, 0.5, None]), trials_of("b", 4)], rechunk=True)
    whole = Whole(frame)
    cells = [whole.rows(0, 4), whole.rows(4, 4)]
    for cell in cells:
        for name in ("task_time_s", "output_tokens", "trial_position"):
            assert np.shares_memory(cell[name], frame[name].to_numpy()), name
        assert cell["imported"].strides == cell["late"].strides == (0,)
    assert cells[0]["score"].base is not cells[1]["score"].base
    np.testing.assert_array_equal(cells[0]["score"], [np.nan, 1.0, 0.5, np.nan])
    assert np.isnan(cells[1]["score"]).all()


def test_another_model_s_tokens_are_flagged(trials_of):
    """Where another model's tokenizer counted, and nowhere where the source is unknown."""
    frame = trials_of("a", 3, token_source=["foreign", "engine", None])
    for each in (frame, frame.with_columns(pl.col("token_source").cast(pl.Enum(["engine", "foreign"])))):
        assert Trials(each)["foreign"].tolist() == [True, False, False]
    assert Whole(frame[1:]).rows(0, 2).flagged("foreign") is None


def test_trials_and_arrays_are_gone_with_their_last_reader(trials_of):
    """Neither holds itself, all ended and in time or not: else the tables of a large run would pile up in memory."""
    left: list[weakref.ref[Trials]] = []
    gc.disable()
    try:
        for late in (False, True):
            trials, items = with_items(trials_of("a", 4, late=[late, False, False, False]))
            cells = cells_of(trials, ("a",))
            left += [weakref.ref(cell) for cell in cells]
            counted = sys.getrefcount(arrays := arrays_of(cells, items, ("a",)))
            assert (arrays.in_time is arrays) == (cells[0].in_time is cells[0]) == (not late)
            assert cells[0].ended is cells[0]
            assert sys.getrefcount(arrays) == counted
            del cells, arrays
        assert [each() for each in left] == [None, None]
    finally:
        gc.enable()


def test_a_column_that_is_not_there_is_an_error(trials_of):
    """A wrong name is an error, and not a column of unknown values."""
    with pytest.raises(pl.exceptions.ColumnNotFoundError):
        Trials(trials_of())["task_times"]


def test_what_is_the_same_for_all_takes_no_memory(trials_of):
    """Numbers that all trials share are one number, seen in every place; one trial that is missing is NaN in each."""
    trials = pl.concat([trials_of("a", 12, tpot_s=np.arange(12.0)), trials_of("b", 12)])
    arrays = to_arrays(trials, ("a", "b"))
    for name, value in (("cut", 0.0), ("late", 0.0), ("correct", 1.0), ("cost_usd", np.nan)):
        cube = getattr(arrays, name)
        np.testing.assert_array_equal(cube, np.full((2, 12, 1), value))
        assert cube.strides == (0, 0, 0), name
    np.testing.assert_array_equal(arrays.tpot_s[..., 0], [np.arange(12.0), np.full(12, 0.01)])
    fewer = to_arrays(trials[1:], ("a", "b"))
    for name in ("cut", "late", "correct", "tpot_s"):
        expected = np.array(getattr(arrays, name))
        expected[0, 0, 0] = np.nan
        np.testing.assert_array_equal(getattr(fewer, name), expected)


@given(rows, st.integers(1, 3), st.integers(0, 2))
def test_cells_that_are_alike_say_what_each_says(found, count, gap):
    """Cells of one height, at even distances in their frame, at others, or of frames of their own: columns, sums,
    flags and outcomes of all at once are those of each cell by itself.
    """
    frame = as_frame(found, coded=True)
    size = max(0, len(found) - 2 * gap) // count
    begins = [row * (size + gap * (row > 1)) for row in range(count)]
    whole = Whole(frame)
    cells = whole.cells([(begin, size) for begin in begins])
    alone = [Trials(frame[begin : begin + size]) for begin in begins]
    for of_all in (cells, alone):
        groups = together(of_all)
        assert [places for places, _ in groups] == ([list(range(count))] if size else [])
        for _, alike in groups:
            for name in ("count", "task_time_s", "unanswered", "outcome", "item"):
                np.testing.assert_array_equal(alike[name], [each[name] for each in alone])
            assert alike.totals("count") == [each.total("count") for each in alone]
            assert alike.outcomes_of_each == [each.outcomes for each in alone]
            assert alike.items_of_each == [len(set(each["item"].tolist())) for each in alone]
            for name in ("count", "task_time_s"):
                assert alike.greatest(name) == [max(each.known(name).tolist(), default=-np.inf) for each in alone]
            unknown = alike.unknown("task_time_s")
            expected = [each.unknown("task_time_s") for each in alone]
            assert (unknown is None) == all(each is None for each in expected)
    for cell, other in zip(cells, alone, strict=True):
        assert cell.count("unanswered") == other.count("unanswered")
        np.testing.assert_array_equal(cell.knowing("count")["count"], other.knowing("count")["count"])


@pytest.mark.parametrize("missing", [False, True])
def test_a_complete_run_s_columns_are_made_once(trials_of, monkeypatch, missing):
    """Whatever the number of cells: their tables see them where they are. With a gap a table makes its own."""
    made: list[str] = []
    as_array = columns.as_array
    monkeypatch.setattr(columns, "as_array", lambda values: made.append(values.name) or as_array(values))
    systems, tasks = ("a", "b", "c"), ("t", "u")
    trials = pl.concat([trials_of(system, 6, task=task) for system in systems for task in tasks], rechunk=True)
    if missing:
        trials = trials.with_columns(ttft_s=pl.when(pl.int_range(pl.len()) > 0).then("ttft_s"))
    parts = Parts.of(trials, "task", "system")
    whole = Whole(parts.trials)
    for task in tasks:
        sample = sample_of(parts, whole, [(task, system) for system in systems], batched=False)
        for cell in sample.cells:
            assert cell["ttft_s"].shape == (6,)
        ((_, alike),) = together(sample.cells)
        assert np.shares_memory(alike["task_time_s"], trials["task_time_s"].to_numpy())
    assert made.count("ttft_s") == (6 if missing else 1)
    assert {made.count(name) for name in set(made) - {"ttft_s"}} == {1}
