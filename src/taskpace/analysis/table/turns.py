"""What taking turns does to what is measured: who was asked before, and where a block of a load begins and ends."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from taskpace.analysis.schema.summary import Finding
from taskpace.analysis.stats.intervals import Floats
from taskpace.analysis.stats.significance import holm, welch
from taskpace.experiment.scenario import Scenario

LEAST_EFFECT = 0.05
LEAST_P = 0.01
"""After Holm over all effects that are looked for in a table."""
_LEAST_ON_A_SIDE = 5
"""Trials; of fewer a spread says little."""
_MOST_FINDINGS = 3


def order_findings(trials: pl.DataFrame) -> tuple[Finding, ...]:
    """Effects of the order within rounds, the greatest first.

    Each trial's logarithmic pace (TPOT, which depends on the item least; task time where most answers have no second
    token) is taken relative to the others of its round, whose item is the same, and for each system compared: first in
    the round against later, and of the later ones after each predecessor against after any other (Welch's t-test).
    The order is drawn for each round, so that nothing else differs. With two systems a predecessor and a place are one
    thing, and only the place is looked at.

    Args:
        trials: of one task in one scenario (columns of ``load_frame``), last attempts.
    """
    turned = trials.filter(pl.col("round").is_not_null() & pl.col("place").is_not_null())
    if not turned.height:
        return ()
    pace = "tpot_s" if turned["tpot_s"].count() > turned.height / 2 else "task_time_s"
    within = ("session", "round", "repeat", "item_id")
    paced = turned.filter(pl.col(pace) > 0).select(*within, "system", "place", log=pl.col(pace).log())
    # Rounds differ in who was asked, where decided systems rest: each system's own pace goes out first.
    paced = paced.with_columns(pl.col("log") - pl.col("log").mean().over("system"))
    before = paced.select(*within, place=pl.col("place") + 1, after="system")
    left = paced.join(before, on=(*within, "place"), how="left", maintain_order="left")
    found: list[Finding] = []
    # One system's effect shows in the others, too, which are held against it: the greatest is taken out first.
    while len(found) < _MOST_FINDINGS and (greatest := _greatest(left.with_columns(left=_relative(within)))):
        system, after, effect, p = greatest
        found.append(_finding(system, after, effect, p))
        here = pl.col("place") == 1 if after is None else pl.col("after") == after
        left = left.with_columns(
            log=pl.when((pl.col("system") == system) & here.fill_null(value=False))
            .then(pl.col("log") - effect)
            .otherwise("log")
        )
    return tuple(found)


Contrast = tuple[str, str | None, float, float]
"""System, predecessor (null: the first place), difference of the mean logarithms, p."""


def _relative(within: tuple[str, ...]) -> pl.Expr:
    """Of each trial's logarithm to the mean of the others in its round."""
    log = pl.col("log")
    return log - (log.sum().over(within) - log) / (pl.len().over(within) - 1)


def _greatest(left: pl.DataFrame) -> Contrast | None:
    """The greatest effect that is significant and large enough; null: none is."""
    looked_for = list(_contrasts(left.filter(pl.col("left").is_finite())))
    adjusted = holm([p for *_, p in looked_for])
    found = [
        (system, after, effect, p)
        for (system, after, effect, _), p in zip(looked_for, adjusted, strict=True)
        if p < LEAST_P and abs(np.expm1(effect)) > LEAST_EFFECT
    ]
    return max(found, key=lambda each: abs(each[2]), default=None)


def _contrasts(centred: pl.DataFrame) -> Iterator[Contrast]:
    systems = sorted(centred["system"].unique())
    for system in systems:
        own = centred.filter(pl.col("system") == system)
        left, later = own["left"].to_numpy(), own["place"].to_numpy() > 1
        yield from _contrast(system, None, left[~later], left[later])
        after = own["after"].to_numpy()
        for other in systems:
            if len(systems) > 2 and other != system:
                known = later & own["after"].is_not_null().to_numpy()
                yield from _contrast(system, other, left[known & (after == other)], left[known & (after != other)])


def _contrast(system: str, after: str | None, one: Floats, rest: Floats) -> Iterator[Contrast]:
    if min(len(one), len(rest)) >= _LEAST_ON_A_SIDE:
        yield system, after, *welch(one, rest)


def _finding(system: str, after: str | None, effect: float, p: float) -> Finding:
    way = "slower" if effect > 0 else "faster"
    percent = abs(100 * np.expm1(effect))
    when = "first in a round" if after is None else f"after {after}"
    return Finding(
        code="order",
        text=f"{system} is {percent:.0f} % {way} {when} than otherwise",
        evidence={"ratio": float(np.exp(effect)), "p": p},
        remedy="see what is left of it in blocks: `taskpace run RUN --order blocks -o NEW`",
    )


def ramp_findings(trials: pl.DataFrame, scenario: Scenario) -> tuple[Finding, ...]:
    """How much of the time a load that was carried out in blocks had fewer in flight than it is named after.

    All slots are taken at a block's begin; from the first end after its last dispatch on there are fewer.

    Args:
        trials: of one task in this scenario (columns of ``load_frame``), last attempts.
        scenario: a closed loop; of other scenarios there is nothing to say.
    """
    turned = trials.filter(pl.col("round").is_not_null() & pl.col("dispatch_ns").is_not_null())
    if scenario.concurrency == 1 or scenario.batch is not None or not turned.height:
        return ()
    end, dispatch = pl.col("end_clock_ns"), pl.col("dispatch_ns")
    blocks = turned.group_by("system", "worker", "round").agg(
        pl.len(),
        span=end.max() - dispatch.min(),
        ramp=end.max() - end.filter(end > dispatch.max()).min(),
    )
    largest = int(blocks["len"].to_numpy().max())
    share = float(blocks["ramp"].sum()) / max(1, int(blocks["span"].sum()))
    return (
        Finding(
            code="ramp",
            text=f"asked in blocks of {largest}: for {100 * share:.0f} % of the time fewer than {scenario.concurrency} "
            "were in flight",
            evidence={"share": share},
            remedy="run with `--order sequential` for one long block of each system",
        ),
    )
