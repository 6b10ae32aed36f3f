"""Blocks as the page's template takes them: every text harmless, every cell in parts."""

from __future__ import annotations

import msgspec

from taskpace.report.words.block import Block, Document
from taskpace.report.words.figures import Shown
from taskpace.text.safe_text import printable


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A block."""

    title: str
    headings: tuple[tuple[str, bool], ...]
    """Each with whether it is text."""
    rows: tuple[tuple[Shown, ...], ...]
    cautions: tuple[str, ...]
    paragraphs: tuple[str, ...]
    findings: tuple[str, ...]
    legend: str


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A document within the page."""

    id: str
    title: str
    warnings: tuple[str, ...]
    tables: tuple[Table, ...]
    closing: tuple[str, ...]
    legend: str


def make_table(block: Block) -> Table:
    columns = block.wide
    return Table(
        title=printable(block.title),
        headings=tuple((printable(column.heading), column.kind == "text") for column in columns),
        rows=tuple(zip(*(map(_printable, column.shown) for column in columns), strict=True)),
        cautions=tuple(printable(caution.sentence) for caution in block.cautions),
        paragraphs=tuple(map(printable, block.paragraphs)),
        findings=tuple(map(printable, block.findings)),
        legend=printable(block.legend),
    )


def make_part(whole: Document, name: str) -> Part:
    """``name``: unique in the page."""
    return Part(
        id=name,
        title=printable(whole.title),
        warnings=tuple(map(printable, whole.warnings)),
        tables=tuple(map(make_table, whole.blocks)),
        closing=tuple(map(printable, whole.closing)),
        legend=printable(whole.legend),
    )


def _printable(cell: Shown) -> Shown:
    return Shown(*map(printable, cell))
