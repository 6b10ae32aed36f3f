"""Trials that were asked in many places, nodes of a cluster or run files: which, and pairs within one place alone."""

from __future__ import annotations

from typing import Literal

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


def place_column(trials: pl.DataFrame) -> Literal["shard", "node"] | None:
    """The column that shows where each trial was asked: its run file, where there are several, or else its node.

    Null: all were asked on one machine, as far as is known.
    """
    if "shard" in trials.columns and trials["shard"].n_unique() > 1:
        return "shard"
    return "node" if "node" in trials.columns and trials["node"].null_count() < trials.height else None


def in_places(sample: Sample) -> bool:
    """Whether it is known of a sample where it was asked, in several places or one of them."""
    return bool({"shard", "node"} & set(sample.cells[0].frame.columns)) and place_column(sample.trials) is not None


def within_nodes(sample: Sample) -> Sample:
    """For comparing systems: of an item that was asked in two places, one place's answers alone.

    A node that ends leaves a round half asked, and another node, or a later session, asks the rest of it. Those of the
    session that asked more of its systems stay, and the others are as if they had not been asked. So it is with run
    files that are read as one, whose sessions may be of any machines.
    """
    if not in_places(sample):
        return sample
    own = without(sample.own, crossing(sample.own.session))
    if sample.shared is sample.own:
        return sample if own is sample.own else msgspec.structs.replace(sample, own=own, shared=own)
    return msgspec.structs.replace(sample, own=own, shared=without(sample.shared, crossing(sample.shared.session)))


def crossing(session: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which trials (systems, items, repeats) were asked in another session than most of their round."""
    left_out = np.zeros(session.shape, dtype=bool)
    least = np.where(np.isnan(session), np.inf, session).min(axis=0)
    greatest = np.where(np.isnan(session), -np.inf, session).max(axis=0)
    crossed = greatest > least
    rounds = session[:, crossed]
    most, kept = np.zeros(rounds.shape[1]), np.full(rounds.shape[1], np.nan)
    for number in np.unique(rounds[~np.isnan(rounds)]):
        count = (rounds == number).sum(axis=0)
        kept = np.where(count > most, number, kept)
        most = np.maximum(count, most)
    left_out[:, crossed] = ~np.isnan(rounds) & (rounds != kept)
    return left_out
