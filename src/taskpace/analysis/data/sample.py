"""What is one observation: the item; of times in static batches, whose trials share them, the batch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from taskpace.analysis.data.arrays import Arrays, arrays_of, cells_of, find_places, places_in_one_order, with_items
from taskpace.analysis.data.columns import Trials, Whole
from taskpace.analysis.data.parts import Key, Parts

Indices = NDArray[np.intp]


class Sample(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """One task in one scenario, for two kinds of questions. Without static batches both are the same."""

    cells: tuple[Trials, ...]
    """Last attempts, system by system, with the places of their items among all (``item``). The unit is the item. For
    answers and lengths."""
    own: Arrays
    """``cells`` as arrays."""
    timed: tuple[Trials, ...]
    """``cells`` with the unit as ``item_id`` and the place within it as ``repeat``; ``item`` is a place in ``shared``.
    For times."""
    shared: Arrays
    """``timed`` as arrays: units are ``items``, and the trials of a unit its repeats."""

    @cached_property
    def trials(self) -> pl.DataFrame:
        """The trials of all cells, as ``load_frame`` gives them. Most tables never need it."""
        return pl.concat([cell.frame for cell in self.cells], rechunk=False)


def take_sample(trials: pl.DataFrame, systems: tuple[str, ...], *, batched: bool, in_order: bool = False) -> Sample:
    """``batched``: in static batches of two or more; ``in_order``: items in the order in which they were asked."""
    parts = Parts.of(trials, "system")
    keys = [(system,) for system in systems]
    return sample_of(parts, Whole(parts.trials), keys, batched=batched, in_order=in_order)


def sample_of(parts: Parts, whole: Whole, keys: Sequence[Key], *, batched: bool, in_order: bool = False) -> Sample:
    """``take_sample`` of some parts of a frame.

    Args:
        parts: of it.
        whole: of it, too.
        keys: of the parts, each a system's, whose name is the key's last; there may be no such part.
        batched: as above.
        in_order: as above.
    """
    systems = tuple(key[-1] for key in keys)
    spans = [parts.spans.get(key, (0, 0)) for key in keys]
    place = None if in_order else places_in_one_order(whole.codes(spans))
    if place is None:
        place, items = find_places(parts.together(keys), in_order=in_order)
    else:
        items = parts.trials["item_id"].slice(*spans[0])
    cells = whole.cells(spans, place)
    own = arrays_of(cells, items, systems)
    if not batched:
        return Sample(cells=cells, own=own, timed=cells, shared=own)
    by_unit, units = with_items(by_batch(parts.together(keys)))
    timed = cells_of(by_unit, systems)
    return Sample(cells=cells, own=own, timed=timed, shared=arrays_of(timed, units, systems))


def by_batch(trials: pl.DataFrame) -> pl.DataFrame:
    """Trials with their batch in place of their item, in the same order.

    Systems get the same batches as a rule, and are compared batch by batch. Where they do not (a run that was
    interrupted, two runs of other orders) batches that share an item are one unit: the connected components of the
    graph between batches and items asked. A trial that was never sent belongs to its item alone.
    """
    asked = trials.select(pl.struct("item_id", "repeat").rank("dense").cast(pl.Int64) - 1).to_series().to_numpy()
    sent = (
        trials.select(
            pl.struct("system", "worker", pl.col("dispatch_ns").fill_null(-pl.int_range(1, pl.len() + 1)))
            .rank("dense")
            .cast(pl.Int64)
            - 1
        )
        .to_series()
        .to_numpy()
    )
    if not trials.height:
        return trials
    unit = pl.Series("unit", _components(asked, sent))
    return (
        trials.with_columns(unit, asked=pl.Series(asked))
        .with_columns(
            item_id=pl.format("batch {}", pl.col("unit").cast(pl.String).str.zfill(6)),
            # The same place for the same item in every system, so that pairs stay pairs.
            repeat=pl.col("asked").rank("dense").over("unit").cast(pl.Int64),
        )
        .drop("unit", "asked")
    )


def _components(asked: Indices, sent: Indices) -> Indices:
    """For each link between an item and a batch the number of its connected component, in the order of the items."""
    of_batch = list(range(int(sent.max()) + 1))
    """A batch that is known to be in the same component; the component's own batch points to itself."""

    def root(batch: int) -> int:
        while of_batch[batch] != batch:
            of_batch[batch] = batch = of_batch[of_batch[batch]]
        return batch

    first: dict[int, int] = {}
    for item, batch in zip(asked.tolist(), sent.tolist(), strict=True):
        of_batch[root(batch)] = root(first.setdefault(item, batch))
    numbers: dict[int, int] = {}
    of_item = {item: numbers.setdefault(root(batch), len(numbers)) for item, batch in sorted(first.items())}
    return np.array([of_item[item] for item in asked.tolist()], dtype=np.intp)
