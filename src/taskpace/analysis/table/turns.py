"""What taking turns does to what is measured: who was asked before, and where a block of a load begins and ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from taskpace.analysis.data.cells import CellPlan
from taskpace.analysis.data.columns import Alike, Columns, together
from taskpace.analysis.data.sample import Sample
from taskpace.analysis.schema.summary import Finding
from taskpace.analysis.stats.intervals import Flags, Floats
from taskpace.analysis.stats.significance import Groups, error_of_difference, holms, welch
from taskpace.analysis.stats.student import normal_quantile
from taskpace.analysis.table.again import again
from taskpace.experiment.scenario import Scenario

LEAST_EFFECT = 0.05
LEAST_P = 0.01
"""After Holm over all effects that are looked for in a table."""
_LEAST_ON_A_SIDE = 5
"""Trials; of fewer a spread says little."""
_MOST_FINDINGS = 3


def order_findings(cells: Mapping[str, Columns], of_table: CellPlan) -> tuple[Finding, ...]:
    """Effects of the order within rounds, the greatest first.

    Each trial's logarithmic pace (TPOT, which depends on the item least; task time where most answers have no second
    token) is taken relative to the others of its round, whose item is the same, and for each system compared: first in
    the round against later, and of the later ones after each predecessor against after any other (Welch's t-test).
    The order is drawn for each round, so that nothing else differs. With two systems a predecessor and a place are one
    thing, and only the place is looked at.

    Args:
        cells: by system its last attempts at one task in one scenario (columns of ``load_frame``, and ``item``).
        of_table: one of the cells, as planned.
    """
    turned = {name: cell.knowing("round").knowing("place") for name, cell in sorted(cells.items())}
    height = sum(cell.height for cell in turned.values())
    known = sum(len(cell.known("tpot_s")) for cell in turned.values())
    pace = "tpot_s" if known > height / 2 else "task_time_s"
    with_pace = {name: cell.where(cell[pace] > 0) for name, cell in turned.items()}
    paced = _Paced.of({name: cell for name, cell in with_pace.items() if cell.height}, pace)
    if paced is None:
        return ()
    found: list[Finding] = []
    # One system's effect shows in the others, too, which are held against it: the greatest is taken out first.
    while len(found) < _MOST_FINDINGS and (greatest := _greatest(paced)):
        system, after, effect, p = greatest
        name = None if after == _FIRST else paced.names[after]
        found.append(_finding(paced.names[system], name, effect, p, again(of_table, order="blocks")))
        if len(found) < _MOST_FINDINGS:
            paced.take_out(system, after, effect)
    return tuple(found)


_FIRST, _UNKNOWN = -1, -2
"""In place of a predecessor: the first in its round, and one whose predecessor is unknown."""


class _Paced(msgspec.Struct, frozen=True):
    """Trials with a pace that are not alone in their round, by system and round."""

    names: tuple[str, ...]
    """Of the systems, sorted."""
    log: Floats
    """Of the pace, less the mean of its system: rounds differ in who was asked, where decided systems rest. (systems,
    rounds); 0 where there is none."""
    others: Floats
    """How many others a trial has in its round: (rounds,)."""
    places: NDArray[np.intp]
    """Of each trial in ``log``, row after row: by system, and those after the same one together, in the order of
    ``of_group``."""
    of_group: Floats
    """How many trials each system has after each of the others, after an unknown one, first: (systems, 1, places)."""

    @classmethod
    def of(cls, cells: Mapping[str, Columns], pace: str) -> Self | None:
        """Of each system's trials, sorted by name; null: there are none."""
        if not cells:
            return None
        names, k = tuple(cells), len(cells)
        place, log, there = _by_round(list(cells.values()), pace)
        whole = bool(there.all())
        log -= log.sum(axis=1, keepdims=True) / there.sum(axis=1, keepdims=True)
        if not whole:
            log[~there] = 0.0
        in_round = np.full(there.shape[1], k) if whole else there.sum(axis=0)
        # A round has no more places than there are systems.
        at = place.clip(1, k + 1).astype(np.intp)
        at += np.arange(len(in_round)) * (k + 2)
        asked = np.full((len(in_round), k + 2), _UNKNOWN % (k + 2), dtype=np.int16)
        asked[:, 0] = _FIRST % (k + 2)
        systems = np.broadcast_to(np.arange(k, dtype=np.int16)[:, None], at.shape)
        known = ... if whole else there
        asked.ravel()[at[known]] = systems[known]
        at -= 1
        before = asked.ravel().take(at)
        if not whole or k < 2:
            # Those without a pace, or alone in their round, come last.
            before[~there | (in_round < 2)] = k + 2
        order, counts = _in_groups(before, k + 3)
        of_group = counts[:, None, :-1].astype(np.float64)
        order += np.arange(k)[:, None] * len(in_round)
        paced = [own[:n] for own, n in zip(order, of_group.sum(axis=(1, 2)).astype(np.intp), strict=True)]
        return cls(names, log, np.maximum(in_round - 1.0, 1.0), np.concatenate(paced), of_group)

    def grouped(self) -> Groups:
        """Each trial's logarithm to the mean of the others in its round, by its system and its predecessor."""
        others = self.log.sum(axis=0) - self.log
        others /= self.others
        left = np.subtract(self.log, others, out=others).ravel().take(self.places)
        mean, squares = np.zeros((2, self.of_group.size))
        there = np.flatnonzero(self.of_group)
        n = self.of_group.ravel()[there].astype(np.intp)
        begins = np.cumsum(n) - n
        mean[there] = np.add.reduceat(left, begins) / n
        left -= np.repeat(mean[there], n)
        left *= left
        squares[there] = np.add.reduceat(left, begins)
        return Groups(self.of_group, mean.reshape(self.of_group.shape), squares.reshape(self.of_group.shape))

    def take_out(self, system: int, after: int, effect: float) -> None:
        """Take an effect on what a system did after another out of the logarithms."""
        group = np.ravel_multi_index((system, 0, after % self.of_group.shape[-1]), self.of_group.shape)
        end = int(self.of_group.ravel()[: group + 1].sum())
        hit = self.places[end - int(self.of_group.ravel()[group]) : end]
        self.log.ravel()[hit] -= effect


def _in_groups(groups: NDArray[np.int16], count: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Of each row the places of its values, group after group, and how many each group has; groups from 0.

    Group and place are sorted as one number, which numpy does in half the time that it takes to put places in the order
    of the groups.
    """
    bits = groups.shape[1].bit_length()
    ranked: NDArray[np.signedinteger[Any]] = groups.astype(np.int32 if count << bits < 2**31 else np.int64)
    ranked <<= bits
    ranked |= np.arange(groups.shape[1], dtype=ranked.dtype)
    ranked.sort(axis=1)
    begins = np.arange(count + 1, dtype=ranked.dtype) << bits
    counts = np.diff([row.searchsorted(begins) for row in ranked], axis=1)
    ranked &= (1 << bits) - 1
    return ranked.astype(np.intp), counts


def _by_round(cells: Sequence[Columns], pace: str) -> tuple[NDArray[Any], Floats, Flags]:
    """Of each system in each round: the place, the logarithm of the pace, and whether there is one."""
    if (alike := _in_same_rounds(cells)) is not None:
        log = np.log(alike[pace])
        return alike["place"], log, np.ones(log.shape, dtype=bool)
    rounds = _rounds(cells)
    shape = (len(cells), 1 + max(int(each.max()) for each in rounds))
    place, log, there = np.ones(shape, dtype=np.intp), np.zeros(shape), np.zeros(shape, dtype=bool)
    for system, (cell, asked_in) in enumerate(zip(cells, rounds, strict=True)):
        place[system, asked_in], log[system, asked_in], there[system, asked_in] = (
            cell["place"],
            np.log(cell[pace]),
            True,
        )
    return place, log, there


_ROUND = ("item", "repeat", "round", "session")
"""What a round is told by."""


def _in_same_rounds(cells: Sequence[Columns]) -> Alike | None:
    """Cells whose trials are of the same rounds, in one order; null: they are not."""
    (_, alike), *others = together(cells)
    return alike if not others and all(map(alike.is_same_in_all, _ROUND)) else None


def _rounds(cells: Sequence[Columns]) -> list[NDArray[np.intp]]:
    """Which round each trial is of, from 0: those of the same ``_ROUND``."""
    repeats = max(int(cell["repeat"].max(initial=1)) for cell in cells)
    of_item = [cell["item"].astype(np.intp) for cell in cells]
    if repeats > 1:
        of_item = [
            item * repeats + cell["repeat"].astype(np.intp) - 1 for item, cell in zip(of_item, cells, strict=True)
        ]
    for name in ("round", "session"):
        # As a rule an item's repeat is asked in one round of all systems.
        last = np.zeros(1 + max(int(item.max(initial=0)) for item in of_item))
        for item, cell in zip(of_item, cells, strict=True):
            last[item] = cell[name]
        if any((last[item] != cell[name]).any() for item, cell in zip(of_item, cells, strict=True)):
            others = (np.concatenate([cell[each] for cell in cells]) for each in ("round", "session"))
            number = np.unique([np.concatenate(of_item), *others], axis=1, return_inverse=True)[1]
            return np.split(number.astype(np.intp).ravel(), np.cumsum([cell.height for cell in cells])[:-1])
    return of_item


_Effect = tuple[int, int, float, float]
"""System, predecessor or ``_FIRST``, difference of the mean logarithms, p."""


def _greatest(paced: _Paced) -> _Effect | None:
    """The greatest effect that is significant and large enough; null: none is."""
    wanted, effects, p = _contrasts(paced)
    adjusted = holms(np.where(wanted, p, np.nan).ravel()).reshape(p.shape)
    found = (adjusted < LEAST_P) & (np.abs(np.expm1(effects)) > LEAST_EFFECT)
    if not found.any():
        return None
    system, after = divmod(int(np.where(found, np.abs(effects), -1.0).argmax()), effects.shape[1])
    return system, after - 1, float(effects[system, after]), float(adjusted[system, after])


def _contrasts(paced: _Paced) -> tuple[Flags, Floats, Floats]:
    """Each system first in a round against later, and of the later ones after each predecessor against any other.

    Returns (systems, 1 + systems) each: which are looked at, the differences of the mean logarithms, and p, which is 1
    where it is more than ``LEAST_P`` at any degrees of freedom, as most are: it can neither be significant nor make
    another less so.
    """
    k = len(paced.names)
    places = k + 2
    groups = paced.grouped()
    place = np.arange(places)
    one = np.concatenate([place[None] == places - 1, np.eye(k, places, dtype=bool)])
    rest = np.concatenate([place[None] < places - 1, (place < k) & ~np.eye(k, places, dtype=bool)])
    both = groups.together(one), groups.together(rest)
    wanted: Flags = np.minimum(*(each.n for each in both)) >= _LEAST_ON_A_SIDE
    if np.count_nonzero(groups.n.any(axis=(1, 2))) <= 2:
        wanted[:, 1:] = False
    effects = both[0].mean - both[1].mean
    error = np.sqrt(error_of_difference(*both)[0])
    far = wanted & (np.abs(effects) >= normal_quantile(1 - LEAST_P / 2) * error)
    p = np.ones(effects.shape)
    if far.any():
        p[far] = welch(*(Groups(each.n[far], each.mean[far], each.squares[far]) for each in both))[1]
    return wanted, effects, p


def _finding(system: str, after: str | None, effect: float, p: float, in_blocks: str) -> Finding:
    way = "slower" if effect > 0 else "faster"
    percent = abs(100 * np.expm1(effect))
    when = "first in a round" if after is None else f"after {after}"
    return Finding(
        code="order",
        text=f"{system} is {percent:.0f} % {way} {when} than otherwise",
        evidence={"ratio": float(np.exp(effect)), "p": p},
        remedy=f"see what is left of it in blocks: {in_blocks}",
    )


def ramp_findings(sample: Sample, scenario: Scenario) -> tuple[Finding, ...]:
    """How much of the time a load that was carried out in blocks had fewer in flight than it is named after.

    All slots are taken at a block's begin; from the first end after its last dispatch on there are fewer.

    Args:
        sample: of one task in this scenario.
        scenario: a closed loop; of other scenarios there is nothing to say.
    """
    if scenario.concurrency == 1 or scenario.batch is not None:
        return ()
    turned = sample.trials.filter(pl.col("round").is_not_null() & pl.col("dispatch_ns").is_not_null())
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
