"""A column of a frame as an array, not copied where it need not be."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from taskpace.analysis.stats.intervals import Flags
from taskpace.records import OUTCOMES

FOREIGN = "foreign"
"""A source of tokens: another model's tokenizer."""
ITEM_CODE = "item_code"
NO_OUTCOME = len(OUTCOMES)
"""In place of an outcome that is unknown."""
_CODES = pl.Enum(OUTCOMES)


def column_of(frame: pl.DataFrame, name: str) -> pl.Series:
    """A column of ``load_frame``; ``foreign``: whether another model's tokenizer counted the tokens; ``item_code``:
    the code of the item, in one piece.
    """
    if name == ITEM_CODE:
        ids = frame["item_id"]
        codes = ids.to_physical()
        return (codes if codes.dtype != pl.String else ids.cast(pl.Enum(ids.unique())).to_physical()).rechunk()
    if name == FOREIGN:
        return (frame["token_source"] == FOREIGN).fill_null(value=False)
    return frame[name]


def is_number(values: pl.Series) -> bool:
    """Whether it has numbers; codes of names are none."""
    # Codes, whose type is slow to ask for: polars makes the names of all of them again.
    kind = values.to_physical().dtype
    return kind.is_numeric() and not kind.is_unsigned_integer()


def as_array(values: pl.Series) -> NDArray[Any]:
    """What is known, as ``data.columns`` says; a value that all rows share is one, seen in every place."""
    kind, unknown = values.dtype, values.null_count()
    if values.name == "outcome":
        codes = values.cast(_CODES).to_physical().cast(pl.UInt8)
        return (codes.fill_null(NO_OUTCOME) if unknown else codes).to_numpy()
    if kind == pl.Boolean:
        if unknown:
            flags: Flags = values.cast(pl.Float64).to_numpy() == 1
            return flags
        # Bits, which polars looks at faster than it makes bytes of them.
        found = values.any()
        return values.to_numpy() if found and not values.all() else np.broadcast_to(np.bool_(found), len(values))
    if kind.is_numeric() or kind == pl.Null:
        if unknown and unknown == len(values):
            return np.broadcast_to(np.nan, len(values))
        return (values.cast(pl.Float64) if unknown else values).to_numpy()
    if unknown == len(values):
        return np.broadcast_to(np.False_, len(values))
    return values.is_not_null().to_numpy() if unknown else np.broadcast_to(np.True_, len(values))
