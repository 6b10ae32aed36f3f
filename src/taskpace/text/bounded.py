"""Bounds of what comes from outside as nested tables and lists: JSON, TOML, rows of data.

Whatever walks such a value later (hashing, templates, JSON Schema) does so by recursion, so the nesting is bounded
where the value comes in. The check itself does not recurse.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

MOST_NESTED = 64
"""Levels of lists and tables in one another: more than any data set or settings file has."""
_decode = msgspec.json.Decoder().decode


_CONSTANT = re.compile(r'"(?:[^"\\]|\\.)*+"?|NaN|Infinity', re.DOTALL)
"""A text within JSON, to its end if it has one, so that time is linear; or what Python writes and JSON has not."""
_INFINITE = re.compile(r'"(?:[^"\\]|\\.)*+"?|-?Infinity', re.DOTALL)
"""A text within JSON, or an infinite number with its sign."""
_HALF = re.compile(
    r"\\(?:u[dD][89aAbB][\da-fA-F]{2}\\u[dD][c-fC-F][\da-fA-F]{2}|(u[dD][89a-fA-F][\da-fA-F]{2})|.)", re.DOTALL
)
"""An escape within JSON; its group is a surrogate that is not part of a pair."""


class JsonProblem(ValueError):  # noqa: N818 - named for what it is about
    """What is wrong with a text that should be JSON, in one line without the location."""


def nested_too_deep(value: Any, most: int = MOST_NESTED) -> bool:
    """Whether lists and tables stand more than ``most`` levels deep in one another."""
    if isinstance(value, str):
        return False  # as most are
    level = [value]
    for _ in range(most + 1):
        below: list[Any] = []
        for each in level:
            if isinstance(each, dict):
                below.extend(each.values())
            elif isinstance(each, list | tuple):
                below.extend(each)
        if not below:
            return False
        level = below
    return True


def leaves(value: Any) -> list[Any]:
    """The values that lists and tables are made of, keys left out."""
    found, rest = [], [value]
    while rest:
        here = rest.pop()
        if isinstance(here, dict):
            rest.extend(here.values())
        elif isinstance(here, list | tuple):
            rest.extend(here)
        else:
            found.append(here)
    return found


def decode_json(text: str) -> Any:
    """The value of a JSON text; null for NaN, which JSON has not, but Python and data frames write for no value.

    Raises ``JsonProblem``: not JSON, a number out of range, nested too deep.
    """
    try:
        try:
            value = _decode(text)
        except msgspec.DecodeError as exc:
            value = _decoded_again(text, exc)
    except RecursionError:
        raise JsonProblem(f"nested more than {MOST_NESTED} levels deep") from None
    except (msgspec.MsgspecError, UnicodeError) as exc:
        raise JsonProblem(f"not JSON ({str(exc).rstrip('.')})") from None
    # Each level begins with a bracket: of few nothing need be looked through.
    if text.count("[") + text.count("{") > MOST_NESTED and nested_too_deep(value):
        raise JsonProblem(f"nested more than {MOST_NESTED} levels deep")
    return value


def decode_lenient(text: str) -> Any:
    """Decode JSON of programs that do not keep to its rules: U+FFFD for half a character, null for an infinite number.

    Raises ``JsonProblem`` as ``decode_json`` does.
    """
    try:
        return decode_json(text)
    except JsonProblem:
        whole = _HALF.sub(lambda found: "\\ufffd" if found[1] else found[0], text)
        mended = _INFINITE.sub(lambda found: "null" if found[0].endswith("Infinity") else found[0], whole)
        if mended == text:
            raise
        return decode_json(mended)


def _decoded_again(text: str, problem: msgspec.DecodeError) -> Any:
    """The value of what is JSON but for NaN. Raises ``JsonProblem``, or the problem where there is no more to say."""
    if half := next((found[1] for found in _HALF.finditer(text) if found[1]), None):
        raise JsonProblem(f"JSON with half a character (\\{half}, a lone surrogate)")
    constants = {found[0] for found in _CONSTANT.finditer(text)}
    if "Infinity" in constants:
        raise JsonProblem("not JSON (Infinity is not a number in it)")
    if "NaN" not in constants:
        raise problem
    try:
        return msgspec.json.decode(_CONSTANT.sub(lambda found: "null" if found[0] == "NaN" else found[0], text))
    except msgspec.DecodeError as exc:
        # Where it says the byte, that of another text is meant.
        raise JsonProblem(f"not JSON ({re.sub(r' .byte .*', '', str(exc)).rstrip('.')})") from None
