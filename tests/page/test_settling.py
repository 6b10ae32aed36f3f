"""How pairs settle: the path that leads to what is claimed, as a picture and in a terminal."""

from __future__ import annotations

from typing import Any

import altair as alt
import msgspec
import numpy as np
import polars as pl
import pytest
from tests.page.test_charts import only

from taskpace.analysis.data.arrays import to_arrays
from taskpace.analysis.schema.summary import Summary
from taskpace.analysis.table.settled import Settled
from taskpace.analysis.until import standing_of
from taskpace.experiment.until import Until
from taskpace.report.charts import panels
from taskpace.report.charts.theme import configured
from taskpace.report.terminal.plots import plot_lines
from taskpace.report.words.settling import paths_shown
from taskpace.text.safe_text import column_width

UNTIL = Until(margin=0.2)


@pytest.fixture
def decided(trials_of, summary_of):
    """A run of 120 items: each of so many systems takes ``ratio`` times as long as the one before it."""

    def build(ratios: list[float], until: Until | None = UNTIL) -> tuple[pl.DataFrame, Summary]:
        rng = np.random.default_rng(5)
        item = rng.normal(0, 0.5, 120)
        cells = [
            trials_of(
                f"system {number}",
                n=120,
                task_time_s=np.exp(item + rng.normal(0, 0.2, 120)) * ratio,
            )
            for number, ratio in enumerate(ratios)
        ]
        return pl.concat(cells), summary_of(*cells, until=until)

    return build


def settled_of(summary: Summary) -> Settled:
    assert summary.tables[0].settled is not None
    return summary.tables[0].settled


def test_a_path_ends_where_the_pair_stands(decided):
    """The last look of each path is the pair's ratio and interval; looks go forward in time, and are few."""
    found = settled_of(decided([1.0, 1.02, 1.5])[1])
    for pair, path in zip(found.pairs, found.paths, strict=True):
        last = path.looks[-1]
        assert (last.items, last.ratio, last.low, last.high) == (pair.items, pair.ratio, pair.low, pair.high)
        items = [look.items for look in path.looks]
        assert items == sorted(set(items))
        assert len(items) <= 30


def test_a_pair_is_settled_at_the_item_from_which_on_it_is_not_open(decided):
    """One item earlier it is open, and from there on never again."""
    trials, summary = decided([1.0, 1.02, 1.5])
    arrays = to_arrays(trials, ("system 0", "system 1", "system 2"), in_order=True)
    found = settled_of(summary)
    verdicts = [[pair.verdict for pair in standing_of(arrays, UNTIL, n).pairs] for n in range(1, 121)]
    for index, path in enumerate(found.paths):
        after = path.settled_after
        assert after is not None
        assert verdicts[after - 2][index] == "open"
        assert "open" not in {each[index] for each in verdicts[after - 1 :]}


def test_the_picture_has_a_pair_below_the_other_and_the_table_all(decided):
    """Six of ten pairs, those that took longest; the caption shows that it is a choice."""
    (_, summary) = decided([1.0, 1.02, 1.5, 2.2, 3.3])
    panel = only(panels(summary, "settling"), "settling")
    drawn: dict[str, Any] = configured(panel.picture)
    assert len(drawn["vconcat"]) == 6
    assert "6 of 10 pairs that took longest" in panel.caption
    assert len(panel.rows) == 10
    last = paths_shown(settled_of(summary))[-1]
    assert drawn["vconcat"][-1]["title"]["text"] == panel.rows[-1][0] == last.pair(str)
    assert drawn["vconcat"][-1]["title"]["subtitle"] == last.verdict


def test_the_picture_is_valid_vega_lite(decided):
    """What is drawn without altair's own checks passes them, with a margin, a mark and an interval."""
    (_, summary) = decided([1.0, 1.5])
    panel = only(panels(summary, "settling"), "settling")
    (pair,) = configured(panel.picture)["vconcat"]
    alt.LayerChart.from_dict({key: value for key, value in pair.items() if key != "name"}, validate=True)


def test_only_a_run_that_its_data_stopped_has_the_picture(decided):
    """Where the number of items was fixed there is no such chart, and no such plot."""
    (_, summary) = decided([1.0, 1.5], None)
    assert panels(summary, "settling") == []
    assert not any("settled" in str(line) for line in plot_lines(summary.tables[0], 80))


@pytest.mark.parametrize("width", [40, 80, 120])
def test_the_terminal_draws_each_pair_at_a_few_moments(decided, width):
    """No line wider than the terminal; the quicker first, its ratio right of 1; the interval becomes narrower."""
    (_, summary) = decided([1.0, 1.5])
    lines = [str(line) for line in plot_lines(summary.tables[0], width)]
    assert max(map(column_width, lines)) <= width
    begin = next(index for index, line in enumerate(lines) if line.startswith("How the pairs settled by task time"))
    _, pair, *moments = lines[begin : begin + 5]
    assert pair.startswith("system 0 before system 1" if width > 40 else "s")
    assert [int(line.split()[0]) for line in moments] == [13, 39, 120]
    assert all(line.index("│") < line.index("●") for line in moments)
    spans = [len(line[8:].replace("┊", " ").replace("│", "─").strip()) for line in moments]
    assert spans == sorted(spans, reverse=True)


def test_a_pair_without_a_ratio_is_left_out_of_the_picture(decided):
    """Two items with nothing known draw nothing, and nothing breaks."""
    (_, summary) = decided([1.0, 1.5])
    table = summary.tables[0]
    found = settled_of(summary)
    looks = tuple(msgspec.structs.replace(look, ratio=None, low=None, high=None) for look in found.paths[0].looks)
    empty = msgspec.structs.replace(found, paths=(msgspec.structs.replace(found.paths[0], looks=looks),))
    unknown = msgspec.structs.replace(summary, tables=(msgspec.structs.replace(table, settled=empty),))
    assert panels(unknown, "settling") == []
