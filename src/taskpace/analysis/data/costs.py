"""What each trial cost, from its system's price: in tokens, or in time of a machine of your own. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import polars as pl

from taskpace.analysis.data.cells import CellPlan
from taskpace.analysis.data.columns import Trials
from taskpace.analysis.data.frame import last_attempts
from taskpace.analysis.data.makespan import makespan_s
from taskpace.engines.base import NO_CONNECTION

Missing = Literal["failed", "uncounted", "too-long", "no-time", "no-makespan"]
"""Why the cost of a trial is unknown. ``failed``: an attempt failed or timed out after it was sent, and nothing counted
its tokens; ``uncounted``: an answer came without counts that can be believed; ``too-long``: the prompt is longer than
the price holds for; ``no-time``: the time is unknown; ``no-makespan``: that of the cell is."""

_KEY = ("system", "task", "scenario")
_PRICED = {
    "input": pl.Float64,
    "output": pl.Float64,
    "discount": pl.Float64,
    "most_prompt_tokens": pl.Int64,
    "per_hour": pl.Float64,
    "share": pl.Float64,
}
_REFUSED = f"^(?:http-4|{NO_CONNECTION}|not-tried|context-overflow)"
"""Failures of a request that was refused before anything was generated for it: providers charge nothing for it."""


def with_costs(frame: pl.DataFrame, cells: Sequence[CellPlan]) -> pl.DataFrame:
    """Add two columns to the rows, null where a system has no price.

    - ``cost_usd``: US dollars of the trial with all its attempts; null where one of them is unknown, never 0.
    - ``cost_missing``: why it is unknown (``Missing``).

    By the token: prompt tokens and output tokens (reasoning is among them), those from a cache at their own price;
    where a server does not report what came from a cache, all at the full one. By the hour: the trial's task time x
    price; with several in flight x makespan / sum of task times, so that a cell costs what its makespan does.

    Args:
        frame: every attempt (columns of ``load_frame``).
        cells: of the run, with the prices.
    """
    table = _prices(frame, cells)
    if not table.height:
        return frame.with_columns(cost_usd=pl.lit(None, pl.Float64), cost_missing=pl.lit(None, pl.String))
    priced = frame.join(table, on=_KEY, how="left", maintain_order="left")
    priced = priced.with_columns(cost_missing=_missing()).with_columns(
        cost_usd=pl.when(pl.col("cost_missing").is_null()).then(_cost())
    )
    # By the hour a trial's time runs from its first dispatch: the last attempt has all of it.
    last = pl.col("attempt") == pl.col("attempt").max().over("trial_id")
    counts = pl.col("per_hour").is_null() | last
    unknown = pl.when(counts).then("cost_missing").min().over("trial_id")
    total = pl.when(counts).then("cost_usd").sum().over("trial_id")
    known = unknown.is_null() & (pl.col("input").is_not_null() | pl.col("per_hour").is_not_null())
    return priced.with_columns(cost_usd=pl.when(known).then(total), cost_missing=unknown).drop(_PRICED)


def _missing() -> pl.Expr:
    """``Missing`` of an attempt; null: its cost is known, or there is no price."""
    by_token = pl.col("input").is_not_null()
    counted = pl.col("prompt_tokens").is_not_null() & pl.col("output_tokens").is_not_null()
    contradictory = (pl.col("cached_tokens") > pl.col("prompt_tokens")).fill_null(value=False)
    failed = pl.col("failure_kind").is_not_null()
    found = (
        pl.when(by_token & ~counted & failed & ~_refused())
        .then(pl.lit("failed"))
        .when(by_token & (~counted | contradictory) & ~_refused())
        .then(pl.lit("uncounted"))
        .when(by_token & (pl.col("prompt_tokens") > pl.col("most_prompt_tokens")).fill_null(value=False))
        .then(pl.lit("too-long"))
        .when(pl.col("per_hour").is_not_null() & pl.col("task_time_s").is_null())
        .then(pl.lit("no-time"))
        .when(pl.col("per_hour").is_not_null() & pl.col("share").is_null())
        .then(pl.lit("no-makespan"))
    )
    return found.otherwise(pl.lit(None, pl.String))


def _refused() -> pl.Expr:
    """Nothing was generated, and nothing is charged. Of a conversation only its first request can be refused so."""
    first = pl.col("turns").fill_null(0) <= 1
    return (
        pl.col("failure_kind").str.contains(_REFUSED).fill_null(value=False) & first & pl.col("output_tokens").is_null()
    )


def _cost() -> pl.Expr:
    cached = pl.col("cached_tokens").fill_null(0)
    by_token = (
        pl.col("prompt_tokens") * pl.col("input")
        + pl.col("output_tokens") * pl.col("output")
        - cached * pl.col("discount")
    ) / 1e6
    by_hour = pl.col("task_time_s") * pl.col("share") * pl.col("per_hour") / 3600
    return (
        pl.when(pl.col("per_hour").is_not_null())
        .then(by_hour)
        .when(_refused() & pl.col("input").is_not_null())
        .then(0.0)
        .otherwise(by_token)
    )


def _prices(frame: pl.DataFrame, cells: Sequence[CellPlan]) -> pl.DataFrame:
    """A row for each cell with a price. ``share``: what part of a second the machine is a trial's own."""
    rows = []
    for cell in cells:
        if (price := cell.price) is not None:
            share = 1.0 if price.per_hour is None or cell.alone else _share(frame, cell)
            of_cell = (cell.system, cell.task, cell.scenario.name)
            rows.append(
                (
                    *of_cell,
                    price.input,
                    price.output,
                    price.discount,
                    price.most_prompt_tokens,
                    price.per_hour,
                    share,
                )
            )
    return pl.DataFrame(rows, schema={**dict.fromkeys(_KEY, pl.String), **_PRICED}, orient="row")


def _share(frame: pl.DataFrame, cell: CellPlan) -> float | None:
    values = zip(_KEY, (cell.system, cell.task, cell.scenario.name), strict=True)
    part = last_attempts(frame.filter(*(pl.col(key) == value for key, value in values)))
    whole_s, seconds = makespan_s(Trials(part), cell.planned, cell.segments), float(part["task_time_s"].sum())
    return None if whole_s is None or not seconds else whole_s / seconds


MISSING: tuple[Missing, ...] = get_args(Missing)
"""In the order in which they are told."""
