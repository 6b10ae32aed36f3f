"""One task in one scenario as arrays: systems x items x repeats, so that everything is compared item by item."""

from __future__ import annotations

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from taskpace.analysis.stats.intervals import Floats
from taskpace.records import CUT

_TIMES = ("task_time_s", "wait_s", "tpot_s")
_NUMBERS = (*_TIMES, "output_bytes", "reasoning_bytes", "output_tokens")


class Arrays(msgspec.Struct, frozen=True, kw_only=True):
    """Each number is (systems, items, repeats); NaN where there is no record, or the number is unknown."""

    systems: tuple[str, ...]
    items: tuple[str, ...]
    """Ids, sorted; or in the order in which they were asked."""
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
    def recorded_s(self) -> Floats:
        """Task times with those of failed trials and of late ones: all of the time, or a bound of it."""
        return np.where((self.cut > 0) | (self.late > 0), self.spent_s, self.task_time_s)

    def without_late(self) -> Arrays:
        """The arrays as if late trials had not been asked: for means and totals, on which a standstill has no say."""
        if not (late := self.late > 0).any():
            return self
        flags = ("cut", "late", "untimed")
        names = set(self.__struct_fields__) - {"systems", "items", *flags}
        there = {name: np.where(late, np.nan, getattr(self, name)) for name in names}
        return msgspec.structs.replace(
            self, **there, **{name: np.where(late, 0.0, getattr(self, name)) for name in flags}
        )

    def index(self, system: str) -> int:
        return self.systems.index(system)


def to_arrays(trials: pl.DataFrame, systems: tuple[str, ...], *, in_order: bool = False) -> Arrays:
    """From the last attempts (columns of ``load_frame``, with ``cost_usd`` where there are prices) of one task in one
    scenario.

    Args:
        trials: one row for each trial; rows of other systems are left out.
        systems: the first axis, in this order; a system without rows is all NaN.
        in_order: items in the order in which they were asked.
    """
    own = trials.filter(pl.col("system").is_in(systems))
    return arrays_of(*with_items(own, in_order=in_order), systems)


def with_items(trials: pl.DataFrame, *, in_order: bool = False) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """The same trials with ``item``, the place of their item among all, and the items; ``in_order`` as above."""
    ids = trials["item_id"]
    if isinstance(ids.dtype, pl.Enum) and not in_order:
        return _with_coded_items(trials, ids.to_physical(), ids.dtype)
    items = (
        ids.gather(trials["trial_position"].arg_sort()).unique(maintain_order=True) if in_order else ids.unique().sort()
    )
    kind = pl.Enum(items.cast(pl.String))
    return trials.with_columns(ids.cast(kind).to_physical().alias("item")), tuple(items.to_list())


def _with_coded_items(trials: pl.DataFrame, ids: pl.Series, kind: pl.Enum) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """``with_items`` of ids that are codes in the ids' order (``frame.compact``): those that occur, from 0."""
    codes = ids.to_numpy()
    occurs = np.bincount(codes, minlength=1) > 0
    place = (np.cumsum(occurs) - 1).astype(np.uint32)
    items = kind.categories.gather(np.flatnonzero(occurs))
    return trials.with_columns(item=pl.Series(place[codes])), tuple(items.to_list())


def arrays_of(trials: pl.DataFrame, items: tuple[str, ...], systems: tuple[str, ...]) -> Arrays:
    """``to_arrays`` of trials with their items' places (``with_items``), all of these systems."""
    repeats = int(trials["repeat"].max() or 1)  # type: ignore[arg-type]  # an integer column
    shape = (len(systems), len(items), repeats)
    where = np.ravel_multi_index(
        (places_of(trials["system"], systems), trials["item"].to_numpy(), trials["repeat"].to_numpy() - 1), shape
    )
    failed = trials["outcome"].eq_missing("error").to_numpy()
    late = trials["late"].to_numpy()

    def spread_out(values: Floats) -> Floats:
        cube = np.full(shape, np.nan)
        cube.reshape(-1)[where] = values
        return cube

    found = {name: trials[name].cast(pl.Float64).to_numpy() for name in _NUMBERS}
    ended = {
        name: spread_out(np.where(failed | late if name in _TIMES else failed, np.nan, values))
        for name, values in found.items()
    }
    costs = trials["cost_usd"].to_numpy() if "cost_usd" in trials.columns else np.full(trials.height, np.nan)
    return Arrays(
        systems=systems,
        items=items,
        task_time_s=ended["task_time_s"],
        spent_s=spread_out(np.where(trials["timed"], np.nan_to_num(found["task_time_s"]), np.nan)),
        wait_s=ended["wait_s"],
        written_bytes=ended["output_bytes"] + ended["reasoning_bytes"],
        visible_bytes=ended["output_bytes"],
        reasoning_bytes=ended["reasoning_bytes"],
        tpot_s=ended["tpot_s"],
        output_tokens=ended["output_tokens"],
        correct=spread_out(trials["outcome"].eq_missing("correct").cast(pl.Float64).to_numpy()),
        cut=spread_out(trials["outcome"].is_in(CUT).fill_null(value=False).cast(pl.Float64).to_numpy()),
        session=spread_out(trials["session"].cast(pl.Float64).to_numpy()),
        round=spread_out(trials["round"].cast(pl.Float64).to_numpy()),
        untimed=spread_out(trials["untimed"].cast(pl.Float64).to_numpy()),
        late=spread_out(late.astype(np.float64)),
        cost_usd=spread_out(costs),
    )


TURNS_SHARE = 0.9
"""Of the common items that were asked in turns, from which on the systems are said to have taken turns."""


def took_turns(arrays: Arrays, a: int, b: int) -> bool:
    """Whether two systems were asked the items that they have in common in rounds of the same session."""
    both = ~np.isnan(arrays.correct[a] - arrays.correct[b])
    in_turns = ~np.isnan(arrays.round[a] - arrays.round[b]) & (arrays.session[a] == arrays.session[b])
    common = both.any(axis=-1)
    alternated = common & (in_turns | ~both).all(axis=-1)
    return bool(common.any() and alternated.sum() >= TURNS_SHARE * common.sum())


def places_of(names: pl.Series, known: tuple[str, ...]) -> NDArray[np.intp]:
    """The place of each name among the known ones."""
    return np.asarray(names.cast(pl.Enum(known)).to_physical().to_numpy(), dtype=np.intp)


def item_means(values: Floats) -> Floats:
    """Mean over the last axis (repeats), leaving NaN out; NaN where nothing is left."""
    if values.shape[-1] == 1:
        return values[..., 0]
    known = ~np.isnan(values)
    counts = known.sum(axis=-1)
    sums = np.where(known, values, 0.0).sum(axis=-1)
    means: Floats = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
    return means
