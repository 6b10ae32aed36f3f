"""All rows of a task's data, as no command needs them."""

from __future__ import annotations

from pathlib import Path

from taskpace.tasks.data import open_source, some_rows
from taskpace.tasks.tables import Row


def read_rows(source: str, base: Path) -> list[Row]:
    """All rows of a source with all of their columns."""
    table = open_source(source, base)
    return some_rows(table, table.columns, source)
