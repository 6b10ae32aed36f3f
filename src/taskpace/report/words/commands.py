"""Commands that a report names, with the names of the reader's own files, so that they can be pasted."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import TypeVar

import msgspec

from taskpace.analysis.schema.summary import Finding, Reason, Summary, TaskTable
from taskpace.report.words.block import Block

Files = tuple[str | None, str | None]
"""The run files of two sides, for the commands of remedies; null: unknown, so the commands have ``RUN``."""
NO_FILES: Files = (None, None)
CellName = tuple[str, str, str]
"""System, task and scenario."""
RunFile = str | Mapping[CellName, tuple[str, ...]] | None
"""The file of a run; of several, those that have each cell; null: unknown, so the commands have ``RUN``."""

_MOST_FILES = 3
"""Of those that have a cell; a command for each is named."""
_COMMAND = re.compile(r"`(taskpace [^`]*)`")
_FILES = re.compile(r"\b(RUN|NEW)\b")
_Told = TypeVar("_Told", Reason, Finding)


def with_files(text: str, *files: str | None) -> str:
    """``text`` with the run file's name for ``RUN`` in its commands, and for ``NEW`` one beside it; null: unchanged.

    Of several files each has the command, one after the other.
    """
    known = [file for file in files if file is not None]
    if not known:
        return text

    def named(found: re.Match[str]) -> str:
        commands = list(dict.fromkeys(_named(found[1], file) for file in known))
        rest = len(commands) - _MOST_FILES
        likewise = f" (likewise {rest} more run file{'s' if rest > 1 else ''})" if rest > 0 else ""
        return f"`{' && '.join(commands[:_MOST_FILES])}`{likewise}"

    return _COMMAND.sub(named, text)


def _named(command: str, file: str) -> str:
    names = {"RUN": shlex.quote(file), "NEW": shlex.quote(beside(file))}
    return _FILES.sub(lambda name: names[name[0]], command)


def beside(file: str) -> str:
    """A run file's name for the same experiment with another setting."""
    return str(PurePath(file).with_name(f"{PurePath(file).name.removesuffix('.db')}-new.db"))


def files_having(file: RunFile, cells: Iterable[CellName]) -> tuple[str, ...]:
    """The run files that have any of the cells; none where they are unknown."""
    if file is None:
        return ()
    if isinstance(file, str):
        return (file,)
    return tuple(dict.fromkeys(name for cell in cells for name in file[cell]))


def split_remedy(remedy: str) -> tuple[str, str]:
    """What to do, and the command that does it; no command: empty."""
    found = _COMMAND.search(remedy)
    if found is None:
        return remedy, ""
    return remedy[: found.start()].removesuffix(": ").removesuffix(", then ").strip(), found[1]


def block_with_files(block: Block, file: RunFile) -> Block:
    """A block whose paragraphs have the file's name in their commands; no command of theirs is for several files."""
    if not isinstance(file, str):
        return block
    return msgspec.structs.replace(block, paragraphs=tuple(with_files(each, file) for each in block.paragraphs))


def summary_with_files(summary: Summary, file: RunFile) -> Summary:
    """A summary whose remedies have the names of the files that they concern."""
    if file is None:
        return summary
    return msgspec.structs.replace(summary, tables=tuple(_table_with_files(table, file) for table in summary.tables))


def _table_with_files(table: TaskTable, file: RunFile) -> TaskTable:
    cells = {row.system: (row.system, table.task, table.scenario) for row in table.rows}
    # A finding that several systems have is told once, so its command is for the files of all of them.
    having: dict[str, list[CellName]] = {}
    for row in table.rows:
        for finding in row.findings:
            having.setdefault(finding.code, []).append(cells[row.system])

    def named(told: tuple[_Told, ...], own: Iterable[CellName] | None) -> tuple[_Told, ...]:
        return tuple(
            msgspec.structs.replace(
                each, remedy=with_files(each.remedy, *files_having(file, having[each.code] if own is None else own))
            )
            for each in told
        )

    return msgspec.structs.replace(
        table,
        rows=tuple(
            msgspec.structs.replace(
                row, reasons=named(row.reasons, [cells[row.system]]), findings=named(row.findings, None)
            )
            for row in table.rows
        ),
        findings=named(table.findings, cells.values()),
    )
