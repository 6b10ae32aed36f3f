"""What taking turns does to what is measured: who was asked before, and where a block of a load begins and ends."""

from __future__ import annotations

import math
from typing import Self

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from taskpace.analysis.data.arrays import places_of
from taskpace.analysis.schema.summary import Finding
from taskpace.analysis.stats.intervals import Floats
from taskpace.analysis.stats.significance import Groups, holm, welch
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
        trials: of one task in one scenario (columns of ``load_frame``, and ``item``), last attempts.
    """
    columns = ("system", "item", "repeat", "session", "round", "place", "tpot_s", "task_time_s")
    turned = trials[list(columns)]
    if turned["round"].null_count() or turned["place"].null_count():
        turned = turned.drop_nulls(("round", "place"))
    if not turned.height:
        return ()
    pace = "tpot_s" if turned["tpot_s"].count() > turned.height / 2 else "task_time_s"
    has_pace = turned[pace] > 0
    paced = _Paced.of(turned if has_pace.all(ignore_nulls=False) else turned.filter(has_pace), pace)
    found: list[Finding] = []
    # One system's effect shows in the others, too, which are held against it: the greatest is taken out first.
    while len(found) < _MOST_FINDINGS and (greatest := _greatest(paced)):
        system, after, effect, p = greatest
        name = None if after == _FIRST else paced.names[after]
        found.append(_finding(paced.names[system], name, effect, p))
        paced = paced.without(system, after, effect)
    return tuple(found)


_FIRST, _UNKNOWN = -1, -2
"""In place of a predecessor: the first in its round, and one whose predecessor is unknown."""


class _Paced(msgspec.Struct, frozen=True):
    """Trials with a pace: arrays (trials,)."""

    names: tuple[str, ...]
    """Of the systems, sorted."""
    system: NDArray[np.intp]
    """Index of its name."""
    after: NDArray[np.intp]
    """Of the system before it in its round, ``_FIRST`` or ``_UNKNOWN``."""
    round: NDArray[np.intp]
    """Which, from 0."""
    log: Floats
    """Of its pace, less the mean of its system: rounds differ in who was asked, where decided systems rest."""

    @classmethod
    def of(cls, trials: pl.DataFrame, pace: str) -> Self:
        names = tuple(sorted(trials["system"].unique()))
        system, rounds = places_of(trials["system"], names), _rounds(trials)
        # A round has no more places than there are systems.
        place = trials["place"].clip(0, len(names) + 1).to_numpy()
        at = rounds * (len(names) + 2) + place
        asked = np.full((int(rounds.max(initial=0)) + 1) * (len(names) + 2), _UNKNOWN)
        asked[at] = system
        after = np.where(place > 1, asked[at - 1], _FIRST)
        log = np.log(trials[pace].to_numpy())
        means = np.bincount(system, log) / np.bincount(system)
        return cls(names, system, after, rounds, log - means[system])

    def relative(self) -> Floats:
        """Each trial's logarithm to the mean of the others in its round; not finite where it is alone."""
        total, others = np.bincount(self.round, self.log), np.bincount(self.round) - 1
        found: Floats = total[self.round] - self.log
        with np.errstate(divide="ignore", invalid="ignore"):
            found /= others[self.round]
        return np.subtract(self.log, found, out=found)

    def without(self, system: int, after: int, effect: float) -> Self:
        """The same without an effect on what a system did after another."""
        hit = (self.system == system) & (self.after == after)
        return msgspec.structs.replace(self, log=np.where(hit, self.log - effect, self.log))


def _rounds(trials: pl.DataFrame) -> NDArray[np.intp]:
    """Which round each trial is of, from 0: those of the same item, repeat, round and session."""
    item, repeat = (trials[name].to_numpy().astype(np.intp) for name in ("item", "repeat"))
    of_item = item * max(1, int(repeat.max(initial=1))) + repeat - 1
    others = [trials[name].to_numpy() for name in ("round", "session")]
    for column in others:
        # As a rule an item's repeat is asked in one round of all systems.
        last = np.zeros(int(of_item.max(initial=0)) + 1, dtype=column.dtype)
        last[of_item] = column
        if (last[of_item] != column).any():
            return np.unique(np.stack([of_item, *others]), axis=1, return_inverse=True)[1].astype(np.intp)
    return of_item


Contrast = tuple[int, int, float, float]
"""System, predecessor or ``_FIRST``, difference of the mean logarithms, p."""


def _greatest(paced: _Paced) -> Contrast | None:
    """The greatest effect that is significant and large enough; null: none is."""
    looked_for = _contrasts(paced)
    adjusted = holm([p for *_, p in looked_for])
    found = [
        (system, after, effect, p)
        for (system, after, effect, _), p in zip(looked_for, adjusted, strict=True)
        if p < LEAST_P and abs(np.expm1(effect)) > LEAST_EFFECT
    ]
    return max(found, key=lambda each: abs(each[2]), default=None)


def _contrasts(paced: _Paced) -> list[Contrast]:
    """Each system first in a round against later, and of the later ones after each predecessor against any other."""
    left, system, after = paced.relative(), paced.system, paced.after
    known = np.isfinite(left)
    if not known.all():
        left, system, after = left[known], system[known], after[known]
    k = len(paced.names)
    # Of each system: after each of the others, after an unknown one, first.
    places = k + 2
    groups = _grouped(left, system * places + after % places, (k, 1, places))
    place = np.arange(places)
    one = np.concatenate([place[None] == places - 1, np.eye(k, places, dtype=bool)])
    rest = np.concatenate([place[None] < places - 1, (place < k) & ~np.eye(k, places, dtype=bool)])
    both = groups.together(one), groups.together(rest)
    wanted = np.minimum(*(each.n for each in both)) >= _LEAST_ON_A_SIDE
    if np.count_nonzero(groups.n.any(axis=(1, 2))) <= 2:
        wanted[:, 1:] = False
    effects, p = welch(*both)
    return [(int(a), int(b) - 1, float(effects[a, b]), float(p[a, b])) for a, b in np.argwhere(wanted)]


def _grouped(values: Floats, group: NDArray[np.intp], shape: tuple[int, ...]) -> Groups:
    """``group``: of each value, an index into the flattened ``shape``."""
    size = math.prod(shape)
    n = np.bincount(group, minlength=size).astype(np.float64)
    mean = np.bincount(group, values, size) / np.maximum(n, 1)
    squares = np.bincount(group, (values - mean[group]) ** 2, size).astype(np.float64)
    return Groups(n.reshape(shape), mean.reshape(shape), squares.reshape(shape))


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
    if scenario.concurrency == 1 or scenario.batch is not None:
        return ()
    turned = trials.filter(pl.col("round").is_not_null() & pl.col("dispatch_ns").is_not_null())
    if not turned.height:
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
