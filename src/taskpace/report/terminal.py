"""A summary as a table for a terminal of 80 columns and more."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from taskpace.analysis.summary import Summary, SystemRow, TaskTable
from taskpace.report.sentences import disagreement
from taskpace.safe_text import column_width, one_line, printable

_RANK_COLUMNS = 2
_LEAST_NAME_WIDTH = 8
_UNKNOWN = "–"


def print_summary(summary: Summary, console: Console) -> None:
    """Print every task's table and sentence."""
    if summary.done < summary.planned:
        unfinished = f"{summary.name}: {summary.done} of {summary.planned} trials; the rest has not been run"
        console.print(Text(printable(unfinished), style="yellow"))
    for table in summary.tables:
        console.print()
        for line in table_lines(table, console.width):
            console.print(line, soft_wrap=True)
        console.print()
        console.print(Text(printable(disagreement(table.rows))))
    console.print()
    console.print(Text(legend(summary), style="dim"))


def table_lines(table: TaskTable, width: int) -> Iterator[Text]:
    """The lines of one table; a system's outcome counts stand below its numbers."""
    columns = _columns(table)
    headings = [heading.removeprefix("rank ") for heading in columns]
    widths = [max(map(len, (heading, *cells))) for heading, cells in zip(headings, columns.values(), strict=True)]
    taken = sum(widths) + 2 * len(widths)
    longest = max(column_width(row.system) for row in table.rows)
    name_width = max(_LEAST_NAME_WIDTH, min(longest, width - taken))

    counts = sorted({row.n for row in table.rows})
    each = f"{counts[0]} trials each" if len(counts) == 1 else f"{counts[0]} to {counts[-1]} trials each"
    title = f"{table.task} · {table.scenario} · {each}"
    yield Text(one_line(title, width), style="bold")
    ranks = sum(widths[-_RANK_COLUMNS:]) + 2 * (_RANK_COLUMNS - 1)
    yield Text(" " * (name_width + taken - ranks) + "rank by".center(ranks).rstrip(), style="dim")
    yield Text(" " * name_width + "".join(f"  {h:>{w}}" for h, w in zip(headings, widths, strict=True)), style="dim")
    for number, row in enumerate(table.rows):
        name = one_line(row.system, name_width)
        text = Text(name + " " * (name_width - column_width(name)), style="bold")
        for place, (cells, cell_width) in enumerate(zip(columns.values(), widths, strict=True)):
            first = place == 0 and row.rank_task_time == 1
            text.append(f"  {cells[number]:>{cell_width}}", style="bold green" if first else "not bold")
        yield text
        yield Text("  " + one_line(outcomes_in_words(row), width - 2), style="dim")
        for reason in row.invalid:
            yield Text("  " + one_line(f"INVALID, not ranked: {reason}", width - 2), style="yellow")


def _columns(table: TaskTable) -> dict[str, list[str]]:
    """Heading -> its cells, one for each row; a 90th percentile that no row has takes no room."""
    rows = table.rows
    columns = {
        "task time": [seconds(row.task_time_median_s) for row in rows],
        "p90": [seconds(row.task_time_p90_s) for row in rows],
        "tokens": [_digits(row.output_tokens_median, 4) for row in rows],
        "tok/s": [_digits(row.tokens_per_s_median, 3) for row in rows],
        "accuracy": [_UNKNOWN if row.accuracy is None else f"{100 * row.accuracy:.0f} %" for row in rows],
        "s/correct": [seconds(row.time_per_correct_s) for row in rows],
        "rank time": [_digits(row.rank_task_time, 3) for row in rows],
        "rank tok/s": [_digits(row.rank_tokens_per_s, 3) for row in rows],
    }
    if all(row.task_time_p90_s is None for row in rows):
        del columns["p90"]
    return columns


def _digits(value: float | None, digits: int) -> str:
    if value is None:
        return _UNKNOWN
    return f"{value:.0f}" if value >= 100 else f"{value:.{digits}g}"


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
        "task time: median seconds from dispatch to the last byte of the answer; tokens, tok/s: median written, median "
        "decode speed; s/correct: seconds of all trials / number correct" + ("; p90 needs 64 trials" if p90 else "")
    )


def seconds(value: float | None) -> str:
    """Seconds with three significant digits, ``–`` for unknown."""
    if value is None:
        return _UNKNOWN
    return f"{value:.0f} s" if value >= 100 else f"{value:#.3g} s"
