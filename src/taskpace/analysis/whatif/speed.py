"""How fast a deployment is: the wait by the length of the prompt, and the time of each token that is written.

A trial takes ``turns * wait + prompt tokens * wait per token + (output tokens - turns) * TPOT``: the exact split of
the project's definitions, with the wait as a line. All three are fitted to the trials of a run, each trial with the
same weight in relative terms, and trials that a busy machine slowed down with less (Huber 1964, "Robust estimation of
a location parameter", k = 1.345).
"""

from __future__ import annotations

import msgspec
import numpy as np
import polars as pl

from taskpace.analysis.stats.intervals import Flags, Floats
from taskpace.analysis.stats.special import least_squares

LEAST_TRIALS = 10
"""With fewer no speed is fitted."""
FOLDS = 5
_HUBER = 1.345
_ROUNDS = 8
_TO_DEVIATION = 1.4826
"""The median of absolute residuals times this estimates a normal standard deviation."""


class Range(msgspec.Struct, frozen=True):
    """From the least to the most that was seen."""

    least: float
    most: float

    def holds(self, values: Floats) -> Flags:
        """Which of these lie within it."""
        return np.asarray((values >= self.least) & (values <= self.most))


class Speed(msgspec.Struct, frozen=True, kw_only=True):
    """What a deployment needs for a turn of a conversation."""

    wait_s: float
    """Before the first token, whatever the prompt; of every turn."""
    wait_per_prompt_token_s: float
    """Further seconds for each token of the prompt that is not cached."""
    tpot_s: float
    """For each output token after the first."""
    prompt_tokens: Range | None = None
    """Of one turn, in the trials it was fitted to; null: unknown."""
    output_tokens: Range | None = None
    """Output tokens of one turn, in the trials it was fitted to; null: unknown."""


class FittingError(msgspec.Struct, frozen=True, kw_only=True):
    """How far predictions were from trials that the fit had not seen: |predicted / measured - 1|."""

    trials: int
    median: float
    p90: float
    mean: float
    """Of predicted / measured - 1, with its sign: what is left of the error in a mean over many trials."""
    held_out: str
    """``items``: a fifth of the items at a time; ``tasks``: one task at a time."""


def countable(trials: pl.DataFrame) -> pl.DataFrame:
    """The trials (columns of ``load_frame``) whose tokens are known, so that another speed can be put in."""
    return trials.filter(pl.col("prompt_tokens").is_not_null() & pl.col("output_tokens").is_not_null())


def usable(trials: pl.DataFrame) -> pl.DataFrame:
    """The trials that a speed can be fitted to: answered, counted, and not held up by the client."""
    timed = (pl.col("outcome") != "error") & ~pl.col("late") & (pl.col("task_time_s") > 0)
    return countable(trials).filter(timed.fill_null(value=False))


def prompt_tokens(trials: pl.DataFrame, *, cold: bool = False) -> Floats:
    """Of each trial, summed over turns, without what came from a cache.

    ``cold``: a first turn finds nothing in the cache, whatever it found when it was recorded.
    """
    cached = pl.col("cached_tokens").fill_null(0)
    if cold:
        cached = cached - pl.col("first_cached_tokens").fill_null(0)
    return trials.select((pl.col("prompt_tokens") - cached).clip(0).cast(pl.Float64)).to_series().to_numpy()


def steps(trials: pl.DataFrame) -> Floats:
    """Output tokens after the first of each turn."""
    return trials.select((pl.col("output_tokens") - pl.col("turns")).clip(0).cast(pl.Float64)).to_series().to_numpy()


def turns(trials: pl.DataFrame) -> Floats:
    """Of the conversation, each trial's."""
    return trials["turns"].cast(pl.Float64).to_numpy()


def fit(trials: pl.DataFrame) -> Speed:
    """The speed of a deployment from its ``usable`` trials, ``LEAST_TRIALS`` or more.

    Where arrivals say when the first token came, wait and TPOT are fitted apart; else together, to the task time.
    """
    total, wait = (trials[name].cast(pl.Float64).to_numpy() for name in ("task_time_s", "wait_s"))
    asked = np.stack([turns(trials), prompt_tokens(trials)], axis=1)
    written = steps(trials)
    apart = not bool(trials["untimed"].any()) and bool(np.isfinite(wait).all()) and bool((wait < total).any())
    if apart:
        line = _fit_line(asked, wait, wait)
        paced = written > 0
        tpot_s = _fit_line(written[paced, None], (total - wait)[paced], total[paced])[0] if paced.any() else 0.0
    else:
        whole = _fit_line(np.column_stack([asked, written]), total, total)
        line, tpot_s = whole[:2], whole[2]
    per_turn = turns(trials)
    return Speed(
        wait_s=float(line[0]),
        wait_per_prompt_token_s=float(line[1]),
        tpot_s=float(tpot_s),
        prompt_tokens=_range(asked[:, 1] / per_turn),
        output_tokens=_range(trials["output_tokens"].to_numpy() / per_turn),
    )


def predict(trials: pl.DataFrame, speed: Speed, *, cold: bool = False) -> tuple[Floats, Floats]:
    """Seconds of wait, and seconds in all, of ``countable`` trials at another speed; ``cold`` as of the prompt."""
    wait = turns(trials) * speed.wait_s + prompt_tokens(trials, cold=cold) * speed.wait_per_prompt_token_s
    return wait, wait + steps(trials) * speed.tpot_s


def leave_out(trials: pl.DataFrame, *, by_task: bool = False) -> FittingError | None:
    """The error on ``usable`` trials that were left out of the fit; null: too few, or one task alone.

    Args:
        trials: of one system in one scenario.
        by_task: leave out one task at a time, as for a task that was not measured; else a fifth of the items.
    """
    keys = ["task"] if by_task else ["task", "item_id"]
    group = trials.select(pl.struct(keys).rank("dense").cast(pl.Int64) - 1).to_series().to_numpy()
    fold = group if by_task else np.random.default_rng(0).permutation(int(group.max()) + 1)[group] % FOLDS
    found = np.full(trials.height, np.nan)
    for each in np.unique(fold):
        seen = trials.filter(pl.Series(fold != each))
        if seen.height >= LEAST_TRIALS:
            left = trials.filter(pl.Series(fold == each))
            found[fold == each] = predict(left, fit(seen))[1] / left["task_time_s"].to_numpy() - 1
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


def _fit_line(columns: Floats, values: Floats, unit: Floats) -> Floats:
    """Coefficients of 0 or more that fit ``values`` best, relative to ``unit``."""
    unit = np.maximum(unit, 1e-9)
    weight = 1 / unit
    found = np.zeros(columns.shape[1])
    for _ in range(_ROUNDS):
        found = least_squares(columns * weight[:, None], values * weight)
        off = np.abs(values - columns @ found) / unit
        scale = _HUBER * max(float(np.median(off)) * _TO_DEVIATION, 1e-9)
        weight = np.sqrt(np.minimum(1.0, scale / np.maximum(off, 1e-12))) / unit
    return found


def _range(values: Floats) -> Range:
    return Range(float(values.min()), float(values.max()))
