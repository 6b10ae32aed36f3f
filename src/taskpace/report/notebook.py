"""A run as a notebook shows it: the answer and the picture for each task, and the table below."""

from __future__ import annotations

import jinja2
from markupsafe import Markup

from taskpace.analysis.schema.summary import Summary, TaskTable
from taskpace.report.charts import panels, to_svg
from taskpace.report.words.columns import TEXT_COLUMNS, columns
from taskpace.report.words.figures import reason_line, table_title
from taskpace.report.words.sentences import sentences
from taskpace.text.safe_text import printable

_TEMPLATE = """\
<div class="taskpace">
{% if unfinished %}<p>{{ unfinished }}</p>{% endif %}
{% for table in tables %}
<h4>{{ table.title }}</h4>
<p>{{ table.answer }}</p>
{% for reason in table.reasons %}<p>{{ reason }}</p>{% endfor %}
{{ table.picture }}
<table><thead><tr>{% for heading, _, _ in table.columns %}<th>{{ heading }}</th>{% endfor %}</tr></thead><tbody>
{% for index in range(table.rows) %}
<tr>{% for _, is_text, cells in table.columns %}<td style="text-align:{{ "left" if is_text else "right" }}">\
{{ cells[index] }}</td>{% endfor %}</tr>
{% endfor %}
</tbody></table>
{% endfor %}
</div>
"""


def notebook_html(summary: Summary) -> str:
    """HTML without scripts, styles of its own or anything from the network; whatever the run holds is escaped."""
    pictures = {
        (panel.task, panel.scenario): Markup(to_svg(panel.picture))  # noqa: S704 - vl-convert escaped the text in it
        for panel in panels(summary, "speed")
    }
    unfinished = f"{summary.done} of {summary.planned} trials; the rest has not been run."
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(_TEMPLATE)
    return template.render(
        unfinished=unfinished if summary.done < summary.planned else "",
        tables=[_table(table, pictures.get((table.task, table.scenario), Markup())) for table in summary.tables],
    )


def _table(table: TaskTable, picture: Markup) -> dict[str, object]:
    return {
        "title": printable(table_title(table)),
        "answer": printable(sentences(table)[0]),
        "reasons": [printable(f"{row.system}: {reason_line(reason)}") for row in table.rows for reason in row.reasons],
        "picture": picture,
        "rows": len(table.rows),
        "columns": [
            (heading, heading in TEXT_COLUMNS, [printable(cell) for cell in cells])
            for heading, cells in columns(table.rows)
        ],
    }
