"""The trials of one cell as arrays, column by column: each is made once, and copied where it must be.

A number is a float, NaN where it is unknown; a flag is false where it is unknown; of a text all that is said is whether
it is known. ``outcome`` is the index of ``records.OUTCOMES``; what counts places from 0 (``item``) stays whole.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from taskpace.analysis.stats.intervals import Flags
from taskpace.records import OUTCOMES, Outcome

_CODES = pl.Enum(OUTCOMES)
_NONE = len(OUTCOMES)
"""In place of an outcome that is unknown."""


class _Made:
    """Arrays by name, each made when it is first asked for."""

    def __init__(self, make: Callable[[str], NDArray[Any]]) -> None:
        self._make = make
        self._found: dict[str, NDArray[Any]] = {}

    def __getitem__(self, name: str) -> NDArray[Any]:
        if (found := self._found.get(name)) is None:
            found = self._found[name] = self._make(name)
        return found


class Columns:
    """So many trials, and their columns by name.

    None holds itself, nor do some of its trials hold it: they would stay in memory, arrays and all, until the garbage
    collector comes by.
    """

    def __init__(self, height: int, arrays: _Made) -> None:
        self.height = height
        self._arrays = arrays

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._arrays[name]

    @cached_property
    def outcomes(self) -> dict[Outcome, int]:
        """How many trials have each outcome, of those that occur."""
        counts = np.bincount(self["outcome"], minlength=_NONE).tolist()
        return {outcome: count for outcome, count in zip(OUTCOMES, counts, strict=False) if count}

    def having(self, *outcomes: Outcome) -> Flags | None:
        """The trials with one of these outcomes; null: there are none."""
        found: Flags | None = None
        for outcome in outcomes:
            if outcome in self.outcomes:
                flags = self["outcome"] == OUTCOMES.index(outcome)
                found = flags if found is None else found | flags
        return found

    @property
    def ended(self) -> Columns:
        """Those that did not end in an error."""
        return self if self._some_ended is None else self._some_ended

    @property
    def in_time(self) -> Columns:
        """Those during which the client did not stand still."""
        return self if self._some_in_time is None else self._some_in_time

    @cached_property
    def _some_ended(self) -> Columns | None:
        """Null: all ended."""
        known = sum(self.outcomes.values())
        if known == self.height and "error" not in self.outcomes:
            return None
        codes = self["outcome"]
        return self._some((codes != OUTCOMES.index("error")) & (codes != _NONE))

    @cached_property
    def _some_in_time(self) -> Columns | None:
        """Null: all are."""
        return self._some(~self["late"])

    def _some(self, flags: Flags) -> Columns | None:
        if flags.all():
            return None
        whole, rows = self._arrays, np.flatnonzero(flags)
        return Columns(len(rows), _Made(lambda name: whole[name][rows]))

    def where(self, flags: Flags) -> Columns:
        """Those that are flagged; where that is all of them, these."""
        some = self._some(flags)
        return self if some is None else some


class Trials(Columns):
    """Of a frame of last attempts (columns of ``load_frame``)."""

    def __init__(self, frame: pl.DataFrame, arrays: _Made | None = None) -> None:
        super().__init__(frame.height, arrays or _Made(lambda name: _as_array(frame[name])))
        self.frame = frame

    def rows(self, begin: int, count: int) -> Trials:
        """Some that follow each other, without copies: a column is made once for all who share it."""
        whole, end = self._arrays, begin + count
        return Trials(self.frame.slice(begin, count), _Made(lambda name: whole[name][begin:end]))

    @cached_property
    def items(self) -> int:
        """How many items they are of."""
        if "item" in self.frame.columns:
            return int(np.count_nonzero(np.bincount(self["item"])))
        return self.frame["item_id"].n_unique()


def _as_array(values: pl.Series) -> NDArray[Any]:
    kind, unknown = values.dtype, values.null_count()
    if values.name == "outcome":
        codes = values.cast(_CODES).to_physical().cast(pl.UInt8)
        return (codes.fill_null(_NONE) if unknown else codes).to_numpy()
    if kind == pl.Boolean:
        if unknown:
            flags: Flags = values.cast(pl.Float64).to_numpy() == 1
            return flags
        return values.to_numpy()
    if kind.is_unsigned_integer():
        return values.to_numpy()
    if kind.is_numeric() or kind == pl.Null:
        return values.cast(pl.Float64).to_numpy()
    if unknown == len(values):
        return np.zeros(len(values), dtype=bool)
    return values.is_not_null().to_numpy() if unknown else np.ones(len(values), dtype=bool)
