"""Files of data as tables: their columns, and their rows on demand, within bounds.

What a file holds is what a task sees. A CSV file is text throughout: only a task knows whether ``007`` and ``3.10`` are
numbers. Sizes are checked before anything is decoded, for a few kilobytes of Parquet can stand for gigabytes.
"""

from __future__ import annotations

import contextlib
import csv
import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from taskpace.errors import TaskError
from taskpace.tasks.parquet_footer import FooterProblem, read_footer
from taskpace.text.bounded import JsonProblem, decode_json

if TYPE_CHECKING:
    import polars as pl

MOST_BYTES = 512 * 2**20
"""Of a file, and of what it decodes to."""
MOST_ROWS = 1_000_000
MOST_COLUMNS = 1_000
MOST_CELL = 10_000_000
"""Bytes of one value of one row."""
MOST_VALUES = 20_000_000
"""Of all rows together; a list has as many as it has parts."""

Row = dict[str, Any]


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A data source that has been opened."""

    columns: list[str]
    """In the order of appearance."""
    rows: Callable[[list[str]], list[Row]]
    """Its rows, with the columns named at least; raises ``TaskError``. What is not asked for need not be decoded."""


def table_of_lines(text: str, location: str) -> Table:
    """JSONL: an object a line, or a prompt as a text. Raises ``TaskError``."""
    # Split at no other line separators: JSON text may hold those as they are.
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    return _table_of_json(text.split("\n"), location)


def csv_table(text: str, location: str) -> Table:
    """CSV with a line of names; every cell is text, an empty one null. Raises ``TaskError``."""
    text = text.removeprefix("\ufeff")
    names = next(_csv_lines(text, location), (1, []))[1]
    _check_size(location, columns=len(names))
    if len(names) == 1 and (mark := next((mark for mark in ";\t" if mark in names[0]), None)):
        raise TaskError(f"{location}: its cells are separated by {mark!r}: save it with commas")
    if twice := sorted({name for name in names if name and names.count(name) > 1}):
        raise TaskError(f'{location}: two columns are called "{twice[0]}": rename one')

    def rows(wanted: list[str]) -> list[Row]:
        chosen = [(index, name) for index, name in enumerate(names) if name in set(wanted)]
        found: list[Row] = []
        lines = _csv_lines(text, location)
        next(lines, None)
        for number, cells in lines:
            if len(cells) == 1 < len(names) and not cells[0].strip():
                continue  # a line of blanks
            if len(cells) != len(names):
                raise TaskError(
                    f"{location}: line {number} ends a row of {len(cells)} cells, but there are {len(names)} columns: "
                    "correct it, or put a cell with commas or line ends in quotation marks"
                )
            found.append({name: cells[index] or None for index, name in chosen})
            _check_size(location, rows=len(found))
        return found

    return Table(columns=names, rows=rows)


def _csv_lines(text: str, location: str) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not blank, with the number of the line that each ends on. Raises ``TaskError``."""
    before = csv.field_size_limit(MOST_CELL)
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for cells in reader:
            if cells:
                yield reader.line_num, cells
    except csv.Error as exc:
        raise TaskError(f"{location}: line {reader.line_num} is not CSV ({exc}): correct it") from None
    finally:
        csv.field_size_limit(before)


def parquet_table(path: Path) -> Table:
    """A Parquet file of this machine. Raises ``TaskError``."""
    try:
        footer = read_footer(path)
    except (FooterProblem, OSError) as exc:
        raise _unreadable(str(path), "parquet", exc) from None
    _check_size(
        str(path), rows=footer.rows, columns=footer.columns, values=footer.values, size=footer.uncompressed_bytes
    )

    def scan() -> pl.LazyFrame:
        import polars as pl

        return pl.scan_parquet(path, glob=False)

    return _table_of_frame(scan, str(path), "parquet", quiet=_panics_unseen)


def remote_table(kind: str, address: str) -> Table:
    """A file, or several by a pattern, on the Hugging Face hub; ``kind``: parquet, csv, jsonl. Raises ``TaskError``."""
    import polars as pl

    if kind == "parquet":
        return _table_of_frame(lambda: pl.scan_parquet(address), address, kind)
    read = table_of_lines if kind == "jsonl" else csv_table
    texts = _remote_texts(address, kind)
    if len(texts) < 2:
        return read("".join(texts.values()), address)
    return _one_table([(place, read(text, place)) for place, text in texts.items()], kind, address)


def _remote_texts(address: str, kind: str) -> dict[str, str]:
    """Each file's name and text, character by character, but for a byte order mark. Raises ``TaskError``."""
    import polars as pl

    # A frame whose cells and rows end at a NUL, which no text has, has one cell a file. Others would change line ends.
    # The schema is given, or the file would be fetched once for it and again for the text.
    def parts() -> list[Row]:
        scanned = pl.scan_csv(
            address,
            separator="\0",
            eol_char="\0",
            quote_char=None,
            has_header=False,
            schema={"text": pl.String()},
            include_file_paths="file",
        )
        return _rows(scanned, ["text", "file"], address)

    texts: dict[str, list[str]] = {}
    for part in _guarded(parts, address, kind, []):
        texts.setdefault(part["file"], []).append(part["text"] or "")
    return {file: "\0".join(found) for file, found in texts.items()}


def _one_table(tables: list[tuple[str, Table]], kind: str, address: str) -> Table:
    """The rows of several files, one after another. Raises ``TaskError`` for CSV files with different names."""
    first, columns = tables[0][0], dict.fromkeys(tables[0][1].columns)
    for place, table in tables[1:]:
        if kind == "csv" and set(table.columns) != set(columns):
            raise TaskError(f"{place}: its columns are not those of {first}: name files with the same columns")
        columns.update(dict.fromkeys(table.columns))
    _check_size(address, columns=len(columns))

    def rows(wanted: list[str]) -> list[Row]:
        found: list[Row] = []
        for _, table in tables:
            found.extend(table.rows(wanted))
            _check_size(address, rows=len(found))
        return found

    return Table(columns=list(columns), rows=rows)


def _table_of_json(lines: Iterable[str], location: str) -> Table:
    rows: list[Row] = []
    columns: dict[str, None] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            value = decode_json(line)
        except JsonProblem as exc:
            raise TaskError(f"{location}: line {number} is {exc}: correct the line") from None
        if isinstance(value, str):
            value = {"prompt": value}
        if not isinstance(value, dict):
            raise TaskError(f"{location}: line {number} is not an object: write one object {{...}} a line")
        rows.append(value)
        if not value.keys() <= columns.keys():
            columns.update(dict.fromkeys(value))
            _check_size(location, columns=len(columns))
        if len(rows) > MOST_ROWS:
            _check_size(location, rows=len(rows))
    return Table(columns=list(columns), rows=lambda _: rows)


def _table_of_frame(
    scan: Callable[[], pl.LazyFrame],
    location: str,
    kind: str,
    quiet: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext,
) -> Table:
    """``quiet``: around everything that polars does."""

    def rows(wanted: list[str]) -> list[Row]:
        columns = [name for name in frame_columns if name in set(wanted)]
        with quiet():
            found: list[Row] = _guarded(lambda: _rows(scan(), columns, location), location, kind, [])
        return found

    with quiet():
        frame_columns: list[str] = _guarded(lambda: scan().collect_schema().names(), location, kind, [])
    _check_size(location, columns=len(frame_columns))
    return Table(columns=frame_columns, rows=rows)


def _rows(scanned: pl.LazyFrame, columns: list[str], location: str) -> list[Row]:
    import polars as pl

    if not columns:
        (height,) = scanned.select(pl.len()).collect().row(0)
        _check_size(location, rows=height)
        return [{} for _ in range(height)]
    frame = scanned.select(columns).head(MOST_ROWS + 1).collect()
    # Texts that stand for each other are stored once in a frame; as rows each is one of its own.
    _check_size(location, rows=frame.height, values=frame.height * frame.width, size=int(frame.estimated_size()))
    rows: list[Row] = frame.to_dicts()
    return rows


@contextlib.contextmanager
def _panics_unseen() -> Iterator[None]:
    """Nothing is written to the process's standard error: a panic of a native library, which is caught, writes its
    stack there past Python.
    """
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # there is none
        yield
        return
    try:
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - no path but a device
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _guarded(read: Callable[[], Any], location: str, kind: str, empty: Any) -> Any:
    """What ``read`` gives. Raises ``TaskError`` for whatever polars stumbles over, its panics included."""
    from polars.exceptions import NoDataError, PanicException, PolarsError

    try:
        return read()
    except NoDataError:
        return empty
    except (PolarsError, PanicException, OSError, ValueError, MemoryError) as exc:
        raise _unreadable(location, kind, exc) from None


def _unreadable(location: str, kind: str, exc: BaseException) -> TaskError:
    remedy = (
        "check the address, and that this machine reaches huggingface.co"
        if "://" in location
        else f"is it complete, and really {kind}?"
    )
    lines = str(exc).strip().splitlines()
    problem = lines[0].strip().rstrip(".:")[:200] if lines else type(exc).__name__
    return TaskError(f"{location}: cannot be read: {problem}: {remedy}")


def _check_size(location: str, *, rows: int = 0, columns: int = 0, values: int = 0, size: int = 0) -> None:
    """Raises ``TaskError`` for more than taskpace reads."""
    for count, most, what in (
        (rows, MOST_ROWS, "rows"),
        (columns, MOST_COLUMNS, "columns"),
        (values, MOST_VALUES, "values"),
        (size, MOST_BYTES, "bytes"),
    ):
        if count > most:
            raise TaskError(f"{location}: has more than {most:,} {what}: name a smaller part of the data")
