"""Tokens per second against task time: the argument in one picture, and the two rankings side by side."""

from __future__ import annotations

import altair as alt

from taskpace.analysis.schema.summary import SystemRow, TaskTable
from taskpace.analysis.table.pairs import Pair
from taskpace.report.charts.panel import Datum, Panel, chart_of, ends, label, marked, note_invalid, scale_for
from taskpace.report.charts.theme import ALERT, MUTED, POINTS, ROW, SERIES, SHAPES, WIDTH, by_place
from taskpace.report.words.figures import digits, seconds_of, seconds_with_error, shared_ranks
from taskpace.report.words.rankings import (
    by_task_time,
    by_tokens_per_s,
    inverted_pairs,
    with_both_ranks,
    with_both_speeds,
)
from taskpace.text.safe_text import both_ends

_HEIGHT = 230
_NAME = 20
"""Characters of a name beside a rank."""


def speed(table: TaskTable, systems: list[str]) -> list[Panel]:
    """Decode speed against task time; pairs that tokens per second rank wrongly are joined. Empty without a point."""
    shown = with_both_speeds(table)
    if not shown:
        return []
    points = [_point(row, systems) for row in shown]
    x = alt.X("speed:Q", title="tokens per second, median (right: faster)", scale=_range(points, "speed"))
    y = alt.Y("time:Q", title="task time, median, s (down: sooner)", scale=_range(points, "time"))
    names = [point["system"] for point in points]
    base = chart_of(points)
    colour = by_place(names, systems, "color", SERIES, POINTS)
    inverted = inverted_pairs(table, shown)
    layers: list[alt.Chart] = []
    if inverted:
        layers.append(_links(inverted, {row.system: row for row in shown}, x, y))
    layers += [
        base.mark_rule(strokeWidth=1.5, opacity=0.6, aria=False).encode(
            x=alt.X("speed_low:Q"), x2=alt.X2("speed_high:Q"), y=y, color=colour
        ),
        base.mark_rule(strokeWidth=1.5, opacity=0.6, aria=False).encode(
            x=x, y=alt.Y("time_low:Q"), y2=alt.Y2("time_high:Q"), color=colour
        ),
        _marks(base, names, systems).encode(x=x, y=y),
    ]
    return [
        Panel(
            chart="speed",
            task=table.task,
            scenario=table.scenario,
            title="Tokens per second against task time",
            caption=_speed_caption(inverted) + note_invalid(shown),
            picture=alt.layer(*layers).properties(width=WIDTH, height=_HEIGHT),
            headings=("system", "tokens per second", "task time"),
            rows=tuple(
                (marked(row), digits(row.tokens_per_s_median.value, 3), seconds_with_error(row.task_time_median_s))
                for row in shown
            ),
        )
    ]


def _point(row: SystemRow, systems: list[str]) -> Datum:
    colour = SERIES[systems.index(label(row.system)) % len(SERIES)]
    return {
        "system": label(row.system),
        **ends("speed", row.tokens_per_s_median),
        **ends("time", row.task_time_median_s),
        "fill": colour if row.valid else "transparent",
        "about": f"{label(marked(row))}: {digits(row.tokens_per_s_median.value, 3)} tokens per second, task time "
        f"{seconds_of(row.task_time_median_s)}",
    }


def _marks(base: alt.Chart, names: list[str], systems: list[str]) -> alt.Chart:
    """A point for each system, distinguished by colour and by shape."""
    marks: alt.Chart = base.mark_point(size=110, strokeWidth=2, opacity=1).encode(
        color=by_place(names, systems, "color", SERIES, POINTS),
        shape=by_place(names, systems, "shape", SHAPES, POINTS),
        fill=alt.Fill("fill:N", scale=None),
        description=alt.Description("about:N"),
    )
    return marks


def _range(points: list[Datum], field: str) -> alt.Scale:
    return scale_for([point[end] for point in points for end in (field, f"{field}_low", f"{field}_high")])


def _links(pairs: list[Pair], rows: dict[str, SystemRow], x: alt.X, y: alt.Y) -> alt.Chart:
    """From the one that only looks fast to the one that finishes before it."""
    values = [
        {
            "speed": rows[pair.b].tokens_per_s_median.value,
            "time": rows[pair.b].task_time_median_s.value,
            "speed_to": rows[pair.a].tokens_per_s_median.value,
            "time_to": rows[pair.a].task_time_median_s.value,
            "about": f"inversion: {label(pair.b)} has more tokens per second, {label(pair.a)} finishes sooner",
        }
        for pair in pairs
    ]
    links: alt.Chart = (
        chart_of(values)
        .mark_rule(color=ALERT, strokeDash=[5, 4], strokeWidth=1.5)
        .encode(x=x, y=y, x2=alt.X2("speed_to:Q"), y2=alt.Y2("time_to:Q"), description=alt.Description("about:N"))
    )
    return links


def _speed_caption(inverted: list[Pair]) -> str:
    if not inverted:
        return (
            "Were tokens per second the measure, whoever stands further right would stand lower. No pair is known to "
            "break that here. Lines: 95 % intervals."
        )
    pairs = "; ".join(f"{pair.b} against {pair.a}" for pair in inverted[:4])
    more = f" and {len(inverted) - 4} more" if len(inverted) > 4 else ""
    return (
        "Whoever stands further right has more tokens per second, whoever stands lower has the shorter median time. "
        f"Dashed red lines join those whom tokens per second rank wrongly, item by item: {pairs}{more}. "
        "Lines: 95 % intervals."
    )


def ranks(table: TaskTable, systems: list[str]) -> list[Panel]:
    """Lines between the two rankings; empty with fewer than two systems that have both."""
    shown = with_both_ranks(table)
    if len(shown) < 2:
        return []
    by_speed, by_time = by_tokens_per_s(shown), by_task_time(shown)
    crossing = {name for pair in inverted_pairs(table, shown) for name in (pair.a, pair.b)}
    speed_ranks = shared_ranks([row.rank_tokens_per_s for row in shown])
    time_ranks = shared_ranks([row.rank_task_time for row in shown])
    values: list[Datum] = []
    for row, in_speed, in_time in zip(shown, speed_ranks, time_ranks, strict=True):
        common = {
            "system": label(row.system),
            "width": 3 if row.system in crossing else 1.5,
            "about": f"{label(row.system)}: rank {in_speed} by tokens per second, {in_time} by task time",
        }
        values.append(
            common | {"x": 0, "y": by_speed.index(row), "text": f"{both_ends(label(row.system), _NAME)}  {in_speed}"}
        )
        values.append(
            common | {"x": 1, "y": by_time.index(row), "text": f"{in_time}  {both_ends(label(row.system), _NAME)}"}
        )
    names = [label(row.system) for row in shown]
    x = alt.X("x:Q", axis=None, scale=alt.Scale(domain=[-1.05, 2.05]))
    y = alt.Y("y:Q", axis=None, scale=alt.Scale(domain=[-0.9, len(shown) - 0.4], reverse=True))
    colour = by_place(names, systems, "color", SERIES)
    base = chart_of(values)
    heads = [{"x": 0, "y": -0.65, "text": "by tokens per second"}, {"x": 1, "y": -0.65, "text": "by task time"}]
    layers = [
        base.mark_line(aria=False).encode(x=x, y=y, color=colour, strokeWidth=alt.StrokeWidth("width:Q", scale=None)),
        base.mark_point(size=60, filled=True, opacity=1).encode(
            x=x,
            y=y,
            color=colour,
            shape=by_place(names, systems, "shape", SHAPES),
            description=alt.Description("about:N"),
        ),
        *(
            chart_of([value for value in values if value["x"] == side])
            .mark_text(align="left" if side else "right", dx=9 if side else -9, aria=False)
            .encode(x=x, y=y, text=alt.Text("text:N"))
            for side in (0, 1)
        ),
        chart_of(heads).mark_text(color=MUTED, aria=False).encode(x=x, y=y, text=alt.Text("text:N")),
    ]
    crossed = "; thick: systems of an inverted pair" if crossing else ""
    return [
        Panel(
            chart="ranks",
            task=table.task,
            scenario=table.scenario,
            title="The two rankings",
            caption=f"Lines that cross: tokens per second promise another order than people see{crossed}. "
            "1=, 2=: a shared rank, no significant difference.",
            picture=alt.layer(*layers).properties(width=WIDTH + 40, height=ROW * (len(shown) + 1)),
            headings=("system", "rank by tokens per second", "rank by task time"),
            rows=tuple(zip((row.system for row in shown), speed_ranks, time_ranks, strict=True)),
        )
    ]


def accuracy(table: TaskTable, systems: list[str]) -> list[Panel]:
    """Accuracy against task time with the Pareto front; empty without right answers."""
    shown = [row for row in table.rows if row.accuracy.value is not None and row.task_time_median_s.value]
    if not shown:
        return []
    points = [
        _point(row, systems)
        | ends("share", row.accuracy)
        | {
            "about": f"{label(marked(row))}: accuracy {100 * (row.accuracy.value or 0):.0f} %, task time "
            f"{seconds_of(row.task_time_median_s)}"
        }
        for row in shown
    ]
    x = alt.X("time:Q", title="task time, median, s (left: sooner)", scale=_range(points, "time"))
    y = alt.Y("share:Q", title="accuracy (up: better)", axis=alt.Axis(format="%"), scale=alt.Scale(zero=True))
    names = [point["system"] for point in points]
    colour = by_place(names, systems, "color", SERIES, POINTS)
    base = chart_of(points)
    front = pareto_front([row for row in shown if row.valid])
    corners = [{"time": row.task_time_median_s.value, "share": row.accuracy.value} for row in front]
    layers = [
        chart_of(corners)
        .mark_line(interpolate="step-after", color=MUTED, strokeDash=[2, 2], aria=False)
        .encode(x=x, y=y),
        base.mark_rule(strokeWidth=1.5, opacity=0.6, aria=False).encode(
            x=x, y=alt.Y("share_low:Q"), y2=alt.Y2("share_high:Q"), color=colour
        ),
        base.mark_rule(strokeWidth=1.5, opacity=0.6, aria=False).encode(
            x=alt.X("time_low:Q"), x2=alt.X2("time_high:Q"), y=y, color=colour
        ),
        _marks(base, names, systems).encode(x=x, y=y),
    ]
    best = ", ".join(row.system for row in front)
    told = f"On the front, beaten by none in both: {best}." if front else ""
    return [
        Panel(
            chart="accuracy",
            task=table.task,
            scenario=table.scenario,
            title="Accuracy against task time",
            caption=f"Up and to the left is better. {told} Lines: 95 % intervals.{note_invalid(shown)}",
            picture=alt.layer(*layers).properties(width=WIDTH, height=_HEIGHT),
            headings=("system", "task time", "accuracy", "on the front"),
            rows=tuple(
                (
                    marked(row),
                    seconds_with_error(row.task_time_median_s),
                    f"{100 * (row.accuracy.value or 0):.0f} %",
                    "yes" if row in front else "no",
                )
                for row in shown
            ),
        )
    ]


def pareto_front(rows: list[SystemRow]) -> list[SystemRow]:
    """The systems with right answers that no other beats in both task time and accuracy, the quickest first."""
    front: list[SystemRow] = []
    for row in sorted(rows, key=lambda row: (row.task_time_median_s.value, -(row.accuracy.value or 0))):
        if (row.accuracy.value or 0) > ((front[-1].accuracy.value or 0) if front else 0):
            front.append(row)
    return front
