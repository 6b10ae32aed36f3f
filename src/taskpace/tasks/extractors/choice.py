"""The letter of a choice as the answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from taskpace.tasks.extractors.base import Extraction
from taskpace.tasks.extractors.letters import letters_of_beginnings, read_letter


def _read(text: str, fields: dict[str, Any]) -> str | None:
    return read_letter(text, fields["choices"])


def _beginnings(text: str, fields: dict[str, Any]) -> Callable[[int], str | None]:
    return letters_of_beginnings(text, fields["choices"])


LETTER = Extraction(read=_read, beginnings=_beginnings, needs=("choices",))
