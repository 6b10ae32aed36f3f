"""Time per correct answer against what else one takes, dollars or joules, with the accuracy and the frontier."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import altair as alt

from taskpace.analysis.schema.summary import SystemRow, TaskTable
from taskpace.analysis.stats.estimates import UNKNOWN, Estimate
from taskpace.analysis.table.cost import cost_per_correct, frontier
from taskpace.report.charts.panel import Datum, Panel, chart_of, ends, label, marked, note_invalid, scale_for
from taskpace.report.charts.theme import INK, MUTED, POINTS, SERIES, SHAPES, WIDTH, by_place
from taskpace.report.words.cost import DOLLARS, PER, per_task
from taskpace.report.words.figures import PERCENT_ALONE, SECONDS, THREE_DIGITS_WITH_ENDS, Form, written

_HEIGHT = 230


class _Spent(NamedTuple):
    """What a correct answer takes in addition to time."""

    chart: str
    title: str
    axis: str
    per: int
    """Correct answers that the axis counts for."""
    per_correct: Callable[[SystemRow], Estimate]
    per_task: Callable[[SystemRow], Estimate]
    form: Form
    headings: tuple[str, str]
    """Of correct answers, and of tasks."""


def _joules_per_correct(row: SystemRow) -> Estimate:
    return UNKNOWN if row.energy is None else row.energy.gross_per_correct_j


def _joules_per_task(row: SystemRow) -> Estimate:
    return UNKNOWN if row.energy is None else Estimate(row.energy.gross_per_task_j)


_DOLLARS = _Spent(
    chart="cost",
    title="Time against cost of a correct answer",
    axis=f"US dollars per {PER:,} correct answers (left: cheaper)",
    per=PER,
    per_correct=cost_per_correct,
    per_task=per_task,
    form=DOLLARS,
    headings=("$/1000 correct", "$/1000 tasks"),
)
_JOULES = _Spent(
    chart="energy-time",
    title="Time against energy of a correct answer",
    axis="joules per correct answer, gross (left: less)",
    per=1,
    per_correct=_joules_per_correct,
    per_task=_joules_per_task,
    form=THREE_DIGITS_WITH_ENDS._replace(unit=" J"),
    headings=("J/correct", "J/task"),
)


def cost(table: TaskTable, systems: list[str]) -> list[Panel]:
    """Dollars: down and to the left is better; empty without a system whose cost per correct answer is known."""
    return _against_time(table, systems, _DOLLARS)


def energy_time(table: TaskTable, systems: list[str]) -> list[Panel]:
    """Task time against joules per correct answer, where energy was measured."""
    return _against_time(table, systems, _JOULES)


def _against_time(table: TaskTable, systems: list[str], spent: _Spent) -> list[Panel]:
    known = [row for row in table.rows if spent.per_task(row).value is not None]
    shown = [row for row in known if spent.per_correct(row).value and row.time_per_correct_s.bound is None]
    if not shown:
        return []
    points = [_point(row, systems, spent) for row in shown]
    x = alt.X("cost:Q", title=spent.axis, scale=_range(points, "cost"))
    y = alt.Y("time:Q", title="seconds per correct answer (down: sooner)", scale=_range(points, "time"))
    names = [point["system"] for point in points]
    colour = by_place(names, systems, "color", SERIES, POINTS)
    base = chart_of(points)
    front = frontier(table.rows, spent.per_correct)
    by_name = {row.system: row for row in shown}
    corners = [_corner(by_name[name], spent) for name in front if name in by_name]
    layers: list[alt.Chart] = [
        chart_of(corners)
        .mark_line(interpolate="step-after", color=MUTED, strokeDash=[2, 2], aria=False)
        .encode(x=x, y=y, order=alt.Order("cost:Q")),
        base.mark_rule(strokeWidth=1.5, opacity=0.6, aria=False).encode(
            x=alt.X("cost_low:Q"), x2=alt.X2("cost_high:Q"), y=y, color=colour
        ),
        base.mark_rule(strokeWidth=1.5, opacity=0.6, aria=False).encode(
            x=x, y=alt.Y("time_low:Q"), y2=alt.Y2("time_high:Q"), color=colour
        ),
        base.mark_point(size=110, strokeWidth=2, opacity=1).encode(
            x=x,
            y=y,
            color=colour,
            shape=by_place(names, systems, "shape", SHAPES, POINTS),
            fill=alt.Fill("fill:N", scale=None),
            description=alt.Description("about:N"),
        ),
        base.mark_text(align="left", baseline="bottom", dx=8, dy=-5, color=INK, aria=False).encode(
            x=x, y=y, text=alt.Text("share:N")
        ),
    ]
    return [
        Panel(
            chart=spent.chart,
            task=table.task,
            scenario=table.scenario,
            title=spent.title,
            caption=_caption(front, known, shown),
            picture=alt.layer(*layers).properties(width=WIDTH, height=_HEIGHT),
            headings=("system", "s/correct", *spent.headings, "accuracy", "on the frontier"),
            rows=tuple(
                (
                    marked(row),
                    written(row.time_per_correct_s, SECONDS).text,
                    written(spent.per_correct(row), spent.form).text,
                    written(spent.per_task(row), spent.form).text,
                    written(row.accuracy, PERCENT_ALONE).text,
                    "yes" if row.system in front else "no",
                )
                for row in known
            ),
        )
    ]


def _point(row: SystemRow, systems: list[str], spent: _Spent) -> Datum:
    colour = SERIES[systems.index(label(row.system)) % len(SERIES)]
    share, found = written(row.accuracy, PERCENT_ALONE).text, spent.per_correct(row)
    return {
        "system": label(row.system),
        **{name: None if end is None else spent.per * end for name, end in ends("cost", found).items()},
        **ends("time", row.time_per_correct_s),
        "share": share,
        "fill": colour if row.valid else "transparent",
        "about": f"{label(marked(row))}: a correct answer takes {written(row.time_per_correct_s, SECONDS).value} s, "
        f"{spent.headings[0]} {written(found, spent.form).value}, accuracy {share}",
    }


def _corner(row: SystemRow, spent: _Spent) -> Datum:
    return {"cost": spent.per * (spent.per_correct(row).value or 0.0), "time": row.time_per_correct_s.value}


def _range(points: list[Datum], field: str) -> alt.Scale:
    return scale_for([point[end] for point in points for end in (field, f"{field}_low", f"{field}_high")])


def _caption(front: tuple[str, ...], known: list[SystemRow], shown: list[SystemRow]) -> str:
    best = f"On the frontier, beaten by none in both: {', '.join(front)}. " if front else ""
    left_out = [row.system for row in known if row not in shown]
    without = f" Not drawn, without a correct answer or free: {', '.join(left_out)}." if left_out else ""
    return (
        f"Down and to the left is better; beside each mark its accuracy. {best}Wrong, cut and failed answers count, "
        f"too. Lines: 95 % intervals.{without}{note_invalid(shown)}"
    )
