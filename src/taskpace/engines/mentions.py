"""Whether a marker that is in a text was written to work, or is spoken of: in quotes, in code, in a sentence. Pure.

This cannot be known for sure. Listed here is how people, and models that explain themselves, write of a tag. Of
each marker only the line around it is looked at, and of that line no more than some thousand characters.
"""

from __future__ import annotations

import re
from bisect import bisect
from typing import Literal

Mention = Literal["quoted", "spoken"]
"""``quoted``: no reader takes it for a marker. ``spoken``: the text mentions a tag; reasoning may end so by chance."""

_AROUND = 10_000
"""Characters of a line on each side."""
_PAIRED = {"“": "”“", "”": "”", "„": "“”", "‘": "’‘", "’": "’", "«": "»", "»": "«", "(": ")", "[": "]", "{": "}"}
_ALIKE = "\"'*_~"
"""Quotes, bold and italic of Markdown, that begin and end alike."""
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})([^\n]*)$", re.MULTILINE)
_BULLET = re.compile(r"\s*(?:\d{1,3}[.)]|[-*+•–])\s*")
_SAID_OF = re.compile(
    r"[,;:][ \t]|[ \t]+(?:and|or|is|are|was|were|ist|est|opens?|closes?|ends?|begins?|starts?|marks?|means?|stands"
    r"|delimits?|denotes?|indicates?|terminates?|separates?|signals?|tells?|wraps?|encloses?|tags?|tokens?|markers?)\b"
)
"""What follows a tag that is the subject of a sentence."""


class Mentions:
    """Of one text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._fences: list[int] | None = None
        """Where code blocks begin and end, in turn."""

    def of(self, begin: int, end: int) -> Mention | None:
        """How a marker at this place is spoken of; null: it stands by itself."""
        text = self._text
        before = text[max(text.rfind("\n", 0, begin) + 1, begin - _AROUND) : begin]
        after = text[end : end + _AROUND].partition("\n")[0]
        if _is_quoted(before, after):
            return "quoted"
        if _is_in_table(before, after) or _is_in_sentence(before, after) or self._is_in_code(begin):
            return "spoken"
        return None

    def is_subject(self, end: int) -> bool:
        """Whether what follows a marker that ends there says something of it."""
        return _SAID_OF.match(self._text, end) is not None

    def _is_in_code(self, at: int) -> bool:
        if self._fences is None:
            self._fences = _find_fences(self._text) if "```" in self._text or "~~~" in self._text else []
        return bisect(self._fences, at) % 2 == 1


def _find_fences(text: str) -> list[int]:
    """Where fenced code blocks begin and end (CommonMark 0.31, section 4.5); one that is never closed is none."""
    edges: list[int] = []
    opening = ""
    for found in _FENCE.finditer(text):
        fence, info = found.groups()
        if not opening:
            opening = fence
            edges.append(found.start())
        elif fence.startswith(opening) and not info.strip():
            opening = ""
            edges.append(found.end())
    return edges[:-1] if opening else edges


def _is_quoted(before: str, after: str) -> bool:
    """Within quotes, brackets, emphasis, a code span or a comment."""
    if before.count("`") % 2 and "`" in after:
        return True
    if before.rfind("<!--") > before.rfind("-->") and "-->" in after:
        return True
    if not before or not after:
        return False
    last, first = before[-1], after[0]
    if first in _PAIRED.get(last, ""):
        return True
    if last != first or last not in _ALIKE:
        return False
    if last == "'":  # or an apostrophe, which has no partner
        return not before[-2:-1].isalnum()
    run = last * (len(before) - len(before.rstrip(last)))
    return before.count(run) % 2 == 1


def _is_in_table(before: str, after: str) -> bool:
    """With bars at the edges of the row or without, in any of its columns."""
    row = before.lstrip().startswith("|") and after.rstrip().endswith("|")
    is_first = not before.strip() and after.startswith(" ") and after.lstrip().startswith("|")
    return row or is_first or before.rstrip().endswith("|")


def _is_in_sentence(before: str, after: str) -> bool:
    """The subject or the object of a sentence, or the beginning of a list's entry."""
    if not after.strip():
        return False
    if _SAID_OF.match(after) or _BULLET.fullmatch(before):
        return True
    if not before.endswith(" ") or not before.rstrip()[-1:].isalpha():
        return False
    return after[0] in ".,;:!?)" or (after.startswith(" ") and after.lstrip()[0].islower())
