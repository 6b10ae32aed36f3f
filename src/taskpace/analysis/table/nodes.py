"""How the machines of a cluster differ: each node is a block of the design, and its effect is estimated."""

from __future__ import annotations

import math

import numpy as np
import polars as pl

from taskpace.analysis.schema.summary import Finding
from taskpace.analysis.stats.intervals import Flags, Floats
from taskpace.analysis.stats.significance import Groups, error_of_difference, holm, welch
from taskpace.analysis.stats.student import t_quantile

LEAST_EFFECT = 0.05
LEAST_P = 0.01
"""After Holm over the nodes."""
_LEAST_ITEMS = 5
"""Of a node, and of the others; of fewer a spread says little."""
_MOST_NAMED = 3


def node_findings(trials: pl.DataFrame, crossed: int) -> tuple[Finding, ...]:
    """How the nodes differ, each held against all others.

    A trial's logarithmic pace (TPOT, which depends on the item least; task time where most answers have no second
    token), less the mean of its system, is averaged over the systems of its item: one value for each item and node, as
    all systems answer an item on one node. Nodes are compared by Welch's t-test. Blocks go to whichever node is free,
    which does not depend on what their items are.

    Args:
        trials: of one task in one scenario (columns of ``with_nodes``), last attempts.
        crossed: trials that were left out of comparisons, as their round was asked on two nodes.
    """
    if "node" not in trials.columns or trials["node"].n_unique() - bool(trials["node"].null_count()) < 2:
        return ()
    paced = "tpot_s" if trials["tpot_s"].count() > trials.height / 2 else "task_time_s"
    known = trials.filter(pl.col("node").is_not_null() & (pl.col(paced) > 0) & ~pl.col("late"))
    items = (
        known.select("node", "item_id", "repeat", "system", log=pl.col(paced).log())
        .with_columns(pl.col("log") - pl.col("log").mean().over("system"))
        .group_by("node", "item_id", "repeat")
        .agg(pl.col("log").mean())
        .sort("node", "item_id", "repeat")
    )
    values, nodes = items["log"].to_numpy(), items["node"].to_numpy()
    numbers = [int(node) for node in np.unique(nodes) if _enough(nodes == node)]
    count = trials["node"].drop_nulls().n_unique()
    effects = [(node, *_against(values[nodes == node], values[nodes != node])) for node in numbers]
    adjusted = holm([p for *_, p in effects])
    differ = [
        (node, effect, half)
        for (node, effect, half, _), p in zip(effects, adjusted, strict=True)
        if p < LEAST_P and abs(math.expm1(effect)) > LEAST_EFFECT
    ]
    differ.sort(key=lambda each: -abs(each[1]))
    what = "per token" if paced == "tpot_s" else "per task"
    left_out = f"; {crossed} answers of rounds that a lost node left are in no pair" if crossed else ""
    evidence = {"nodes": float(count), "crossed": float(crossed)}
    evidence |= {f"ratio of node {node}": math.exp(effect) for node, effect, *_ in effects}
    if differ:
        named = ", ".join(
            f"node {node} takes {math.exp(effect):.2f} times as long {what} as the others "
            f"({math.exp(effect - half):.2f} to {math.exp(effect + half):.2f})"
            for node, effect, half in differ[:_MOST_NAMED]
        )
        more = f", and {len(differ) - _MOST_NAMED} more differ" if len(differ) > _MOST_NAMED else ""
        return (
            Finding(
                code="nodes",
                text=f"asked on {count} nodes: {named}{more}{left_out}",
                evidence=evidence,
                remedy="pairs stay within a node, so ratios hold; for seconds take machines of one kind",
            ),
        )
    widest = max((abs(effect) + half for _, effect, half, _ in effects), default=math.nan)
    bound = "" if math.isnan(widest) else f" (by {100 * math.expm1(widest):.0f} % {what} at most)"
    return (
        Finding(
            code="nodes",
            text=f"asked on {count} nodes, between which no difference is known{bound}{left_out}",
            evidence=evidence,
            remedy="pairs stay within a node, so ratios hold in any case",
        ),
    )


def _enough(here: Flags) -> bool:
    return min(int(here.sum()), int((~here).sum())) >= _LEAST_ITEMS


def _against(one: Floats, rest: Floats) -> tuple[float, float, float]:
    """Difference of the means, half of its 95 % interval, and p."""
    groups = Groups.of(one), Groups.of(rest)
    difference, p, variance, freedom = (float(each[0]) for each in (*welch(*groups), *error_of_difference(*groups)))
    half = t_quantile(0.975, freedom) * math.sqrt(variance) if variance > 0 else 0.0
    return difference, half, p
