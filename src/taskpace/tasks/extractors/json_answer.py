"""JSON in an answer: where it is, and how many of its fields are right."""

from __future__ import annotations

import json
import math
import re
from typing import Any

from taskpace.tasks.extractors.base import Extraction
from taskpace.tasks.plain import composed

_FENCE = "```"
_MOST_TRIES = 50
_MOST_FENCES = 20
_MOST_CHARACTERS = 100_000
_MOST_DIGITS = 300
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def read_json(text: str) -> str | None:
    """The first JSON object in a text, one in a fenced block before others, in one form; null without one."""
    text = text[:_MOST_CHARACTERS]
    for part in (*_fenced(text), text):
        if (found := _first_object(part)) is not None:
            return found
    return None


def share_of_fields(value: Any, right: dict[str, Any]) -> float:
    """How many of the right object's fields ``value`` has right, 0 to 1.

    Texts are compared without case and spacing, numbers by value (3 is 3.0, 0.1 + 0.2 is 0.3), lists whatever their
    order. What is beyond the right fields costs nothing here; the schema judges that.
    """
    if not isinstance(value, dict) or not right:
        return 0.0
    return sum(name in value and _same(value[name], wanted) for name, wanted in right.items()) / len(right)


def _fenced(text: str) -> list[str]:
    """What is in fenced blocks, without the line that opens each; an open block is none."""
    blocks = text.split(_FENCE, 2 * _MOST_FENCES)[1::2]
    return [block.partition("\n")[2] for block in blocks[: (text.count(_FENCE)) // 2]]


def _number(digits: str) -> int:
    """Raises ``ValueError`` for a number that is as long as a text: no field holds it."""
    if len(digits) > _MOST_DIGITS:
        raise ValueError("too long a number")
    return int(digits)


def _no_number(name: str) -> float:
    """Raises ``ValueError``: NaN and infinities are not JSON."""
    raise ValueError(name)


def _real(digits: str) -> float:
    """Raises ``ValueError`` for a number that is greater than any."""
    value = float(digits)
    return value if math.isfinite(value) else _no_number(digits)


def _first_object(text: str) -> str | None:
    """In one form: its keys in order, half of an emoji replaced, as it is not text that could be stored."""
    decoder = json.JSONDecoder(parse_int=_number, parse_float=_real, parse_constant=_no_number)
    start = text.find("{")
    for _ in range(_MOST_TRIES):
        if start < 0:
            return None
        try:
            value, _end = decoder.raw_decode(text, start)
            if isinstance(value, dict):
                return _LONE_SURROGATE.sub("\ufffd", json.dumps(value, ensure_ascii=False, sort_keys=True))
        except (ValueError, RecursionError):
            pass
        start = text.find("{", start + 1)
    return None


def _same(value: Any, right: Any) -> bool:
    if isinstance(right, bool) or isinstance(value, bool):
        return value is right
    if isinstance(right, int | float) and isinstance(value, int | float):
        return value == right or (
            _fits(value) and _fits(right) and math.isclose(value, right, rel_tol=1e-9, abs_tol=1e-12)
        )
    if isinstance(right, str) and isinstance(value, str):
        return _comparable(value) == _comparable(right)
    if isinstance(right, list) and isinstance(value, list):
        if len(value) != len(right):
            return False
        left = list(value)
        for wanted in right:
            index = next((index for index, each in enumerate(left) if _same(each, wanted)), None)
            if index is None:
                return False
            del left[index]
        return True
    if isinstance(right, dict) and isinstance(value, dict):
        return value.keys() == right.keys() and all(_same(value[name], right[name]) for name in right)
    return value is None and right is None


def _comparable(text: str) -> str:
    return " ".join(composed(text).casefold().split())


def _fits(number: float) -> bool:
    """Whether a floating-point number holds it."""
    return abs(number) < 10**300


def _read(text: str, _: dict[str, Any]) -> str | None:
    return read_json(text)


JSON = Extraction(read=_read)
