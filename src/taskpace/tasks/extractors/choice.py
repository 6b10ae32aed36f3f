"""The letter of a choice as the answer."""

from __future__ import annotations

from typing import Any

from taskpace.tasks.extractors.base import Extraction, Spans
from taskpace.tasks.extractors.letters import letter_spans, read_letter


def _read(text: str, fields: dict[str, Any]) -> str | None:
    return read_letter(text, fields["choices"])


def _spans(text: str, fields: dict[str, Any]) -> Spans:
    return letter_spans(text, fields["choices"])


LETTER = Extraction(read=_read, spans=_spans, needs=("choices",))
