"""A summary as GitHub-flavoured Markdown: tables with intervals, the sentences, and what to look into."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from taskpace.analysis.estimates import Number
from taskpace.analysis.views import Summary, SystemRow, TaskTable
from taskpace.report.figures import (
    UNKNOWN,
    digits,
    outcomes_in_words,
    reason_line,
    seconds,
    shared_ranks,
    table_title,
)
from taskpace.report.sentences import finding_lines, sentences
from taskpace.safe_text import column_width, printable

_LEGEND = (
    "Task time: median from dispatch to the last byte of the answer. TTFT: median to the first token; committed: "
    "median until the answer no longer changed; tokens, tok/s: median written, median decode speed; s/correct: seconds "
    "of all trials / number correct. In parentheses: 95 % intervals. Ranks by paired tests (Holm, 5 %): n= share a "
    "rank, for they cannot be told apart (~). An INVALID row is shown and not ranked."
)
_WIDEST_PADDED = 60
"""Columns are padded so that the raw text reads well; one endless name must not blow every row up."""

_OWN_CODE = re.compile(r"(?<!`)(`(?:taskpace|--)[A-Za-z -]*[A-Za-z]`)(?!`)")
"""Commands and flags in our own remedies, which stay code."""
_SPECIAL = re.compile(
    r"[\\`*\[\]<|~&$#]"
    r"|_(?![0-9A-Za-z])"  # before a letter it can end no emphasis, so none begins
    r"|:(?=//)|(?<=www)\.",  # GitHub makes links of bare addresses
    re.IGNORECASE,
)
_NOTIFIES = re.compile(r"@|#(?=\d)")
"""E-mail addresses, mentions and issue numbers, which GitHub finds in the text that is left when all escapes are gone.
An empty comment inside takes them apart without a trace in what is shown."""


def summary_markdown(summary: Summary) -> str:
    """The whole summary; the same one gives the same text. Whatever text comes from the run is inert."""
    return "\n\n".join(_blocks(summary)) + "\n"


def escape(text: str) -> str:
    """``text`` on one line that Markdown shows as it is, in a paragraph, a heading, a list or a table's cell.

    Nothing in it can be markup, HTML, a link, a mention, the end of a cell or of a line. Control characters and what
    reorders text are shown as ``printable`` does; white space is collapsed, as HTML would anyway.
    """
    parts = _OWN_CODE.split(" ".join(printable(text).split()))
    escaped = "".join(part if number % 2 else _escape_part(part) for number, part in enumerate(parts))
    return _at_start(escaped)


def _escape_part(part: str) -> str:
    escaped = _SPECIAL.sub(lambda found: "\\" + found[0], part)
    return _NOTIFIES.sub(lambda found: found[0] + "<!-- -->", escaped)


def _at_start(text: str) -> str:
    """What would make a list, a quotation or a heading of the line loses that meaning."""
    if text[:1] in {"-", "+", "=", ">"}:
        return "\\" + text
    number = re.match(r"\d{1,9}(?=[.)])", text)
    return text if number is None else f"{number[0]}\\{text[number.end() :]}"


def _blocks(summary: Summary) -> Iterator[str]:
    yield f"# {escape(summary.name)}"
    if summary.done < summary.planned:
        yield f"{summary.done} of {summary.planned} trials; the rest has not been run."
    for table in summary.tables:
        yield f"## {escape(table_title(table))}"
        yield "\n".join(_table_lines(table))
        if any(row.reasons for row in table.rows):
            yield "\n".join(
                f"- {escape(f'{row.system}: {reason_line(reason)}')}" for row in table.rows for reason in row.reasons
            )
        for paragraph in sentences(table):
            yield escape(paragraph)
        if findings := finding_lines(table):
            yield "\n".join(f"- {escape(finding)}" for finding in findings)
    yield f"*{escape(_LEGEND)}*"


def _table_lines(table: TaskTable) -> Iterator[str]:
    rules, padded = [], []
    for heading, cells in _columns(table.rows):
        if heading not in _TEXT_COLUMNS and set(cells) == {UNKNOWN}:
            continue
        width = min(_WIDEST_PADDED, max(map(column_width, (heading, *cells))))
        is_text = heading in _TEXT_COLUMNS
        rules.append("-" * width if is_text else "-" * (width - 1) + ":")
        padded.append([_padded(text, width, right=not is_text) for text in (heading, *cells)])
    head, *body = zip(*padded, strict=True)
    for line in (head, rules, *body):
        yield f"| {' | '.join(line)} |"


_TEXT_COLUMNS = ("system", "outcomes")


def _columns(rows: tuple[SystemRow, ...]) -> list[tuple[str, list[str]]]:
    return [
        ("system", [escape(row.system) for row in rows]),
        ("rank by time", _time_ranks(rows)),
        ("rank by tok/s", shared_ranks([row.rank_tokens_per_s for row in rows])),
        ("rank by s/correct", shared_ranks([row.rank_time_per_correct for row in rows])),
        ("task time (s)", [_seconds(row.task_time_median_s) for row in rows]),
        ("p90 (s)", [_seconds(row.task_time_p90_s) for row in rows]),
        ("TTFT (s)", [_seconds(row.ttft_median_s) for row in rows]),
        ("committed (s)", [_seconds(row.committed_median_s) for row in rows]),
        ("tokens", [_with_interval(row.output_tokens_median, lambda value: digits(value, 3)) for row in rows]),
        ("tok/s", [_with_interval(row.tokens_per_s_median, lambda value: digits(value, 3)) for row in rows]),
        ("accuracy (%)", [_with_interval(row.accuracy, lambda share: f"{100 * share:.0f}") for row in rows]),
        ("s/correct", [_seconds(row.time_per_correct_s) for row in rows]),
        ("outcomes", [escape(outcomes_in_words(row)) for row in rows]),
    ]


def _time_ranks(rows: tuple[SystemRow, ...]) -> list[str]:
    ranks = shared_ranks([row.rank_task_time for row in rows])
    return [rank if row.valid else "**INVALID**" for rank, row in zip(ranks, rows, strict=True)]


def _seconds(number: Number) -> str:
    return _with_interval(number, lambda value: seconds(value).removesuffix(" s"))


def _with_interval(number: Number, show: Callable[[float], str]) -> str:
    """``1.20 (1.15 to 1.31)``; ``?`` for an end that is not known."""
    if number.value is None:
        return UNKNOWN
    if number.low is None and number.high is None:
        return show(number.value)
    low, high = ("?" if end is None else show(end) for end in (number.low, number.high))
    return f"{show(number.value)} ({low} to {high})"


def _padded(text: str, width: int, *, right: bool) -> str:
    room = " " * max(0, width - column_width(text))
    return room + text if right else text + room
