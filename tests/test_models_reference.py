from __future__ import annotations

import pytest
from hypothesis import example, given, strategies as st

from taskpace.errors import ModelError
from taskpace.models.reference import (
    CatalogueReference,
    HubReference,
    PathReference,
    WheelReference,
    is_safe_member,
    parse_reference,
)
from taskpace.text.safe_text import column_width, one_line

NAMES = frozenset({"smollm2-135m", "gemma3-270m"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("smollm2-135m", CatalogueReference("smollm2-135m")),
        ("./smollm2-135m", PathReference("./smollm2-135m")),
        ("models/a b.gguf", PathReference("models/a b.gguf")),
        ("C:\\models\\a.gguf", PathReference("C:\\models\\a.gguf")),
        ("hf:owner/repo/a.gguf", HubReference("owner/repo", "a.gguf")),
        ("hf:owner/repo@v1.0/q4/a.gguf", HubReference("owner/repo", "q4/a.gguf", "v1.0")),
        ("pypi:Some_Pkg==1.0.post1/pkg/a.gguf", WheelReference("Some_Pkg", "1.0.post1", "pkg/a.gguf")),
    ],
)
def test_each_form_is_read(text, expected):
    """Each documented form of a reference is distinguished from the others."""
    assert parse_reference(text, NAMES) == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("   ", "is empty"),
        ("a\nb", "control characters"),
        ("a\ud800", "control characters"),
        ("hf:", "is not of the form hf:owner/repo"),
        ("hf:owner/repo", "is not of the form hf:owner/repo"),
        ("hf:owner/repo/../../x.gguf", "is not of the form hf:owner/repo"),
        ("hf:owner/repo@/x.gguf", "is not of the form hf:owner/repo"),
        ("pypi:pkg/x.gguf", "is not of the form pypi:package==version/path"),
        ("pypi:pkg==1.*/x.gguf", "is not of the form pypi:package==version/path"),
        ("pypi:pkg==1/../x", "is not of the form pypi:package==version/path"),
        ("pypi:--index-url==1/x", "is not of the form pypi:package==version/path"),
        ("https://user:secret@example.org/x.gguf", "a URL is not a model reference"),
    ],
)
def test_malformed_references_show_the_form(text, says):
    """A malformed reference is refused in one line that shows the right form and repeats no password."""
    with pytest.raises(ModelError) as caught:
        parse_reference(text, NAMES)
    message = str(caught.value)
    assert says in message
    assert "\n" not in message
    assert "secret" not in message


PIECES = [
    "hf:",
    "pypi:",
    "owner",
    "/",
    "repo",
    "@",
    "v1",
    "==",
    "1.0",
    "a.gguf",
    "..",
    ".",
    "\\",
    ":",
    " ",
    "\n",
    "-",
    "é",
]
ANY_TEXT = st.one_of(st.text(st.characters()), st.lists(st.sampled_from(PIECES), max_size=12).map("".join))


@given(ANY_TEXT)
def test_parsing_round_trips_or_says_why(text):
    """Whatever the text, parsing gives a value that prints as the text again, or a ModelError of one line."""
    try:
        parsed = parse_reference(text, NAMES)
    except ModelError as error:
        message = str(error)
    else:
        message = "none"
        assert str(parsed) == text
        assert parse_reference(str(parsed), NAMES) == parsed
    assert len(message.splitlines()) == 1


@given(st.lists(st.sampled_from(["a", "..", ".", "", "C:", "...", " ", "x\\y"]), min_size=1).map("/".join))
def test_a_safe_member_stays_inside(member):
    """A path that counts as safe never leaves the folder it is unpacked to."""
    if is_safe_member(member):
        parts = member.split("/")
        assert not {"", ".", "..", "...", " "} & set(parts)
        assert "\\" not in member
        assert ":" not in member


@given(st.text(st.characters()), st.integers(min_value=1, max_value=50))
@example("000\u093a", 3)
def test_one_line_is_one_short_line(text, limit):
    """Foreign text in a message becomes one line of so many columns, with no heap of marks that take none."""
    shown = one_line(text, limit)
    assert len(shown.splitlines()) <= 1
    assert column_width(shown) <= limit
    assert len(shown) <= 4 * limit
