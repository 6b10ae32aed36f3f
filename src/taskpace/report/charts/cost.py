"""Time per correct answer against cost per correct answer, with the accuracy and the frontier."""

from __future__ import annotations

import altair as alt

from taskpace.analysis.schema.summary import SystemRow, TaskTable
from taskpace.report.charts.panel import Datum, Panel, chart_of, ends, label, marked, note_invalid, scale_for
from taskpace.report.charts.theme import INK, MUTED, POINTS, SERIES, SHAPES, WIDTH, by_place
from taskpace.report.words.cost import DOLLARS, PER, per_correct, per_task
from taskpace.report.words.figures import PERCENT_ALONE, SECONDS, written

_HEIGHT = 230


def cost(table: TaskTable, systems: list[str]) -> list[Panel]:
    """Down and to the left is better; empty without a system whose cost per correct answer is known."""
    priced = [row for row in table.rows if row.cost is not None and row.time_per_correct_s.value is not None]
    shown = [row for row in priced if per_correct(row).value and row.time_per_correct_s.bound is None]
    if not shown:
        return []
    points = [_point(row, systems) for row in shown]
    x = alt.X("cost:Q", title=f"US dollars per {PER:,} correct answers (left: cheaper)", scale=_range(points, "cost"))
    y = alt.Y("time:Q", title="seconds per correct answer (down: sooner)", scale=_range(points, "time"))
    names = [point["system"] for point in points]
    colour = by_place(names, systems, "color", SERIES, POINTS)
    base = chart_of(points)
    by_name = {row.system: row for row in shown}
    corners = [_corner(by_name[name]) for name in table.frontier if name in by_name]
    layers: list[alt.Chart] = [
        chart_of(corners)
        .mark_line(interpolate="step-after", color=MUTED, strokeDash=[2, 2], aria=False)
        .encode(x=x, y=y, order="cost:Q"),
        base.mark_rule(strokeWidth=1.5, opacity=0.6, aria=False).encode(
            x=alt.X("cost_low:Q"), x2="cost_high:Q", y=y, color=colour
        ),
        base.mark_rule(strokeWidth=1.5, opacity=0.6, aria=False).encode(
            x=x, y=alt.Y("time_low:Q"), y2="time_high:Q", color=colour
        ),
        base.mark_point(size=110, strokeWidth=2, opacity=1).encode(
            x=x,
            y=y,
            color=colour,
            shape=by_place(names, systems, "shape", SHAPES, POINTS),
            fill=alt.Fill("fill:N", scale=None),
            description="about:N",
        ),
        base.mark_text(align="left", baseline="bottom", dx=8, dy=-5, color=INK, aria=False).encode(
            x=x, y=y, text="share:N"
        ),
    ]
    return [
        Panel(
            chart="cost",
            task=table.task,
            scenario=table.scenario,
            title="Time against cost of a correct answer",
            caption=_caption(table, priced, shown),
            picture=alt.layer(*layers).properties(width=WIDTH, height=_HEIGHT),
            headings=("system", "s/correct", "$/1000 correct", "$/1000 tasks", "accuracy", "on the frontier"),
            rows=tuple(
                (
                    marked(row),
                    written(row.time_per_correct_s, SECONDS).text,
                    written(per_correct(row), DOLLARS).text,
                    written(per_task(row), DOLLARS).text,
                    written(row.accuracy, PERCENT_ALONE).text,
                    "yes" if row.system in table.frontier else "no",
                )
                for row in priced
            ),
        )
    ]


def _point(row: SystemRow, systems: list[str]) -> Datum:
    colour = SERIES[systems.index(label(row.system)) % len(SERIES)]
    share = written(row.accuracy, PERCENT_ALONE).text
    return {
        "system": label(row.system),
        **{name: None if end is None else PER * end for name, end in ends("cost", per_correct(row)).items()},
        **ends("time", row.time_per_correct_s),
        "share": share,
        "fill": colour if row.valid else "transparent",
        "about": f"{label(marked(row))}: a correct answer takes {written(row.time_per_correct_s, SECONDS).value} s and "
        f"{PER:,} cost {written(per_correct(row), DOLLARS).value}, accuracy {share}",
    }


def _corner(row: SystemRow) -> Datum:
    return {"cost": PER * (per_correct(row).value or 0.0), "time": row.time_per_correct_s.value}


def _range(points: list[Datum], field: str) -> alt.Scale:
    return scale_for([point[end] for point in points for end in (field, f"{field}_low", f"{field}_high")])


def _caption(table: TaskTable, priced: list[SystemRow], shown: list[SystemRow]) -> str:
    front = f"On the frontier, beaten by nobody in both: {', '.join(table.frontier)}. " if table.frontier else ""
    left_out = [row.system for row in priced if row not in shown]
    without = f" Without a correct answer or a known cost: {', '.join(left_out)}." if left_out else ""
    return (
        f"Down and to the left is better; beside each mark its accuracy. {front}Wrong, cut and failed answers cost, "
        f"too. Lines: 95 % intervals.{without}{note_invalid(shown)}"
    )
