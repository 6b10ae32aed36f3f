"""From the run file to the numbers: the same however many rows are read at a time, and however narrow the frame is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from taskpace.analysis.data import frame
from taskpace.analysis.data.cells import load_cells
from taskpace.analysis.data.frame import compact, last_attempts, load_frame, load_numbers
from taskpace.analysis.summary import summarise_trials
from taskpace.store import tables
from taskpace.store.store import Store

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["examples/demo.db", "tests/formats/format-1.db"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    with Store.open(ROOT / request.param) as found:
        yield found


@pytest.mark.parametrize("size", [3, 40])
def test_spans_do_not_show(store, size, monkeypatch):
    """A frame does not depend on how many attempts were read at a time, nor on how many were put in order."""
    whole = load_frame(store)
    monkeypatch.setattr(tables, "SPAN", size)
    monkeypatch.setattr(frame, "_AT_A_TIME", size)
    assert_frame_equal(load_frame(store), whole, check_exact=True)


def test_spans_have_every_trial_once(store, monkeypatch):
    """Whatever their size, spans follow each other without a gap and end with the last trial."""
    ids = sorted({trial for (trial,) in store.query("SELECT trial_id FROM record")[1]})
    for size in (1, 3, len(ids), 10 * len(ids)):
        monkeypatch.setattr(tables, "SPAN", size)
        found = list(tables.spans(store, anchors=False))
        assert [each.after for each in found] == [None, *(each.last for each in found[:-1])]
        assert found[-1].last == ids[-1]
        if size == 1:
            assert [each.last for each in found] == ids


def test_cells_can_be_read_alone(store):
    """The attempts of some cells are those that the whole frame has of them."""
    wanted = tables.cells(store)[::2]
    whole = load_frame(store)
    found = pl.concat(load_numbers(store, [cell_id for cell_id, *_ in wanted]))
    own = whole.filter(pl.col("cell_position").is_in([position for _, position, *_ in wanted]))
    columns = [name for name in found.columns if name != "detail"]
    assert_frame_equal(found.select(columns), own.select(columns), check_exact=True)
    assert not pl.concat(load_numbers(store, ["no such cell"])).height


def test_a_compact_frame_gives_the_same_summary(store):
    """Codes in place of names, without texts: every number of the summary is the same, to the last digit."""
    cells = load_cells(store)
    (narrow,) = compact(last_attempts(pl.concat(load_numbers(store))))
    wide = last_attempts(load_frame(store))
    assert narrow.estimated_size() < 0.7 * wide.estimated_size()
    found = [
        msgspec.json.encode(summarise_trials(trials, cells, name="x", limit_s=60, resamples=20))
        for trials in (narrow, wide)
    ]
    assert found[0] == found[1]
