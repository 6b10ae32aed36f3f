"""A document as tables and sentences for a terminal of 80 columns and more; a wider one shows more columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import msgspec
from rich.console import Console
from rich.text import Text

from taskpace.analysis.schema.summary import Summary
from taskpace.report.terminal.sentence import print_sentence
from taskpace.report.words.block import Block, Cell, Column, Document, Number, Rank, shown
from taskpace.report.words.commands import RunFile
from taskpace.report.words.document import document
from taskpace.report.words.figures import UNKNOWN, Form
from taskpace.text.safe_text import column_width, one_line, padded, told_apart, wrapped

_LEAST_NAME_WIDTH = 12
_LONGEST = 1000
"""Columns of a cell that is text; what does not fit is cut or left out later."""

Plots = Callable[[tuple[str, str], int], Iterable[Text]]
"""Lines to print below the table of a task and scenario, for a width."""


def print_summary(
    summary: Summary, console: Console, *, file: RunFile = None, task: str | None = None, plots: bool = False
) -> None:
    """Print the long form: every task's table, what it says, and what to look into.

    Args:
        summary: of the run.
        console: where to.
        file: of the run, for commands.
        task: only the tables of this one; null: everything.
        plots: with charts below each table.
    """
    whole = document(summary, file)
    if task is not None:
        blocks = tuple(block for block in whole.blocks if block.task is not None and block.task[0] == task)
        whole = msgspec.structs.replace(whole, blocks=blocks)
    if not plots:
        print_document(whole, console)
        return
    from taskpace.report.terminal.plots import plot_lines

    tables = {(table.task, table.scenario): table for table in summary.tables}
    print_document(whole, console, plots=lambda task, width: plot_lines(tables[task], width))


def print_document(whole: Document, console: Console, *, titled: bool = False, plots: Plots | None = None) -> None:
    """Print all blocks, then what the columns mean; ``titled``: with the title above, else only before a warning."""
    if titled:
        print_sentence(console, whole.title, "bold")
    for warning in whole.warnings:
        print_sentence(console, warning if titled else f"{whole.title}: {warning}", "yellow")
    print_blocks(whole.blocks, console, plots=plots)
    console.print()
    for sentence in whole.closing:
        print_sentence(console, sentence, "dim")
    print_sentence(console, whole.narrow_legend, "dim")


def print_blocks(blocks: Iterable[Block], console: Console, *, plots: Plots | None = None) -> None:
    """Print blocks one below the other, a blank line before each."""
    for block in blocks:
        console.print()
        for line in table_lines(block, console.width):
            console.print(line, soft_wrap=True)
        if block.task is not None:
            console.print()
        for paragraph in block.paragraphs:
            print_sentence(console, paragraph)
        for finding in block.findings:
            for number, part in enumerate(wrapped(finding, console.width - 4)):
                console.print(Text(("    " if number else "  - ") + part, style="dim"), soft_wrap=True)
        if plots is not None and block.task is not None:
            for line in plots(block.task, console.width):
                console.print(line, soft_wrap=True)


class _Column(NamedTuple):
    """A column as lines of text."""

    heading: str
    texts: list[str]
    width: int
    need: int
    """0: always shown; the greater, the sooner it is left out."""
    right: bool
    group: str
    column: Column


def table_lines(block: Block, width: int) -> Iterator[Text]:
    """The lines of a block's table: what fits, with cautions and whatever is below a row."""
    names, *columns = _columns(block)
    below = [column for column in block.columns if column.narrow and column.narrow.where == "below"]
    longest = max(_LEAST_NAME_WIDTH, names.width) if below else names.width
    columns = _that_fit(columns, width - longest)
    taken = sum(column.width + 2 for column in columns)
    name_width = min(longest, max(_LEAST_NAME_WIDTH, width - taken))

    yield Text(one_line(block.title, width), style="bold")
    yield from _groups(columns, name_width + taken)
    heads = "".join(f"  {padded(column.heading, column.width, right=column.right)}" for column in columns)
    yield Text((padded(one_line(names.heading, name_width), name_width) + heads).rstrip(), style="dim")
    for index, name in enumerate(told_apart(names.texts, name_width)):
        text = Text(padded(name, name_width), style="bold" if below else "")
        for column in columns:
            cell = padded(column.texts[index], column.width, right=column.right)
            text.append(f"  {cell}", style=_style(column.column.cells[index], quiet=bool(below)))
        text.rstrip()
        yield text
        for under in below:
            (line,) = _texts((under.cells[index],), under.form)
            yield Text("  " + one_line(line, width - 2), style="dim")
        for caution in block.cautions:
            if caution.row == index:
                for line in wrapped(caution.text, width - 2):
                    yield Text("  " + line, style="yellow")


def _columns(block: Block) -> list[_Column]:
    """The columns that say something, those of a group last; the first has the names."""
    found = []
    for index, column in enumerate(block.columns):
        narrow = column.narrow
        if narrow is not None and narrow.where != "column":
            continue
        heading, form, need, group = (
            (column.heading, column.form, index, "")
            if narrow is None
            else (narrow.heading, narrow.form, narrow.need, narrow.group)
        )
        if index and need and column.unknown:
            continue
        heading = one_line(heading, _LONGEST)
        texts = _texts(column.cells, form)
        width = max(map(column_width, (heading, *texts)))
        found.append(_Column(heading, texts, width, need, index > 0 and column.kind == "number", group, column))
    return sorted(found, key=lambda column: bool(column.group))


def _texts(cells: Iterable[Cell], form: Form) -> list[str]:
    """One line for each cell. What is INVALID is said below the row, so its rank is just unknown here."""
    return [
        UNKNOWN if isinstance(cell, Rank) and cell.rank is None else one_line(shown(cell, form).text, _LONGEST)
        for cell in cells
    ]


def _style(cell: Cell, *, quiet: bool) -> str:
    if isinstance(cell, Number) and cell.first:
        return "bold green"
    return "not bold" if quiet else ""


def _that_fit(columns: list[_Column], width: int) -> list[_Column]:
    """Leaves out what is needed least until the rest fits, or only what is always shown is left."""
    while columns and sum(column.width + 2 for column in columns) > width:
        least = max(columns, key=lambda column: column.need)
        if least.need == 0:
            break
        columns = [column for column in columns if column is not least]
    return columns


def _groups(columns: list[_Column], end: int) -> Iterator[Text]:
    """A line with the heading that several columns share, where there is one."""
    for group in dict.fromkeys(column.group for column in columns if column.group):
        width = sum(column.width + 2 for column in columns if column.group == group) - 2
        yield Text(" " * (end - width) + group.center(width).rstrip(), style="dim")
