"""The finding in one glance: who writes fastest, and who is the first to be right."""

from __future__ import annotations

import altair as alt

from taskpace.analysis.schema.summary import SystemRow, TaskTable
from taskpace.report.charts.panel import Datum, Panel, Picture, chart_of, ends, label, marked, name_invalid
from taskpace.report.charts.theme import INK, NAMES, SERIES, WIDTH, by_place
from taskpace.report.words.figures import SECONDS, digits, written

_ROW = 38
"""Height of a bar with its gap, pixels."""
_TITLE = "Tokens per second, and time to a correct answer"


def finding(table: TaskTable, systems: list[str]) -> list[Panel]:
    """Bars of the decode speed beside bars of the time per correct answer; empty without a system that has both."""
    shown = [
        row
        for row in table.rows
        if row.tokens_per_s_median.value is not None
        and row.time_per_correct_s.value is not None
        and row.time_per_correct_s.bound is None
    ]
    if not shown:
        return []
    shown.sort(key=lambda row: -(row.tokens_per_s_median.value or 0.0))
    values = [_bar(row) for row in shown]
    names = [label(row.system) for row in shown]
    return [
        Panel(
            chart="finding",
            task=table.task,
            scenario=table.scenario,
            title=_TITLE,
            caption="Long bars on the left write fast, short bars on the right are the first to be right; wrong, cut "
            f"and failed answers count, too. Lines: 95 % intervals.{_left_out(table, shown)}{name_invalid(shown)}",
            picture=_picture(values, _ahead(shown), names, systems),
            headings=("system", "tokens per second", "s/correct"),
            rows=tuple(
                (marked(row), digits(row.tokens_per_s_median.value, 3), written(row.time_per_correct_s, SECONDS).text)
                for row in shown
            ),
        )
    ]


def _left_out(table: TaskTable, shown: list[SystemRow]) -> str:
    names = [row.system for row in table.rows if row not in shown]
    return f" Not drawn, without tokens per second or a correct answer: {', '.join(names)}." if names else ""


def _ahead(shown: list[SystemRow]) -> tuple[str, str]:
    """Who is first on either side, where one or two are known to be."""
    fastest = [label(row.system) for row in shown if row.rank_tokens_per_s == 1]
    first = [label(row.system) for row in shown if row.rank_time_per_correct == 1]
    return (
        f"Fastest: {' and '.join(fastest)}" if 0 < len(fastest) < 3 else "Fastest: undecided",
        f"First to be right: {' and '.join(first)}" if 0 < len(first) < 3 else "First to be right: undecided",
    )


def _bar(row: SystemRow) -> Datum:
    speed = digits(row.tokens_per_s_median.value, 3)
    time = written(row.time_per_correct_s, SECONDS).value
    return {
        "system": label(row.system),
        **ends("speed", row.tokens_per_s_median),
        **ends("time", row.time_per_correct_s),
        "speed_text": speed,
        "time_text": f"{time} s",
        "about": f"{label(marked(row))}: {speed} tokens per second, {time} s per correct answer",
    }


def _picture(values: list[Datum], ahead: tuple[str, str], names: list[str], systems: list[str]) -> Picture:
    """``ahead``: above each side, who is first."""
    base = chart_of(values)
    colour = by_place(names, systems, "color", SERIES)

    def bars(field: str, title: str, advice: str, axis: alt.Axis | None) -> alt.LayerChart | alt.FacetChart:
        """One side; the value stands at the right of the interval's end, where no line crosses it."""
        x = alt.X(f"{field}:Q", title=None, axis=None, scale=alt.Scale(domainMin=0, nice=False, padding=0))
        y = alt.Y("system:N", sort=names, title=None, axis=axis)
        return alt.layer(
            base.mark_bar(height=_ROW - 16, opacity=1).encode(x=x, y=y, color=colour, description="about:N"),
            base.mark_rule(strokeWidth=1.5, color=INK, aria=False).encode(
                x=alt.X(f"{field}_low:Q"), x2=f"{field}_high:Q", y=y
            ),
            base.mark_text(align="left", dx=6, fontSize=13, fontWeight="bold", color=INK, aria=False).encode(
                x=alt.X(f"{field}_high:Q"), y=y, text=f"{field}_text:N"
            ),
        ).properties(
            width=WIDTH * 2 // 3,
            height=_ROW * len(names),
            title=alt.Title(title, subtitle=advice, fontSize=12, anchor="start"),
        )

    left = bars("speed", ahead[0], "tokens per second; longer bar: faster", NAMES)
    right = bars("time", ahead[1], "seconds per correct answer; shorter bar: sooner", None)
    beside: alt.HConcatChart = alt.hconcat(left, right, spacing=70)
    return beside
