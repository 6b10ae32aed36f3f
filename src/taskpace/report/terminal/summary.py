"""A summary as tables for a terminal of 80 columns and more; a wider one shows more columns."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap

import msgspec
from rich.console import Console
from rich.text import Text

from taskpace.analysis.schema.summary import Summary, SystemRow, TaskTable
from taskpace.report.words.brevity import HEADINGS as BREVITY_HEADINGS, LEGEND as BREVITY_LEGEND, brevity_tables
from taskpace.report.words.client import client_sentence
from taskpace.report.words.effects import HEADINGS as EFFECT_HEADINGS, LEGEND as EFFECT_LEGEND, effect_tables
from taskpace.report.words.energy import energy_legend, energy_lines
from taskpace.report.words.figures import (
    UNKNOWN,
    digits,
    outcomes_in_words,
    reason_line,
    seconds,
    seconds_with_error,
    share_with_error,
    shared_ranks,
    table_title,
)
from taskpace.report.words.loads import HEADINGS, LEGEND, load_rows, load_sentence, load_title
from taskpace.report.words.overall import LEGEND as OVERALL_LEGEND, overall_tables
from taskpace.report.words.sentences import finding_lines, sentences
from taskpace.text.safe_text import column_width, one_line, printable

_LEAST_NAME_WIDTH = 12


def print_summary(summary: Summary, console: Console, *, plots: bool = False) -> None:
    """Print every task's table, what it says, and what to look into; ``plots``: with charts below each."""
    if summary.done < summary.planned:
        unfinished = f"{summary.name}: {summary.done} of {summary.planned} trials; the rest has not been run"
        console.print(Text(printable(unfinished), style="yellow"))
    for table in summary.tables:
        console.print()
        for line in table_lines(table, console.width):
            console.print(line, soft_wrap=True)
        console.print()
        for paragraph in sentences(table):
            console.print(Text(printable(paragraph)))
        for sentence in energy_lines(table):
            console.print(Text(printable(sentence)))
        for finding in finding_lines(table):
            for number, part in enumerate(wrap(printable(finding), console.width - 4)):
                console.print(Text(("    " if number else "  - ") + part, style="dim"), soft_wrap=True)
        if plots:
            from taskpace.report.terminal.plots import plot_lines

            for line in plot_lines(table, console.width):
                console.print(line, soft_wrap=True)
    for effects in effect_tables(summary):
        console.print()
        for line in row_lines(effects.title, EFFECT_HEADINGS, effects.rows, console.width):
            console.print(line, soft_wrap=True)
        for sentence in effects.said:
            console.print(Text(printable(sentence)))
    print_brevity(summary, console)
    for overall in overall_tables(summary):
        for title, headings, rows in (
            (overall.parts_title, overall.parts_headings, overall.parts),
            (overall.title, overall.headings, overall.rows),
        ):
            console.print()
            for line in row_lines(title, headings, rows, console.width):
                console.print(line, soft_wrap=True)
        for sentence in overall.said:
            console.print(Text(printable(sentence)))
    for load in summary.loads:
        console.print()
        for line in row_lines(load_title(load), HEADINGS, load_rows(load), console.width):
            console.print(line, soft_wrap=True)
        console.print(Text(printable(load_sentence(load))))
    console.print()
    if about := client_sentence(summary):
        console.print(Text(about, style="dim"))
    console.print(
        Text(
            legend(summary)
            + (f" Under load: {LEGEND}" if summary.loads else "")
            + (f" {EFFECT_LEGEND}" if summary.effects else "")
            + (f" {BREVITY_LEGEND}" if summary.brevity else "")
            + (f" {OVERALL_LEGEND}" if summary.overall else "")
            + (f" {energy}" if (energy := energy_legend(summary)) else ""),
            style="dim",
        )
    )


def print_brevity(summary: Summary, console: Console) -> None:
    """Print what the request to be brief does, task by task; nothing where no systems differ in it."""
    for brevity in brevity_tables(summary):
        console.print()
        for line in row_lines(brevity.title, BREVITY_HEADINGS, brevity.rows, console.width):
            console.print(line, soft_wrap=True)
        for sentence in brevity.said:
            console.print(Text(printable(sentence)))


def row_lines(title: str, headings: tuple[str, ...], rows: list[tuple[str, ...]], width: int) -> Iterator[Text]:
    """The lines of a plain table; columns that say nothing, and those that do not fit, are left out."""
    columns = [(heading, cells) for heading, *cells in zip(headings, *rows, strict=True) if set(cells) != {UNKNOWN}]
    widths = [max(map(column_width, (heading, *map(printable, cells)))) for heading, cells in columns]
    while len(columns) > 1 and sum(widths) + 2 * (len(columns) - 1) > width:
        columns.pop()
        widths.pop()
    yield Text(one_line(title, width), style="bold")
    for number, line in enumerate(zip(*((heading, *cells) for heading, cells in columns), strict=True)):
        first, *others = (printable(cell) for cell in line)
        text = first + " " * (widths[0] - column_width(first))
        yield Text(
            text + "".join(f"  {cell:>{size}}" for cell, size in zip(others, widths[1:], strict=True)),
            style="dim" if number == 0 else "",
        )


class _Column(msgspec.Struct, frozen=True):
    heading: str
    cells: list[str]
    need: int
    """0: always shown; the greater, the sooner it is left out for lack of room."""
    is_rank: bool = False

    @property
    def width(self) -> int:
        return max(map(len, (self.heading, *self.cells)))


def table_lines(table: TaskTable, width: int) -> Iterator[Text]:
    """The lines of one table; a system's outcome counts stand below its numbers."""
    longest = max(_LEAST_NAME_WIDTH, *(column_width(row.system) for row in table.rows))
    columns = _that_fit(_columns(table.rows), width - longest)
    taken = sum(column.width + 2 for column in columns)
    name_width = max(_LEAST_NAME_WIDTH, min(longest, width - taken))

    yield Text(one_line(table_title(table), width), style="bold")
    ranks = sum(column.width + 2 for column in columns if column.is_rank) - 2
    yield Text(" " * (name_width + taken - ranks) + "rank by".center(ranks).rstrip(), style="dim")
    yield Text(" " * name_width + "".join(f"  {c.heading:>{c.width}}" for c in columns), style="dim")
    for number, row in enumerate(table.rows):
        name = one_line(row.system, name_width)
        text = Text(name + " " * (name_width - column_width(name)), style="bold")
        for index, column in enumerate(columns):
            first = index == 0 and row.rank_task_time == 1
            text.append(f"  {column.cells[number]:>{column.width}}", style="bold green" if first else "not bold")
        yield text
        yield Text("  " + one_line(outcomes_in_words(row), width - 2), style="dim")
        for reason in row.reasons:
            for line in wrap(printable(reason_line(reason)), width - 2):
                yield Text("  " + line, style="yellow")


def _columns(rows: tuple[SystemRow, ...]) -> list[_Column]:
    columns = [
        _Column("task time", [seconds_with_error(row.task_time_median_s) for row in rows], 0),
        _Column("p90", [seconds(row.task_time_p90_s.value) for row in rows], 2),
        _Column("TTFT", [seconds(row.ttft_median_s.value) for row in rows], 3),
        _Column("committed", [seconds(row.committed_median_s.value) for row in rows], 4),
        _Column("tokens", [digits(row.output_tokens_median.value, 4) for row in rows], 0),
        _Column("tok/s", [digits(row.tokens_per_s_median.value, 3) for row in rows], 0),
        _Column("accuracy", [share_with_error(row.accuracy) for row in rows], 0),
        _Column("s/correct", [seconds(row.time_per_correct_s.value) for row in rows], 0),
        _Column("J/task", [digits(row.energy.gross_per_task_j if row.energy else None, 3) for row in rows], 2),
        _Column("time", shared_ranks([row.rank_task_time for row in rows]), 0, is_rank=True),
        _Column("tok/s", shared_ranks([row.rank_tokens_per_s for row in rows]), 0, is_rank=True),
        _Column("s/corr.", shared_ranks([row.rank_time_per_correct for row in rows]), 1, is_rank=True),
    ]
    return [column for column in columns if column.need == 0 or set(column.cells) != {UNKNOWN}]


def _that_fit(columns: list[_Column], width: int) -> list[_Column]:
    """Leaves out what is needed least until the rest fits, or only what is always shown is left."""
    while sum(column.width + 2 for column in columns) > width:
        least = max(columns, key=lambda column: column.need)
        if least.need == 0:
            break
        columns = [column for column in columns if column is not least]
    return columns


def legend(summary: Summary) -> str:
    """What the columns mean, once."""
    meaning = (
        "task time: median from dispatch to the last byte of the answer, with its 95 % interval; tokens, tok/s: median "
        "written, median decode speed; s/correct: seconds of all trials / number correct. "
    )
    ranks = "Ranks by paired tests (Holm, 5 %): n= share a rank, for they cannot be distinguished (~). "
    if not summary.resamples:
        return meaning + ranks + "No resamples: no probability that two rankings differ."
    return meaning + ranks + "More: `--format json`."
