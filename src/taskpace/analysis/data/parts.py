"""A frame in parts: the trials of each cell, or of each system."""

from __future__ import annotations

import polars as pl


def parts_of(trials: pl.DataFrame, *keys: str) -> dict[tuple[str, ...], pl.DataFrame]:
    """The rows with the same values in these columns, by those values; parts and rows in their order.

    Where the rows of a part stand together, as those of a cell do in a run file, the parts are views and copy nothing.
    """
    if not trials.height:
        return {}
    changes = pl.any_horizontal(pl.col(key).ne_missing(pl.col(key).shift()) for key in keys)
    begins = trials.select(changes.alias("begins") | (pl.int_range(pl.len()) == 0)).to_series().arg_true()
    heads = [tuple(head) for head in trials.select(pl.col(keys).gather(begins)).rows()]
    if len(set(heads)) < len(heads):
        return dict(trials.group_by(*keys, maintain_order=True))
    ends = [*begins[1:].to_list(), trials.height]
    return {head: trials.slice(begin, end - begin) for head, begin, end in zip(heads, begins, ends, strict=True)}
