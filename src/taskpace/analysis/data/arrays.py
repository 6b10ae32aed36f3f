"""One task in one scenario as arrays: systems x items x repeats, so that everything is compared item by item."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from taskpace.analysis.data.columns import Alike, Columns, Trials, Whole, together
from taskpace.analysis.data.parts import Parts
from taskpace.analysis.stats.intervals import Flags, Floats
from taskpace.analysis.stats.items import is_one, item_totals
from taskpace.analysis.stats.products import Products
from taskpace.records import CUT

_FLAGS = ("cut", "late", "untimed")


class Arrays(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """Each number is (systems, items, repeats); NaN where there is no record, or the number is unknown."""

    systems: tuple[str, ...]
    items: Sequence[str] | pl.Series
    """Ids: sorted, or in the order in which they were asked."""
    task_time_s: Floats
    """Of trials that ended; errors have no task time, nor have those during which the client stood still."""
    spent_s: Floats
    """Task times and the time that errors took: what time per correct answer counts. 0 for a crashed worker; NaN for
    all of an imported system whose log has no times."""
    wait_s: Floats
    written_bytes: Floats
    """Visible and reasoning."""
    visible_bytes: Floats
    reasoning_bytes: Floats
    tpot_s: Floats
    output_tokens: Floats
    correct: Floats
    """1 or 0 for every record; NaN only where there is none."""
    cut: Floats
    """1 where the trial was truncated, timed out or failed, so that times and lengths are lower bounds; else 0."""
    late: Floats
    """1 where the client stood still meanwhile, so that the recorded time is an upper bound; else 0."""
    session: Floats
    """In which session of the run it was recorded."""
    round: Floats
    """In which round, when systems took turns; NaN where it was in none."""
    untimed: Floats
    """1 where it is unknown when the tokens were made, the first included: not streamed, or in bursts; else 0."""
    cost_usd: Floats
    """US dollars; NaN where they are unknown, or the system has no price."""

    @property
    def repeats(self) -> int:
        """The most that an item was asked."""
        return int(self.correct.shape[-1])

    @cached_property
    def is_cut(self) -> Flags:
        """``cut`` as flags."""
        flags: Flags = self.cut > 0
        return flags

    @cached_property
    def is_late(self) -> Flags:
        """``late`` as flags."""
        flags: Flags = self.late > 0
        return flags

    @cached_property
    def answers(self) -> tuple[Floats, Floats]:
        """Of each item how many trials are correct, and how many there are: (systems, items)."""
        return item_totals(self.correct)

    @cached_property
    def recorded_s(self) -> Floats:
        """Task times with those of failed trials and of late ones: all of the time, or a bound of it."""
        bound = self.is_cut | self.is_late
        return np.where(bound, self.spent_s, self.task_time_s) if bound.any() else self.task_time_s

    @cached_property
    def ranked_s(self) -> Floats:
        """Task times of each system from the shortest to the longest, unknown ones last: (systems, trials)."""
        return np.sort(self.task_time_s.reshape(len(self.systems), -1), axis=1)

    @cached_property
    def times(self) -> Products | None:
        """What means of task times, and their differences, need of them; null: some are unknown."""
        return Products.of(self.task_time_s)

    @cached_property
    def log_time(self) -> Floats:
        """Logarithms of task times; not finite where there is none above 0 s."""
        return _logs(self.task_time_s)

    @cached_property
    def log_recorded(self) -> Floats:
        """Logarithms of recorded times, likewise."""
        return self.log_time if self.recorded_s is self.task_time_s else _logs(self.recorded_s)

    @cached_property
    def log_tpot(self) -> Floats:
        """Logarithms of seconds per token, likewise."""
        return _logs(self.tpot_s)

    @property
    def in_time(self) -> Arrays:
        """The arrays as if late trials had not been asked: for means and totals, on which a standstill has no say."""
        return self if self._without_late is None else self._without_late

    @cached_property
    def _without_late(self) -> Arrays | None:
        """Null: none is. Arrays that held themselves would stay in memory until the garbage collector comes by."""
        return without(self, self.is_late) if self.is_late.any() else None

    @property
    def by_id(self) -> NDArray[np.intp]:
        """The places of the items in the order of their ids: in it they are drawn at random, however they stand."""
        items = self.items if isinstance(self.items, pl.Series) else pl.Series(values=self.items, dtype=pl.String)
        return items.to_physical().arg_sort().to_numpy().astype(np.intp)

    def index(self, system: str) -> int:
        return self.systems.index(system)


def _logs(values: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.log(values))


def without(arrays: Arrays, left_out: Flags) -> Arrays:
    """The arrays as if some trials had not been asked."""
    if not left_out.any():
        return arrays
    names = set(arrays.__struct_fields__) - {"systems", "items", *_FLAGS}
    kept = {name: np.where(left_out, np.nan, getattr(arrays, name)) for name in names}
    flags = {name: np.where(left_out, 0.0, getattr(arrays, name)) for name in _FLAGS}
    return msgspec.structs.replace(arrays, **kept, **flags)


def to_arrays(trials: pl.DataFrame, systems: tuple[str, ...], *, in_order: bool = False) -> Arrays:
    """From the last attempts (columns of ``load_frame``, with ``cost_usd`` where there are prices) of one task in one
    scenario.

    Args:
        trials: one row for each trial; rows of other systems are left out.
        systems: the first axis, in this order; a system without rows is all NaN.
        in_order: items in the order in which they were asked.
    """
    own = trials.filter(pl.col("system").is_in(systems))
    own, items = with_items(own, in_order=in_order)
    return arrays_of(cells_of(own, systems), items, systems)


def with_items(trials: pl.DataFrame, *, in_order: bool = False) -> tuple[pl.DataFrame, pl.Series]:
    """The same trials with ``item``, the place of their item among all, and the items; ``in_order`` as above."""
    place, items = find_places(trials, in_order=in_order)
    return trials.with_columns(item=pl.Series(place, dtype=pl.UInt32)), items


def find_places(trials: pl.DataFrame, *, in_order: bool = False) -> tuple[NDArray[np.intp], pl.Series]:
    """The place of each trial's item among all, and the items; ``in_order`` as above."""
    ids = trials["item_id"]
    codes = ids.to_physical()
    # Not its own type: polars makes the names of all codes again for each answer.
    if not in_order and codes.dtype.is_unsigned_integer():
        return _places_of_codes(codes.to_numpy(), ids)
    items = (
        ids.gather(trials["trial_position"].arg_sort()).unique(maintain_order=True) if in_order else ids.unique().sort()
    ).cast(pl.String)
    return ids.cast(pl.Enum(items)).to_physical().to_numpy().astype(np.intp), items


def _places_of_codes(codes: NDArray[Any], ids: pl.Series) -> tuple[NDArray[np.intp], pl.Series]:
    """``find_places`` of ids that are codes in the ids' order (``frame.compact``): those that occur, from 0."""
    codes = codes.astype(np.intp)
    one = np.full(1 + int(codes.max(initial=0)), -1, dtype=np.int32)
    one[codes] = np.arange(len(codes), dtype=np.int32)
    occurs = one >= 0
    place = np.cumsum(occurs, dtype=np.intp)
    place -= 1
    return place.take(codes), ids.gather(one[occurs])


def places_in_one_order(codes: NDArray[Any] | None) -> NDArray[np.intp] | None:
    """The place of each trial's item among all where all cells were asked the same items, each once, in one order, as
    those of a table mostly are: the items come in that order then. As rows of cells; null: they were not.

    ``codes``: of the items, (cells, trials); null: they have none, or cells have more trials than others.
    """
    if codes is None or not codes.size or not (codes == codes[:1]).all() or np.bincount(codes[0]).max() > 1:
        return None
    return np.broadcast_to(np.arange(codes.shape[1]), codes.shape)


def cells_of(trials: pl.DataFrame, systems: tuple[str, ...]) -> tuple[Trials, ...]:
    """The trials of each system, all or none of them; with the places of their items (``with_items``)."""
    parts = Parts.of(trials, "system")
    whole = Whole(parts.trials)
    return whole.cells([parts.spans.get((system,), (0, 0)) for system in systems])


def arrays_of(cells: Sequence[Trials], items: pl.Series, systems: tuple[str, ...]) -> Arrays:
    """``to_arrays`` of the trials of each system with their items' places (``with_items``)."""
    groups = together(cells)
    repeats = max((int(alike["repeat"].max()) for _, alike in groups), default=1)
    shape = (len(systems), len(items), repeats)
    places = [cell["item"].astype(np.intp, copy=False) for cell in cells]
    if repeats > 1:
        places = [
            place * repeats + cell["repeat"].astype(np.intp) - 1 for place, cell in zip(places, cells, strict=True)
        ]
    orders = _orders(places, shape[1] * repeats)

    def cube(values_of: Callable[[Columns | Alike], NDArray[Any]]) -> Floats:
        if orders is None:
            found = np.full(shape, np.nan)
            for row, cell, place in zip(found, cells, places, strict=True):
                row.reshape(-1)[place] = values_of(cell)
            return found
        ((_, alike),) = groups
        rows = values_of(alike)
        if (value := _constant(rows)) is not None:
            return np.broadcast_to(value, shape)
        if len(orders) == 1:
            rows = rows.take(orders[0], axis=1)
        elif orders:
            rows = np.stack([*map(np.take, rows, orders)])
        return rows.astype(np.float64, copy=False).reshape(shape)

    visible = cube(lambda cell: _of_ended(cell, "output_bytes"))
    reasoning = cube(lambda cell: _of_ended(cell, "reasoning_bytes"))
    task_time_s = cube(lambda cell: _of_known_time(cell, "task_time_s"))
    priced = any("cost_usd" in cell.frame.columns for cell in cells)
    return Arrays(
        systems=systems,
        items=items,
        task_time_s=task_time_s,
        spent_s=task_time_s if all(map(_spent_is_task_time, cells)) else cube(_spent_s),
        wait_s=cube(lambda cell: _of_known_time(cell, "wait_s")),
        written_bytes=visible if _is_nothing(reasoning) else visible + reasoning,
        visible_bytes=visible,
        reasoning_bytes=reasoning,
        tpot_s=cube(lambda cell: _of_known_time(cell, "tpot_s")),
        output_tokens=cube(lambda cell: _of_ended(cell, "output_tokens")),
        correct=cube(lambda cell: _flags(cell, cell.having("correct"))),
        cut=cube(lambda cell: _flags(cell, cell.having(*CUT))),
        session=cube(lambda cell: cell["session"]),
        round=cube(lambda cell: cell["round"]),
        untimed=cube(lambda cell: _flags(cell, cell.flagged("untimed"))),
        late=cube(lambda cell: _flags(cell, cell.flagged("late"))),
        cost_usd=cube(lambda cell: cell["cost_usd"]) if priced else np.broadcast_to(np.nan, shape),
    )


def _orders(places: Sequence[NDArray[np.intp]], size: int) -> list[NDArray[np.intp]] | None:
    """Of each system the trials in the order of their places: once if it is the same for all, never if they stand so
    already; null: one of so many places has no trial.
    """
    if not size or not places or any(len(place) != size for place in places):
        return None
    if all(np.array_equal(place, np.arange(size)) for place in places):
        return []
    same = all(np.array_equal(places[0], place) for place in places[1:])
    orders = []
    for place in places[: 1 if same else None]:
        order = np.full(size, -1, dtype=np.intp)
        order[place] = np.arange(size)
        if order.min() < 0:
            return None
        orders.append(order)
    return orders


def _constant(rows: NDArray[Any]) -> np.float64 | None:
    """The one number that all rows have; null: they have several."""
    first = np.float64(rows[0, 0])
    same = np.isnan if np.isnan(first) else first.__eq__
    once = rows if any(rows.strides) else rows[:1, :1]
    return first if same(once[:, -1]).all() and same(once).all() else None


def _is_nothing(values: Floats) -> bool:
    """Whether it is one 0, seen in every place."""
    return is_one(values) and bool(values.flat[0] == 0)


def _flags(cell: Columns | Alike, found: Flags | None) -> Flags:
    return np.broadcast_to(np.False_, cell["outcome"].shape) if found is None else found


def _of_ended(cell: Columns | Alike, name: str) -> NDArray[Any]:
    failed = cell.having("error")
    return cell[name] if failed is None else np.where(failed, np.nan, cell[name])


def _of_known_time(cell: Columns | Alike, name: str) -> Floats:
    return cell.unless_late(_of_ended(cell, name))


def _spent_is_task_time(cell: Columns) -> bool:
    """Every trial ended in time, and its time is known."""
    once = cell["timed"] if any(cell["timed"].strides) else cell["timed"][:1]
    return cell.ended.in_time is cell and cell.unknown("task_time_s") is None and bool(once.all())


def _spent_s(cell: Columns | Alike) -> Floats:
    seconds, timed = np.nan_to_num(cell["task_time_s"]), cell["timed"]
    return seconds if timed.all() else np.where(timed, seconds, np.nan)


TURNS_SHARE = 0.9
"""Of the common items that were asked in turns, from which on the systems are said to have taken turns."""


class Turns:
    """Which of some systems took turns with each other."""

    def __init__(self, arrays: Arrays) -> None:
        self._asked = ~np.isnan(arrays.correct)
        self._in_round = ~np.isnan(arrays.round)
        self._session = arrays.session
        # Asked everything in rounds of one session, as most are.
        always = (self._asked & self._in_round & (self._session == self._session[:, :1, :1])).all(axis=(1, 2))
        self._always_in = [
            float(session[0, 0]) if session.size and each else None
            for each, session in zip(always, self._session, strict=True)
        ]

    def taken(self, a: int, b: int) -> bool:
        """Whether two systems were asked the items that they have in common in rounds of the same session."""
        if self._always_in[a] is not None and self._always_in[a] == self._always_in[b]:
            return True
        both = self._asked[a] & self._asked[b]
        in_turns = self._in_round[a] & self._in_round[b] & (self._session[a] == self._session[b])
        alternated = in_turns | ~both
        common, alternated = (
            (each[..., 0] for each in (both, alternated))
            if both.shape[-1] == 1
            else (both.any(axis=-1), alternated.all(axis=-1))
        )
        items = np.count_nonzero(common)
        return bool(items and np.count_nonzero(common & alternated) >= TURNS_SHARE * items)
