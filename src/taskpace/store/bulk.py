"""Many rows of a plan in few statements.

To bind each value by itself takes three times as long as to insert it. Here a statement gets each column of its rows as
one blob, and SQLite cuts it up. That is work of SQLite alone, so a thread does it while the next rows are made.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import accumulate
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

MOST_ROWS = 20_000
"""Of a statement: it ends within a tenth of a second, and Ctrl-C waits for it."""
MOST_BYTES = 4_000_000
"""Of the texts in a statement, unless a single row has more."""
_MOST_WAITING = 8
"""Statements: what they hold is bounded, and SQLite has work while the ids of trials are made."""
_WIDTH = 12
"""Digits of a whole number."""

Column = Sequence[int] | Sequence[str] | Sequence[bytes] | NDArray[np.uint8] | str
"""The values of a column: whole numbers of twelve digits at most, texts, texts in UTF-8, or (rows, n) bytes that are
texts of 2 n hexadecimal digits. Or the one text that all rows have."""


class BulkInserts:
    """Inserts rows into tables that have a ``position``, in order. A row whose key is there gets its new position.

    Nothing else may be done with the connection until the ``with`` block has ended.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._thread = ThreadPoolExecutor(1)
        self._waiting: deque[Future[None]] = deque()
        self._failed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, at: TracebackType | None) -> None:
        # After an error, or Ctrl-C, only the statement that is under way is waited for.
        self._thread.shutdown(wait=True, cancel_futures=kind is not None)
        if kind is None:
            self._wait(0)

    def put(self, table: str, key: str, columns: Mapping[str, Column]) -> None:
        """Insert some rows, ``MOST_ROWS`` and ``MOST_BYTES`` at most, by one statement.

        Args:
            table: where.
            key: its primary key.
            columns: of one length, but for those with one text for all rows.

        Raises:
            sqlite3.Error: an earlier statement went wrong.
        """
        values: dict[str, Any] = {
            "rows": next(len(column) for column in columns.values() if not isinstance(column, str))
        }
        selected = [_packed(name, column, values) for name, column in columns.items()]
        statement = (
            "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :rows)"  # noqa: S608 - ours
            f" INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(selected)} FROM n WHERE true"
            f" ON CONFLICT ({key}) DO UPDATE SET position = excluded.position"
        )
        self._wait(_MOST_WAITING - 1)
        self._waiting.append(self._thread.submit(self._execute, statement, values))

    def _execute(self, statement: str, values: Mapping[str, Any]) -> None:
        # A full disk ends the transaction: what came after it would stay, half a plan.
        if self._failed:
            return
        try:
            self._db.execute(statement, values)
        except BaseException:
            self._failed = True
            raise

    def _wait(self, most: int) -> None:
        """Until so many statements wait at most; raises what went wrong with one."""
        while len(self._waiting) > most:
            self._waiting.popleft().result()


def _packed(name: str, column: Column, values: dict[str, Any]) -> str:
    """Pack a column into ``values``; return the expression for its value of row i."""
    if isinstance(column, str):
        values[name] = column
        return f":{name}"
    if isinstance(column, np.ndarray):
        values[name] = column.tobytes()
        return f"lower(hex(substr(:{name}, 1 + {column.shape[1]} * i, {column.shape[1]})))"
    part: Sequence[Any] = column
    if isinstance(part[0], int):
        values[name] = _numbers(part)
        return _number(name, "i")
    if isinstance(part[0], str):
        packed = "".join(part).encode()
        if len(packed) != sum(map(len, part)):
            part = [text.encode() for text in part]
    else:
        packed = b"".join(part)
    values[name] = packed + b" "  # a part of nothing would be null, and no empty text
    sizes = list(map(len, part))
    if sizes.count(sizes[0]) == len(sizes):
        return f"CAST(substr(:{name}, 1 + {sizes[0]} * i, {sizes[0]}) AS TEXT)"
    values[f"{name}_ends"] = _numbers(list(accumulate(sizes, initial=0)))
    first, after = _number(f"{name}_ends", "i"), _number(f"{name}_ends", "i + 1")
    return f"CAST(substr(:{name}, 1 + {first}, {after} - {first}) AS TEXT)"


def _numbers(numbers: Sequence[int]) -> bytes:
    return (f"%{_WIDTH}d" * len(numbers) % tuple(numbers)).encode()


def _number(name: str, index: str) -> str:
    """The expression for a number of ``_numbers``."""
    return f"CAST(substr(:{name}, 1 + {_WIDTH} * ({index}), {_WIDTH}) AS INTEGER)"
