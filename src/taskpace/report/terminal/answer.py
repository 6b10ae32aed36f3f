"""The answer of a run on one screen of a terminal: twenty lines of 80 columns, then where there is more."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.text import Text

from taskpace.analysis.schema.summary import Summary
from taskpace.report.words.answer import make_answer
from taskpace.report.words.block import Advice, Answer, Block, Number
from taskpace.report.words.commands import RunFile
from taskpace.text.safe_text import both_ends, column_width, one_line, padded, printable, told_apart, wrapped

MOST_LINES = 20
"""Before the line that shows where there is more, for three systems and three tasks."""
_USUAL_TABLE = 10
"""Lines of the table of three systems and three tasks; a longer one does not push the rest out."""
_LEAST_WIDTH = 40
_LONGEST = 1000
"""Columns of a text before it is fitted to its column."""


def print_answer(summary: Summary, console: Console, *, files: tuple[str, ...], file: RunFile) -> None:
    """Print the answer of a run.

    Args:
        summary: of the run.
        console: where to.
        files: the names of all its files.
        file: the one file, or which of them has what, for the commands of remedies.
    """
    answer = make_answer(summary, file)
    for line in answer_lines(answer, files, console.width):
        console.print(line, soft_wrap=True)


def answer_lines(answer: Answer, files: tuple[str, ...], width: int) -> Iterator[Text]:
    """The lines, at most ``width`` columns wide but for a command with a long file name, which must stay whole."""
    width = max(_LEAST_WIDTH, width)
    first, *others = answer.verdicts
    verdicts = [*_wrapped(first, width, "bold"), *(line for text in others for line in _wrapped(text, width))]
    table = _table(answer.block, width)
    paragraphs = [[*_wrapped(text, width)] for text in answer.block.paragraphs]
    cautions = [[*_caution(each, width)] for each in answer.advice]
    more = answer.more
    most = MOST_LINES + max(0, len(table) - _USUAL_TABLE)

    def too_long() -> bool:
        return sum(map(len, (verdicts, table, *paragraphs, *cautions))) > most

    # What is needed least goes first: further cautions, then how sure and at what cost.
    while too_long() and len(cautions) > 1:
        cautions.pop()
        more += 1
    while too_long() and len(paragraphs) > 1:
        paragraphs.pop()
    while too_long() and cautions:
        cautions.pop()
        more += 1
    parts = [part for part in (verdicts, table, [line for part in paragraphs for line in part]) if part]
    parts += [[line for part in cautions for line in part]] if cautions else []
    spare = most - sum(map(len, parts))
    for number, part in enumerate(parts):
        if number and number <= spare:
            yield Text()
        yield from part
    yield from _more(more, answer, files, width)


def _wrapped(text: str, width: int, style: str = "") -> Iterator[Text]:
    for line in wrapped(text, width):
        yield Text(line, style=style)


def _caution(advice: Advice, width: int) -> Iterator[Text]:
    text = f"! {advice.observation}. {advice.request}{':' if advice.command else ''}"
    for number, line in enumerate(wrapped(text, width - 2)):
        yield Text(("  " if number else "") + line, style="yellow")
    if advice.command:
        yield Text(f"  {printable(advice.command)}", style="yellow")


def _more(cautions: int, answer: Answer, files: tuple[str, ...], width: int) -> Iterator[Text]:
    """The commands of the long form: of one task, where the run has several and its name fits, and of all."""
    command = f"taskpace summary {printable(shlex.join(files))}"
    counted = f" ({cautions} more caution{'s' if cautions > 1 else ''})" if cautions else ""
    parts = [f"`{command} --full`{counted}"]
    if answer.task is not None:
        of_one = f"`{command} --task {printable(shlex.quote(answer.task))}`,"
        if column_width(f"more: {of_one}") <= width:
            parts.insert(0, of_one)
    parts[0] = f"more: {parts[0]}"
    together = " ".join(parts)
    for line in (together,) if column_width(together) <= width else parts:
        yield Text(line, style="dim")


def _table(block: Block, width: int) -> list[Text]:
    """Text columns share what numbers leave; a task that is above is not repeated."""
    columns = block.wide
    cells = [[one_line(each.text, _LONGEST) for each in column.shown] for column in columns]
    widths = [max(map(column_width, (column.heading, *texts))) for column, texts in zip(columns, cells, strict=True)]
    names = [index for index, column in enumerate(columns) if column.kind == "text" and index < len(columns) - 1]
    _fit(widths, names, width - 2 * (len(columns) - 1))
    if columns[0].heading == "task":
        cells[0] = ["" if index and text == cells[0][index - 1] else text for index, text in enumerate(cells[0])]
    cells = [told_apart(texts, room) for texts, room in zip(cells, widths, strict=True)]
    right = [column.kind == "number" for column in columns]
    heads = [column.heading for column in columns]
    lines = [Text(_row(heads, widths, right), style="dim")]
    for index in range(len(cells[0])):
        first = any(isinstance(cell := column.cells[index], Number) and cell.first for column in columns)
        lines.append(Text(_row([texts[index] for texts in cells], widths, right), style="bold" if first else ""))
    return lines


def _row(texts: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    parts = (
        padded(both_ends(text, room), room, right=at_right)
        for text, room, at_right in zip(texts, widths, right, strict=True)
    )
    return "  ".join(parts).rstrip()


def _fit(widths: list[int], names: list[int], width: int) -> None:
    """Narrow the widest of the columns in ``names`` until all fit."""
    while sum(widths) > width:
        widest = max(names, key=lambda index: widths[index], default=None)
        if widest is None or widths[widest] <= 1:
            return
        widths[widest] -= 1
