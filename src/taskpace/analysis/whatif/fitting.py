"""A speed from the trials of a run, the trials at a speed, and how far the one is from the other."""

from __future__ import annotations

import msgspec
import numpy as np
import polars as pl

from taskpace.analysis.stats.intervals import Flags, Floats
from taskpace.analysis.whatif.line import fit_line, on_line
from taskpace.analysis.whatif.load import can_play, fit_load, in_loop
from taskpace.analysis.whatif.speed import Speed
from taskpace.experiment.scenario import Scenario

LEAST_TRIALS = 10
"""With fewer no speed is fitted."""
FOLDS = 5


class FittingError(msgspec.Struct, frozen=True, kw_only=True):
    """How far predictions were from trials that the fit had not seen: |predicted / measured - 1|."""

    trials: int
    median: float
    p90: float
    mean: float
    """Of predicted / measured - 1, with its sign: what is left of the error in a mean over many trials."""
    held_out: str
    """``items``: a fifth of the items at a time; ``tasks``: one task at a time."""


def fit(trials: pl.DataFrame, scenario: Scenario) -> Speed:
    """The speed of a deployment from its ``usable`` trials, ``LEAST_TRIALS`` or more, in one scenario."""
    return _fit(trials, scenario, np.ones(trials.height, bool))


def predict(trials: pl.DataFrame, speed: Speed, *, cold: bool = False) -> tuple[Floats, Floats]:
    """Seconds of wait, and seconds in all, of the ``countable`` trials of one system at another speed.

    Under a load they are sent in the plan's order, in the blocks of a run. ``cold`` as of ``speed.prompt_tokens``.
    """
    return _predict(trials, speed, cold=cold, as_sent=False)


def leave_out(trials: pl.DataFrame, scenario: Scenario, *, by_task: bool = False) -> FittingError | None:
    """The error on ``usable`` trials that were left out of the fit; null: too few, or one task alone.

    Under a load only their times are left out: they are in flight beside those that are fitted.

    Args:
        trials: of one system.
        scenario: in which all of them were.
        by_task: leave out one task at a time, as for a task that was not measured; else a fifth of the items.
    """
    keys = ["task"] if by_task else ["task", "item_id"]
    group = trials.select(pl.struct(keys).rank("dense").cast(pl.Int64) - 1).to_series().to_numpy()
    fold = group if by_task else np.random.default_rng(0).permutation(int(group.max()) + 1)[group] % FOLDS
    found = np.full(trials.height, np.nan)
    measured = trials["task_time_s"].to_numpy()
    for each in np.unique(fold):
        seen, left = fold != each, fold == each
        if seen.sum() >= LEAST_TRIALS:
            speed = _fit(trials, scenario, seen)
            _, total = _predict(trials, speed, cold=False, as_sent=True)
            found[left] = (total / measured - 1)[left]
    known = found[np.isfinite(found)]
    if not len(known):
        return None
    size = np.abs(known)
    return FittingError(
        trials=len(known),
        median=float(np.median(size)),
        p90=float(np.quantile(size, 0.9)),
        mean=float(known.mean()),
        held_out="tasks" if by_task else "items",
    )


def _predict(trials: pl.DataFrame, speed: Speed, *, cold: bool, as_sent: bool) -> tuple[Floats, Floats]:
    if speed.load is None:
        return on_line(trials, speed, cold=cold)
    return in_loop(trials, speed, speed.load, cold=cold, as_sent=as_sent)


def _fit(trials: pl.DataFrame, scenario: Scenario, used: Flags) -> Speed:
    if scenario.concurrency > 1 and can_play(trials):
        return fit_load(trials, scenario.concurrency, used)
    return fit_line(trials.filter(pl.Series(used)), robust=scenario.one_at_a_time)
