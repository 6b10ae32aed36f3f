"""A text cut into sentences, so that each is read once, however the text came to its reader.

A sentence ends at a line's end, after a full stop, question or exclamation mark in front of white space, after the
same marks of other scripts, or after ``LONGEST`` characters. The full stop of "A. Paris" and of "1. First" at a
sentence's beginning ends none, nor do those of "i.e." and "e.g.". Where a boundary lies is known as soon as the
character after it is there, so a beginning of a text has the text's own boundaries.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

LONGEST = 400
"""Characters of a sentence; the rest is another one."""
LONGEST_PLAIN = 4 * LONGEST
"""Characters of a sentence in plain form that are read: one character may become eighteen."""
_END = re.compile(
    r"[\n\r\u2028\u2029]+|(?:(?<![ (,]i\.e)(?<![ (,]e\.g)\.|[!?…])[.!?…\"'”’)*_`]{0,6}(?=\s)"
    r"|[。！？।॥۔؟｡][\"'”’」』）)*]{0,4}"
)
_LABEL = re.compile(r"[\s>#*•_`(\[|\-–]{0,40}(?:[^\W\d_]|\d{1,3}|[Aa]ns|[Nn]o|vs|[Ee]\.g|[Ii]\.e)[*_)]{0,4}\.[*_]{0,4}")
_LINE_ENDS = "\n\r\u2028\u2029"


class Sentence(NamedTuple):
    """A part of a text."""

    start: int
    end: int
    """In characters."""
    begins_line: bool
    """Whether nothing but white space stands before it on its line."""


def sentences(text: str) -> Iterator[Sentence]:
    """The sentences of a text, in order, without gaps."""
    start, begins = 0, True
    while start < len(text):
        end = _end_of(text, start)
        yield Sentence(start, end, begins)
        begins = text[end - 1] in _LINE_ENDS or (begins and not text[start:end].strip())
        start = end


def _end_of(text: str, start: int) -> int:
    limit = min(len(text), start + LONGEST)
    at = start
    while (found := _END.search(text, at, limit)) is not None:
        at = found.end()
        if found[0][0] != "." or _LABEL.fullmatch(text, start, at) is None:
            return at
    return limit
