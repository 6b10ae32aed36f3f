"""Words of a text, for counting and for finding, in any script.

Scripts that put no spaces between words (Chinese, Japanese, Thai, Lao, Khmer, Burmese) count by characters, a character
with its vowel signs and accents, as their writers count. Indic and Arabic vowel signs are part of their word.
"""

from __future__ import annotations

import re
from functools import lru_cache

from taskpace.tasks.plain import plain

DENSE = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3038-\u30ff"
    "\u31f0-\u31ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
"""Scripts without spaces between words, as a part of a character class."""
ALPHABETIC = "0-9A-Za-z_\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u0370-\u03ff\u0400-\u052f\u1e00-\u1eff"
"""Digits, and Latin, Greek and Cyrillic letters, likewise: what goes on with a word or a number."""
MARKS = (
    "\u0300-\u036f\u0483-\u0487\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed\u0900-\u0903\u093a-\u094f"
    "\u0951-\u0963\u0981-\u0983\u09bc-\u09d7\u09e2\u09e3\u0a01-\u0a03\u0a3c-\u0a51\u0a70-\u0a75\u0a81-\u0a83\u0abc-\u0acd"
    "\u0b01-\u0b03\u0b3c-\u0b57\u0b82\u0bbe-\u0bd7\u0c00-\u0c04\u0c3e-\u0c56\u0c81-\u0c83\u0cbc-\u0cd6\u0d00-\u0d03"
    "\u0d3b-\u0d57\u0d81-\u0d83\u0dca-\u0df3"
)
"""Signs that stand on a letter of a script with spaces, likewise."""
_DENSE_MARKS = (
    "\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ece\u102b-\u103e\u1056-\u1059"
    "\u17b6-\u17d3\u3099\u309a"
)
_IN_WORD = rf"(?:(?![{DENSE}])[\w{MARKS}])"
_WORD = re.compile(rf"{_IN_WORD}+(?:['.:,-]{_IN_WORD}+)*|[{DENSE}][{_DENSE_MARKS}]*")
"""Letters and digits, joined by what stands within words and numbers: don't, 14:30, 1,250.00, well-kept."""


def words_of(text: str) -> list[str]:
    """The words of a plain text, in order."""
    return _WORD.findall(text)


def count_words(text: str) -> int:
    """How many words."""
    return sum(1 for _ in _WORD.finditer(plain(text)))


def is_dense(text: str) -> bool:
    """Whether some of it is in a script without spaces between words."""
    return not text.isascii() and _DENSE.search(text) is not None


def contains(text: str, phrase: str, *, whole: bool = True) -> bool:
    """Whether a phrase occurs, whatever its case and spacing; ``whole``: not as a part of longer words."""
    return _finder(phrase, whole).search(plain(text).casefold()) is not None


# A task's phrases are looked for in every answer.
@lru_cache(maxsize=1 << 12)
def _finder(phrase: str, whole: bool) -> re.Pattern[str]:
    folded = plain(phrase).casefold().split()
    if not folded:
        return re.compile(r"(?!)")
    start = "" if is_dense(folded[0][0]) else r"(?<!\w)"
    end = rf"(?![\w{MARKS}])" if whole and not is_dense(folded[-1][-1]) else ""
    return re.compile(start + r"\s+".join(map(re.escape, folded)) + end)


_DENSE = re.compile(f"[{DENSE}]")
