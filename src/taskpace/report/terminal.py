"""A summary as a table for a terminal of 80 columns and more."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from taskpace.analysis.summary import Summary, SystemRow, TaskTable
from taskpace.report.safe import column_width, one_line
from taskpace.report.sentences import disagreement

_HEADINGS = ("task time", "p90", "tokens", "tokens/s", "accuracy", "s/correct", "time", "tokens/s")
_RANK_COLUMNS = 2
_LEAST_NAME_WIDTH = 8
_UNKNOWN = "–"


def print_summary(summary: Summary, console: Console) -> None:
    """Print every task's table and sentence."""
    if summary.done < summary.planned:
        console.print(
            Text(
                f"{summary.name}: {summary.done} of {summary.planned} trials; the rest has not been run",
                style="yellow",
            )
        )
    for table in summary.tables:
        console.print()
        for line in table_lines(table, console.width):
            console.print(line, soft_wrap=True)
        console.print()
        console.print(Text(disagreement(table.rows)))
    console.print()
    console.print(Text(legend(summary), style="dim"))


def table_lines(table: TaskTable, width: int) -> Iterator[Text]:
    """The lines of one table; a system's outcome counts stand below its numbers."""
    cells = [_cells(row) for row in table.rows]
    widths = [max(len(heading), *(len(line[n]) for line in cells)) for n, heading in enumerate(_HEADINGS)]
    taken = sum(widths) + 2 * len(widths)
    longest = max(column_width(row.system) for row in table.rows)
    name_width = max(_LEAST_NAME_WIDTH, min(longest, width - taken))

    title = f"{table.task} · {table.scenario} · {max(row.n for row in table.rows)} trials each"
    yield Text(one_line(title, width), style="bold")
    ranks = sum(widths[-_RANK_COLUMNS:]) + 2 * (_RANK_COLUMNS - 1)
    yield Text(" " * (name_width + taken - ranks) + "rank by".center(ranks).rstrip(), style="dim")
    yield Text(" " * name_width + "".join(f"  {h:>{w}}" for h, w in zip(_HEADINGS, widths, strict=True)), style="dim")
    for row, line in zip(table.rows, cells, strict=True):
        name = one_line(row.system, name_width)
        text = Text(name + " " * (name_width - column_width(name)), style="bold")
        for number, (cell, cell_width) in enumerate(zip(line, widths, strict=True)):
            first = number == 0 and row.rank_task_time == 1
            text.append(f"  {cell:>{cell_width}}", style="bold green" if first else "not bold")
        yield text
        yield Text(f"  {outcomes_in_words(row)}", style="dim")


def _cells(row: SystemRow) -> tuple[str, ...]:
    return (
        seconds(row.task_time_median_s),
        seconds(row.task_time_p90_s),
        _UNKNOWN if row.output_tokens_median is None else f"{row.output_tokens_median:.4g}",
        _UNKNOWN if row.tokens_per_s_median is None else f"{row.tokens_per_s_median:.3g}",
        _UNKNOWN if row.accuracy is None else f"{100 * row.accuracy:.0f} %",
        seconds(row.time_per_correct_s),
        _rank(row.rank_task_time),
        _rank(row.rank_tokens_per_s),
    )


def outcomes_in_words(row: SystemRow) -> str:
    """``5 correct, 14 wrong, 1 unparsed``; how many are missing when the cell is not whole."""
    words = [f"{count} {outcome}" for outcome, count in row.outcomes.items()]
    if row.n < row.planned:
        words.append(f"{row.planned - row.n} not run")
    return ", ".join(words) or "nothing yet"


def legend(summary: Summary) -> str:
    """What the columns mean, once."""
    p90 = all(row.task_time_p90_s is None for table in summary.tables for row in table.rows)
    return (
        "task time: median seconds from dispatch to the last byte of the answer; tokens: median written; "
        "s/correct: seconds of all trials / number correct" + ("; p90 needs 64 trials" if p90 else "")
    )


def seconds(value: float | None) -> str:
    """Seconds with three significant digits, ``–`` for unknown."""
    if value is None:
        return _UNKNOWN
    return f"{value:.0f} s" if value >= 100 else f"{value:#.3g} s"


def _rank(value: int | None) -> str:
    return _UNKNOWN if value is None else str(value)
