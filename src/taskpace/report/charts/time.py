"""Solve curves, where the time goes, and why one system takes longer than another."""

from __future__ import annotations

import itertools

import altair as alt

from taskpace.analysis.schema.summary import SystemRow, TaskTable
from taskpace.analysis.stats.estimates import Estimate
from taskpace.analysis.table.pairs import Pair
from taskpace.analysis.table.splits import Split
from taskpace.report.charts.panel import Datum, Panel, chart_of, ends, label, marked, name_invalid
from taskpace.report.charts.theme import DASHES, LINES, MUTED, NAMES, ROW, SERIES, WIDTH, by_place
from taskpace.report.words.causes import causes, may_be_none, why
from taskpace.report.words.figures import ends as ends_of, seconds, seconds_of, share_with_error

_PHASES = (
    ("wait_s", "waiting", MUTED),
    ("reasoning_s", "reasoning", SERIES[3]),
    ("answer_s", "answer until committed", SERIES[0]),
    ("trailing_s", "trailing text", SERIES[1]),
)
DEADLINES = "deadlines"
"""Name of the layer with a line at each deadline of a solve curve, in order, none of them visible."""


def solve(table: TaskTable, systems: list[str]) -> list[Panel]:
    """Share solved within each deadline; empty without right answers."""
    shown = [row for row in table.rows if row.solve_curve]
    if not shown or shown[0].solve_curve[0].deadline_s == shown[0].solve_curve[-1].deadline_s:
        return []
    values = [
        {"system": label(row.system), "deadline": point.deadline_s, **ends("share", point.share)}
        for row in shown
        for point in row.solve_curve
    ]
    names = [label(row.system) for row in shown]
    deadlines = [point.deadline_s for point in shown[0].solve_curve]
    x = alt.X(
        "deadline:Q",
        title="deadline, s",
        scale=alt.Scale(type="log", nice=False),
    )
    y = alt.Y("share:Q", title="answered correctly in time", axis=alt.Axis(format="%"), scale=alt.Scale(zero=True))
    base = chart_of(values)
    colour = by_place(names, systems, "color", SERIES, LINES)
    dash = by_place(names, systems, "strokeDash", DASHES, LINES)
    picture = alt.layer(
        chart_of([{"deadline": deadline} for deadline in deadlines], name=DEADLINES)
        .mark_rule(opacity=0, aria=False)
        .encode(x=x),
        base.mark_area(interpolate="step-after", opacity=0.13, aria=False).encode(
            x=x, y=alt.Y("share_low:Q"), y2=alt.Y2("share_high:Q"), color=colour
        ),
        base.mark_line(interpolate="step-after", strokeWidth=2, aria=False).encode(
            x=x, y=y, color=colour, strokeDash=dash
        ),
    ).properties(width=WIDTH, height=210)
    several = len(shown) > 1
    return [
        Panel(
            chart="solve",
            task=table.task,
            scenario=table.scenario,
            title="Solved within a deadline",
            caption="How many of the items are answered correctly by when"
            + ("; whoever is higher at your deadline serves you better" if several else "")
            + ". Bands: 95 % intervals, deadline by deadline."
            + name_invalid(shown),
            picture=picture,
            headings=("deadline", *(marked(row) for row in shown)),
            rows=tuple(
                (seconds(deadline), *(share_with_error(row.solve_curve[index].share) for row in shown))
                for index, deadline in enumerate(deadlines)
            ),
        )
    ]


def phases(table: TaskTable, systems: list[str]) -> list[Panel]:
    """Where the mean task time goes; empty without task times."""
    del systems  # the colours are the phases'
    shown = [row for row in table.rows if row.phases is not None]
    if not shown:
        return []
    names = [label(row.system) for row in shown]
    values = []
    for row in shown:
        before = 0.0
        for order, (field, name, _) in enumerate(_PHASES):
            length = getattr(row.phases, field)
            if length > 0:
                values.append(
                    {
                        "system": label(row.system),
                        "phase": name,
                        "order": order,
                        "from": before,
                        "to": before + length,
                        "about": f"{label(row.system)}: {name} {seconds(length)}",
                    }
                )
            before += length
    present = [(name, colour) for _, name, colour in _PHASES if any(value["phase"] == name for value in values)]
    picture = (
        chart_of(values)
        .mark_bar(height=ROW - 10, strokeWidth=0)
        .encode(
            x=alt.X("from:Q", title="mean task time, s"),
            x2=alt.X2("to:Q"),
            y=alt.Y("system:N", sort=names, title=None, axis=NAMES),
            color=alt.Color(
                "phase:N",
                scale=alt.Scale(domain=[name for name, _ in present], range=[colour for _, colour in present]),
                legend=alt.Legend(),
                sort=None,
            ),
            description=alt.Description("about:N"),
        )
        .properties(width=WIDTH, height=ROW * len(shown))
    )
    return [
        Panel(
            chart="phases",
            task=table.task,
            scenario=table.scenario,
            title="Where the time goes",
            caption="From left to right in the order of the legend. Trailing text comes when a reader could have "
            "stopped: the answer no longer changes." + name_invalid(shown),
            picture=picture,
            headings=("system", *(name for _, name, _ in _PHASES), "mean task time"),
            rows=tuple(
                (
                    marked(row),
                    *(seconds(getattr(row.phases, field)) for field, _, _ in _PHASES),
                    seconds_of(row.task_time_mean_s),
                )
                for row in shown
            ),
        )
    ]


def why_panels(table: TaskTable, systems: list[str], most: int | None = None) -> list[Panel]:
    """The split of the difference as a waterfall, one picture for each of the first ``most`` pairs that have one."""
    del systems  # the bars are causes, not systems
    rows = {row.system: row for row in table.rows}
    return [_why(table, pair, split, rows) for pair, split in explained(table)[:most]]


def explained(table: TaskTable) -> list[tuple[Pair, Split]]:
    """The pairs whose difference has known causes; first those that may be ranked."""
    valid = {row.system for row in table.rows if row.valid}
    pairs = sorted(table.pairs, key=lambda pair: not {pair.a, pair.b} <= valid)
    return [(pair, pair.split) for pair in pairs if pair.split is not None and pair.split.parts_known]


def _why(table: TaskTable, pair: Pair, split: Split, rows: dict[str, SystemRow]) -> Panel:
    difference, found, decimals = causes(split, pair.output_bytes)
    whole = difference.value or 0.0
    steps = [0.0, *itertools.accumulate(cause.part.value or 0.0 for cause in found)]
    values: list[Datum] = [
        {
            "cause": cause.name,
            "from": start,
            "to": end,
            "text": f"{cause.rounded:+.{decimals}f} s{_unsure(cause.part)}",
            "end": max(start, end),
        }
        for cause, start, end in zip(found, steps[:-1], steps[1:], strict=True)
    ]
    values.append(
        {
            "cause": "in all",
            "from": 0.0,
            "to": whole,
            "text": f"{whole:+.{decimals}f} s{_unsure(difference)}",
            "end": max(0.0, whole),
        }
    )
    for value in values:
        value["kind"] = "in all" if value is values[-1] else "longer" if value["to"] >= value["from"] else "shorter"
        value["about"] = f"{value['cause']}: {value['text']}"
    order = [value["cause"] for value in values]
    x = alt.X("from:Q", title=f"mean seconds by which {label(pair.b)} takes longer", scale=alt.Scale(padding=55))
    y = alt.Y("cause:N", sort=order, title=None)
    base = chart_of(values)
    picture = alt.layer(
        base.mark_bar(height=ROW - 10).encode(
            x=x,
            x2=alt.X2("to:Q"),
            y=y,
            color=alt.Color(
                "kind:N",
                scale=alt.Scale(domain=["longer", "shorter", "in all"], range=[SERIES[1], SERIES[2], MUTED]),
                legend=None,
            ),
            description=alt.Description("about:N"),
        ),
        base.mark_text(align="left", dx=5, aria=False).encode(x=alt.X("end:Q"), y=y, text=alt.Text("text:N")),
    ).properties(width=WIDTH - 20, height=ROW * len(values))
    sure = all(rows[name].valid for name in (pair.a, pair.b))
    return Panel(
        chart="why",
        task=table.task,
        scenario=table.scenario,
        pair=(pair.a, pair.b),
        title=f"{pair.b} against {pair.a}, on average"
        if _unsure(difference) or whole <= 0
        else f"Why {pair.b} takes longer than {pair.a}",
        caption=why(pair.a, pair.b, split, pair.output_bytes)
        + " ~: it may be none at all (5 %)."
        + ("" if sure else " INVALID numbers are among them."),
        picture=picture,
        headings=("cause", "seconds", "95 % interval"),
        rows=tuple(
            (name, f"{part.value:+.3g}", ends_of(part, lambda value: f"{value:.3g}"))
            for name, part in [*((cause.name, cause.part) for cause in found), ("in all", difference)]
        ),
    )


def _unsure(part: Estimate) -> str:
    return " ~" if may_be_none(part) else ""
