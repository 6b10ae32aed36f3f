"""How an answer is read from the visible text. Never a guess: where the text does not say, there is no answer.

An extraction is a pure function of the text and the item's fields. It also says between which lengths of the text its
result can change, so that ``committed`` need not ask again after every arrival.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from taskpace.tasks.extractors import letters
from taskpace.tasks.extractors.json_answer import read_json
from taskpace.tasks.extractors.last_line import read_preference, read_verdict
from taskpace.tasks.extractors.numbers import read_number

Spans = list[tuple[int, int]]
"""Closed ranges of text lengths, in characters: outside them one more character changes nothing."""


class Extraction(msgspec.Struct, frozen=True, kw_only=True):
    """One way to read an answer."""

    read: Callable[[str, dict[str, Any]], str | None]
    """The answer in a text, or null."""
    spans: Callable[[str, dict[str, Any]], Spans] | None
    """Where the answer of the text's beginnings can change; null: anywhere."""
    needs: tuple[str, ...] = ()
    """Fields of the item that it looks at."""
    script: Callable[[dict[str, Any]], tuple[str, str]] | None = None
    """Two texts to choose from, for an engine that only plays, where no scorer says which is right; null: none."""


def _read_letter(text: str, fields: dict[str, Any]) -> str | None:
    return letters.read_letter(text, fields["choices"])


def _letter_spans(text: str, fields: dict[str, Any]) -> Spans:
    return letters.letter_spans(text, fields["choices"])


def _read_text(text: str, _: dict[str, Any]) -> str | None:
    return text.strip() or None


def _text_spans(text: str, _: dict[str, Any]) -> Spans:
    """Every visible character changes the answer; trailing white space does not."""
    return [(0, len(text.rstrip()))]


def _read_number(text: str, _: dict[str, Any]) -> str | None:
    return read_number(text)


def _read_json(text: str, _: dict[str, Any]) -> str | None:
    return read_json(text)


def _read_verdict(text: str, _: dict[str, Any]) -> str | None:
    return read_verdict(text)


def _script_verdict(_: dict[str, Any]) -> tuple[str, str]:
    return "Verdict: correct", "Verdict: wrong"


def _read_preference(text: str, _: dict[str, Any]) -> str | None:
    return read_preference(text)


def _script_preference(fields: dict[str, Any]) -> tuple[str, str]:
    """The better one by the field ``better`` where there is one; and always the first, as of a judge that is biased."""
    return f"Better: {fields.get('better', 'tie')}", "Better: 1"


EXTRACTIONS: dict[str, Extraction] = {
    "letter": Extraction(read=_read_letter, spans=_letter_spans, needs=("choices",)),
    "text": Extraction(read=_read_text, spans=_text_spans),
    "number": Extraction(read=_read_number, spans=None),
    "json": Extraction(read=_read_json, spans=None),
    "verdict": Extraction(read=_read_verdict, spans=None, script=_script_verdict),
    "preference": Extraction(read=_read_preference, spans=None, script=_script_preference),
}
"""Every extraction there is; a new one is a line here."""
