"""JSON in an answer: where it is, and how many of its fields are right."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from taskpace.tasks.extractors.base import Extraction

_FENCE = re.compile(r"```(?:json)?\s*\n(.*?)```", re.DOTALL | re.IGNORECASE)
_MOST_TRIES = 50
_MOST_CHARACTERS = 100_000


def read_json(text: str) -> str | None:
    """The first JSON object in a text, one in a fenced block before others, in one form; null without one."""
    text = text[:_MOST_CHARACTERS]
    for part in (*_FENCE.findall(text), text):
        if (found := _first_object(part)) is not None:
            return json.dumps(found, ensure_ascii=False, sort_keys=True)
    return None


def share_of_fields(value: Any, right: dict[str, Any]) -> float:
    """How many of the right object's fields ``value`` has right, 0 to 1.

    Texts are compared without case and spacing, numbers by value (3 is 3.0, 0.1 + 0.2 is 0.3), lists whatever their
    order. What is beyond the right fields costs nothing here; the schema judges that.
    """
    if not isinstance(value, dict) or not right:
        return 0.0
    return sum(name in value and _same(value[name], wanted) for name, wanted in right.items()) / len(right)


def _first_object(text: str) -> dict[str, Any] | None:
    decoder = json.JSONDecoder()
    start = text.find("{")
    for _ in range(_MOST_TRIES):
        if start < 0:
            return None
        try:
            value, _end = decoder.raw_decode(text, start)
        except (json.JSONDecodeError, RecursionError):
            start = text.find("{", start + 1)
            continue
        if isinstance(value, dict):
            return value
        start = text.find("{", start + 1)
    return None


def _same(value: Any, right: Any) -> bool:
    if isinstance(right, bool) or isinstance(value, bool):
        return value is right
    if isinstance(right, int | float) and isinstance(value, int | float):
        return math.isclose(value, right, rel_tol=1e-9, abs_tol=1e-12)
    if isinstance(right, str) and isinstance(value, str):
        return " ".join(value.casefold().split()) == " ".join(right.casefold().split())
    if isinstance(right, list) and isinstance(value, list):
        left = list(value)
        for wanted in right:
            index = next((index for index, each in enumerate(left) if _same(each, wanted)), None)
            if index is None:
                return False
            del left[index]
        return not left
    if isinstance(right, dict) and isinstance(value, dict):
        return value.keys() == right.keys() and all(_same(value[name], right[name]) for name in right)
    return value is None and right is None


def _read(text: str, _: dict[str, Any]) -> str | None:
    return read_json(text)


JSON = Extraction(read=_read)
