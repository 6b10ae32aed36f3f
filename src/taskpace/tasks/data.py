"""Reads a data source into rows. Every complaint is one line: the file, the line or column, the remedy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from taskpace.errors import TaskError
from taskpace.text.strict import close_to, did_you_mean, read_text

REMOTE = "hf://"
STARTER = "starter:"
_STARTER_SETS = (
    *("questions", "translate", "summarise", "qa-context", "qa-closed", "math", "essay", "extract", "rewrite"),
    "dialogue",
)
_KINDS = {".parquet": "parquet", ".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".txt": "lines"}
_SHOWN_VALUES = 8

Row = dict[str, Any]


def read_rows(source: str, base: Path) -> list[Row]:
    """All rows of a source, as it gives them: column -> value.

    Args:
        source: a path, ``hf://datasets/...`` or ``starter:NAME``.
        base: folder that a relative path starts from.

    Raises:
        TaskError: no such file, not of a kind that can be read, broken, or without a single row.
    """
    if source.startswith(STARTER):
        rows = _read_jsonl(_starter_path(source), source)
    elif source.startswith(REMOTE):
        rows = _read_remote(source)
    else:
        rows = _read_file(base / source)
    if not rows:
        raise TaskError(f"{source}: there are no rows in it: add some or name another file")
    return rows


def keep_where(rows: list[Row], where: Mapping[str, str | float | bool], source: str) -> dict[int, Row]:
    """The rows whose columns have the given values, by their numbers in the source, from 1.

    A text also fits a number that is written like it.

    Raises:
        TaskError: no such column, or no row is left; the message lists what there is.
    """
    left = dict(enumerate(rows, 1))
    for column, wanted in where.items():
        known = column_names(left.values())
        if column not in known:
            raise TaskError(f'{source}: key "where": {no_column(column, known)}')
        kept = {number: row for number, row in left.items() if _fits(row.get(column), wanted)}
        if not kept:
            there = _some_values(left.values(), column)
            raise TaskError(f'{source}: key "where": no row is left with {column} = {wanted!r}: there is {there}')
        left = kept
    return left


def column_names(rows: Iterable[Row]) -> list[str]:
    """Every column that any row has, in the order of appearance."""
    return list(dict.fromkeys(name for row in rows for name in row))


def no_column(column: str, known: list[str]) -> str:
    """``there is no column "x"``, with the columns there are."""
    return f'there is no column "{column}"{close_to(column, known)}: the columns are {", ".join(known[:24])}'


def _starter_path(source: str) -> Path:
    name = source.removeprefix(STARTER)
    if name not in _STARTER_SETS:
        raise TaskError(
            f'there is no starter set "{name}"{did_you_mean(name, _STARTER_SETS)}: write starter:NAME with one of them'
        )
    return Path(str(files("taskpace.tasks").joinpath("starter", f"{name}.jsonl")))


def _read_file(path: Path) -> list[Row]:
    if not path.exists():
        raise TaskError(f"{path}: there is no such data file: check the path")
    if not path.is_file():
        raise TaskError(f"{path}: not a file: name the data file itself")
    match _kind(path.name, str(path)):
        case "jsonl":
            return _read_jsonl(path, str(path))
        case "lines":
            text = read_text(path, TaskError).removeprefix("\ufeff")
            return [{"prompt": line.strip()} for line in text.split("\n") if line.strip()]
        case "csv":
            # Polars says only that something is wrong somewhere; reading the text first finds the line.
            read_text(path, TaskError)
            return _frame_rows("csv", str(path))
        case kind:
            return _frame_rows(kind, str(path))


def _read_remote(source: str) -> list[Row]:
    kind = _kind(source, source)
    if kind == "lines":
        raise TaskError(f"{source}: a .txt file is read from this machine only: download it first")
    return _frame_rows(kind, source)


def _kind(name: str, location: str) -> str:
    suffix = Path(name).suffix.lower()
    if suffix not in _KINDS:
        raise TaskError(f'{location}: files of the kind "{suffix}" cannot be read: use {", ".join(_KINDS)}')
    return _KINDS[suffix]


def _frame_rows(kind: str, location: str) -> list[Row]:
    import polars as pl
    from polars.exceptions import NoDataError, PolarsError

    try:
        if kind == "parquet":
            frame = pl.read_parquet(location, glob=location.startswith(REMOTE))
        elif kind == "csv":
            frame = pl.read_csv(location, infer_schema_length=None, glob=location.startswith(REMOTE))
        else:
            frame = pl.scan_ndjson(location, infer_schema_length=None).collect()
        return frame.to_dicts()
    except NoDataError:
        return []
    except (PolarsError, OSError, ValueError) as exc:
        remedy = (
            "check the address, and that this machine reaches huggingface.co"
            if location.startswith(REMOTE)
            else f"is it whole, and really {kind}?"
        )
        raise TaskError(f"{location}: cannot be read: {_first_line(exc)}: {remedy}") from None


def _read_jsonl(path: Path, location: str) -> list[Row]:
    rows: list[Row] = []
    # Split at \n alone: JSON text may hold other line separators as they are.
    for number, line in enumerate(read_text(path, TaskError).removeprefix("\ufeff").split("\n"), 1):
        if not line.strip():
            continue
        try:
            value = msgspec.json.decode(line)
        except (msgspec.DecodeError, RecursionError) as exc:
            raise TaskError(f"{location}: line {number} is not JSON ({_first_line(exc)}): correct the line") from None
        if isinstance(value, str):
            value = {"prompt": value}
        if not isinstance(value, dict):
            raise TaskError(f"{location}: line {number} is not an object: write one object {{...}} a line")
        rows.append(value)
    return rows


def _fits(value: Any, wanted: str | float | bool) -> bool:
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted or (isinstance(wanted, str) and str(value).lower() == wanted.lower())
    return bool(value == wanted) or (isinstance(wanted, str) and value is not None and str(value) == wanted)


def _some_values(rows: Iterable[Row], column: str) -> str:
    values = list(dict.fromkeys(repr(row.get(column)) for row in rows))
    more = f", ... ({len(values)} in all)" if len(values) > _SHOWN_VALUES else ""
    return ", ".join(value[:60] for value in values[:_SHOWN_VALUES]) + more


def _first_line(bad: BaseException) -> str:
    lines = str(bad).strip().splitlines()
    return lines[0].strip().rstrip(".:")[:200] if lines else type(bad).__name__
