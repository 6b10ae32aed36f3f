"""What a swept setting does: requests in flight, temperature, quantisation."""

from __future__ import annotations

from typing import NamedTuple

import altair as alt

from taskpace.analysis.across.sweeps import Sweep
from taskpace.analysis.schema.across import Load
from taskpace.analysis.schema.summary import Summary, TaskTable
from taskpace.report.charts.panel import Datum, Panel, Picture, chart_of, ends, label, marked, note_invalid
from taskpace.report.charts.theme import DASHES, POINTS, SERIES, SHAPES, WIDTH, by_place
from taskpace.report.words.block import texts
from taskpace.report.words.effects import change_columns, effect_sentences, effects_by_key
from taskpace.report.words.figures import UNKNOWN, digits, seconds_of, seconds_with_error, share_with_error
from taskpace.report.words.loads import KINDS, load_columns, load_sentence


def load(summary: Summary, systems: list[str]) -> list[Panel]:
    """Task time, throughput and goodput against load, for each task that was run under several loads of one kind."""
    swept: dict[tuple[str, str], list[Load]] = {}
    for each in summary.loads:
        swept.setdefault((each.task, each.kind), []).append(each)
    return [_load(loads, systems) for loads in swept.values()]


def _load(loads: list[Load], systems: list[str]) -> Panel:
    cells = [(label(each.system), point) for each in loads for point in each.points]
    values = [
        {
            "system": system,
            "scenario": point.scenario,
            **ends("time", point.task_time_median_s),
            "throughput": point.tasks_per_hour,
            **ends("share", point.goodput),
            "fill": SERIES[systems.index(system) % len(SERIES)] if point.valid else "transparent",
            "about": f"{system}, {point.scenario}{'' if point.valid else ' (INVALID)'}: task time "
            f"{seconds_of(point.task_time_median_s)}, {digits(point.tasks_per_hour, 3)} tasks an hour",
        }
        for system, point in cells
    ]
    scenarios = list(dict.fromkeys(point.scenario for _, point in cells))
    names = list(dict.fromkeys(system for system, _ in cells))
    title = KINDS[loads[0].kind]
    against = _Dial("scenario", scenarios, title, names, systems)
    measures = (("time", "task time, median, s"), ("throughput", "tasks per hour"), ("share", "in time"))
    pictures = [
        against.picture(values, field, about)
        for field, about in measures
        if any(value[field] is not None for value in values)
    ]
    knees = " ".join(f"{label(each.system)}: {load_sentence(each)}" for each in loads)
    invalid = " Hollow points are INVALID." if any(not point.valid for _, point in cells) else ""
    return Panel(
        chart="load",
        task=loads[0].task,
        scenario="",
        title=f"Under load: more and more {title}",
        caption="What to look for: where throughput stops to grow and task time begins to. " + knees + invalid,
        picture=alt.vconcat(*(pictures or [against.picture(values, "time", "task time, median, s")]), spacing=18),
        headings=("system", *(column.heading for column in load_columns(loads[0]))),
        rows=tuple((label(each.system), *row) for each in loads for row in texts(load_columns(each))),
    )


def effects(summary: Summary, systems: list[str]) -> list[Panel]:
    """Task time, length and accuracy against each setting that was swept, task by task."""
    by_setting: dict[str, list[Sweep]] = {}
    for sweep in summary.sweeps:
        by_setting.setdefault(sweep.setting, []).append(sweep)
    return [
        _effects(summary, table, setting, sweeps, systems)
        for setting, sweeps in by_setting.items()
        for table in summary.tables
    ]


def _effects(summary: Summary, table: TaskTable, setting: str, sweeps: list[Sweep], systems: list[str]) -> Panel:
    rows = {row.system: row for row in table.rows}
    effects = effects_by_key(summary).get((setting, table.task, table.scenario), [])
    columns = change_columns(effects)
    changes = dict(zip((effect.system for effect in effects), texts(columns), strict=True))
    said = " ".join(effect_sentences(summary, effects)) if effects else ""
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
            "about": f"{label(marked(row))}: task time {seconds_of(row.task_time_median_s)}, "
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
        chart="effects",
        task=table.task,
        scenario=table.scenario,
        title=f"What the {setting} does",
        caption=f"Systems that differ in {setting} alone are joined. Lines: 95 % intervals. {said}".rstrip()
        + note_invalid([row for _, _, row in points]),
        picture=alt.vconcat(*pictures, spacing=18),
        headings=(
            *("system", setting, "task time", "output, bytes", "accuracy"),
            *(f"{column.heading}, change" for column in columns),
        ),
        rows=tuple(
            (
                marked(row),
                value,
                seconds_with_error(row.task_time_median_s),
                digits(row.output_bytes_median.value, 3),
                share_with_error(row.accuracy) if row.accuracy.value is not None else UNKNOWN,
                *changes.get(row.system, (UNKNOWN,) * len(columns)),
            )
            for _, value, row in points
        ),
    )


def _family_names(sweeps: list[Sweep]) -> dict[str, str]:
    """For each sweep's first system what the names of all have in common, if that distinguishes the sweeps."""
    common = {
        label(first): " ".join(word for word in first.split() if all(word in other.split() for other in others))
        for first, *others in ([point.system for point in sweep.points] for sweep in sweeps)
    }
    told_apart = all(common.values()) and len(set(common.values())) == len(common)
    return {first: label(name) if told_apart else first for first, name in common.items()}


class _Dial(NamedTuple):
    """What stands along the bottom: a field of the data, its values in order, and the systems that are joined."""

    field: str
    order: list[str]
    title: str
    names: list[str]
    systems: list[str]

    def picture(self, values: list[Datum], measure: str, title: str) -> Picture:
        """One measure over the sweep's values, a line for each system."""
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
                x=x, y=y, color=colour, shape=shape, fill=fill, description=alt.Description("about:N")
            )
        )
        return alt.layer(*layers).properties(width=WIDTH, height=130)
