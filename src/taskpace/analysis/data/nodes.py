"""Trials that were asked on many machines: which node, and pairs within one node alone."""

from __future__ import annotations

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from taskpace.analysis.data.arrays import without
from taskpace.analysis.data.sample import Sample
from taskpace.machine.node import node_of
from taskpace.store import queries
from taskpace.store.queries import Reader


def with_nodes(trials: pl.DataFrame, reader: Reader) -> pl.DataFrame:
    """Trials (columns of ``load_frame``) with the ``node`` that asked each; as they are where no node did."""
    found = {session.number: node_of(session.host) for session in queries.sessions(reader)}
    nodes = {number: node for number, node in found.items() if node is not None}
    if not nodes:
        return trials
    return trials.with_columns(
        node=pl.col("session").replace_strict(nodes, default=None, return_dtype=pl.Int64),
    )


def within_nodes(sample: Sample) -> Sample:
    """For comparing systems: of an item that was asked on two nodes, one node's answers alone.

    A node that ends leaves a round half asked, and another node, or a later session, asks the rest of it. Those of the
    session that asked more of its systems stay, and the others are as if they had not been asked.
    """
    trials = sample.trials
    if "node" not in trials.columns or trials["node"].null_count() == trials.height:
        return sample
    left_out = crossing(sample.own.session)
    if not left_out.any():
        return sample
    own = without(sample.own, left_out)
    # Static batches are not dealt out, so that items are the unit.
    return msgspec.structs.replace(sample, own=own, shared=own if sample.shared is sample.own else sample.shared)


def crossing(session: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which trials (systems, items, repeats) were asked in another session than most of their round."""
    left_out = np.zeros(session.shape, dtype=bool)
    known = np.where(np.isnan(session), np.inf, session).min(axis=0)
    other = np.where(np.isnan(session), -np.inf, session).max(axis=0)
    for item, repeat in np.argwhere(other > known):
        column = session[:, item, repeat]
        numbers, counts = np.unique(column[~np.isnan(column)], return_counts=True)
        left_out[:, item, repeat] = ~np.isnan(column) & (column != numbers[counts.argmax()])
    return left_out
