"""A judge's verdicts on a run, as the page shows them."""

from __future__ import annotations

import msgspec

from taskpace.analysis.judge.agreement import Judged
from taskpace.report.words.judge import cost_sentence, judge_legend, judge_notes, judge_tables, judge_title
from taskpace.text.safe_text import printable

_LISTED = 10
"""Disagreements of a task that the page shows."""
_TEXT_HEADINGS = ("A", "B", "system", "scorer", "judge", "reply", "text")


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """A table with what it says."""

    title: str
    said: tuple[str, ...]
    headings: tuple[tuple[str, bool], ...]
    """Each with whether it is text."""
    rows: tuple[tuple[str, ...], ...]


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """One judge of one run."""

    id: str
    title: str
    notes: tuple[str, ...]
    blocks: tuple[Block, ...]
    cost: str
    legend: str


def make_judgement(judged: Judged, name: str) -> Judgement:
    """``name``: unique in the page."""
    return Judgement(
        id=name,
        title=printable(judge_title(judged)),
        notes=tuple(map(printable, judge_notes(judged))),
        blocks=tuple(
            Block(
                title=printable(table.title),
                said=tuple(map(printable, table.said)),
                headings=tuple((heading, heading in _TEXT_HEADINGS) for heading in table.headings),
                rows=tuple(tuple(map(printable, row)) for row in table.rows),
            )
            for table in judge_tables(judged, listed=_LISTED)
        ),
        cost=printable(cost_sentence(judged)),
        legend=judge_legend(judged),
    )
