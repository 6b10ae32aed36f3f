"""One run as a chapter of the page: the answer, task by task, every trial, where it comes from."""

from __future__ import annotations

import msgspec
from markupsafe import Markup

from taskpace.analysis.schema.summary import Summary
from taskpace.analysis.whole import WholeRun
from taskpace.report.charts import panels
from taskpace.report.charts.time import explained
from taskpace.report.files.json_text import json_line
from taskpace.report.page.bundle import Bundle, bundle
from taskpace.report.page.figure import Figure, make_figure
from taskpace.report.page.origin import Origin, make_origin
from taskpace.report.page.table import Part, Table, make_part, make_table
from taskpace.report.words.answer import make_answer
from taskpace.report.words.block import Advice
from taskpace.report.words.document import document
from taskpace.report.words.judge import judged_document
from taskpace.text.safe_text import printable

_IN_FRONT = "speed"
"""The chart that is beside the answer."""
_MOST_PAIRS = 66
"""Waterfalls of a task that a page carries, all pairs of twelve systems: their number grows with the square."""
_LISTED = 10
"""Disagreements of a judge about a task that the page shows."""

Key = tuple[str, str]
"""Task and scenario."""


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """One task in one scenario."""

    id: str
    name: str
    """Task and scenario."""
    invalid: str
    """``1 of 3 INVALID``, or nothing."""
    answer: str
    more: tuple[str, ...]
    table: Table
    front: Figure | None
    figures: tuple[Figure, ...]
    pairs: tuple[Figure, ...]
    more_pairs: int
    """Those that the page does not carry."""


class Lead(msgspec.Struct, frozen=True, kw_only=True):
    """What is above everything else of a run."""

    verdicts: tuple[str, ...]
    picture: Figure | None
    table: Table
    advice: tuple[Advice, ...]
    more: int
    """Cautions that are not here."""


class Chapter(msgspec.Struct, frozen=True, kw_only=True):
    """A run."""

    id: str
    name: str
    file: str
    warnings: tuple[str, ...]
    lead: Lead
    legend: str
    together: tuple[Table, ...]
    """What is said of several tasks, and no chart shows."""
    sections: tuple[Section, ...]
    across: tuple[Figure, ...]
    judgements: tuple[Part, ...]
    summary: Markup
    """The whole summary as JSON that no ``</script>`` can end."""
    bundle: Bundle | None
    origin: Origin


class _Figures(msgspec.Struct):
    """The pictures of a task; of its pairs only so many as the page carries."""

    kept: list[Figure]
    pairs: int = 0


def make_chapter(run: WholeRun, number: int) -> Chapter:
    """``number``: of the run in the page, from 0."""
    summary, name = run.summary, f"run{number}"
    whole = document(summary, run.file)
    answer = make_answer(summary, run.file)
    figures = _figures(summary, name)
    picture = _taken(figures, answer.table)
    invalid = {(table.task, table.scenario): [row.valid for row in table.rows].count(False) for table in summary.tables}
    sections: list[Section] = []
    together: list[Table] = []
    for block in whole.blocks:
        table = make_table(block)
        if block.task is not None:
            found = figures.pop(block.task, _Figures([]))
            sections.append(_section(block.task, table, found, invalid[block.task], f"{name}-task{len(sections)}"))
        elif not block.chart:
            together.append(table)
    task_legend = next((block.legend for block in whole.blocks if block.task is not None), "")
    return Chapter(
        id=name,
        name=printable(whole.title),
        file=printable(run.file),
        warnings=tuple(map(printable, whole.warnings)),
        lead=Lead(
            verdicts=tuple(map(printable, answer.verdicts)),
            picture=picture,
            table=make_table(answer.block),
            advice=tuple(map(_harmless, answer.advice)),
            more=answer.more,
        ),
        legend=printable(" ".join((*whole.closing, task_legend))),
        together=tuple(together),
        sections=tuple(sections),
        across=tuple(figure for found in figures.values() for figure in found.kept),
        judgements=tuple(
            make_part(judged_document(judged, listed=_LISTED), f"{name}-judge{index}")
            for index, judged in enumerate(run.judged)
        ),
        summary=Markup(json_line(summary).replace("<", "\\u003c")),  # noqa: S704 - JSON; nothing in it ends a script
        bundle=None if run.trials is None else bundle(run.trials, run.prompts),
        origin=make_origin(run.provenance, run.file),
    )


def _taken(figures: dict[Key, _Figures], key: Key | None) -> Figure | None:
    """The picture for the top of the page, which is then not shown a second time; null: there is none."""
    found = figures.get(key) if key is not None else None
    picture = next((figure for figure in found.kept if figure.panel.chart == _IN_FRONT), None) if found else None
    if found and picture:
        found.kept.remove(picture)
    return picture


def _harmless(advice: Advice) -> Advice:
    return Advice(**{name: printable(getattr(advice, name)) for name in Advice.__struct_fields__})


def _figures(summary: Summary, name: str) -> dict[Key, _Figures]:
    found: dict[Key, _Figures] = {}
    for index, panel in enumerate(panels(summary, most_pairs=_MOST_PAIRS)):
        figures = found.setdefault((panel.task, panel.scenario), _Figures([]))
        figures.kept.append(make_figure(panel, f"{name}-figure{index}"))
    for table in summary.tables:
        if pairs := explained(table):
            found[table.task, table.scenario].pairs = len(pairs)
    return found


def _section(key: Key, table: Table, figures: _Figures, invalid: int, name: str) -> Section:
    answer, *more = table.paragraphs
    front = next((figure for figure in figures.kept if figure.panel.chart == _IN_FRONT), None)
    return Section(
        id=name,
        name=printable(" · ".join(key)),
        invalid=f"{invalid} of {len(table.rows)} INVALID" if invalid else "",
        answer=answer,
        more=tuple(more),
        table=table,
        front=front,
        figures=tuple(figure for figure in figures.kept if figure is not front and not figure.pair),
        pairs=tuple(figure for figure in figures.kept if figure.pair),
        more_pairs=max(0, figures.pairs - _MOST_PAIRS),
    )
