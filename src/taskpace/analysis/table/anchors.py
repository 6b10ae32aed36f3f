"""Systems that were added to a run later: they are compared with the older ones on items that those answered again."""

from __future__ import annotations

import polars as pl

from taskpace.analysis.data.cells import CellPlan
from taskpace.analysis.data.sample import Sample, take_sample
from taskpace.analysis.schema.summary import Finding
from taskpace.analysis.stats.bootstrap import Resamples
from taskpace.analysis.table.pairs import Pair, Pairing


def by_anchors(
    pairs: list[Pair], sample: Sample, anchors: pl.DataFrame | None, cell: CellPlan, resamples: int
) -> tuple[list[Pair], list[Pair]]:
    """Compare pairs again that did not take turns, where one of the two was asked again beside the other.

    Args:
        pairs: of one task in one scenario.
        sample: of it.
        anchors: of it, too (columns of ``load_frame``), last attempts; null: there are none.
        cell: one of the table's.
        resamples: of the bootstrap; 0 for none.

    Returns:
        All pairs, and those among them that rest on anchors.
    """
    if anchors is None or not anchors.height:
        return pairs, []
    trials = sample.trials.select(anchors.columns)
    found: list[Pair] = []
    anchored: list[Pair] = []
    for pair in pairs:
        beside = None if pair.turns else _side_by_side(pair, trials, anchors)
        if beside is None:
            found.append(pair)
            continue
        of_both = take_sample(beside, (pair.a, pair.b), batched=cell.batched)
        arrays = of_both.shared
        drawn = Resamples(len(arrays.items), resamples, order=arrays.by_id) if resamples else None
        (again,) = Pairing.of(of_both, order=(pair.a, pair.b), graded=cell.graded).leaning_first(drawn)
        found.append(again)
        anchored.append(again)
    return found, anchored


def _side_by_side(pair: Pair, trials: pl.DataFrame, anchors: pl.DataFrame) -> pl.DataFrame | None:
    """The trials of the newer system with the older one's anchors, where both are of one round; null: there are none.

    Both may have been asked again, beside a third: the greater number decides.
    """
    one_round = ("session", "round", "item_id", "repeat")
    found = []
    for new, old in ((pair.a, pair.b), (pair.b, pair.a)):
        again = anchors.filter(pl.col("system") == old)
        # What was asked again beside the new system, or with it beside a third.
        for others in (trials, anchors):
            beside = others.filter(pl.col("system") == new).join(again, on=one_round, how="semi")
            if beside.height:
                found.append(pl.concat([beside, again.join(beside, on=one_round, how="semi")]))
    return max(found, key=lambda each: each.height, default=None)


def anchor_findings(anchored: list[Pair]) -> tuple[Finding, ...]:
    """Which comparisons rest on anchors, and on how many items."""
    if not anchored:
        return ()
    items = max(pair.task_time.items for pair in anchored)
    names = ", ".join(f"{pair.a} and {pair.b}" for pair in anchored)
    return (
        Finding(
            code="anchors",
            text=f"{names} were first asked in different sessions: compared on {items} items that were asked again",
            evidence={"items": items},
            remedy="ask more items of all of them",
        ),
    )
