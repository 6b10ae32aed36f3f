"""One answer at a time: the wait is a line over the prompt's length, and each token takes as long as the others.

A trial takes ``turns * wait + prompt tokens * wait per token + (output tokens - turns) * TPOT``: the exact split of
the project's definitions.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from taskpace.analysis.stats.intervals import Floats
from taskpace.analysis.stats.special import least_squares
from taskpace.analysis.whatif.speed import Speed, prompt_tokens, seen, steps, turns, waits_known

_HUBER = 1.345
_ROUNDS = 8
_TO_DEVIATION = 1.4826
"""The median of absolute residuals times this estimates a normal standard deviation."""


def fit_line(trials: pl.DataFrame, *, robust: bool) -> Speed:
    """The speed from ``usable`` trials, each with the same weight in relative terms.

    Where arrivals say when the first token came, wait and TPOT are fitted apart; else together, to the task time.

    Args:
        trials: of one system in one scenario.
        robust: those that a busy machine slowed down have less weight (Huber 1964, "Robust estimation of a location
            parameter", k = 1.345). Under load the slow ones are the load, and keep theirs.
    """
    total, wait = (trials[name].cast(pl.Float64).to_numpy() for name in ("task_time_s", "wait_s"))
    asked = np.stack([turns(trials), prompt_tokens(trials)], axis=1)
    written = steps(trials)
    if waits_known(trials):
        line = _fit(asked, wait, wait, robust=robust)
        paced = written > 0
        rest, unit = (total - wait)[paced], total[paced]
        tpot_s = _fit(written[paced, None], rest, unit, robust=robust)[0] if paced.any() else 0.0
    else:
        whole = _fit(np.column_stack([asked, written]), total, total, robust=robust)
        line, tpot_s = whole[:2], whole[2]
    prompts, answers = seen(trials)
    return Speed(
        wait_s=float(line[0]),
        wait_per_prompt_token_s=float(line[1]),
        tpot_s=float(tpot_s),
        prompt_tokens=prompts,
        output_tokens=answers,
    )


def on_line(trials: pl.DataFrame, speed: Speed, *, cold: bool) -> tuple[Floats, Floats]:
    """Seconds of wait, and seconds in all; ``cold`` as of ``speed.prompt_tokens``."""
    wait = turns(trials) * speed.wait_s + prompt_tokens(trials, cold=cold) * speed.wait_per_prompt_token_s
    return wait, wait + steps(trials) * speed.tpot_s


def _fit(columns: Floats, values: Floats, unit: Floats, *, robust: bool) -> Floats:
    """Coefficients of 0 or more that fit ``values`` best, relative to ``unit``."""
    unit = np.maximum(unit, 1e-9)
    weight = 1 / unit
    found = np.zeros(columns.shape[1])
    for _ in range(_ROUNDS if robust else 1):
        found = least_squares(columns * weight[:, None], values * weight)
        off = np.abs(values - columns @ found) / unit
        scale = _HUBER * max(float(np.median(off)) * _TO_DEVIATION, 1e-9)
        weight = np.sqrt(np.minimum(1.0, scale / np.maximum(off, 1e-12))) / unit
    return found
