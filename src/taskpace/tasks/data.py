"""Reads a data source into rows. Every error is one line: the file, the line or column, the remedy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from taskpace.errors import TaskError
from taskpace.tasks.tables import MOST_BYTES, Row, Table, csv_table, parquet_table, remote_table, table_of_lines
from taskpace.text.strict import close_to, did_you_mean, named, read_text

REMOTE = "hf://"
STARTER = "starter:"
_STARTER_SETS = (
    *("questions", "translate", "summarise", "qa-context", "qa-closed", "math", "essay", "extract", "rewrite"),
    "dialogue",
)
_KINDS = {".parquet": "parquet", ".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".txt": "lines"}
_SHOWN_VALUES, _SHOWN_COLUMNS = 8, 24


def open_source(source: str, base: Path) -> Table:
    """A source's columns, and its rows on demand.

    Args:
        source: a path, ``hf://datasets/...`` or ``starter:NAME``.
        base: folder that a relative path starts from.

    Raises:
        TaskError: no such file, of an unknown kind, broken, or larger than taskpace reads.
    """
    if source.startswith(STARTER):
        return table_of_lines(read_text(_starter_path(source), TaskError), source)
    if source.startswith(REMOTE):
        kind = _kind(source, source)
        if kind == "lines":
            raise TaskError(f"{source}: a .txt file is read from this machine only: download it first")
        return remote_table(kind, source)
    return _open_file(base / source)


@cache
def starter_rows(source: str) -> int | None:
    """How many rows a starter set has; null: there is no such set, or ``source`` names other data."""
    name = source.removeprefix(STARTER)
    if name == source or name not in _STARTER_SETS:
        return None
    return len(_starter_path(source).read_bytes().splitlines())


def some_rows(table: Table, columns: Iterable[str], source: str) -> list[Row]:
    """The rows of a table, with these columns at least. Raises ``TaskError`` where there is not a single row."""
    rows = table.rows(list(columns))
    if not rows:
        raise TaskError(f"{source}: it has no rows: add some or name another file")
    return rows


def keep_where(
    rows: list[Row], where: Mapping[str, str | float | bool], known: list[str], source: str
) -> dict[int, Row]:
    """The rows whose columns have the given values, by their numbers in the source, from 1.

    A text also fits a number that is written like it, and a number a text that is worth as much.

    Args:
        rows: of the source.
        where: column -> value.
        known: the source's columns.
        source: as messages name it.

    Raises:
        TaskError: no such column, or no row is left; the message lists the columns or values.
    """
    left = dict(enumerate(rows, 1))
    for column, wanted in where.items():
        if column not in known:
            raise TaskError(f'{source}: key "where": {no_column(column, known)}')
        kept = {number: row for number, row in left.items() if _fits(row.get(column), wanted)}
        if not kept:
            there = _some_values(left.values(), column)
            raise TaskError(f'{source}: key "where": no row is left with {column} = {wanted!r}: there is {there}')
        left = kept
    return left


def no_column(column: str, known: list[str]) -> str:
    """``unknown column "x"``, with the columns there are."""
    return f'unknown column "{column}"{close_to(column, known)}: the columns are {", ".join(known[:_SHOWN_COLUMNS])}'


def _starter_path(source: str) -> Path:
    name = source.removeprefix(STARTER)
    if name not in _STARTER_SETS:
        raise TaskError(
            f'unknown starter set "{name}"{did_you_mean(name, _STARTER_SETS)}: write starter:NAME with one of them'
        )
    return Path(str(files("taskpace.tasks").joinpath("starter", f"{name}.jsonl")))


def _open_file(path: Path) -> Table:
    try:
        if not path.exists():
            raise TaskError(f"{path}: data file not found: check the path")
        if not path.is_file():
            raise TaskError(f"{path}: not a file: name the data file itself")
        size = path.stat().st_size
    except (OSError, ValueError) as exc:  # a name that is too long, or with a NUL in it
        raise TaskError(f"{named(path)}: cannot be read: {getattr(exc, 'strerror', None) or exc}") from None
    kind = _kind(path.name, str(path))
    if size > MOST_BYTES:
        raise TaskError(f"{path}: has more than {MOST_BYTES // 2**20} MiB: split it, and name a part")
    match kind:
        case "jsonl":
            return table_of_lines(read_text(path, TaskError), str(path))
        case "lines":
            text = read_text(path, TaskError).removeprefix("\ufeff")
            prompts: list[Row] = [{"prompt": line.strip()} for line in text.split("\n") if line.strip()]
            return Table(columns=["prompt"], rows=lambda _: prompts)
        case "csv":
            return csv_table(read_text(path, TaskError, any_line_end=False), str(path))
        case _:
            return parquet_table(path)


def _kind(name: str, location: str) -> str:
    suffix = Path(name).suffix.lower()
    if suffix not in _KINDS:
        raise TaskError(f'{location}: files of the kind "{suffix}" cannot be read: use {", ".join(_KINDS)}')
    return _KINDS[suffix]


def _fits(value: Any, wanted: str | float | bool) -> bool:
    if isinstance(wanted, bool) or isinstance(value, bool):
        return value is wanted or (isinstance(value, str | bool) and str(value).lower() == str(wanted).lower())
    if isinstance(value, str) and not isinstance(wanted, str):
        try:
            return float(value) == wanted
        except ValueError:
            return False
    return bool(value == wanted) or (isinstance(wanted, str) and value is not None and str(value) == wanted)


def _some_values(rows: Iterable[Row], column: str) -> str:
    values = list(dict.fromkeys(repr(row.get(column)) for row in rows))
    more = f", ... ({len(values)} in all)" if len(values) > _SHOWN_VALUES else ""
    return ", ".join(value[:60] for value in values[:_SHOWN_VALUES]) + more
