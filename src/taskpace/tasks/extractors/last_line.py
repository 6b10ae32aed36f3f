"""Reads what a judge decided from the last line of its reply, or nothing.

The last line that is not empty must say it and nothing else: ``Verdict: wrong``, in any case, bold or not, with or
without a full stop. A reply with another such line that says otherwise decides nothing: it may have quoted a text that
wants to be graded, or repeated what it was told.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from taskpace.tasks.extractors.base import Extraction
from taskpace.tasks.plain import composed

VERDICTS = {"correct": "correct", "wrong": "wrong", "incorrect": "wrong"}
PREFERENCES = {"1": "1", "2": "2", "tie": "tie"}

_MARK_UP = " \t*_`#>\"'"
_LONGEST = 80
"""Characters of a line that can be a decision."""
_LINE = re.compile(r"(verdict|better)\s*[:=][\s*_`\"'(\[]*(\w+)[\s*_`\"')\].!]*", re.ASCII)


def read_verdict(text: str) -> str | None:
    """``correct``, ``wrong`` or null."""
    return _read(text, "verdict", VERDICTS)


def read_preference(text: str) -> str | None:
    """``1``, ``2``, ``tie`` or null."""
    return _read(text, "better", PREFERENCES)


def _read(text: str, word: str, known: Mapping[str, str]) -> str | None:
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines or (last := _decision(lines[-1], word, known)) is None:
        return None
    said = {found for line in lines if (found := _decision(line, word, known)) is not None}
    return last if said == {last} else None


def _decision(line: str, word: str, known: Mapping[str, str]) -> str | None:
    if len(line) > _LONGEST:
        return None
    found = _LINE.fullmatch(composed(line).strip(_MARK_UP).lower())
    return known.get(found[2]) if found is not None and found[1] == word else None


def _read_verdict(text: str, _: dict[str, Any]) -> str | None:
    return read_verdict(text)


def _script_verdict(_: dict[str, Any]) -> tuple[str, str]:
    return "Verdict: correct", "Verdict: wrong"


def _read_preference(text: str, _: dict[str, Any]) -> str | None:
    return read_preference(text)


def _script_preference(fields: dict[str, Any]) -> tuple[str, str]:
    """The better one by the field ``better`` where there is one; and always the first, as of a judge that is biased."""
    return f"Better: {fields.get('better', 'tie')}", "Better: 1"


VERDICT = Extraction(read=_read_verdict, script=_script_verdict)
PREFERENCE = Extraction(read=_read_preference, script=_script_preference)
