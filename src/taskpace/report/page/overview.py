"""What the page says of several tasks together: the mean over a suite, and what the request to be brief does."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from taskpace.analysis.schema.summary import Summary
from taskpace.report.words.brevity import HEADINGS as BREVITY_HEADINGS, LEGEND as BREVITY_LEGEND, brevity_tables
from taskpace.report.words.overall import LEGEND as OVERALL_LEGEND, overall_tables
from taskpace.text.safe_text import printable


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """One table with what it says."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    said: tuple[str, ...]
    legend: str


def make_overviews(summary: Summary) -> Iterator[Overview]:
    """Those that the run has."""
    for overall in overall_tables(summary):
        yield _overview(overall.title, overall.headings, overall.rows, overall.said, OVERALL_LEGEND)
        yield _overview(overall.parts_title, overall.parts_headings, overall.parts, [], "")
    for brevity in brevity_tables(summary):
        yield _overview(brevity.title, BREVITY_HEADINGS, brevity.rows, brevity.said, BREVITY_LEGEND)


def _overview(
    title: str, headings: tuple[str, ...], rows: list[tuple[str, ...]], said: list[str], legend: str
) -> Overview:
    return Overview(
        title=printable(title),
        headings=tuple(map(printable, headings)),
        rows=tuple(tuple(printable(_doubt_first(cell)) for cell in row) for row in rows),
        said=tuple(map(printable, said)),
        legend=legend,
    )


def _doubt_first(cell: str) -> str:
    """The ``~`` of what is not significant beside the value: the page puts the interval below it."""
    value, bracket, rest = cell.partition(" (")
    return f"{value} ~ ({rest.removesuffix(' ~')}" if bracket and rest.endswith(" ~") else cell
