"""A chart ready to be shown: the picture, what to see in it, and the same numbers as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import msgspec

from taskpace.analysis.schema.summary import SystemRow
from taskpace.analysis.stats.estimates import Estimate
from taskpace.text.safe_text import both_ends

Cells = tuple[str, ...]
Datum = dict[str, Any]
"""Fields of one mark, as Vega-Lite takes them."""
Picture = alt.Chart | alt.LayerChart | alt.FacetChart | alt.VConcatChart | alt.HConcatChart | alt.ConcatChart


class Panel(msgspec.Struct, frozen=True, kw_only=True):
    """One picture of a chart, of one task in one scenario as a rule."""

    chart: str
    """Its name in ``taskpace.report.charts.CHARTS``."""
    task: str
    scenario: str
    """Empty where it covers several."""
    pair: tuple[str, str] | None = None
    title: str
    caption: str
    """What to see."""
    picture: Picture
    headings: Cells
    rows: tuple[Cells, ...]
    """The numbers in the picture, for those who cannot see it."""


def chart_of(values: Sequence[Mapping[str, object]], name: str | alt.UndefinedType = alt.Undefined) -> alt.Chart:
    """An altair chart of data in it."""
    return alt.Chart(alt.Data(values=values), name=name)  # type: ignore[no-untyped-call]  # altair's own


def label(name: str) -> str:
    """A system's name as a chart can bear it; what is cut goes from the middle."""
    return both_ends(name, 60)


def ends(prefix: str, number: Estimate) -> dict[str, float | None]:
    """A number as three fields of a datum; an unknown end falls on the value."""
    return {
        prefix: number.value,
        f"{prefix}_low": number.value if number.low is None else number.low,
        f"{prefix}_high": number.value if number.high is None else number.high,
    }


def scale_for(values: Sequence[float], *, from_zero: bool = False) -> alt.Scale:
    """Logarithmic when the values span more than a factor of eight; else linear, from 0 or from about the least."""
    positive = [value for value in values if value > 0]
    if positive and len(positive) == len(values) and max(values) > 8 * min(values):
        return alt.Scale(type="log", padding=12, nice=False)
    return alt.Scale(domainMin=0) if from_zero else alt.Scale(zero=False, padding=12)


def marked(row: SystemRow) -> str:
    """A system's name in a table, with a word where its numbers are not to be ranked."""
    return row.system if row.valid else f"{row.system} (INVALID)"


INVALID_HOLLOW = " Hollow marks: INVALID, not ranked."


def name_invalid(rows: Sequence[SystemRow]) -> str:
    """The sentence that names what is not to be ranked, for charts whose marks cannot be hollow."""
    names = [row.system for row in rows if not row.valid]
    return f" INVALID, not ranked: {', '.join(names)}." if names else ""


def note_invalid(rows: Sequence[SystemRow]) -> str:
    """The sentence about hollow marks, where there are any."""
    return "" if all(row.valid for row in rows) else INVALID_HOLLOW
