"""A summary as GitHub-flavoured Markdown: tables with intervals, the sentences, and what to look into."""

from __future__ import annotations

import re
from collections.abc import Iterator

from taskpace.analysis.schema.summary import Summary, TaskTable
from taskpace.report.words.brevity import HEADINGS as BREVITY_HEADINGS, LEGEND as BREVITY_LEGEND, brevity_tables
from taskpace.report.words.client import client_sentence
from taskpace.report.words.columns import INVALID, LEGEND, TEXT_COLUMNS, columns
from taskpace.report.words.effects import HEADINGS as EFFECT_HEADINGS, LEGEND as EFFECT_LEGEND, effect_tables
from taskpace.report.words.energy import energy_legend, energy_lines
from taskpace.report.words.figures import reason_line, table_title
from taskpace.report.words.loads import HEADINGS, LEGEND as LOAD_LEGEND, load_rows, load_sentence, load_title
from taskpace.report.words.overall import LEGEND as OVERALL_LEGEND, overall_tables
from taskpace.report.words.sentences import finding_lines, sentences
from taskpace.text.safe_text import column_width, printable

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
        for paragraph in (*sentences(table), *energy_lines(table)):
            yield escape(paragraph)
        if findings := finding_lines(table):
            yield "\n".join(f"- {escape(finding)}" for finding in findings)
    for effects in effect_tables(summary):
        yield f"## {escape(effects.title)}"
        yield "\n".join(rows_lines(EFFECT_HEADINGS, [tuple(map(escape, row)) for row in effects.rows]))
        for sentence in effects.said:
            yield escape(sentence)
    for brevity in brevity_tables(summary):
        yield f"## {escape(brevity.title)}"
        yield "\n".join(rows_lines(BREVITY_HEADINGS, [tuple(map(escape, row)) for row in brevity.rows]))
        for sentence in brevity.said:
            yield escape(sentence)
    for overall in overall_tables(summary):
        for title, headings, rows in (
            (overall.title, overall.headings, overall.rows),
            (overall.parts_title, overall.parts_headings, overall.parts),
        ):
            yield f"## {escape(title)}"
            yield "\n".join(rows_lines(tuple(map(escape, headings)), [tuple(map(escape, row)) for row in rows]))
        for sentence in overall.said:
            yield escape(sentence)
    for load in summary.loads:
        yield f"## {escape(load_title(load))}"
        yield "\n".join(rows_lines(HEADINGS, load_rows(load)))
        yield escape(load_sentence(load))
    if about := client_sentence(summary):
        yield escape(about)
    more = (f" Under load: {LOAD_LEGEND}" if summary.loads else "") + (f" {EFFECT_LEGEND}" if summary.effects else "")
    more += f" {BREVITY_LEGEND}" if summary.brevity else ""
    more += f" {OVERALL_LEGEND}" if summary.overall else ""
    more += f" {energy}" if (energy := energy_legend(summary)) else ""
    yield f"*{escape(LEGEND + more)}*"


def rows_lines(headings: tuple[str, ...], rows: list[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(headings)} |"
    yield f"| --- |{' ---: |' * (len(headings) - 1)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _table_lines(table: TaskTable) -> Iterator[str]:
    rules, padded = [], []
    for heading, plain in columns(table.rows):
        is_text = heading in TEXT_COLUMNS
        cells = [escape(cell) if is_text else f"**{cell}**" if cell == INVALID else cell for cell in plain]
        width = min(_WIDEST_PADDED, max(map(column_width, (heading, *cells))))
        rules.append("-" * width if is_text else "-" * (width - 1) + ":")
        padded.append([_padded(text, width, right=not is_text) for text in (heading, *cells)])
    head, *body = zip(*padded, strict=True)
    for line in (head, rules, *body):
        yield f"| {' | '.join(line)} |"


def _padded(text: str, width: int, *, right: bool) -> str:
    room = " " * max(0, width - column_width(text))
    return room + text if right else text + room
