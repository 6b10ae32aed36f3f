"""A frame in parts: the trials of each cell, or of each system."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate, pairwise
from typing import Self

import msgspec
import polars as pl

Key = tuple[str, ...]
Span = tuple[int, int]
"""The first row, and how many rows."""


class Parts(msgspec.Struct, frozen=True):
    """Rows with the same values in some columns stand together; parts and rows in their order."""

    trials: pl.DataFrame
    spans: dict[Key, Span]
    """By those values."""

    @classmethod
    def of(cls, trials: pl.DataFrame, *keys: str) -> Self:
        """Where the rows of a part stand together, as those of a cell do in a run file, nothing is copied."""
        if not trials.height:
            return cls(trials, {})
        # Of names that are codes, the codes: names take three times as long to compare.
        codes = [pl.col(key).to_physical() for key in keys]
        changes = trials.select(pl.any_horizontal(code.ne_missing(code.shift()) for code in codes)).to_series()
        begins = sorted({0, *changes.arg_true()})
        heads = [tuple(head) for head in trials.select(pl.col(keys).gather(begins)).rows()]
        if len(set(heads)) == len(heads):
            return cls(trials, _spans(heads, [*begins, trials.height]))
        groups = dict(trials.group_by(*keys, maintain_order=True))
        ends = accumulate((part.height for part in groups.values()), initial=0)
        return cls(pl.concat(groups.values(), rechunk=False), _spans(groups, list(ends)))

    def together(self, keys: Iterable[Key]) -> pl.DataFrame:
        """The rows of some parts, one after the other; a view of the frame where they are."""
        spans = [self.spans[key] for key in keys if key in self.spans]
        if not spans:
            return self.trials.clear()
        if all(begin + rows == following for (begin, rows), (following, _) in pairwise(spans)):
            return self.trials.slice(spans[0][0], sum(rows for _, rows in spans))
        return pl.concat([self.trials.slice(*span) for span in spans], rechunk=False)


def parts_of(trials: pl.DataFrame, *keys: str) -> dict[Key, pl.DataFrame]:
    """The rows of each of ``Parts``."""
    parts = Parts.of(trials, *keys)
    return {key: parts.trials.slice(*span) for key, span in parts.spans.items()}


def _spans(keys: Iterable[Key], begins: list[int]) -> dict[Key, Span]:
    """``begins``: and the end of the last."""
    return {key: (begin, end - begin) for key, (begin, end) in zip(keys, pairwise(begins), strict=True)}
