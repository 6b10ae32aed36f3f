"""What is one observation: the item; of times in static batches, whose trials share them, the batch."""

from __future__ import annotations

import msgspec
import numpy as np
import polars as pl

from taskpace.analysis.data.arrays import Arrays, arrays_of, with_items


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One task in one scenario, for two kinds of questions. Without static batches both are the same."""

    trials: pl.DataFrame
    """As ``load_frame`` gives them, last attempts, with the place of their item (``item``) in ``own``: the unit is the
    item. For answers and lengths."""
    own: Arrays
    """The same as arrays."""
    timed: pl.DataFrame
    """The same rows with the unit as ``item_id`` and the place within it as ``repeat``; ``item`` is a place in
    ``shared``. For times."""
    shared: Arrays
    """The same as arrays: units are ``items``, and the trials of a unit its repeats."""


def take_sample(trials: pl.DataFrame, systems: tuple[str, ...], *, batched: bool, in_order: bool = False) -> Sample:
    """``batched``: in static batches of two or more; ``in_order``: items in the order in which they were asked."""
    trials, items = with_items(trials, in_order=in_order)
    own = arrays_of(trials, items, systems)
    if not batched:
        return Sample(trials=trials, own=own, timed=trials, shared=own)
    timed, units = with_items(by_batch(trials))
    return Sample(trials=trials, own=own, timed=timed, shared=arrays_of(timed, units, systems))


def by_batch(trials: pl.DataFrame) -> pl.DataFrame:
    """Trials with their batch in place of their item, in the same order.

    Systems get the same batches as a rule, and are compared batch by batch. Where they do not (a run that was
    interrupted, two runs of other orders) batches that share an item are one unit: the connected components of the
    graph between batches and items asked. A trial that was never sent belongs to its item alone.
    """
    from scipy.sparse import coo_array  # most runs have no batches, and need not wait for it
    from scipy.sparse.csgraph import connected_components

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
    nodes = int(asked.max()) + 1 + int(sent.max()) + 1
    links = coo_array((np.ones(len(asked)), (asked, int(asked.max()) + 1 + sent)), shape=(nodes, nodes))
    _, component = connected_components(links, directed=False)
    unit = pl.Series("unit", component[asked])
    return (
        trials.with_columns(unit, asked=pl.Series(asked))
        .with_columns(
            item_id=pl.format("batch {}", pl.col("unit").cast(pl.String).str.zfill(6)),
            # The same place for the same item in every system, so that pairs stay pairs.
            repeat=pl.col("asked").rank("dense").over("unit").cast(pl.Int64),
        )
        .drop("unit", "asked")
    )
