"""What a turn of a dial does: requests in flight, temperature, quantisation."""

from __future__ import annotations

from typing import Any, NamedTuple

import altair as alt

from taskpace.analysis.sweeps import Sweep
from taskpace.analysis.views import Summary, SystemRow, TaskTable
from taskpace.report.charts.panel import Panel, chart_of, ends, label, marked, note_invalid
from taskpace.report.charts.theme import DASHES, POINTS, SERIES, SHAPES, WIDTH, by_place
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
    against = _Dial("scenario", scenarios, "scenario", names, systems)
    pictures = [
        against.picture(values, field, title)
        for field, title in (("time", "task time, median, s"), ("makespan", "makespan, s"))
    ]
    return Panel(
        chart="load",
        task=tables[0].task,
        scenario="",
        title="Under load",
        caption="What to look for: with more in flight the whole lot is done sooner (makespan), as long as each one "
        "does not wait longer for it (task time)." + note_invalid([row for _, row in cells]),
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
    names = _family_names(sweeps)
    points = [
        (names[label(sweep.points[0].system)], point.value, rows[point.system])
        for sweep in sweeps
        for point in sweep.points
    ]
    systems = [names.get(system, system) for system in systems]
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
    against = _Dial("value", settings, setting, families, systems)
    pictures = [
        against.picture(values, field, title)
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


def _family_names(sweeps: list[Sweep]) -> dict[str, str]:
    """For each sweep's first system what the names of all have in common, if that tells the sweeps apart."""
    common = {
        label(first): " ".join(word for word in first.split() if all(word in other.split() for other in others))
        for first, *others in ([point.system for point in sweep.points] for sweep in sweeps)
    }
    told_apart = all(common.values()) and len(set(common.values())) == len(common)
    return {first: label(name) if told_apart else first for first, name in common.items()}


def _fill(row: SystemRow, systems: list[str]) -> str:
    return SERIES[systems.index(label(row.system)) % len(SERIES)] if row.valid else "transparent"


class _Dial(NamedTuple):
    """What stands along the bottom: a field of the data, its values in order, and the systems that are joined."""

    field: str
    order: list[str]
    title: str
    names: list[str]
    systems: list[str]

    def picture(self, values: list[dict[str, Any]], measure: str, title: str) -> Any:
        """One measure over the dial's positions, a line for each system."""
        known = [value for value in values if value[measure] is not None]
        x = alt.X(f"{self.field}:O", sort=self.order, title=self.title, axis=alt.Axis(labelAngle=0))
        axis = alt.Axis(format="%") if measure == "share" else alt.Undefined
        y = alt.Y(f"{measure}:Q", title=title, axis=axis, scale=alt.Scale(zero=True))
        base = chart_of(known)
        colour = by_place(self.names, self.systems, "color", SERIES, POINTS)
        dash = by_place(self.names, self.systems, "strokeDash", DASHES)
        shape = by_place(self.names, self.systems, "shape", SHAPES, POINTS)
        layers = [base.mark_line(aria=False).encode(x=x, y=y, color=colour, strokeDash=dash)]
        if known and f"{measure}_low" in known[0]:
            low, high = alt.Y(f"{measure}_low:Q"), f"{measure}_high:Q"
            layers.append(base.mark_rule(opacity=0.6, aria=False).encode(x=x, y=low, y2=high, color=colour))
        fill = alt.Fill("fill:N", scale=None)
        layers.append(
            base.mark_point(size=70, opacity=1).encode(
                x=x, y=y, color=colour, shape=shape, fill=fill, description="about:N"
            )
        )
        return alt.layer(*layers).properties(width=WIDTH, height=130)
