"""The trials of one cell as arrays, column by column: each is made once, and copied where it must be.

A number is a float, NaN where it is unknown, and stays whole where the frame knows all of it as whole numbers; a flag
is false where it is unknown; of a text all that is said is whether it is known. ``outcome`` is the index of
``records.OUTCOMES``, ``foreign`` whether another model's tokenizer counted the tokens.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import pairwise
from threading import Lock
from typing import Any, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from taskpace.analysis.data.column import ITEM_CODE, NO_OUTCOME, as_array, column_of, is_number
from taskpace.analysis.data.parts import Span
from taskpace.analysis.stats.intervals import Flags
from taskpace.records import OUTCOMES, Outcome

Found = TypeVar("Found")


class _Made:
    """Arrays by name, each made when it is first asked for."""

    def __init__(self, make: Callable[[str], NDArray[Any]], found: dict[str, NDArray[Any]] | None = None) -> None:
        self._make = make
        self._found = found or {}

    def __contains__(self, name: str) -> bool:
        return name in self._found

    def __getitem__(self, name: str) -> NDArray[Any]:
        if (found := self._found.get(name)) is None:
            found = self._found[name] = self._make(name)
        return found


class _Values:
    """Columns by name, whatever their shape.

    None holds itself, nor do some of its trials hold it: they would stay in memory, arrays and all, until the garbage
    collector comes by.
    """

    def __init__(self, arrays: _Made) -> None:
        self._arrays = arrays
        self._unknown: dict[str, Flags | None] = {}
        self._flagged: dict[str, Flags | None] = {}

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._arrays[name]

    @cached_property
    def outcomes(self) -> dict[Outcome, int]:
        """How many trials have each outcome, of those that occur."""
        raise NotImplementedError

    def unknown(self, name: str) -> Flags | None:
        """Where a number is NaN; null: nowhere."""
        if name not in self._unknown:
            values = self[name]
            nan = np.isnan(values) if values.dtype.kind == "f" else None
            self._unknown[name] = nan if nan is not None and nan.any() else None
        return self._unknown[name]

    def flagged(self, name: str) -> Flags | None:
        """The trials with a flag; null: there are none."""
        if name not in self._flagged:
            flags = self[name]
            # One flag that is seen in every place is looked at once.
            self._flagged[name] = flags if (flags if any(flags.strides) else flags[:1]).any() else None
        return self._flagged[name]

    def unless_late(self, values: NDArray[Any]) -> NDArray[Any]:
        """Times of these trials, NaN where the client stood still meanwhile."""
        late = self.flagged("late")
        return values if late is None else np.where(late, np.nan, values)

    def having(self, *outcomes: Outcome) -> Flags | None:
        """The trials with one of these outcomes; null: there are none."""
        found: Flags | None = None
        for outcome in outcomes:
            if outcome in self.outcomes:
                flags = self["outcome"] == OUTCOMES.index(outcome)
                found = flags if found is None else found | flags
        return found


class Alike(_Values):
    """So many cells with as many trials each, to be worked on at once: each column is (cells, trials)."""

    def __init__(self, height: int, arrays: _Made) -> None:
        super().__init__(arrays)
        self.height = height
        self._totals: dict[str, list[float]] = {}
        self._greatest: dict[str, list[float]] = {}
        self._found: dict[Callable[[Alike], Any], Any] = {}

    def row(self, row: int) -> _Made:
        """The columns of one cell."""
        arrays = self._arrays
        return _Made(lambda name: arrays[name][row])

    def of_each(self, find: Callable[[Alike], Sequence[Found]]) -> Sequence[Found]:
        """What a function finds of each cell; it is called once."""
        if find not in self._found:
            self._found[find] = find(self)
        found: Sequence[Found] = self._found[find]
        return found

    def is_same_in_all(self, name: str) -> bool:
        """Whether all cells have the same values, trial by trial."""
        values = self[name]
        return not values.strides[0] or bool((values == values[:1]).all())

    def totals(self, name: str) -> list[float]:
        """The sum of each cell's numbers that are not NaN."""
        if name not in self._totals:
            unknown = self.unknown(name)
            known = self[name] if unknown is None else np.where(unknown, 0.0, self[name])
            self._totals[name] = known.sum(axis=1).astype(np.float64).tolist()
        return self._totals[name]

    def greatest(self, name: str) -> list[float]:
        """The greatest of each cell's numbers, NaN left out; -inf of nothing."""
        if name not in self._greatest:
            values = self[name]
            # One number that is seen in every place is looked at once.
            seen = values if any(values.strides) else values[:, :1]
            if seen.dtype.kind == "f":
                found = np.fmax.reduce(seen, axis=1, initial=-np.inf)
            else:
                found = seen.max(axis=1) if seen.size else np.full(self.height, -np.inf)
            self._greatest[name] = found.astype(np.float64).tolist()
        return self._greatest[name]

    @cached_property
    def items_of_each(self) -> list[int]:
        """How many items each cell's trials are of, by their places (``item``)."""
        places = self["item"]
        if not places.strides[0]:
            return [_distinct(places[0])] * self.height
        return [_distinct(own) for own in places]

    @cached_property
    def outcomes_of_each(self) -> list[dict[Outcome, int]]:
        """How many trials of each cell have each outcome, of those that occur there."""
        return [_counted(codes) for codes in self["outcome"]]

    @cached_property
    def outcomes(self) -> dict[Outcome, int]:
        """How many trials of all cells have each outcome, of those that occur."""
        return dict(sum(map(Counter, self.outcomes_of_each), Counter()))


class Columns(_Values):
    """So many trials of a cell, and their columns by name.

    ``beside``: what they are a row of, and which: then what is asked of one cell is found for all of them at once.
    """

    def __init__(self, height: int, arrays: _Made, beside: tuple[Alike, int] | None = None) -> None:
        super().__init__(arrays)
        self.height = height
        self.beside = beside

    def unknown(self, name: str) -> Flags | None:
        """Where a number is NaN; null: nowhere."""
        if self.beside is None or name in self._unknown:
            return super().unknown(name)
        alike, row = self.beside
        of_all = alike.unknown(name)
        self._unknown[name] = of_all[row] if of_all is not None and of_all[row].any() else None
        return self._unknown[name]

    def flagged(self, name: str) -> Flags | None:
        """The trials with a flag; null: there are none."""
        return None if self.beside is not None and self.beside[0].flagged(name) is None else super().flagged(name)

    def count(self, name: str) -> int:
        """How many have a flag."""
        flags = self.flagged(name)
        return 0 if flags is None else int(np.count_nonzero(flags))

    def known(self, name: str) -> NDArray[Any]:
        """The numbers that are not NaN."""
        unknown = self.unknown(name)
        return self[name] if unknown is None else self[name][~unknown]

    def knowing(self, name: str) -> Columns:
        """The trials whose number is not NaN."""
        unknown = self.unknown(name)
        return self if unknown is None else self.where(~unknown)

    def total(self, name: str) -> float:
        """The sum of the numbers that are not NaN."""
        alike, row = self._as_row
        return alike.totals(name)[row]

    def greatest(self, name: str) -> float:
        """The greatest of the numbers that are not NaN; -inf without one."""
        alike, row = self._as_row
        return alike.greatest(name)[row]

    def found_by(self, find: Callable[[Alike], Sequence[Found]]) -> Found:
        """What a function finds of these trials, which it looks at together with the table's other cells."""
        alike, row = self._as_row
        return alike.of_each(find)[row]

    @cached_property
    def outcomes(self) -> dict[Outcome, int]:
        """How many trials have each outcome, of those that occur."""
        alike, row = self._as_row
        return alike.outcomes_of_each[row]

    @cached_property
    def _as_row(self) -> tuple[Alike, int]:
        arrays = self._arrays
        return self.beside or (Alike(1, _Made(lambda name: arrays[name][None])), 0)

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
        return self._some((codes != OUTCOMES.index("error")) & (codes != NO_OUTCOME))

    @cached_property
    def _some_in_time(self) -> Columns | None:
        """Null: all are."""
        late = self.flagged("late")
        return None if late is None else self._some(~late)

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

    def __init__(
        self, frame: pl.DataFrame, arrays: _Made | None = None, beside: tuple[Alike, int] | None = None
    ) -> None:
        super().__init__(frame.height, arrays or _Made(lambda name: as_array(column_of(frame, name))), beside)
        self.frame = frame

    @cached_property
    def items(self) -> int:
        """How many items they are of."""
        if "item" in self._arrays or "item" in self.frame.columns:
            alike, row = self._as_row
            return alike.items_of_each[row]
        return self.frame["item_id"].n_unique()


class Whole:
    """A frame whose trials are asked for cell by cell, in several threads: columns that can be seen are not copied."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self._frame = frame
        self._views: dict[str, NDArray[Any] | None] = {}
        self._lock = Lock()

    def rows(self, begin: int, count: int, item: NDArray[np.intp] | None = None) -> Trials:
        """Some that follow each other; ``item``: the places of their items, in place of the column."""
        return self.cells([(begin, count)], item)[0]

    def cells(self, spans: Sequence[Span], item: NDArray[np.intp] | None = None) -> tuple[Trials, ...]:
        """Rows that follow each other, of each cell of a table.

        Args:
            spans: where they begin, and how many there are.
            item: the places of the items of all of them, one after the other, in place of the column; as rows of
                cells, if they have as many.
        """
        frames, counts = [self._frame.slice(*span) for span in spans], [count for _, count in spans]
        if len(set(counts)) == 1 and counts[0]:
            begins = [begin for begin, _ in spans]
            found = {} if item is None else {"item": item.reshape(len(spans), -1)}
            table = Alike(len(spans), _Made(lambda name: self._columns(name, begins, counts[0], frames), found))
            return tuple(Trials(frame, table.row(row), (table, row)) for row, frame in enumerate(frames))
        items = [] if item is None else np.split(item, np.cumsum(counts)[:-1])
        return tuple(
            Trials(frame, self._column_of(span, frame, {} if item is None else {"item": items[row]}))
            for row, (span, frame) in enumerate(zip(spans, frames, strict=True))
        )

    def codes(self, spans: Sequence[Span]) -> NDArray[Any] | None:
        """The codes of the items of each cell's trials, (cells, trials); null: cells differ in how many they have, or
        some items have none.
        """
        if len({count for _, count in spans}) != 1 or self._view(ITEM_CODE) is None:
            return None
        return self._columns(ITEM_CODE, [begin for begin, _ in spans], spans[0][1])

    def _column_of(self, span: Span, frame: pl.DataFrame, found: dict[str, NDArray[Any]]) -> _Made:
        begin, end = span[0], sum(span)

        def make(name: str) -> NDArray[Any]:
            view = self._view(name)
            return as_array(column_of(frame, name)) if view is None else view[begin:end]

        return _Made(make, found)

    def _columns(self, name: str, begins: list[int], height: int, frames: Sequence[pl.DataFrame] = ()) -> NDArray[Any]:
        """A column of cells of one height, seen where it is if they lie at even distances, and copied else.

        ``frames``: the cells', of whose columns one that cannot be seen is copied.
        """
        view = self._view(name)
        steps = {after - before for before, after in pairwise(begins)} or {0}
        if view is None:
            return np.stack([as_array(column_of(frame, name)) for frame in frames])
        if len(steps) > 1:
            return np.stack([view[begin : begin + height] for begin in begins])
        shape, (stride,), (step,) = (len(begins), height), view.strides, steps
        # Of one value that is seen in every place the memory is that of one.
        memory = view if stride else view[:1]
        return np.ndarray(shape, view.dtype, memory, begins[0] * stride, (step * stride, stride))

    def _view(self, name: str) -> NDArray[Any] | None:
        """A column that all cells share, of 8 bytes a trial at most where it is the frame's own and else of one.

        Null: it has gaps, or is in pieces, so that each cell copies its own, and frees it with its table. Codes of
        items are made for all, and kept.
        """
        with self._lock:
            if name not in self._views:
                column = column_of(self._frame, name)
                own = column.n_chunks() == 1 and (column.null_count() in (0, len(column)) or not is_number(column))
                self._views[name] = as_array(column) if own else None
            return self._views[name]


def together(cells: Sequence[Columns]) -> list[tuple[list[int], Alike]]:
    """Those that have trials in groups that are alike, each with the places of its cells among all: one, as a rule."""
    by_height: dict[int, list[int]] = {}
    for place, cell in enumerate(cells):
        if cell.height:
            by_height.setdefault(cell.height, []).append(place)
    return [(places, _beside([cells[place] for place in places])) for places in by_height.values()]


def _beside(cells: Sequence[Columns]) -> Alike:
    """Cells of one height, as the table has them if these are all of it."""
    whole = cells[0].beside
    if whole is not None and [cell.beside for cell in cells] == [(whole[0], row) for row in range(whole[0].height)]:
        return whole[0]
    return Alike(len(cells), _Made(lambda name: np.stack([cell[name] for cell in cells])))


def _distinct(places: NDArray[Any]) -> int:
    return int(np.count_nonzero(np.bincount(places)))


def _counted(codes: NDArray[Any]) -> dict[Outcome, int]:
    """How many have each outcome, of those that occur: few do, so that the rest is not looked for."""
    found: dict[Outcome, int] = {}
    left = len(codes)
    for code, outcome in enumerate(OUTCOMES):
        if left and (n := int(np.count_nonzero(codes == code))):
            found[outcome] = n
            left -= n
    return found
