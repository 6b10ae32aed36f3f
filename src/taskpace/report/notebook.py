"""A run as a notebook shows it: the answer and the picture for each task, and the table below."""

from __future__ import annotations

import jinja2
from markupsafe import Markup

from taskpace.analysis.schema.summary import Summary
from taskpace.report.charts import panels, to_svg
from taskpace.report.page.table import make_table
from taskpace.report.words.document import document

_TEMPLATE = """\
<div class="taskpace">
{% for warning in warnings %}<p>{{ warning }}</p>{% endfor %}
{% for table, picture in sections %}
<h4>{{ table.title }}</h4>
<p>{{ table.paragraphs[0] }}</p>
{% for caution in table.cautions %}<p>{{ caution }}</p>{% endfor %}
{{ picture }}
<table><thead><tr>{% for heading, _ in table.headings %}<th>{{ heading }}</th>{% endfor %}</tr></thead><tbody>
{% for row in table.rows %}
<tr>{% for cell in row %}<td style="text-align:{{ "left" if table.headings[loop.index0][1] else "right" }}">\
{{ cell.text }}</td>{% endfor %}</tr>
{% endfor %}
</tbody></table>
{% endfor %}
</div>
"""


def notebook_html(summary: Summary) -> str:
    """HTML without scripts, styles of its own or anything from the network; whatever the run holds is escaped."""
    whole = document(summary)
    pictures = {
        (panel.task, panel.scenario): Markup(to_svg(panel.picture))  # noqa: S704 - vl-convert escaped the text in it
        for panel in panels(summary, "speed")
    }
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(_TEMPLATE)
    return template.render(
        warnings=whole.warnings,
        sections=[
            (make_table(block), pictures.get(block.task, Markup())) for block in whole.blocks if block.task is not None
        ],
    )
