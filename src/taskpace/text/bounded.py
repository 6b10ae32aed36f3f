"""Bounds of what comes from outside as nested tables and lists: JSON, TOML, rows of data.

Whatever walks such a value later (hashing, templates, JSON Schema) does so by recursion, so the nesting is bounded
where the value comes in. The check itself does not recurse.
"""

from __future__ import annotations

from typing import Any

import msgspec

MOST_NESTED = 64
"""Levels of lists and tables in one another: more than any data set or settings file has."""


class JsonProblem(ValueError):  # noqa: N818 - named for what it is about
    """What is wrong with a text that should be JSON, in one line without the location."""


def nested_too_deep(value: Any, most: int = MOST_NESTED) -> bool:
    """Whether lists and tables stand more than ``most`` levels deep in one another."""
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
    """The value of a JSON text. Raises ``JsonProblem``: not JSON, a number out of range, nested too deep."""
    try:
        value = msgspec.json.decode(text)
    except RecursionError:
        raise JsonProblem(f"nested more than {MOST_NESTED} levels deep") from None
    except (msgspec.MsgspecError, UnicodeError) as exc:
        raise JsonProblem(f"not JSON ({str(exc).rstrip('.')})") from None
    if nested_too_deep(value):
        raise JsonProblem(f"nested more than {MOST_NESTED} levels deep")
    return value
