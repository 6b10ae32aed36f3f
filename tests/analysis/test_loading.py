"""From the run file to the numbers: the same whatever way the rows come, and however narrow the frame is."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
import pytest
from polars.testing import assert_frame_equal

from taskpace.analysis.data.cells import load_cells
from taskpace.analysis.data.frame import compact, last_attempts, load_frame, load_numbers
from taskpace.analysis.summary import summarise_trials
from taskpace.store.queries import Rows
from taskpace.store.store import Store

ROOT = Path(__file__).parents[2]


@pytest.fixture(params=["examples/demo.db", "tests/formats/format-1.db"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    with Store.open(ROOT / request.param) as found:
        yield found


class InBatches:
    """A run file whose long queries come so many rows at a time."""

    def __init__(self, store: Store, size: int) -> None:
        self.query = store.query
        self._store, self._size = store, size

    def batches(self, sql: str) -> Iterator[Rows]:
        rows: list[Any] = list(chain.from_iterable(self._store.batches(sql)))
        return (rows[start : start + self._size] for start in range(0, len(rows), self._size))


@pytest.mark.parametrize("size", [1, 7])
def test_batches_do_not_show(store, size):
    """A frame does not depend on how many rows were read at a time."""
    assert_frame_equal(load_frame(InBatches(store, size)), load_frame(store), check_exact=True)


def test_a_compact_frame_gives_the_same_summary(store):
    """Codes in place of names, without texts: every number of the summary is the same, to the last digit."""
    cells = load_cells(store)
    (narrow,) = compact(last_attempts(load_numbers(store)))
    wide = last_attempts(load_frame(store))
    assert narrow.estimated_size() < 0.7 * wide.estimated_size()
    found = [
        msgspec.json.encode(summarise_trials(trials, cells, name="x", limit_s=60, resamples=20))
        for trials in (narrow, wide)
    ]
    assert found[0] == found[1]
