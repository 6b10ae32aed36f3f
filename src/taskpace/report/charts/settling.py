"""How pairs settled: the interval of each pair's ratio against the items asked."""

from __future__ import annotations

import math

import altair as alt

from taskpace.analysis.schema.summary import TaskTable
from taskpace.report.charts.panel import Datum, Panel, Picture, chart_of, label
from taskpace.report.charts.theme import GRID, INK, MUTED, SERIES, WIDTH
from taskpace.report.words.settling import MEASURED, PathShown, paths_shown
from taskpace.text.safe_text import both_ends

_MOST = 6
"""Pairs that a picture has; the table below it has all."""
_HEIGHT = 78
"""Of one pair."""
_NAME = 22
"""Characters of a system's name above a pair, so that two of them fit a phone."""
_TICKS = (0.1, 0.2, 0.33, 0.5, 0.67, 0.8, 0.9, 0.95, 1.05, 1.1, 1.2, 1.35, 1.5, 2, 3, 4, 5, 7, 10, 20, 50, 100)
_LEAST_APART = 0.2
"""Of the axis, between two numbers at it."""
_EXTENT = 34
"""Pixels left of a plot, so that all stand below each other."""
_ROOM = 1.04
"""Factor between what is shown and the edge."""
_LONGEST = 10.0
"""Times the ratio at the end, beyond which an interval's end is not shown."""


def settling(table: TaskTable, systems: list[str]) -> list[Panel]:
    """A small picture for each pair, below each other; empty where the number of items was fixed."""
    del systems  # colours stand for verdicts here
    found = table.settled
    if found is None:
        return []
    paths = paths_shown(found)
    drawn = [path for path in paths if any(look.ratio is not None for look in path.looks)]
    if not drawn:
        return []
    shown = drawn[-_MOST:]
    most = max(look.items for path in shown for look in path.looks)
    pictures = [_pair(path, most, found.margin, last=path is shown[-1]) for path in shown]
    few = f" The {_MOST} of {len(drawn)} pairs that took longest; the table has all." if len(drawn) > _MOST else ""
    band = "" if found.margin is None else f", grey where the two are equivalent within {100 * found.margin:g} %"
    return [
        Panel(
            chart="settling",
            task=table.task,
            scenario=table.scenario,
            title="How the pairs settled",
            caption=f"The slower system's {MEASURED[found.measure]} as a multiple of the quicker one's, with the "
            f"interval that one may stop by, against the items asked. Line at 1: the same time{band}. "
            f"Mark: settled.{few}",
            picture=alt.vconcat(*pictures, spacing=14),
            headings=("pair", "", "items", "ratio"),
            rows=tuple((path.pair(str), path.verdict, str(_items(path)), _told(path)) for path in paths),
        )
    ]


def _pair(path: PathShown, most: int, margin: float | None, *, last: bool) -> Picture:
    low, high = _domain(path, margin)
    values = [
        {
            "items": look.items,
            "ratio": min(max(look.ratio, low), high),
            "low": low if look.low is None else max(look.low, low),
            "high": high if look.high is None else min(look.high, high),
        }
        for look in path.looks
        if look.ratio is not None
    ]
    x = alt.X(
        "items:Q",
        title="items asked of both" if last else None,
        scale=alt.Scale(domain=[0, most], nice=False),
        axis=alt.Axis(labels=last, ticks=last, tickMinStep=1),
    )
    scale = alt.Scale(type="log", domain=[low, high], nice=False)
    y = alt.Y(
        "ratio:Q",
        title=None,
        scale=scale,
        axis=alt.Axis(
            values=_ticks(low, high), format=".3~g", labelOverlap=False, minExtent=_EXTENT, maxExtent=_EXTENT
        ),
    )
    across = chart_of([{"ratio": 1.0}])
    base = chart_of(values)
    layers = [
        across.mark_rule(color=INK, strokeWidth=1.2, aria=False).encode(y=y),
        base.mark_area(color=SERIES[0], opacity=0.22, aria=False).encode(
            x=x, y=alt.Y("low:Q", scale=scale), y2=alt.Y2("high:Q")
        ),
        base.mark_line(color=SERIES[0], strokeWidth=2, aria=False).encode(x=x, y=y),
    ]
    if margin is not None:
        band = chart_of([{"low": max(1 / (1 + margin), low), "high": min(1 + margin, high)}])
        layers.insert(
            0,
            band.mark_rect(color=GRID, opacity=0.6, aria=False).encode(
                y=alt.Y("low:Q", scale=scale), y2=alt.Y2("high:Q")
            ),
        )
    if path.settled_after is not None:
        layers += _mark(path, values, x, y)
    return alt.layer(*layers).properties(
        width=WIDTH,
        height=_HEIGHT,
        title=alt.Title(
            text=path.pair(_short),
            subtitle=path.verdict,
            frame="bounds",
            fontSize=11,
            subtitleFontSize=11,
            offset=4,
        ),
    )


def _mark(path: PathShown, values: list[Datum], x: alt.X, y: alt.Y) -> list[alt.Chart]:
    """Where it was settled."""
    after = [value for value in values if value["items"] >= (path.settled_after or 0)]
    here = {
        "items": path.settled_after,
        "ratio": (after or values)[0]["ratio"],
        "about": f"{path.pair(label)}: {path.verdict}",
    }
    found = chart_of([here])
    return [
        found.mark_rule(color=MUTED, strokeDash=[3, 3], aria=False).encode(x=x),
        found.mark_point(color=SERIES[0], fill=SERIES[0], shape="diamond", size=90, opacity=1).encode(
            x=x, y=y, description=alt.Description("about:N")
        ),
    ]


def _domain(path: PathShown, margin: float | None) -> tuple[float, float]:
    """What of the ratios is shown: the margin, and the intervals of the later half of the moments."""
    known = [look for look in path.looks if look.ratio is not None]
    late = known[len(known) // 2 :]
    ends = [end for look in late for end in (look.low, look.ratio, look.high) if end is not None]
    final = known[-1].ratio or 1.0
    ends = [min(max(end, final / _LONGEST), final * _LONGEST) for end in ends]
    width = 1.05 if margin is None else 1 + margin
    return min(*ends, 1 / width) / _ROOM, max(*ends, width) * _ROOM


def _ticks(low: float, high: float) -> list[float]:
    """1, and round numbers that stand clear of it and of each other, the outermost first."""
    apart = _LEAST_APART * math.log(high / low)
    found = [1.0]
    for tick in sorted(_TICKS, key=lambda tick: -abs(math.log(tick))):
        if low <= tick <= high and all(abs(math.log(tick / other)) >= apart for other in found):
            found.append(tick)
    return sorted(found)


def _short(name: str) -> str:
    return both_ends(name, _NAME)


def _items(path: PathShown) -> int:
    return max((look.items for look in path.looks), default=0)


def _told(path: PathShown) -> str:
    last = path.looks[-1] if path.looks else None
    if last is None or last.ratio is None:
        return "–"
    ends = ("?" if end is None else f"{end:.2f}" for end in (last.low, last.high))
    return f"{last.ratio:.2f} ({' to '.join(ends)})"
