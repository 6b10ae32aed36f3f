"""Joules per task and per correct answer."""

from __future__ import annotations

import altair as alt

from taskpace.analysis.schema.summary import TaskTable
from taskpace.analysis.stats.estimates import Estimate
from taskpace.report.charts.panel import Panel, chart_of, ends, label, marked, name_invalid, scale_for
from taskpace.report.charts.theme import GRIDDED_NAMES, ROW, SERIES, WIDTH, by_place
from taskpace.report.words.energy import LEGEND
from taskpace.report.words.figures import THREE_DIGITS_WITH_ENDS, digits, written

_SHAPES = {"a task": "circle", "a correct answer": "diamond"}


def energy(table: TaskTable, systems: list[str]) -> list[Panel]:
    """Gross joules; empty where none were measured."""
    shown = [(row, row.energy) for row in table.rows if row.energy is not None]
    if not shown:
        return []
    values = [
        {
            "system": label(row.system),
            "of": of,
            **ends("joules", number),
            "about": f"{label(marked(row))}: {digits(number.value, 3)} J {of}",
        }
        for row, joules in shown
        for of, number in (
            ("a task", Estimate(joules.gross_per_task_j)),
            ("a correct answer", joules.gross_per_correct_j),
        )
        if number.value is not None
    ]
    names = [label(row.system) for row, _ in shown]
    spread = [float(value[end]) for value in values for end in ("joules", "joules_low", "joules_high")]  # type: ignore[arg-type]  # numbers
    x = alt.X("joules:Q", title="joules, gross (left: less)", scale=scale_for(spread, from_zero=True))
    y = alt.Y("system:N", sort=names, title=None, axis=GRIDDED_NAMES)
    colour = by_place(names, systems, "color", SERIES)
    base = chart_of(values)
    shape = alt.Shape(
        "of:N",
        scale=alt.Scale(domain=list(_SHAPES), range=list(_SHAPES.values())),
        legend=alt.Legend(title=None, symbolFillColor="transparent"),
    )
    picture = alt.layer(
        base.mark_rule(strokeWidth=1.5, opacity=0.6, aria=False).encode(
            x=alt.X("joules_low:Q"), x2=alt.X2("joules_high:Q"), y=y, color=colour
        ),
        base.mark_point(size=90, filled=True, opacity=1).encode(
            x=x, y=y, color=colour, shape=shape, description=alt.Description("about:N")
        ),
    ).properties(width=WIDTH, height=ROW * len(names))
    covered = dict.fromkeys(f"{' and '.join(joules.covers)}, {joules.kind}" for _, joules in shown)
    return [
        Panel(
            chart="energy",
            task=table.task,
            scenario=table.scenario,
            title="Energy",
            caption=f"What it takes to finish a task, and to finish one correctly ({'; '.join(covered)}). {LEGEND} "
            f"Lines: 95 % intervals, of the accuracy.{name_invalid([row for row, _ in shown])}",
            picture=picture,
            headings=("system", "J/task", "net J/task", "J/correct", "net J/correct", "of what"),
            rows=tuple(
                (
                    marked(row),
                    digits(joules.gross_per_task_j, 3),
                    digits(joules.net_per_task_j, 3),
                    *(
                        written(number, THREE_DIGITS_WITH_ENDS).text
                        for number in (joules.gross_per_correct_j, joules.net_per_correct_j)
                    ),
                    f"{', '.join(joules.counters)}; {joules.kind}",
                )
                for row, joules in shown
            ),
        )
    ]
