"""The check that keeps replaced words out (``make check``): what it reads, what it finds, where."""

from __future__ import annotations

import pytest
from tests.words.check import LIST, ROOT, files, rules, search

PHRASES, WITHOUT = rules(LIST.read_text("utf-8"))
CODE = '''"""What there is."""

nobody = 1  # The worker died
text = "Nobody waits."
"""A mean
of which little is known."""
# A wrong number speaks
# for itself.
'''


def found(name: str, text: str) -> list[tuple[int, str]]:
    return sorted((each.line, each.phrase) for each in search(ROOT / name, text, PHRASES))


def test_strings_docstrings_and_comments_are_read_and_code_is_not():
    """Line and phrase of each, across a line end, too; a name in the code is no prose."""
    docstrings = [(1, "What there is"), (3, "died"), (5, "mean of which"), (7, "speaks")]
    assert found("src/x.py", CODE) == sorted([*docstrings, (4, "Nobody")])
    assert found("tests/x.py", CODE) == docstrings


def test_all_text_of_a_page_is_read_but_for_a_waived_line():
    """A page is prose from its first line to its last."""
    page = "# Title\n\nThe summary tells it.\nA gap, of which\nmore later. <!-- words: as it is -->\nIt died.\n"
    assert found("docs/x.md", page) == [(3, "tells"), (4, "gap, of which"), (6, "died")]
    assert found("docs/x.md", "The summary tells it. <!-- words: as it is -->\n") == []


def test_pages_code_and_examples_are_read():
    """The files of every folder that has words, and none that the list leaves out."""
    names = {str(file.relative_to(ROOT)) for file in files(WITHOUT)}
    assert {"README.md", "docs/claims.md", "src/taskpace/api.py", "tests/test_cli.py", "examples/demo.toml"} <= names
    assert "tests/words/words.toml" not in names


def test_a_list_that_cannot_be_read_is_refused():
    """A phrase that is no regular expression, or is there twice, is an error and not a check less."""
    with pytest.raises(ValueError, match="unterminated"):
        rules('without = []\n[[phrase]]\nmatch = "(a"\ninstead = "b"\n')
    twice = '[[phrase]]\nmatch = "a"\ninstead = "b"\n'
    with pytest.raises(ValueError, match="twice"):
        rules("without = []\n" + twice + twice)
