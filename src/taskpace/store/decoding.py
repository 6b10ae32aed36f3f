"""Columns of JSON as what they should hold."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from taskpace.errors import StoreError
from taskpace.store.check import NOT_OURS, RESTORE
from taskpace.store.queries import Reader, name_of

T = TypeVar("T")


def decoded(text: str, kind: type[T], source: Reader, table: str) -> T:
    """``text``, of a column of ``table``, as ``kind``.

    For what ``store.check`` does not look at, as it is read by few commands.

    Raises:
        StoreError: it holds something else.
    """
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError):
        raise StoreError(f"{name_of(source)}: {NOT_OURS}, in table {table}: {RESTORE}") from None
