"""Whether a cell's requests are refused, one after the other, for one cause that does not pass by itself."""

from __future__ import annotations

import re

from taskpace.records import Record

_IN_A_ROW = 3
"""Refusals of one cause that end a cell."""
_NAMES_ONE_REQUEST = re.compile(r"\b(?=[\w-]*\d)[\w-]{8,}\b")
"""Ids of requests, and times: two refusals of one cause differ in them."""


class Refusals:
    """What a worker's cells were refused, as the records tell.

    A cell ends at the third refusal of one cause in a row, at the first where a warm-up is refused for what concerns
    every request. What may be one prompt's own trouble ends a cell that has had no answer yet, and no other.
    """

    def __init__(self) -> None:
        self._cells: dict[str, _Row] = {}

    def see(self, cell: str, record: Record) -> None:
        """Take a record of that cell into account."""
        row = self._cells.setdefault(cell, _Row())
        if record.failure is None:
            row.answered, row.causes = True, []
            return
        refusal = record.failure.refusal
        if refusal is None or (refusal == "perhaps" and row.answered) or row.why is not None:
            return
        words = _NAMES_ONE_REQUEST.sub("", record.failure.message) if refusal == "perhaps" else ""
        cause = (record.failure.kind, words)
        row.causes = [*row.causes, cause] if row.causes[-1:] == [cause] else [cause]
        needed = 1 if record.phase == "warm-up" and refusal == "always" else _IN_A_ROW
        if len(row.causes) >= needed:
            row.why = record.failure.message

    def why(self, cell: str) -> str | None:
        """The last refusal's words, of a cell that is to end; null: it goes on."""
        row = self._cells.get(cell)
        return None if row is None else row.why


class _Row:
    """Of one cell."""

    def __init__(self) -> None:
        self.answered = False
        self.causes: list[tuple[str, str]] = []
        """Of the refusals in a row; all the same."""
        self.why: str | None = None
