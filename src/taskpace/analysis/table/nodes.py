"""How the machines of a cluster, or the run files of a run, differ: each is a block, and its effect is estimated."""

from __future__ import annotations

import math
from typing import NamedTuple

import polars as pl

from taskpace.analysis.data.nodes import place_column
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


class _Words(NamedTuple):
    """What places are called."""

    asked: str
    one: str
    name: str
    """Before the name of one of them."""
    crossed: str
    """Answers that are in no pair."""


_WORDS = {
    "node": _Words("asked on {} nodes", "node", "node ", "answers of rounds that a lost node left"),
    "shard": _Words("asked in {} run files", "run file", "", "answers of rounds that are mostly in another session"),
}


def node_findings(trials: pl.DataFrame, crossed: int) -> tuple[Finding, ...]:
    """How the nodes of a cluster, or the run files, differ, each held against all others.

    A trial's logarithmic pace (TPOT, which depends on the item least; task time where most answers have no second
    token), less the mean of its system, is averaged over the systems of its item: one value for each item and node, as
    all systems answer an item on one node. Nodes are compared by Welch's t-test. Blocks go to whichever node is free,
    which does not depend on what their items are. Which items a run file has may depend on what they are, so that of
    run files TPOT alone is compared, and only of systems that several have.

    Args:
        trials: of one task in one scenario (columns of ``with_nodes``, and ``shard``), last attempts.
        crossed: trials that were left out of comparisons, as their round was asked on two nodes or in two sessions.
    """
    by = place_column(trials)
    if by is None or (count := trials[by].drop_nulls().n_unique()) < 2:
        return ()
    words = _WORDS[by]
    if by == "shard" and (trials.group_by("system").agg(pl.col(by).n_unique())[by] == 1).all():
        return (
            Finding(
                code="nodes",
                text=f"asked in {count} run files, each system in one; systems of different files are not compared",
                evidence={"nodes": float(count), "crossed": float(crossed)},
                remedy="to compare them, ask all of them in one file, and split the items if need be",
            ),
        )
    paced = "tpot_s" if trials["tpot_s"].count() > trials.height / 2 else "task_time_s"
    comparable = by == "node" or paced == "tpot_s"
    known = trials.filter(pl.col(by).is_not_null() & (pl.col(paced) > 0) & ~pl.col("late") & comparable)
    items = (
        known.filter(pl.col(by).n_unique().over("system") > 1)
        .select(by, "item_id", "repeat", "system", log=pl.col(paced).log())
        .with_columns(pl.col("log") - pl.col("log").mean().over("system"))
        .group_by(by, "item_id", "repeat")
        .agg(pl.col("log").mean())
        .sort(by, "item_id", "repeat")
    )
    values, places = items["log"].to_numpy(), items[by].to_numpy()
    large_enough = [place for place in items[by].unique(maintain_order=True) if _enough(places == place)]
    effects = [
        (f"{words.name}{place}", *_against(values[places == place], values[places != place])) for place in large_enough
    ]
    adjusted = holm([p for *_, p in effects])
    differ = [
        (place, effect, half)
        for (place, effect, half, _), p in zip(effects, adjusted, strict=True)
        if p < LEAST_P and abs(math.expm1(effect)) > LEAST_EFFECT
    ]
    differ.sort(key=lambda each: -abs(each[1]))
    what = "per token" if paced == "tpot_s" else "per task"
    asked = words.asked.format(count)
    left_out = f"; {crossed} {words.crossed} are in no pair" if crossed else ""
    evidence = {"nodes": float(count), "crossed": float(crossed)}
    evidence |= {f"ratio of {place}": math.exp(effect) for place, effect, *_ in effects}
    if differ:
        named = ", ".join(
            f"{place} takes {math.exp(effect):.2f} times as long {what} as the others "
            f"({math.exp(effect - half):.2f} to {math.exp(effect + half):.2f})"
            for place, effect, half in differ[:_MOST_NAMED]
        )
        more = f", and {len(differ) - _MOST_NAMED} more differ" if len(differ) > _MOST_NAMED else ""
        return (
            Finding(
                code="nodes",
                text=f"{asked}: {named}{more}{left_out}",
                evidence=evidence,
                remedy=f"pairs stay within a {words.one}, so ratios hold; for seconds take machines of one kind",
            ),
        )
    widest = max((abs(effect) + half for _, effect, half, _ in effects), default=math.nan)
    bound = "" if math.isnan(widest) else f" (by {100 * math.expm1(widest):.0f} % {what} at most)"
    difference = f"between which no difference is known{bound}" if effects else "whose speeds cannot be compared"
    return (
        Finding(
            code="nodes",
            text=f"{asked}, {difference}{left_out}",
            evidence=evidence,
            remedy=f"pairs stay within a {words.one}, so ratios hold in any case",
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
