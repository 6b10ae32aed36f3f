"""How charts look: colours that differ under the common kinds of colour blindness, with shapes and dashes.

The eight colours were searched for the greatest least distance (CAM02-UCS) under normal vision, protanopia,
deuteranopia and tritanopia, each with a contrast of 3 or more to its background; tests/page/test_charts.py holds them
to it.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from typing import Any

import altair as alt
from altair.utils.schemapi import debug_mode

INK = "#1f2328"
MUTED = "#57606a"
GRID = "#d8dee4"
ALERT = "#b3261e"
SERIES = ("#2e4da1", "#f16600", "#00a677", "#b568a2", "#460653", "#795000", "#7f64ff", "#690021")

DARK = {
    INK: "#e6e9ee",
    MUTED: "#a3acb8",
    GRID: "#343a44",
    ALERT: "#ff8a80",
    **dict(
        zip(
            SERIES,
            ("#7692ff", "#fc7969", "#03f3be", "#b985a8", "#cbc9ff", "#ecca1c", "#5c51e4", "#bc395e"),
            strict=True,
        )
    ),
}
"""Colours on a dark background."""

PAPER, DARK_PAPER = "#ffffff", "#12161c"

SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right", "triangle-left")
DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3], [4, 4], [12, 3], [2, 5], [8, 2, 2, 2, 2, 2])

FONT = "Liberation Sans, Arial, Helvetica, sans-serif"
"""The first is built into vl-convert and the second has its measures: text is as wide as was reckoned with."""

WIDTH = 330
"""Of a chart's plot, pixels: with its axis it fits a phone."""
ROW = 26
"""Height of a line of a chart that has one for each system."""


_LONGEST = 26
"""Characters of a system's name beside a chart. What is cut goes from the middle: a sweep's value is at the end."""
_SHORT = (
    f"length(datum.label) > {_LONGEST} ? slice(datum.label, 0, {_LONGEST // 2 - 1}) + '…' + "
    f"slice(datum.label, -{_LONGEST // 2}) : datum.label"
)
NAMES = alt.Axis(labelExpr=_SHORT)
GRIDDED_NAMES = alt.Axis(labelExpr=_SHORT, grid=True)
POINTS = alt.Legend(labelExpr=_SHORT, symbolFillColor="transparent")
LINES = alt.Legend(
    labelExpr=_SHORT, symbolType="stroke", symbolFillColor="transparent", symbolSize=250, symbolStrokeWidth=2
)


def configured(chart: alt.TopLevelMixin) -> dict[str, Any]:
    """The chart's Vega-Lite specification with the look of the house."""
    with unchecked():
        specification: dict[str, Any] = chart.to_dict(validate=False)
    specification["config"] = dict(_look())
    return specification


def in_the_dark(part: Any) -> Any:
    """A specification, or a part of it, with each colour of the house as it is on a dark background."""
    if isinstance(part, dict):
        return {key: in_the_dark(value) for key, value in part.items()}
    if isinstance(part, list | tuple):
        return [in_the_dark(each) for each in part]
    return {**DARK, PAPER: DARK_PAPER}.get(part, part) if isinstance(part, str) else part


@cache
def _look() -> dict[str, Any]:
    """The look of the house, the same for every chart."""
    text: dict[str, Any] = {"labelColor": INK, "titleColor": INK, "labelFontSize": 11, "titleFontSize": 11}
    look: dict[str, Any] = alt.Config(
        background="transparent",
        font=FONT,
        view=alt.ViewConfig(stroke=None),
        axis=alt.AxisConfig(
            **text,
            aria=False,
            domainColor=MUTED,
            gridColor=GRID,
            labelLimit=170,
            labelOverlap=True,
            tickCount=5,
            tickColor=MUTED,
            titleFontWeight="normal",
        ),
        legend=alt.LegendConfig(
            **text,
            aria=False,
            columns=2,
            direction="horizontal",
            labelLimit=170,
            orient="bottom",
            symbolOpacity=1,
            title=None,
        ),
        title=alt.TitleConfig(anchor="start", color=INK, fontSize=13, offset=8, subtitleColor=MUTED),
        text=alt.MarkConfig(color=INK, fontSize=11),
        header=alt.HeaderConfig(labelColor=INK, titleColor=INK),
    ).to_dict(validate=False)
    return look


def unchecked() -> AbstractContextManager[None]:
    """Without altair's check of every part against Vega-Lite's schema, which costs more than all the rest.

    The tests check every chart as a whole.
    """
    return debug_mode(False)


def by_place(
    names: list[str], indices: list[str], channel: str, choices: tuple[Any, ...], legend: alt.Legend | None = None
) -> Any:
    """An encoding that gives each system the same colour, shape or dash in every chart of a run.

    ``names``: in this chart; ``indices``: all systems of the run.
    """
    kinds = {"color": alt.Color, "shape": alt.Shape, "strokeDash": alt.StrokeDash}
    # From the ninth system on a colour comes again, with another shape and dash.
    shift = 0 if channel == "color" else 1
    chosen = [choices[(index + shift * (index // len(choices))) % len(choices)] for index in map(indices.index, names)]
    scale = alt.Scale(domain=names, range=chosen)
    return kinds[channel]("system:N", scale=scale, legend=legend)
