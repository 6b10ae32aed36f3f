"""How much systems write, and how many bytes a token of theirs holds."""

from __future__ import annotations

import altair as alt

from taskpace.analysis.schema.summary import TaskTable
from taskpace.report.charts.panel import Panel, chart_of, label, marked, name_invalid, scale_for
from taskpace.report.charts.theme import GRIDDED_NAMES, NAMES, ROW, SERIES, WIDTH, by_place
from taskpace.report.words.figures import digits

_QUANTILES = ("least", "p25", "p50", "p75", "most")


def verbosity(table: TaskTable, systems: list[str]) -> list[Panel]:
    """The spread of output bytes; empty when nothing was written."""
    shown = [row for row in table.rows if row.written_bytes is not None and row.written_bytes.most > 0]
    if not shown:
        return []
    names = [label(row.system) for row in shown]
    values = [
        {"system": label(row.system)}
        | {name: getattr(row.written_bytes, name) for name in _QUANTILES}
        | {
            "about": f"{label(row.system)}: median {digits(spread.p50, 3)} bytes, half of the answers from "
            f"{digits(spread.p25, 3)} to {digits(spread.p75, 3)}"
        }
        for row in shown
        if (spread := row.written_bytes)
    ]
    x = alt.X(
        "least:Q",
        title="output, bytes",
        scale=scale_for([getattr(row.written_bytes, name) for row in shown for name in _QUANTILES], from_zero=True),
    )
    y = alt.Y("system:N", sort=names, title=None, axis=NAMES)
    colour = by_place(names, systems, "color", SERIES)
    base = chart_of(values)
    picture = alt.layer(
        base.mark_rule(strokeWidth=1.5, aria=False).encode(x=x, x2=alt.X2("most:Q"), y=y, color=colour),
        base.mark_bar(height=ROW - 14, opacity=0.55).encode(
            x=alt.X("p25:Q"), x2=alt.X2("p75:Q"), y=y, color=colour, description=alt.Description("about:N")
        ),
        base.mark_tick(thickness=3, size=ROW - 6, aria=False).encode(x=alt.X("p50:Q"), y=y, color=colour),
    ).properties(width=WIDTH, height=ROW * len(shown))
    return [
        Panel(
            chart="verbosity",
            task=table.task,
            scenario=table.scenario,
            title="How much they write",
            caption="Bytes of answer and reasoning. Tick: median; box: the middle half of the trials; line: from the "
            "least to the most." + name_invalid(shown),
            picture=picture,
            headings=("system", "least", "25 %", "median", "75 %", "most"),
            rows=tuple(
                (marked(row), *(digits(getattr(row.written_bytes, name), 3) for name in _QUANTILES)) for row in shown
            ),
        )
    ]


def tokenizers(table: TaskTable, systems: list[str]) -> list[Panel]:
    """Bytes per token on the same prompts and on what each wrote; empty where no tokens were counted."""
    kinds = (
        ("bytes_per_prompt_token", "the prompts, the same for all", "circle"),
        ("bytes_per_output_token", "its own output", "diamond"),
    )
    values = [
        {
            "system": label(row.system),
            "text": text,
            "bytes": getattr(row, field).value,
            "about": f"{label(row.system)}: {getattr(row, field).value:.2f} bytes per token on {text}",
        }
        for row in table.rows
        for field, text, _ in kinds
        if getattr(row, field).value is not None
    ]
    if not values:
        return []
    names = [label(row.system) for row in table.rows]
    colour = by_place(names, systems, "color", SERIES)
    picture = (
        chart_of(values)
        .mark_point(size=90, filled=True, opacity=1)
        .encode(
            x=alt.X("bytes:Q", title="bytes per token", scale=alt.Scale(zero=True)),
            y=alt.Y("system:N", sort=names, title=None, axis=GRIDDED_NAMES),
            color=colour,
            shape=alt.Shape(
                "text:N",
                scale=alt.Scale(domain=[text for _, text, _ in kinds], range=[shape for *_, shape in kinds]),
                legend=alt.Legend(symbolFillColor="transparent"),
            ),
            description=alt.Description("about:N"),
        )
        .properties(width=WIDTH, height=ROW * len(names))
    )
    return [
        Panel(
            chart="tokenizers",
            task=table.task,
            scenario=table.scenario,
            title="Tokenizers",
            caption="The more bytes a token holds, the fewer tokens the same text takes, and the less tokens per "
            "second say. Prompt tokens include the chat template and the system prompt." + name_invalid(table.rows),
            picture=picture,
            headings=("system", "bytes per prompt token", "bytes per output token"),
            rows=tuple(
                (
                    marked(row),
                    digits(row.bytes_per_prompt_token.value, 3),
                    digits(row.bytes_per_output_token.value, 3),
                )
                for row in table.rows
            ),
        )
    ]
