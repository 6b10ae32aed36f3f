"""Templates: what they may do, and that whatever else is tried is refused in one line, before anything is asked."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from taskpace.errors import TaskError
from taskpace.tasks import load_task
from taskpace.tasks.templates import BARE_PROMPT, TemplateProblem, fields_used, run_template

FIELDS = {"question": "Where?", "points": [["a", "b"], ["c"]], "index": 2, "table": {"key": "value"}}

PYTHON = [
    "{{ ''.__class__ }}",
    "{{ question.__class__.__mro__ }}",
    "{{ question['__class__'] }}",
    "{{ self.__init__.__globals__ }}",
    "{{ self }}",
    "{% for x in ().__class__.__base__.__subclasses__() %}{% endfor %}",
    "{{ cycler.__init__ }}",
    "{{ question | attr('__class__') }}",
    "{{ question | map(attribute='__class__') | list }}",
    "{{ '{0.__class__}'.format(question) }}",
    "{{ question.format_map(table) }}",
    "{{ '%s' % question }}",
    "{{ '%s' | format(question) }}",
    "{{ lipsum() }}",
    "{{ question() }}",
    "{{ table['key']() }}",
    "{% import 'os' as os %}",
    "{% include '/etc/passwd' %}",
    "{% extends 'x' %}",
    "{% macro m() %}{% endmacro %}",
]
BOMBS = [
    "{% for i in range(10**9) %}{% endfor %}",
    "{% for i in range(1000000000) %}{% endfor %}",
    "{{ 9 ** 9 ** 9 }}",
    "{{ 'a' * 1000000000 }}",
    "{{ 'a' | center(1000000000) }}",
    "{{ 'a' | indent(1000000000) }}",
    "{{ '%0999999999d' | format(1) }}",
    "{% set x = question ~ question %}",
    "{% for a in question recursive %}{{ loop(question) }}{% endfor %}",
    "{% for a in question %}" * 4 + "{% endfor %}" * 4,
]


@pytest.mark.parametrize("template", [*PYTHON, *BOMBS])
def test_what_a_template_may_not_do_is_refused_when_the_task_is_loaded(tmp_path: Path, template: str) -> None:
    """One line with the file, the turn, the line in the template and the remedy; nothing was compiled or run."""
    assert "'''" not in template
    (tmp_path / "mine.toml").write_text(
        'name = "mine"\nversion = 1\ndescription = "d"\nmax_tokens = 9\ndata = { source = "rows.jsonl" }\n'
        f"[[turns]]\nprompt = '{{{{ question }}}}'\n[[turns]]\nprompt = '''\nSay\n{template}'''\n",
        "utf-8",
    )
    with pytest.raises(TaskError) as caught:
        load_task("mine.toml", tmp_path)
    assert str(caught.value).startswith(f'{tmp_path / "mine.toml"}: turn 2, key "prompt": line 2: ')
    assert "a template may use the item's fields, if, for and filters" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{{ question['_' ~ '_class__'] }}", "unsafe"),
        ("{{ question | map('attr', 'x') | list }}", "No filter named"),
        ("{{ table.nothing }}", "no attribute"),
        ("{{ '{' + question }}{{ index + question }}", "TypeError"),
        ("{{ cycler }}", "is undefined: the item's fields are index, points, question, table"),
        ("{% for a in question %}" * 3 + "{{ question | replace('', question) }}" + "{% endfor %}" * 3, None),
        ("{{ question" + " | replace('', 'aaaaaaaaaa')" * 20 + " }}", "makes more than"),
        ("{{ question" + " | join('aaaaaaaaaa')" * 20 + " }}", "makes more than"),
        (
            "{% for a in question %}{% for b in long %}{% for c in long %}x{% endfor %}{% endfor %}{% endfor %}",
            "goes round",
        ),
    ],
)
def test_what_only_shows_when_it_runs_is_refused_then(template: str, words: str | None) -> None:
    """Names put together, misfitting values, and texts that grow without end; what stays small is let be."""
    fields = FIELDS | ({"long": "x" * 1000} if "long" in template else {})
    if words is None:
        assert run_template(template, fields)
        return
    with pytest.raises(TemplateProblem, match=words):
        run_template(template, fields)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ question.upper() }} {{ question | lower }}", "WHERE? where?"),
        ("{% for p in points %}{{ p[0] }}{% if not loop.last %}, {% endif %}{% endfor %}", "a, c"),
        ("{{ index | letter }} {{ index + 1 }} {{ question[:3] }}", "C 3 Whe"),
        ("{{ table | json }} {{ table.key }} {{ table['key'] }}", '{"key": "value"} value value'),
        ("{{ points[0] | join(' or ') }}", "a or b"),
        ("{{ hint | default('none') }}{% if hint is defined %}!{% endif %}", "none"),
        ("{{ 'yes' if index > 1 and 'W' in question else 'no' }}", "yes"),
        ("{% for key, value in table.items() %}{{ key }}={{ value }}{% endfor %}", "key=value"),
        ("{{ question | replace('Where', 'When') | trim }}", "When?"),
        ("__class__ of ** {# a comment #}{% raw %}{{ }}{% endraw %}", "__class__ of ** {{ }}"),
    ],
)
def test_what_a_prompt_needs_is_allowed(template: str, text: str) -> None:
    """Fields, choices, loops, filters, methods that read; and plain text may say anything."""
    assert run_template(template, FIELDS) == text


def test_a_misspelt_filter_is_told_from_one_that_is_not_for_templates() -> None:
    """One gets the name that was meant, the other its own."""
    with pytest.raises(TaskError, match=r'unknown filter "uper" \(did you mean "upper"'):
        fields_used("{{ a | uper }}", "here")
    with pytest.raises(TaskError, match='the filter "attr" is not for templates'):
        fields_used("{{ a | attr(b) }}", "here")


@settings(max_examples=2 * settings.default.max_examples, deadline=None)
@given(st.text(alphabet="{}%#|().[]'_ abcinfor*~0123", max_size=40))
def test_any_text_is_either_a_template_or_refused_in_one_line(text: str) -> None:
    """Whatever is written, the answer is the fields used or one line that starts with the place."""
    try:
        fields_used(text, "here")
    except TaskError as exc:
        assert str(exc).startswith("here: ")  # noqa: PT017 - either way is right
        assert "\n" not in str(exc)  # noqa: PT017 - likewise


@given(
    st.dictionaries(st.sampled_from(["prompt", "answer"]), st.text(max_size=20) | st.integers() | st.none(), max_size=2)
)
def test_a_bare_prompt_is_what_jinja2_makes_of_it(fields):
    """The short way for lists of prompts gives the text, or the error, that the template would give."""

    def made(template: str) -> str:
        try:
            return run_template(template, fields)
        except TemplateProblem as exc:
            return f"error: {exc}"

    other_spelling = "{{prompt}}"
    assert made(BARE_PROMPT) == made(other_spelling)
    assert fields_used(BARE_PROMPT, "x") == fields_used(other_spelling, "x")
