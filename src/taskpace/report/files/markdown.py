"""A document as GitHub-flavoured Markdown: tables with intervals, the sentences, and what to look into."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from taskpace.analysis.schema.summary import Summary
from taskpace.report.words.block import Answer, Block, Cell, Document, Name, Rank, Words, shown
from taskpace.report.words.commands import RunFile
from taskpace.report.words.document import document
from taskpace.report.words.figures import Form
from taskpace.text.safe_text import column_width, padded, printable

_WIDEST_PADDED = 60
"""Columns are padded so that the raw text reads well; one endless name must not blow every row up."""

_OWN_CODE = re.compile(r"(?<!`)(`(?:taskpace |--)(?:[A-Za-z0-9 ./_-]|(?<= )&&(?= ))*[A-Za-z0-9]`)(?!`)")
"""Commands and flags in our own remedies, which stay code; what has any other character in it is shown as text."""
_SPECIAL = re.compile(
    r"[\\`*\[\]<|~&$#]"
    r"|_(?![0-9A-Za-z])"  # before a letter it can end no emphasis, so none begins
    r"|:(?=//)|(?<=www)\.",  # GitHub makes links of bare addresses
    re.IGNORECASE,
)
_NOTIFIES = re.compile(r"@|#(?=\d)")
"""E-mail addresses, mentions and issue numbers, which GitHub finds in the text that is left when all escapes are gone.
An empty comment inside takes them apart without a trace in what is shown."""


def document_markdown(whole: Document) -> str:
    """The whole document; the same one gives the same text. Whatever text comes from a run is inert."""
    return "\n\n".join(_parts(whole)) + "\n"


def summary_markdown(summary: Summary, file: RunFile = None) -> str:
    """A run's summary; ``file``: of the run, for commands."""
    return document_markdown(document(summary, file))


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


def _parts(whole: Document) -> Iterator[str]:
    yield f"# {escape(whole.title)}"
    yield from map(escape, whole.warnings)
    if whole.answer is not None:
        yield from _answer(whole.answer)
    for block in whole.blocks:
        yield f"## {escape(block.title)}"
        yield "\n".join(_table_lines(block))
        yield from _list(caution.sentence for caution in block.cautions)
        yield from map(escape, block.paragraphs)
        yield from _list(block.findings)
    yield from map(escape, whole.closing)
    yield f"*{escape(whole.legend)}*"


def _answer(answer: Answer) -> Iterator[str]:
    first, *others = answer.verdicts
    yield f"**{escape(first)}**"
    yield from map(escape, others)
    yield "\n".join(_table_lines(answer.block))
    yield from map(escape, answer.block.paragraphs)
    yield from _list(each.sentence for each in answer.advice)


def _list(lines: Iterable[str]) -> Iterator[str]:
    if points := [f"- {escape(line)}" for line in lines]:
        yield "\n".join(points)


def _table_lines(block: Block) -> Iterator[str]:
    rules, columns = [], []
    for column in block.wide:
        is_number = column.kind == "number"
        texts = [escape(column.heading), *(_cell(cell, column.form) for cell in column.cells)]
        width = min(_WIDEST_PADDED, max(map(column_width, texts)))
        rules.append("-" * (width - 1) + ":" if is_number else "-" * width)
        columns.append([padded(text, width, right=is_number) for text in texts])
    head, *body = zip(*columns, strict=True)
    for line in (head, rules, *body):
        yield f"| {' | '.join(line)} |"


def _cell(cell: Cell, form: Form) -> str:
    text = shown(cell, form).text
    if isinstance(cell, Name | Words):
        return escape(text)
    return f"**{text}**" if isinstance(cell, Rank) and cell.invalid else _escape_part(text)
