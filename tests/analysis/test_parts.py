"""Frames in parts, against polars' own group-by."""

from __future__ import annotations

import polars as pl
from hypothesis import given, strategies as st
from polars.testing import assert_frame_equal

from taskpace.analysis.data.parts import Parts, parts_of

keys = st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["x", "y", None])), max_size=12)


@given(keys, st.booleans())
def test_parts_are_the_groups(rows, together):
    """Each part has the rows of its values in their order, whether they stand together or apart; no row is left out."""
    rows = sorted(rows, key=str) if together else rows
    frame = pl.DataFrame(rows, schema={"one": pl.String, "two": pl.String}, orient="row").with_row_index()
    found, groups = parts_of(frame, "one", "two"), dict(frame.group_by("one", "two", maintain_order=True))
    assert list(found) == list(groups)
    for key, part in found.items():
        assert_frame_equal(part, groups[key])


@given(keys, st.booleans(), st.permutations([("a", "x"), ("b", None), ("b", "x"), ("no", "such")]))
def test_parts_together(rows, together, wanted):
    """Some parts have their rows one after the other in the order asked for; without rows the columns stay."""
    rows = sorted(rows, key=str) if together else rows
    frame = pl.DataFrame(rows, schema={"one": pl.String, "two": pl.String}, orient="row").with_row_index()
    groups = dict(frame.group_by("one", "two", maintain_order=True))
    expected = pl.concat([frame.clear(), *(groups[key] for key in wanted if key in groups)])
    assert_frame_equal(Parts.of(frame, "one", "two").together(wanted), expected)


def test_neighbours_together_are_a_view():
    """Parts that follow each other in the frame are one piece of it, though the whole is in one piece, too."""
    frame = pl.DataFrame({"key": ["a", "a", "b", "c"], "value": [1, 2, 3, 4]})
    found = Parts.of(frame, "key")
    assert found.together([("a",), ("b",)])["value"].n_chunks() == 1
    assert found.together([("b",), ("a",)])["value"].n_chunks() == 2
