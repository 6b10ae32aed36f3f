"""A run as a table in a file, one row for each attempt, for other programs to read."""

from __future__ import annotations

import io
import os
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import polars as pl

from taskpace.errors import TaskpaceError
from taskpace.report.files.csv_table import csv_lines
from taskpace.report.files.json_text import json_line

Kind = Literal["parquet", "csv", "jsonl"]

_SLICE = 10_000
"""Rows made into text at a time: a run of a million attempts must not be held in memory as text."""
_SQLITE = b"SQLite format 3\x00"


def render(frame: pl.DataFrame, kind: Kind) -> Iterator[bytes]:
    """The frame as a file's content, in parts: UTF-8 for ``csv`` (as ``csv_lines`` has it) and ``jsonl``.

    Parquet and JSON lines hold every text exactly; CSV, made for spreadsheets, shows control characters as escapes.
    """
    if kind == "parquet":
        whole = io.BytesIO()
        frame.write_parquet(whole)
        yield whole.getvalue()
        return
    if kind == "csv":
        yield csv_lines([frame.columns]).encode()
    for part in frame.iter_slices(_SLICE):
        if kind == "csv":
            yield csv_lines(part.iter_rows()).encode()
        else:
            yield "".join(f"{json_line(row)}\n" for row in part.iter_rows(named=True)).encode()


def check_target(path: Path, *, force: bool) -> None:
    """Whether ``path`` may be written, before any work is done for it.

    Raises:
        TaskpaceError: it is a folder or no regular file, its folder is missing, it exists and ``force`` is not given,
            or it is an SQLite file, such as a run: those are never overwritten.
    """
    try:
        if path.is_dir():
            raise TaskpaceError(f"{path}: this is a folder: give -o a file name")
        if not path.exists():
            if not path.parent.is_dir():
                raise TaskpaceError(f"{path}: folder {path.parent} not found: make it, or choose another -o")
            return
        if not path.is_file():
            raise TaskpaceError(f"{path}: this is not a regular file: choose another -o, or - for standard output")
        if not force:
            raise TaskpaceError(f"{path}: exists already: give --force to overwrite it, or choose another -o")
        with path.open("rb") as existing:
            if existing.read(len(_SQLITE)) == _SQLITE:
                raise TaskpaceError(f"{path}: this is an SQLite file, perhaps a run: choose another -o")
    except OSError as exc:
        raise _not_written(path, exc) from None


def write(path: Path, parts: Iterable[bytes]) -> None:
    """Write a file whole or not at all: what was there stays until all is written, and nothing else is left behind.

    Raises:
        TaskpaceError: it cannot be written.
    """
    # Where a link points to, so that the link stays; in that folder, for a rename is atomic within one file system.
    target = path.resolve()
    unfinished = target.with_name(f".taskpace-{os.getpid()}-{secrets.token_hex(4)}.part")
    try:
        try:
            with unfinished.open("xb") as file:
                for part in parts:
                    file.write(part)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(target)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as exc:
        raise _not_written(path, exc) from None


def _not_written(path: Path, bad: OSError) -> TaskpaceError:
    return TaskpaceError(f"{path}: cannot be written: {bad.strerror or bad}: choose another -o")
