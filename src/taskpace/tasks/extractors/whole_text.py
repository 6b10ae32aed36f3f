"""The whole text as the answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from taskpace.tasks.extractors.base import Extraction


def _read(text: str, _: dict[str, Any]) -> str | None:
    return text.strip() or None


def _beginnings(text: str, _: dict[str, Any]) -> Callable[[int], str | None]:
    """Every visible character changes the answer; trailing white space does not."""
    whole = text.strip() or None
    start, end = len(text) - len(text.lstrip()), len(text.rstrip())

    def answer(length: int) -> str | None:
        return whole if length >= end else text[start:length].rstrip() or None

    return answer


TEXT = Extraction(read=_read, beginnings=_beginnings)
