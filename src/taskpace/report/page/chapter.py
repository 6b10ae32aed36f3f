"""One run as a chapter of the page: the answer, task by task, every trial, where it comes from."""

from __future__ import annotations

from collections import Counter

import msgspec
from markupsafe import Markup

from taskpace.analysis.schema.summary import TaskTable
from taskpace.analysis.whole import WholeRun
from taskpace.report.charts import panels
from taskpace.report.files.json_text import json_line
from taskpace.report.page.bundle import Bundle, bundle
from taskpace.report.page.figure import Figure, make_figure
from taskpace.report.page.judgement import Judgement, make_judgement
from taskpace.report.page.origin import Origin, make_origin
from taskpace.report.page.overview import Overview, make_overviews
from taskpace.report.words.client import client_sentence
from taskpace.report.words.columns import LEGEND, TEXT_COLUMNS, columns
from taskpace.report.words.energy import energy_lines
from taskpace.report.words.figures import reason_line, table_title
from taskpace.report.words.sentences import finding_lines, sentences
from taskpace.text.safe_text import printable

_IN_FRONT = "speed"
"""The chart that stands beside the answer."""
_MOST_PAIRS = 66
"""Waterfalls of a task that a page carries, all pairs of twelve systems: their number grows with the square."""


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """One task in one scenario."""

    id: str
    name: str
    """Task and scenario."""
    title: str
    """The same, and how many trials."""
    invalid: str
    """``1 of 3 INVALID``, or nothing."""
    answer: str
    more: tuple[str, ...]
    reasons: tuple[str, ...]
    columns: tuple[tuple[str, bool, tuple[str, ...]], ...]
    """Heading, whether it is text, and the cells."""
    findings: tuple[str, ...]
    front: Figure | None
    figures: tuple[Figure, ...]
    pairs: tuple[Figure, ...]
    more_pairs: int
    """Those that the page does not carry."""


class Chapter(msgspec.Struct, frozen=True, kw_only=True):
    """A run."""

    id: str
    name: str
    file: str
    unfinished: str
    legend: str
    overviews: tuple[Overview, ...]
    sections: tuple[Section, ...]
    across: tuple[Figure, ...]
    judgements: tuple[Judgement, ...]
    summary: Markup
    """The whole summary as JSON that no ``</script>`` can end."""
    bundle: Bundle | None
    origin: Origin


def make_chapter(run: WholeRun, number: int) -> Chapter:
    """``number``: of the run in the page, from 0."""
    summary, name = run.summary, f"run{number}"
    figures: dict[tuple[str, str], list[Figure]] = {}
    pairs: Counter[tuple[str, str]] = Counter()
    for index, panel in enumerate(panels(summary)):
        key = (panel.task, panel.scenario)
        if panel.pair is not None:
            pairs[key] += 1
        if panel.pair is None or pairs[key] <= _MOST_PAIRS:
            figures.setdefault(key, []).append(make_figure(panel, f"{name}-figure{index}"))
    tables = {(table.task, table.scenario) for table in summary.tables}
    unfinished = f"{summary.done} of {summary.planned} trials; the rest has not been run."
    return Chapter(
        id=name,
        name=printable(summary.name),
        file=printable(run.file),
        unfinished=unfinished if summary.done < summary.planned else "",
        legend=f"{client_sentence(summary)} {LEGEND}".strip(),
        overviews=tuple(make_overviews(summary)),
        sections=tuple(
            _section(table, figures.get(key, []), max(0, pairs[key] - _MOST_PAIRS), f"{name}-task{index}")
            for index, table in enumerate(summary.tables)
            for key in [(table.task, table.scenario)]
        ),
        across=tuple(figure for key, found in figures.items() if key not in tables for figure in found),
        judgements=tuple(make_judgement(judged, f"{name}-judge{index}") for index, judged in enumerate(run.judged)),
        summary=Markup(json_line(summary).replace("<", "\\u003c")),  # noqa: S704 - JSON; nothing in it ends a script
        bundle=None if run.trials is None else bundle(run.trials, run.prompts),
        origin=make_origin(run.provenance, run.file),
    )


def _section(table: TaskTable, figures: list[Figure], more_pairs: int, name: str) -> Section:
    answer, *more = sentences(table)
    invalid = sum(not row.valid for row in table.rows)
    front = next((figure for figure in figures if figure.panel.chart == _IN_FRONT), None)
    return Section(
        id=name,
        name=printable(f"{table.task} · {table.scenario}"),
        title=printable(table_title(table)),
        invalid=f"{invalid} of {len(table.rows)} INVALID" if invalid else "",
        answer=printable(answer),
        more=tuple(map(printable, (*more, *energy_lines(table)))),
        reasons=tuple(
            printable(f"{row.system}: {reason_line(reason)}") for row in table.rows for reason in row.reasons
        ),
        columns=tuple(
            (heading, heading in TEXT_COLUMNS, tuple(map(printable, cells))) for heading, cells in columns(table.rows)
        ),
        findings=tuple(map(printable, finding_lines(table))),
        front=front,
        figures=tuple(figure for figure in figures if figure is not front and not figure.pair),
        pairs=tuple(figure for figure in figures if figure.pair),
        more_pairs=more_pairs,
    )
