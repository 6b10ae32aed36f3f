"""How fast a deployment is: the wait by the length of the prompt, the time of a token, and what a load adds."""

from __future__ import annotations

import msgspec
import numpy as np
import polars as pl

from taskpace.analysis.stats.intervals import Flags, Floats


class Range(msgspec.Struct, frozen=True):
    """From the least to the most that was seen."""

    least: float
    most: float

    def holds(self, values: Floats) -> Flags:
        """Which of these lie within it."""
        return np.asarray((values >= self.least) & (values <= self.most))


class InFlight(msgspec.Struct, frozen=True, kw_only=True):
    """What several answers in flight make of one another, on a server that writes them side by side (``loop``)."""

    in_flight: int
    """Of the closed loop that it was measured under."""
    slots: int
    """Requests that the server works on at a time; further ones wait."""
    tpot_per_other_s: float
    """In addition, for each output token, for every other answer that is being written."""
    wait_per_other_prompt_token_s: float
    """For all that are in flight, for each prompt token of a request that begins."""


class Speed(msgspec.Struct, frozen=True, kw_only=True):
    """What a deployment needs for a turn of a conversation."""

    wait_s: float
    """Before the first token, whatever the prompt; of every turn."""
    wait_per_prompt_token_s: float
    """In addition, for each token of the prompt that is not cached."""
    tpot_s: float
    """For each output token after the first."""
    load: InFlight | None = None
    """Several in flight: the three above are those of an answer that is alone then; null: one at a time, or unknown."""
    prompt_tokens: Range | None = None
    """Prompt tokens of one turn, in the trials it was fitted to; null: unknown."""
    output_tokens: Range | None = None
    """Output tokens of one turn, in the trials it was fitted to; null: unknown."""


def countable(trials: pl.DataFrame) -> pl.DataFrame:
    """The trials (columns of ``load_frame``) whose tokens are known, so that another speed can be put in."""
    return trials.filter(pl.col("prompt_tokens").is_not_null() & pl.col("output_tokens").is_not_null())


def usable(trials: pl.DataFrame) -> pl.DataFrame:
    """The trials that a speed can be fitted to: answered, counted, and not held up by the client."""
    timed = (pl.col("outcome") != "error") & ~pl.col("late") & (pl.col("task_time_s") > 0)
    return countable(trials).filter(timed.fill_null(value=False))


def waits_known(trials: pl.DataFrame) -> bool:
    """Whether arrivals say of each of these ``usable`` trials when the first token came."""
    wait, total = (trials[name].cast(pl.Float64).to_numpy() for name in ("wait_s", "task_time_s"))
    return not bool(trials["untimed"].any()) and bool(np.isfinite(wait).all()) and bool((wait < total).any())


def seen(trials: pl.DataFrame) -> tuple[Range, Range]:
    """Prompt and output tokens of one turn, from the least to the most."""
    per_turn = turns(trials)
    prompts, answers = prompt_tokens(trials) / per_turn, trials["output_tokens"].to_numpy() / per_turn
    return _range(prompts), _range(answers)


def _range(values: Floats) -> Range:
    return Range(float(values.min()), float(values.max()))


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
