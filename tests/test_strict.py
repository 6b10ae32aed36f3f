"""Regular expressions put msgspec's messages into a reader's words: they hold as long as msgspec's wording does."""

from __future__ import annotations

import re

import msgspec
import pytest

from taskpace.errors import ExperimentError
from taskpace.text import strict


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    temperature: float = 0.0
    tags: list[str] = []
    names: dict[str, int] = {}


class Outer(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    items: int | None = None
    system: list[Inner] = []


CASES = [
    # the table, msgspec's words, the pattern that reads them with what it finds, a reader's words
    (
        {"name": "x", "itmes": 1},
        "Object contains unknown field `itmes`",
        strict._UNKNOWN_FIELD,
        {"key": "itmes", "path": None},
        'unknown key "itmes" (did you mean "items"?)',
    ),
    (
        {"name": "x", "system": [{}, {"temprature": 1}]},
        "Object contains unknown field `temprature` - at `$.system[1]`",
        strict._UNKNOWN_FIELD,
        {"key": "temprature", "path": "$.system[1]"},
        'system 2: unknown key "temprature" (did you mean "temperature"?)',
    ),
    (
        {},
        "Object missing required field `name`",
        strict._MISSING_FIELD,
        {"key": "name", "path": None},
        'the key "name" is missing: add it',
    ),
    (
        {"name": "x", "items": "many"},
        "Expected `int | null`, got `str` - at `$.items`",
        strict._AT_PATH,
        {"problem": "Expected `int | null`, got `str`", "path": "$.items"},
        'key "items": expected a whole number, got text',
    ),
    (
        {"name": "x", "system": [{"tags": ["a", 1]}]},
        "Expected `str`, got `int` - at `$.system[0].tags[1]`",
        strict._AT_PATH,
        {"problem": "Expected `str`, got `int`", "path": "$.system[0].tags[1]"},
        "system 1, tags 2: expected text, got a whole number",
    ),
    (
        {"name": "x", "system": [{"names": {"a": None}}]},
        "Expected `int`, got `null` - at `$.system[0].names[...]`",
        strict._AT_PATH,
        {"problem": "Expected `int`, got `null`", "path": "$.system[0].names[...]"},
        'system 1, key "names": expected a whole number, got nothing',
    ),
    (
        [],
        "Expected `object`, got `array`",
        strict._AT_PATH,
        {"problem": "Expected `object`, got `array`", "path": None},
        "expected a table, got a list",
    ),
]


@pytest.mark.parametrize(("table", "said", "pattern", "found", "words"), CASES)
def test_msgspec_says_what_our_patterns_read(table, said, pattern: re.Pattern[str], found, words):
    """Each pattern reads a real message of the installed msgspec, and a reader gets it in other words."""
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(table, Outer, strict=True)
    assert str(caught.value) == said, (
        f"msgspec {msgspec.__version__} words its errors differently: adapt the patterns in src/taskpace/text/strict.py"
    )
    matched = pattern.match(said)
    assert matched is not None
    assert matched.groupdict() == found
    with pytest.raises(ExperimentError) as explained:
        strict.convert(table, Outer, ExperimentError, location="x.toml")
    assert str(explained.value) == f"x.toml: {words}"


def test_every_kind_that_msgspec_names_has_a_readers_word():
    """No type that TOML knows is called by msgspec's name for it."""
    values = {"int": 1, "float": 1.5, "str": "x", "bool": True, "array": [], "object": {}, "null": None}
    assert set(strict._KINDS) == set(values)
    for kind, value in values.items():
        with pytest.raises(msgspec.ValidationError, match=f"got `{kind}`"):
            msgspec.convert(value, int if kind == "array" else list[int], strict=True)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("read", [strict.read_text, lambda path, error: strict.read_toml(path, Outer, error)])
def test_a_file_in_utf_16_says_so(tmp_path, encoding, read):
    """With a byte order mark or without one it is one line with the file and the remedy, not a complaint of a key."""
    path = tmp_path / "x.toml"
    path.write_bytes('name = "x"\n'.encode(encoding))
    with pytest.raises(ExperimentError) as raised:
        read(path, ExperimentError)
    assert str(raised.value) == f"{path}: is UTF-16 text: save the file as UTF-8"


@pytest.mark.parametrize("content", [b"", b"a", "\ufeffé".encode(), "ā = 1".encode()])
def test_short_and_marked_utf_8_is_no_utf_16(content):
    """A byte order mark of UTF-8, a letter beyond ASCII at the start, and hardly anything at all are UTF-8."""
    assert not strict.is_utf16(content)
