"""How the pairs of a task stand, of a run that asks until its ranking is settled: from its records, in their order."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import combinations
from typing import Self

import msgspec
import numpy as np

from taskpace.analysis.data.arrays import Arrays
from taskpace.analysis.stats.anytime import Totals, per_correct
from taskpace.analysis.stats.claims import log_ratios
from taskpace.analysis.stats.intervals import Flags, Floats
from taskpace.analysis.stats.sequential import Looked, items_more, look, look_per_correct, settle
from taskpace.analysis.stats.significance import ALPHA
from taskpace.experiment.until import Decide, PairStanding, Seen, Standing, Until, Verdict

_VERDICTS: dict[int, Verdict] = {1: "a", -1: "b"}


def decider(until: Until) -> Decide:
    """What a run asks after each round (``runner``)."""

    def decide(seen: Mapping[str, Sequence[Seen | None]], table: tuple[str, str] | None = None) -> Standing:
        del table  # a ranking is one of the systems alone
        found = as_arrays(list(seen.values()))
        return _standing(tuple(seen), found.seconds, (found.cut, found.late), found.correct, until)

    return decide


class Outcomes(msgspec.Struct, frozen=True):
    """What a decision rests on: arrays (systems, items, repeats)."""

    seconds: Floats
    """Recorded; NaN where not asked. Where ``cut`` a lower bound, where ``late`` an upper one."""
    cut: Flags
    late: Flags
    correct: Floats
    """1 or 0; NaN where not asked."""

    @classmethod
    def of(cls, arrays: Arrays) -> Self:
        """Of what a run file holds."""
        return cls(arrays.recorded_s, arrays.cut > 0, arrays.late > 0, arrays.correct)


def as_arrays(seen: Sequence[Sequence[Seen | None]]) -> Outcomes:
    """Of what a run has seen so far, system by system."""
    shape = (len(seen), max(map(len, seen), default=0), 1)
    seconds, correct = np.full(shape, np.nan), np.full(shape, np.nan)
    cut, late = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    for system, trials in enumerate(seen):
        for item, trial in enumerate(trials):
            if trial is not None:
                # A failed trial without a time took 0 s or longer.
                seconds[system, item] = (0.0 if trial.cut else math.nan) if trial.seconds is None else trial.seconds
                cut[system, item], correct[system, item] = trial.cut, trial.correct
                late[system, item] = trial.late
    return Outcomes(seconds, cut, late, correct)


def standing_of(arrays: Arrays, until: Until, items: int | None = None) -> Standing:
    """How the pairs stand, from what was recorded.

    Args:
        arrays: with the items in the order in which they were asked.
        until: what is wanted.
        items: how it stood after so many; null: all.
    """
    found = Outcomes.of(arrays)
    bounds = found.cut[:, :items], found.late[:, :items]
    return _standing(arrays.systems, found.seconds[:, :items], bounds, found.correct[:, :items], until)


def _standing(
    systems: tuple[str, ...], seconds: Floats, bounds: tuple[Flags, Flags], correct: Floats, until: Until
) -> Standing:
    """Arrays are (systems, items, repeats). ``bounds``: where the seconds are a lower bound, and where an upper one."""
    cut, late = bounds
    indices = list(combinations(range(len(systems)), 2))
    if until.by == "task-time":
        looked = look(log_ratios(seconds, cut, indices, late), len(indices))
    else:
        looked = look_per_correct(totals_in_time(seconds, late, correct, indices), len(indices))
    found = settle(looked, until.margin)
    undecided = sum(not sign and not same for sign, same in zip(found.sign, found.equivalent, strict=True))
    error = ALPHA / max(1, undecided if until.margin is None else len(indices))
    return Standing(
        items=int((~np.isnan(correct)).any(axis=(0, 2)).sum()),
        pairs=tuple(
            _pair(
                (systems[a], systems[b]),
                looked,
                index,
                "equivalent" if found.equivalent[index] else _VERDICTS.get(found.sign[index], "open"),
                partial(items_more, looked, index, error, until.margin),
            )
            for index, (a, b) in enumerate(indices)
        ),
    )


def totals_in_time(seconds: Floats, late: Flags, correct: Floats, indices: list[tuple[int, int]]) -> Totals:
    """Time per correct answer of pairs, without the trials during which the client stood still."""
    in_time = np.where(late, np.nan, correct)
    spent = np.where(np.isnan(in_time), np.nan, np.nan_to_num(seconds))
    return per_correct_totals(spent, in_time, indices)


def per_correct_totals(spent: Floats, correct: Floats, indices: list[tuple[int, int]]) -> Totals:
    """Of pairs (a, b) of systems after each item; arrays are (systems, items, repeats)."""
    both = [~np.isnan(correct[a] + correct[b]) for a, b in indices]

    def column(values: Floats, side: int) -> Floats:
        columns = [
            np.where(mask.any(axis=-1), np.where(mask, values[pair[side]], 0.0).sum(axis=-1), np.nan)
            for pair, mask in zip(indices, both, strict=True)
        ]
        return np.array(columns).reshape(len(indices), spent.shape[1]).T

    sides = [(column(spent, side), column(correct, side)) for side in (0, 1)]
    return per_correct(*sides)


def _pair(
    names: tuple[str, str], looked: Looked, index: int, verdict: Verdict, more: Callable[[], int | None]
) -> PairStanding:
    close = float(looked.close[index])
    return PairStanding(
        a=names[0],
        b=names[1],
        verdict=verdict,
        on_most=bool(looked.on_most[index]),
        items=int(np.nan_to_num(looked.items[index])),
        ratio=_ratio(looked.value[index]),
        low=_ratio(looked.low[index]),
        high=_ratio(looked.high[index]),
        more=more() if verdict == "open" else None,
        margin=math.expm1(close) if close < math.log(1e3) else None,
    )


def _ratio(log: float) -> float | None:
    """Of a logarithm; null where it is unknown or infinite."""
    return math.exp(log) if math.isfinite(log) and log < 700 else None
