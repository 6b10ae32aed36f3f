"""The reference pages are what the code says: command line, keys, run file, Python interface."""

from __future__ import annotations

import re

import pytest
from tests.reference import FOLDER, MEANINGS, PAGES, REMEDY, SECTIONS, commands, keys, meaning, said_elsewhere

import taskpace


@pytest.mark.parametrize("name", PAGES)
def test_a_rendered_page_is_that_of_the_code(name):
    """The committed page equals the rendered one, so no flag, key or table can be missing or outdated."""
    assert (FOLDER / name).read_text("utf-8") == PAGES[name](), f"docs/reference/{name} is not up to date: {REMEDY}"


def test_every_option_of_every_command_is_on_the_page():
    """Counted without the renderer: each long flag stands in the section of its command."""
    sections = dict(re.findall(r"^## (taskpace [\w ]+)\n(.*?)(?=^## |\Z)", PAGES["cli.md"](), re.DOTALL | re.MULTILINE))
    for name, command, _ in commands():
        for param in command.params:
            for flag in (opt for opt in param.opts if opt.startswith("--") and opt != "--help"):
                assert f"{flag}" in sections[name], f"{name} {flag}"
    assert len(sections) == len(list(commands()))


@pytest.mark.parametrize(("title", "struct"), [(title, struct) for title, _, struct in SECTIONS])
def test_every_key_has_a_meaning_and_no_meaning_is_superfluous(title, struct):
    """A key says what it means in one place; a meaning that is kept for the page belongs to a key that there is."""
    names = {field.name for field in keys(struct)}
    assert all(meaning(title, struct, name) for name in names)
    assert MEANINGS.get(title, {}).keys() <= names
    twice = [name for name in MEANINGS.get(title, {}) if MEANINGS[title][name] == said_elsewhere(struct, name)]
    assert twice == []


def test_every_exported_name_is_on_the_page_of_the_python_interface():
    """What `taskpace` exports is rendered from its docstring at build time, each name once."""
    rendered = re.findall(r"^::: taskpace\.(\w+)$", PAGES["python.md"](), re.MULTILINE)
    assert sorted(rendered) == sorted(set(taskpace.__all__) - {"__version__"})
