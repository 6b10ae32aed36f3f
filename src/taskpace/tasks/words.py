"""Words of a text, for counting and for finding."""

from __future__ import annotations

import re

_WORD = re.compile(r"\w+(?:['\u2019.:,-]\w+)*")
"""Letters and digits, joined by what stands within words and numbers: don't, 14:30, 1,250.00, well-kept."""


def count_words(text: str) -> int:
    """How many words."""
    return sum(1 for _ in _WORD.finditer(text))


def contains(text: str, phrase: str, *, whole: bool = True) -> bool:
    """Whether a phrase occurs, whatever its case and spacing; ``whole``: not as a part of longer words."""
    words = r"\s+".join(re.escape(word) for word in phrase.casefold().split())
    end = r"(?!\w)" if whole else ""
    return bool(words) and re.search(rf"(?<!\w){words}{end}", text.casefold()) is not None
