"""Frames in parts, against polars' own group-by."""

from __future__ import annotations

import polars as pl
from hypothesis import given, strategies as st
from polars.testing import assert_frame_equal

from taskpace.analysis.data.parts import parts_of

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
