"""What a turn of a dial does: requests in flight, temperature, quantisation."""

from __future__ import annotations

from typing import Any

import altair as alt

from taskpace.analysis.sweeps import Sweep
from taskpace.analysis.views import Summary, SystemRow, TaskTable
from taskpace.report.charts.panel import Panel, ends, label, marked, note_invalid
from taskpace.report.charts.theme import DASHES, SERIES, SHAPES, WIDTH, by_place
from taskpace.report.figures import UNKNOWN, digits, seconds, seconds_with_error, share_with_error


def load(summary: Summary, systems: list[str]) -> list[Panel]:
    """Task time and makespan against requests in flight, for each task that has several scenarios."""
    tables: dict[str, list[TaskTable]] = {}
    for table in summary.tables:
        tables.setdefault(table.task, []).append(table)
    return [_load(several, systems) for several in tables.values() if len(several) > 1]


def _load(tables: list[TaskTable], systems: list[str]) -> Panel:
    cells = [(table.scenario, row) for table in tables for row in table.rows]
    values = [
        {
            "system": label(row.system),
            "scenario": scenario,
            **ends("time", row.task_time_median_s),
            "makespan": row.makespan_s,
            "fill": _fill(row, systems),
            "about": f"{label(marked(row))}, {scenario}: task time {seconds(row.task_time_median_s.value)}, makespan "
            f"{seconds(row.makespan_s)}",
        }
        for scenario, row in cells
    ]
    scenarios = [table.scenario for table in tables]
    names = list(dict.fromkeys(label(row.system) for _, row in cells))
    pictures = [
        _against(values, "scenario", scenarios, "scenario", field, title, names, systems)
        for field, title in (("time", "task time, median, s"), ("makespan", "makespan, s"))
    ]
    return Panel(
        chart="load",
        task=tables[0].task,
        scenario="",
        title="Under load",
        caption="More in flight finishes the whole lot sooner (makespan) and lets each one wait longer (task time)."
        + note_invalid([row for _, row in cells]),
        picture=alt.vconcat(*pictures, spacing=18),
        headings=("scenario", "system", "task time", "makespan", "tasks per hour"),
        rows=tuple(
            (
                scenario,
                marked(row),
                seconds_with_error(row.task_time_median_s),
                seconds(row.makespan_s),
                digits(row.tasks_per_hour, 3),
            )
            for scenario, row in cells
        ),
    )


def sensitivity(summary: Summary, systems: list[str]) -> list[Panel]:
    """Task time, length and accuracy against each setting that was swept, task by task."""
    dials: dict[str, list[Sweep]] = {}
    for sweep in summary.sweeps:
        dials.setdefault(sweep.setting, []).append(sweep)
    return [
        _sensitivity(table, setting, sweeps, systems) for setting, sweeps in dials.items() for table in summary.tables
    ]


def _sensitivity(table: TaskTable, setting: str, sweeps: list[Sweep], systems: list[str]) -> Panel:
    rows = {row.system: row for row in table.rows}
    points = [
        (label(sweep.points[0].system), point.value, rows[point.system]) for sweep in sweeps for point in sweep.points
    ]
    values = [
        {
            "system": family,
            "value": value,
            **ends("time", row.task_time_median_s),
            **ends("length", row.output_bytes_median),
            **ends("share", row.accuracy),
            "fill": SERIES[systems.index(family) % len(SERIES)] if row.valid else "transparent",
            "about": f"{label(marked(row))}: task time {seconds(row.task_time_median_s.value)}, "
            f"{digits(row.output_bytes_median.value, 3)} bytes, accuracy {share_with_error(row.accuracy)}",
        }
        for family, value, row in points
    ]
    settings = list(dict.fromkeys(value for _, value, _ in points))
    families = list(dict.fromkeys(family for family, _, _ in points))
    pictures = [
        _against(values, "value", settings, setting, field, title, families, systems)
        for field, title in (("time", "task time, s"), ("length", "output, bytes"), ("share", "accuracy"))
        if any(value[field] is not None for value in values)
    ]
    return Panel(
        chart="sensitivity",
        task=table.task,
        scenario=table.scenario,
        title=f"What the {setting} does",
        caption=f"Systems that differ in {setting} alone are joined. Lines: 95 % intervals."
        + note_invalid([row for _, _, row in points]),
        picture=alt.vconcat(*pictures, spacing=18),
        headings=("system", setting, "task time", "output, bytes", "accuracy"),
        rows=tuple(
            (
                marked(row),
                value,
                seconds_with_error(row.task_time_median_s),
                digits(row.output_bytes_median.value, 3),
                share_with_error(row.accuracy) if row.accuracy.value is not None else UNKNOWN,
            )
            for _, value, row in points
        ),
    )


def _fill(row: SystemRow, systems: list[str]) -> str:
    return SERIES[systems.index(label(row.system)) % len(SERIES)] if row.valid else "transparent"


def _against(
    values: list[dict[str, Any]],
    dial: str,
    order: list[str],
    dial_title: str,
    field: str,
    title: str,
    names: list[str],
    systems: list[str],
) -> Any:
    """One measure over a dial's positions, a line for each system."""
    known = [value for value in values if value[field] is not None]
    x = alt.X(f"{dial}:O", sort=order, title=dial_title, axis=alt.Axis(labelAngle=0))
    axis = alt.Axis(format="%") if field == "share" else alt.Undefined
    y = alt.Y(f"{field}:Q", title=title, axis=axis, scale=alt.Scale(zero=True))
    base = alt.Chart(alt.Data(values=known))
    colour = by_place(names, systems, "color", SERIES)
    layers = [
        base.mark_line(aria=False).encode(
            x=x, y=y, color=colour, strokeDash=by_place(names, systems, "strokeDash", DASHES)
        )
    ]
    if known and f"{field}_low" in known[0]:
        layers.append(
            base.mark_rule(opacity=0.6, aria=False).encode(
                x=x, y=alt.Y(f"{field}_low:Q"), y2=f"{field}_high:Q", color=colour
            )
        )
    shape = by_place(names, systems, "shape", SHAPES)
    legend = by_place(names, systems, "color", SERIES)
    shape.legend = legend.legend = alt.Legend()
    layers.append(
        base.mark_point(size=70, opacity=1).encode(
            x=x, y=y, color=legend, shape=shape, fill=alt.Fill("fill:N", scale=None), description="about:N"
        )
    )
    return alt.layer(*layers).properties(width=WIDTH, height=130)
