"""Charts of a summary: altair objects with captions and tables, as SVG, as PNG.

Each is a function of the summary alone, so whatever a picture shows is in ``taskpace summary --format json``.
Encodings are altair's own objects: for the class of a text it would look through all that it has, each time again.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial

import altair as alt
import vl_convert

from taskpace.analysis.schema.summary import Summary, TaskTable
from taskpace.errors import TaskpaceError
from taskpace.report.charts.energy import energy
from taskpace.report.charts.finding import finding
from taskpace.report.charts.length import tokenizers, verbosity
from taskpace.report.charts.panel import Panel, Picture, label
from taskpace.report.charts.per_correct import cost, energy_time
from taskpace.report.charts.ranking import accuracy, ranks, speed
from taskpace.report.charts.settling import settling
from taskpace.report.charts.sweeps import effects, load
from taskpace.report.charts.theme import PAPER, configured, in_the_dark, unchecked
from taskpace.report.charts.time import phases, solve, why_panels
from taskpace.text.strict import did_you_mean

_OF_A_TABLE: dict[str, tuple[str, Callable[[TaskTable, list[str]], list[Panel]]]] = {
    "speed": ("tokens per second against task time, inversions marked", speed),
    "ranks": ("lines between the two rankings", ranks),
    "finding": ("bars of tokens per second beside bars of the time per correct answer", finding),
    "settling": ("how pairs settled: ratio and interval against items asked", settling),
    "solve": ("share of items answered correctly within a deadline", solve),
    "phases": ("where the time goes: wait, reasoning, answer, trailing text", phases),
    "why": ("why one takes longer than another, cause by cause", why_panels),
    "verbosity": ("how much each system writes", verbosity),
    "accuracy": ("accuracy against task time, with the Pareto front", accuracy),
    "tokenizers": ("bytes per token on the prompts and on the outputs", tokenizers),
    "cost": ("time against cost of a correct answer, with the accuracy and the frontier", cost),
    "energy": ("joules per task and per correct answer", energy),
    "energy-time": ("time against energy of a correct answer, with the accuracy and the frontier", energy_time),
}
_OF_A_RUN: dict[str, tuple[str, Callable[[Summary, list[str]], list[Panel]]]] = {
    "load": ("task time, tasks per hour and share in time against load", load),
    "effects": ("task time, length and accuracy against a setting that was swept", effects),
}
CHARTS: dict[str, str] = {name: about for name, (about, _) in {**_OF_A_TABLE, **_OF_A_RUN}.items()}
"""Every chart's name and what it shows."""


def check_name(name: str) -> None:
    """Raises ``TaskpaceError`` with the names there are when ``name`` is not a chart."""
    if name not in CHARTS:
        raise TaskpaceError(f'unknown chart "{name}"{did_you_mean(name, CHARTS)}: {", ".join(CHARTS)}')


def panels(summary: Summary, chart: str | None = None, *, most_pairs: int | None = None) -> list[Panel]:
    """All pictures of a run, or of one chart; a chart with nothing to show has none.

    ``most_pairs``: of a task that get a waterfall; null: all.
    """
    systems = list(dict.fromkeys(label(row.system) for table in summary.tables for row in table.rows))
    found: list[Panel] = []
    with unchecked():
        for table in summary.tables:
            for name, (_, make_for_table) in _OF_A_TABLE.items():
                if chart in (None, name):
                    make = partial(why_panels, most=most_pairs) if name == "why" else make_for_table
                    found += make(table, systems)
        for name, (_, make_for_run) in _OF_A_RUN.items():
            if chart in (None, name):
                found += make_for_run(summary, systems)
    return found


def joined(found: list[Panel]) -> Picture:
    """Several panels as one altair chart, each with its title, three in a row at most."""
    titled = [panel.picture.properties(title=alt.Title(_title(panel), subtitle=_subtitle(panel))) for panel in found]
    if len(titled) == 1:
        (only,) = titled
        return only
    several: alt.ConcatChart = alt.concat(*titled, columns=3, spacing=30).resolve_scale(
        color="independent", shape="independent", strokeDash="independent", x="independent", y="independent"
    )
    return several


def _title(panel: Panel) -> str:
    return label(panel.title)


def _subtitle(panel: Panel) -> str:
    return label(" · ".join(part for part in (panel.task, panel.scenario) if part))


def styled(picture: Picture) -> Picture:
    """The altair chart with taskpace's theme in it, for those who show or change it themselves."""
    return alt.Chart.from_dict(configured(picture))


def to_svg(picture: Picture, *, paper: str | None = PAPER, dark: bool = False) -> str:
    """An altair chart as SVG text; ``paper``: the background, null for none; ``dark``: the colours for a dark one."""
    svg: str = vl_convert.vegalite_to_svg(_specification(picture, paper, dark=dark))
    return svg


def to_png(picture: Picture, *, scale: float = 2.0, dark: bool = False) -> bytes:
    """An altair chart as a PNG file's content; ``scale``: pixels per point."""
    png: bytes = vl_convert.vegalite_to_png(_specification(picture, PAPER, dark=dark), scale=scale)
    return png


def _specification(picture: Picture, paper: str | None, *, dark: bool) -> str:
    specification = configured(picture)
    specification["config"]["background"] = paper or "transparent"
    return json.dumps(in_the_dark(specification) if dark else specification)
