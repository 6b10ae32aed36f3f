"""A run as a notebook shows it: the answer and the picture for each task, and the table below."""

from __future__ import annotations

import jinja2
from markupsafe import Markup

from taskpace.analysis.schema.summary import Summary
from taskpace.errors import MissingExtraError
from taskpace.report.drawing import require_charts
from taskpace.report.page.table import make_table
from taskpace.report.words.answer import make_answer
from taskpace.report.words.document import document

_TEMPLATE = """\
{%- macro shown(table) -%}
<table><thead><tr>{% for heading, _ in table.headings %}<th>{{ heading }}</th>{% endfor %}</tr></thead><tbody>
{% for row in table.rows %}
<tr>{% for cell in row %}<td style="text-align:{{ "left" if table.headings[loop.index0][1] else "right" }}">\
{{ cell.text }}</td>{% endfor %}</tr>
{% endfor %}
</tbody></table>
{%- endmacro -%}
<div class="taskpace">
{% for verdict in answer.verdicts %}
<p>{% if loop.first %}<b>{{ verdict }}</b>{% else %}{{ verdict }}{% endif %}</p>
{% endfor %}
{{ lead_picture }}
{{ shown(lead) }}
{% for sentence in lead.paragraphs %}<p>{{ sentence }}</p>{% endfor %}
{% if answer.advice %}<ul>{% for one in answer.advice %}<li>{{ one.sentence }}</li>{% endfor %}</ul>{% endif %}
{% for warning in warnings %}<p>{{ warning }}</p>{% endfor %}
{% for table, picture in sections %}
<h4>{{ table.title }}</h4>
<p>{{ table.paragraphs[0] }}</p>
{% for caution in table.cautions %}<p>{{ caution }}</p>{% endfor %}
{{ picture }}
{{ shown(table) }}
{% endfor %}
</div>
"""


def notebook_html(summary: Summary, file: str | None = None) -> str:
    """HTML without scripts, styles of its own or anything from the network; whatever the run holds is escaped.

    ``file``: the run file's name, for commands.
    """
    whole = document(summary, file)
    warnings, pictures = whole.warnings, {}
    try:
        pictures = _pictures(summary)
    except MissingExtraError as exc:
        warnings = (*warnings, f"No pictures: {exc}")
    answer = make_answer(summary, file)
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(_TEMPLATE)
    return template.render(
        answer=answer,
        lead=make_table(answer.block),
        lead_picture=Markup() if answer.table is None else pictures.pop(answer.table, Markup()),
        warnings=warnings,
        sections=[
            (make_table(block), pictures.get(block.task, Markup())) for block in whole.blocks if block.task is not None
        ],
    )


def _pictures(summary: Summary) -> dict[tuple[str, str], Markup]:
    """By task and scenario. Raises ``MissingExtraError`` without the libraries that draw them."""
    require_charts("a picture")
    from taskpace.report.charts import panels, to_svg

    return {
        (panel.task, panel.scenario): Markup(to_svg(panel.picture))  # noqa: S704 - vl-convert escaped the text in it
        for panel in panels(summary, "speed")
    }
