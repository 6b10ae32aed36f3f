"""Where the time of a trial goes, and how much systems write: what describes a cell and needs no interval."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from taskpace.analysis.data.columns import Columns, together
from taskpace.analysis.stats.intervals import Floats
from taskpace.analysis.stats.quantiles import at_share


class Phases(msgspec.Struct, frozen=True, kw_only=True):
    """Mean seconds of the stages of a trial, over the trials that ``task_time_mean_s`` is of; they add up to it."""

    wait_s: float
    """Dispatch to the first token, summed over turns."""
    reasoning_s: float
    """From there to the first visible token, where the system reasons; summed over turns, too."""
    answer_s: float
    """From there until the answer was committed; to the end where it never was."""
    trailing_s: float
    """What was written after the answer was committed: a reader could have stopped."""


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """Quantiles over trials, linear interpolation."""

    least: float
    p25: float
    p50: float
    p75: float
    most: float


def phases(ended: Sequence[Columns]) -> list[Phases | None]:
    """Of each cell's trials that ended; null when none has a task time."""
    found: list[Phases | None] = [None] * len(ended)
    for indices, trials in together([cell.knowing("task_time_s") for cell in ended]):
        whole, committed = trials["task_time_s"], trials["committed_s"]
        # What is unknown: all of the time is waiting, none of it reasoning, and the answer stood at the end.
        wait = np.fmin(trials["wait_s"], whole)
        left = whole - wait
        reasoning = trials["reasoning_s"]
        if reasoning.any():
            reasoning = _within(reasoning, left)
            left -= reasoning
        trailing = _within(whole - committed, left)
        left -= trailing
        means = (part.mean(axis=1).tolist() for part in (wait, reasoning, left, trailing))
        for index, of_one in zip(indices, zip(*means, strict=True), strict=True):
            found[index] = Phases(**dict(zip(Phases.__struct_fields__, of_one, strict=True)))
    return found


def _within(seconds: Floats, most: Floats) -> Floats:
    """At least 0 s, as where it is unknown, and at most these."""
    return np.fmin(np.fmax(seconds, 0.0), most)


def written_bytes(ended: Sequence[Columns]) -> list[Spread | None]:
    """Of each cell's output bytes, reasoning included; null without trials."""
    found: list[Spread | None] = [None] * len(ended)
    for indices, trials in together([cell.knowing("output_bytes").knowing("reasoning_bytes") for cell in ended]):
        sizes = trials["output_bytes"]
        if trials["reasoning_bytes"].any():
            sizes = sizes.astype(np.float64) + trials["reasoning_bytes"]
        for index, ranked in zip(indices, np.sort(sizes, axis=1), strict=True):
            least, first, middle, third, most = (at_share(ranked, share) for share in (0.0, 0.25, 0.5, 0.75, 1.0))
            found[index] = Spread(least=least, p25=first, p50=middle, p75=third, most=most)
    return found
