"""Why one system takes longer than another over the items of a task: the exact split of the difference."""

from __future__ import annotations

from functools import cached_property

import msgspec
import numpy as np

from taskpace.analysis.data.arrays import Arrays
from taskpace.analysis.stats.estimates import UNKNOWN, Estimate, numbers
from taskpace.analysis.stats.intervals import Floats, Influence, Reach
from taskpace.analysis.stats.items import item_means
from taskpace.analysis.stats.split import PARTS, Side, by_cause

_ROWS = ("difference", *PARTS)
"""What is averaged over items, in this order."""


class Split(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Mean seconds by which B takes longer than A, and its exact parts, which add up (see ``stats.split``).

    Where one of the two is not streamed, or arrives in bursts, the difference is all that is known; its parts are null.
    """

    difference_s: Estimate
    wait_s: Estimate
    verbosity_s: Estimate
    tokenizer_s: Estimate
    """Null when tokens are unknown; ``decode_s`` then has both."""
    decode_s: Estimate

    @property
    def parts_known(self) -> bool:
        """Whether there is anything to tell but the difference."""
        return self.wait_s.value is not None


class Splits:
    """The splits of pairs of systems: item means of the parts, averaged over items.

    Args:
        arrays: of one task in one scenario.
        reach: of the intervals; null: the number of items was fixed.
    """

    def __init__(self, arrays: Arrays, reach: Reach | None) -> None:
        self._arrays, self._reach = arrays, reach

    @cached_property
    def _sides(self) -> list[Side]:
        return [_side(self._arrays, index) for index in range(len(self._arrays.systems))]

    @cached_property
    def _work(self) -> Floats:
        """What the split of a pair is made in, one after the other."""
        _, items, repeats = self._arrays.task_time_s.shape
        return np.empty((len(_ROWS) + 1, items * repeats))

    @cached_property
    def _untimed(self) -> list[bool]:
        return [bool((each > 0).any()) for each in self._arrays.untimed]

    def of(self, indices: list[tuple[int, int]]) -> list[Split | None]:
        """Of system ``b`` against ``a`` for each pair (a, b); null without common items."""
        if not indices:
            return []
        means, counted = zip(*(self._influence(self._sides[a], self._sides[b]) for a, b in indices), strict=True)
        found = numbers(Influence.together(means).intervals(self._reach))
        return [
            self._split(found[len(_ROWS) * index :], counted=each, untimed=self._untimed[a] or self._untimed[b])
            for index, (each, (a, b)) in enumerate(zip(counted, indices, strict=True))
        ]

    @staticmethod
    def _split(found: list[Estimate], *, counted: bool, untimed: bool) -> Split | None:
        whole, wait, verbosity, tokenizer, decode = found[: len(_ROWS)]
        if whole.value is None:
            return None
        if untimed:
            wait = verbosity = tokenizer = decode = UNKNOWN
        return Split(
            difference_s=whole,
            wait_s=wait,
            verbosity_s=verbosity,
            tokenizer_s=tokenizer if counted else UNKNOWN,
            decode_s=decode,
        )

    def _influence(self, base: Side, other: Side) -> tuple[Influence, bool]:
        """The means over items of the difference and of its four parts; and whether the tokenizer's part can be told
        (else it is 0 here, within decode).
        """
        _, items, repeats = self._arrays.task_time_s.shape
        found, spare = self._work[:-1], self._work[-1]
        np.subtract(other.time_s, base.time_s, out=found[0])
        parts = by_cause(base, other, into=found[1:], spare=spare)
        counted = not np.isnan(parts[PARTS.index("tokenizer")]).all()
        if not counted:
            parts[:] = np.where(np.isnan(parts[:1]), np.nan, np.nan_to_num(parts))
        by_item = item_means(found.reshape(len(_ROWS), items, repeats))
        return Influence.of_means(by_item.T, skewed=self._reach is not None), counted


def _side(arrays: Arrays, index: int) -> Side:
    time_s = arrays.task_time_s[index].ravel()
    return Side(
        time_s=time_s,
        wait_s=np.fmin(arrays.wait_s[index].ravel(), time_s),
        written_bytes=arrays.written_bytes[index].ravel(),
        tpot_s=arrays.tpot_s[index].ravel(),
    )
