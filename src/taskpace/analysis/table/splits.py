"""Why one system takes longer than another over the items of a task: the exact split of the difference."""

from __future__ import annotations

from functools import cached_property
from itertools import islice

import msgspec
import numpy as np

from taskpace.analysis.data.arrays import Arrays
from taskpace.analysis.stats.estimates import UNKNOWN, Estimate, numbers
from taskpace.analysis.stats.intervals import Flags, Floats, Influence, Reach, column_blocks
from taskpace.analysis.stats.items import any_of_system, differences, item_means, side_by_side
from taskpace.analysis.stats.products import Indices, Products
from taskpace.analysis.stats.split import PARTS, Side, of_writing

_ROWS = ("difference", *PARTS)
"""What is averaged over items, in this order."""
AT_A_TIME = 1 << 20
"""Values of all rows of a block of pairs: of each row as many as one step works on (``intervals.AT_A_TIME``)."""


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
    def _sides(self) -> Side:
        """The systems' trials."""
        arrays, shape = self._arrays, (len(self._arrays.systems), -1)
        return Side(
            time_s=arrays.task_time_s.reshape(shape),
            wait_s=np.fmin(arrays.wait_s, arrays.task_time_s).reshape(shape),
            written_bytes=arrays.written_bytes.reshape(shape),
            tpot_s=arrays.tpot_s.reshape(shape),
        )

    @cached_property
    def _untimed(self) -> Flags:
        return any_of_system(self._arrays.untimed > 0)

    @cached_property
    def _apart(self) -> tuple[Products, Products] | None:
        """Of all of the time, and of waiting: differences of two systems, which need not be looked at pair by pair.

        Null: some of it is unknown; or the side of the tail is asked for.
        """
        if self._reach is not None:
            return None
        times = self._arrays.times
        waits = Products.of(self._sides.wait_s.reshape(self._arrays.task_time_s.shape))
        return None if times is None or waits is None else (times, waits)

    def of(self, indices: Indices) -> list[Split | None]:
        """Of system ``b`` against ``a`` for each pair (a, b); null without common items."""
        if not indices:
            return []
        order, pairs = side_by_side(indices)
        # The other way round a split has the other sign.
        signs = np.array([1.0 if indices[index] == pair else -1.0 for index, pair in zip(order, pairs, strict=True)])
        trials = self._sides.time_s.shape[1]
        # What the splits of a block are made in, one block after the other.
        rows = len(PARTS) if self._apart is not None else 1 + len(_ROWS)
        blocks = column_blocks(rows * trials, len(pairs), AT_A_TIME)
        work = np.empty(rows * blocks[0].stop * trials)
        means, counted = zip(
            *(
                self._influence(pairs[block], signs[block], work[: rows * n * trials].reshape(rows, n, trials))
                for block, n in ((block, len(pairs[block])) for block in blocks)
            ),
            strict=True,
        )
        estimates = iter(numbers(Influence.together(means).intervals(self._reach)))
        found: list[Split | None] = [None] * len(indices)
        for block, told in zip(blocks, counted, strict=True):
            by_row = [list(islice(estimates, len(told))) for _ in _ROWS]
            for index, (a, b), counts, *of_pair in zip(order[block], pairs[block], told, *by_row, strict=True):
                found[index] = self._split(of_pair, counted=counts, untimed=bool(self._untimed[a] or self._untimed[b]))
        return found

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

    def _influence(self, pairs: Indices, signs: Floats, work: Floats) -> tuple[Influence, list[bool]]:
        """The means over items of the difference and of its four parts, row by row of all pairs; and of each pair
        whether the tokenizer's part can be told (else it is 0 here, within decode).

        ``signs``: of each pair, -1 for the other way round; ``work``: (rows, pairs, trials), what they are made in.
        """
        _, items, repeats = self._arrays.task_time_s.shape
        found, spare = work[:-1], work[-1]
        parts = of_writing(self._sides, pairs, into=found[-3:], spare=spare)
        verbosity, tokenizer, _ = parts
        # As a rule it can be told, and the first trial is known.
        untold = np.isnan(tokenizer[:, :1]).all(axis=1)
        if untold.any():
            untold = np.isnan(tokenizer).all(axis=1)
        if untold.any():
            some = parts[:, untold]
            parts[:, untold] = np.where(np.isnan(some[:1]), np.nan, np.nan_to_num(some))
        if self._apart is None:
            for values, row in zip((self._sides.time_s, self._sides.wait_s), found, strict=False):
                differences(values, pairs, row)
                np.copyto(row, np.nan, where=np.isnan(verbosity))
        by_item = item_means(found.reshape(len(found) * len(pairs), items, repeats))
        means = Influence.of_means(by_item.T, skewed=self._reach is not None, spent=True)
        if self._apart is not None:
            means = Influence.together([*(each.mean_differences(pairs) for each in self._apart), means])
        return means.turned(np.tile(signs, len(_ROWS))), (~untold).tolist()
