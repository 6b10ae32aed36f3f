"""The whole text as the answer."""

from __future__ import annotations

from typing import Any

from taskpace.tasks.extractors.base import Extraction, Spans


def _read(text: str, _: dict[str, Any]) -> str | None:
    return text.strip() or None


def _spans(text: str, _: dict[str, Any]) -> Spans:
    """Every visible character changes the answer; trailing white space does not."""
    return [(0, len(text.rstrip()))]


TEXT = Extraction(read=_read, spans=_spans)
