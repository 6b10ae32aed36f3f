"""What a cell cost, by task and by correct answer, and which systems no other beats in both time and money."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import polars as pl

from taskpace.analysis.data.arrays import Arrays
from taskpace.analysis.data.cells import CellPlan
from taskpace.analysis.data.costs import MISSING
from taskpace.analysis.schema.summary import Cost, MeasuredRow
from taskpace.analysis.stats.estimates import UNKNOWN, Estimate
from taskpace.analysis.stats.intervals import Reach
from taskpace.analysis.stats.per_correct import mean_and_per_correct


def find_cost(cell: CellPlan, part: pl.DataFrame, arrays: Arrays, index: int, reach: Reach | None) -> Cost | None:
    """The cost of a cell; null without a price, and without a trial.

    Args:
        cell: as planned.
        part: its trials, last attempts, with the columns of ``data.costs``.
        arrays: the table's, without late trials, by what is one observation of a time.
        index: of the system in them.
        reach: of the intervals; null: the number of items was fixed.
    """
    if cell.price is None or not part.height:
        return None
    correct = arrays.correct[index]
    per_task, per_correct = mean_and_per_correct(arrays.cost_usd[index], correct, ~np.isnan(correct), reach)
    known = part["cost_usd"].null_count() == 0
    missing = dict(part["cost_missing"].drop_nulls().value_counts().iter_rows())
    return Cost(
        total_usd=float(part["cost_usd"].sum()) if known else None,
        per_task_usd=per_task if known else UNKNOWN,
        per_correct_usd=per_correct if known and cell.graded else UNKNOWN,
        missing={why: missing[why] for why in MISSING if why in missing},
        cached_unknown=int(part["cached_tokens"].null_count()) if cell.price.discount > 0 else 0,
        absent=0 if cell.imported is None else max(0, cell.planned - part.height),
        kind="allocated" if cell.price.per_hour is not None and not cell.alone else "measured",
    )


Row = TypeVar("Row", bound=MeasuredRow)


def cost_per_correct(row: MeasuredRow) -> Estimate:
    """US dollars of a correct answer; unknown without a price."""
    return UNKNOWN if row.cost is None else row.cost.per_correct_usd


def frontier(rows: Sequence[Row], per_correct: Callable[[Row], Estimate]) -> tuple[str, ...]:
    """The valid systems that no other beats in both time per correct answer and something else, by their values.

    Args:
        rows: of a table.
        per_correct: what else a correct answer takes, such as dollars.

    Returns:
        Their names, the quickest first. One without a correct answer is on no frontier.
    """
    found = [
        (row.time_per_correct_s.value, spent, row.system)
        for row in rows
        if row.valid
        and row.time_per_correct_s.value is not None
        and row.time_per_correct_s.bound is None
        and (spent := per_correct(row).value) is not None
    ]
    names: list[str] = []
    least = math.inf
    for _, spent, name in sorted(found):
        if spent < least:
            names.append(name)
            least = spent
    return tuple(names)
