"""Panels as figures of the page: the picture as SVG in the page's own colours, light or dark."""

from __future__ import annotations

import re

import msgspec
from markupsafe import Markup

from taskpace.report.charts import to_svg
from taskpace.report.charts.panel import Panel
from taskpace.report.charts.theme import ALERT, DARK, DARK_PAPER, GRID, INK, MUTED, PAPER, SERIES
from taskpace.text.safe_text import printable

_NAMES = {INK: "--ink", MUTED: "--muted", GRID: "--grid", ALERT: "--alert"} | {
    colour: f"--series-{number}" for number, colour in enumerate(SERIES)
}
_COLOUR = re.compile(r'(?<= )(fill|stroke)="(#[0-9a-f]{6})"')
"""Within a tag only: in text vl-convert escapes the quotation mark."""


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """What the template shows of a panel."""

    id: str
    panel: Panel
    title: str
    caption: str
    svg: Markup
    pair: str
    """``A → B`` where it is about a pair, else empty."""


def make_figure(panel: Panel, name: str) -> Figure:
    """``name``: unique in the page."""
    pair = "" if panel.pair is None else printable(f"{panel.pair[0]} → {panel.pair[1]}")
    return Figure(
        id=name,
        panel=msgspec.structs.replace(
            panel,
            title=printable(panel.title),
            headings=tuple(map(printable, panel.headings)),
            rows=tuple(tuple(map(printable, row)) for row in panel.rows),
        ),
        title=printable(panel.title),
        caption=printable(panel.caption),
        svg=Markup(_coloured(to_svg(panel.picture, paper=None))),  # noqa: S704 - text in it was escaped by vl-convert
        pair=pair,
    )


def _coloured(svg: str) -> str:
    """Colours by name, so that the style sheet can change them; only those of the theme."""
    return _COLOUR.sub(lambda found: f'{found[1]}="var({_NAMES[found[2]]})"' if found[2] in _NAMES else found[0], svg)


def colour_rules() -> str:
    """The custom properties of both themes: the reader's choice, else what the system prefers."""
    light = _properties({colour: colour for colour in _NAMES}, PAPER, "light")
    dark = _properties(DARK, DARK_PAPER, "dark")
    return (
        f":root{{{light}}}\n@media (prefers-color-scheme: dark){{:root:not([data-theme=light]){{{dark}}}}}\n"
        f":root[data-theme=dark]{{{dark}}}\n@media print{{:root:root:root{{{light}}}}}\n"
    )


def _properties(colours: dict[str, str], paper: str, scheme: str) -> str:
    named = "".join(f"{name}:{colours[colour]};" for colour, name in _NAMES.items())
    return f"color-scheme:{scheme};--paper:{paper};{named}"
