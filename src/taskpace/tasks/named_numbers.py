"""Numbers as short answers name them: in digits, in English words, as ordinals, in Roman numerals. Pure."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

from taskpace.tasks.numerals import numerals
from taskpace.tasks.plain import EDGE, plain
from taskpace.tasks.words import words_of

_TOKEN = re.compile(r"\S+")
_ROMAN = re.compile(r"(?=[IVXLC])C{0,3}(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})")
_ROMAN_DIGITS = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100}
_ORDINAL = re.compile(r"(?<!\w)(\d{1,4})(?:st|nd|rd|th)(?!\w)", re.IGNORECASE)
_ORDINALS = {
    word: value
    for value, word in enumerate(
        [
            "first",
            "second",
            "third",
            "fourth",
            "fifth",
            "sixth",
            "seventh",
            "eighth",
            "ninth",
            "tenth",
            "eleventh",
            "twelfth",
            "thirteenth",
            "fourteenth",
            "fifteenth",
            "sixteenth",
            "seventeenth",
            "eighteenth",
            "nineteenth",
            "twentieth",
        ],
        1,
    )
}


def roman_at(text: str, found: re.Match[str]) -> Fraction | None:
    """A Roman numeral that is a word of a text; "I" is one behind a name alone, as in World War I."""
    digits = found[0].strip(EDGE)
    if not digits or _ROMAN.fullmatch(digits) is None:
        return None
    behind_a_name = re.search(r"[A-Z]\w+\s\Z", text[max(0, found.start() - 40) : found.start()]) is not None
    return Fraction(_roman(digits)) if digits != "I" or behind_a_name else None


@lru_cache(maxsize=1 << 10)
def all_numbers(text: str) -> frozenset[Fraction]:
    """Every number that a text names: in digits, in English words, as an ordinal, in Roman numerals."""
    shown = plain(text)
    found = {each.value for each in numerals(_ORDINAL.sub(r" \1 ", shown)) if each.value is not None}
    said = numerals(re.sub(r"\d", " ", shown), words=True)
    # "one" is more often a pronoun than a number.
    found |= {each.value for each in said if each.value is not None and (each.value != 1 or shown[each.start] == "O")}
    found |= {Fraction(_ORDINALS[word]) for word in words_of(shown.lower()) if word in _ORDINALS}
    found |= {value for roman in _TOKEN.finditer(shown) if (value := roman_at(shown, roman)) is not None}
    return frozenset(found)


@lru_cache(maxsize=1 << 10)
def number_alone(text: str) -> Fraction | tuple[str, int] | None:
    """What a text is worth that is a number and nothing else; an ordinal is none of the cardinal numbers."""
    shown = plain(text).strip(EDGE.replace(".", "") + "$€£¥")
    bare = shown.lower().removeprefix("the ")
    ordinal = _ORDINAL.fullmatch(bare)
    if ordinal is not None:
        return "ordinal", int(ordinal[1])
    if bare in _ORDINALS:
        return "ordinal", _ORDINALS[bare]
    found = numerals(shown, words=True)
    rest = "" if len(found) != 1 else shown[: found[0].start] + shown[found[0].end :]
    return found[0].value if len(found) == 1 and not rest.strip(EDGE + "%") else None


def _roman(digits: str) -> int:
    values = [_ROMAN_DIGITS[digit] for digit in digits]
    return sum(-value if value < after else value for value, after in zip(values, [*values[1:], 0], strict=True))
