r"""Numbers in plain text, and what they are worth: digits, marks, fractions, powers, scale words.

Groups of thousands by comma, space, apostrophe or dots (1.234.567), as in India (1,00,000); a dot or a comma before
other digits is decimal. ``1.234`` alone is decimal in English and a thousand in languages that write 1.234,5; there
``1,234`` is decimal. Signs, percent, currencies and units around a number are not part of it. What has no rational
value of its own (a root, a time of day, a base, a date) is a number that cannot be read.
"""

from __future__ import annotations

import re
import tomllib
from fractions import Fraction
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from taskpace.tasks.latex import REPEATS
from taskpace.tasks.plain import plain
from taskpace.tasks.words import ALPHABETIC, MARKS

_MOST_DIGITS = 300
_MOST_POWER = 300
_CURRENCY = "$\u20ac\u00a3\u00a5\u20b9\u20bd\u20a9\u20ab\u20ba\u0e3f"
_NUMBER = re.compile(
    rf"""
    (?<![{ALPHABETIC}.,/^])                      # not within a word or another number
    (?P<sign>[-+\u2212]|(?:minus|negative)\s)?[{_CURRENCY}]?(?P<sign2>[-\u2212])?[{_CURRENCY}]?
    (?:
        (?P<whole>\d{{1,9}})\s{{1,2}}(?P<top>\d{{1,9}})/(?P<bottom>\d{{1,9}})   # 1 1/2
      | (?P<over>\d++)\s?/\s?(?P<under>\d++)                                     # 3/4
      | (?P<grouped>\d{{1,3}}(?:(?P<mark>[,'\ ])\d{{3}})(?:(?P=mark)\d{{3}})*+)(?!\d)
        (?P<decimals>\.\d++|(?<!,\d{{3}}),\d++)?
      | (?P<indian>\d{{1,2}}(?:,\d{{2}}){{1,5}},\d{{3}})(?!\d)(?P<rest>\.\d++)?
      | (?P<dotted>\d{{1,3}}(?:\.\d{{3}})++)(?P<comma>,\d++)?(?!\d|\.\d)
      | (?P<plain>\d++)(?P<point>[.,]\d++)?
      | (?P<bare>\.\d++)
    )
    (?P<power>
        [eE][-+]?\d{{1,5}}(?![{ALPHABETIC}])
      | \s?[×x]\s?10\^?\(?[-+\u2212]?\d{{1,5}}\)?
      | \^\(?[-+\u2212]?\d{{1,5}}\)?
    )?
    """,
    re.VERBOSE,
)
_FUNCTION = r"(?:log(?:_\d{1,2})?|ln|exp|sqrt|cos|tan|binom|sin(?=\s\s|\())"
_AFTER_UNREADABLE = re.compile(
    rf"[\d_/]|[.,]\d|:\d|\s?(?:pi|[πi√])(?![{ALPHABETIC}])|[exyzn](?![{ALPHABETIC}])|\^|!\ue002|x[\dA-Fa-f]|\.?{REPEATS}"
    rf"|\s?{_FUNCTION}[\s(]{{1,3}}\d"
)
_BEFORE_UNREADABLE = re.compile(
    rf"(?:√\(?|\d:|\d/|(?<![=-])[<>≤≥]\s?|{REPEATS}|(?<![{ALPHABETIC}])(?:pi\s{{1,2}}|{_FUNCTION}[\s(]{{1,3}}))\Z"
)
_LONGEST_BEFORE = 12
"""Characters of what may make the number behind it unreadable."""
_OPENS_A_TUPLE = "({[\ue001"
_LETTERS = {"K": 1000, "M": 10**6, "B": 10**9, "T": 10**12}
"""Behind a price: $2.5M."""
_PRICE = re.compile(f"[{_CURRENCY}]")
_PRICED = re.compile(rf"[KMBT](?![{ALPHABETIC}])")
_SCALE = re.compile(rf"\s?((?:[^\W\d_]|[{MARKS}]){{1,16}})\.?")
_UNITS = """
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen
nineteen
"""
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_ENGLISH = {word: value for value, word in enumerate(_UNITS.split())}
_ENGLISH |= {word: 10 * value for value, word in enumerate(_TENS.split(), 2)}
_MULTIPLIERS = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}
_FIRST = "|".join(sorted(_ENGLISH, key=len, reverse=True))
_NEXT = "|".join(sorted([*_ENGLISH, *_MULTIPLIERS], key=len, reverse=True))
_IN_WORDS = re.compile(rf"(?<![\w'-])(?:{_FIRST})(?:(?:\s(?:and\s)?|-)(?:{_NEXT})){{0,12}}+(?![\w'-])", re.IGNORECASE)
_MAY_SAY = re.compile(rf"\d|{_FIRST}|[\\<]", re.IGNORECASE)


class _Scales(NamedTuple):
    """By what a word, or a sign of a script without spaces, multiplies."""

    words: dict[str, int]
    signs: dict[str, int]


class Numeral(NamedTuple):
    """A number in a text."""

    start: int
    end: int
    value: Fraction | None
    """Null: it has no value that can be read."""


def numerals(text: str, *, comma: bool = False, words: bool = False) -> list[Numeral]:
    """Every number in a plain text, in order.

    Args:
        text: plain.
        comma: whether its language writes 1.234,5.
        words: whether English number words count, where there are no digits.
    """
    found: list[Numeral] = []
    at = 0
    while (number := _NUMBER.search(text, at)) is not None:
        numeral = _numeral(text, number, comma=comma)
        before = found[-1] if found else None
        if before is not None and before.end == numeral.start and _is_scaled(text, before):
            found[-1] = _joined(before, numeral)
        else:
            found.append(numeral)
        at = numeral.end
    if words and not found:
        return [_said(text, said) for said in _IN_WORDS.finditer(text)]
    return found


def says_number(text: str) -> bool:
    """Whether a text may hold a number; no beginning of one that does not holds any."""
    return not text.isascii() or _MAY_SAY.search(text) is not None


def _numeral(text: str, found: re.Match[str], *, comma: bool) -> Numeral:
    start, end = found.span()
    if not comma and (found["point"] or "").startswith(",") and text[start - 1 : start] in tuple(_OPENS_A_TUPLE):
        return Numeral(start, end, None)  # (3,4)
    value = _value(found, comma=comma or text[end : end + 2].strip(" ")[:1] == "\u20ac")
    scale, end = _scale(text, end, priced=_PRICE.search(text[max(0, start - 1) : end]) is not None)
    if value is not None and scale != 1:
        value *= scale
    scaled = text[end - 1] in _scales().signs
    if (not scaled and _AFTER_UNREADABLE.match(text, end)) or _BEFORE_UNREADABLE.search(
        text[max(0, start - _LONGEST_BEFORE) : start]
    ):
        unread = re.compile(rf"[\d.,:/_^{REPEATS}]*").match(text, end)
        return Numeral(start, end if unread is None else max(end, unread.end()), None)
    return Numeral(start, end, value)


def _said(text: str, found: re.Match[str]) -> Numeral:
    """A number in words: "two dozen"."""
    scale, end = _scale(text, found.end(), priced=False)
    return Numeral(found.start(), end, Fraction(_in_words(found[0]) * scale))


def _scale(text: str, end: int, *, priced: bool) -> tuple[int, int]:
    """By what the number is multiplied that ends there, and where that ends. ``priced``: it is a price."""
    scales = _scales()
    scale = 1
    while text[end : end + 1] in scales.signs:
        scale *= scales.signs[text[end]]
        end += 1
    if scale > 1:
        return scale, end
    if priced and (letter := _PRICED.match(text, end)) is not None:
        return _LETTERS[letter[0]], letter.end()
    said = _SCALE.match(text, end)
    if said is None or (scale := scales.words.get(said[1].casefold(), 1)) == 1:
        return 1, end
    return (1, end) if said[1] == "K" or (said[1] == "k" and said[0][0] == " ") else (scale, said.end(1))


@cache
def _scales() -> _Scales:
    """Of the package's file. Read once."""
    tables = tomllib.loads(files("taskpace.tasks.reading").joinpath("scales.toml").read_text("utf-8"))
    words, signs = (
        {word: int(scale) for scale, entries in tables[table].items() for word in plain(entries).split(", ")}
        for table in ("words", "signs")
    )
    return _Scales(words | {"k": 1000}, signs)


def _is_scaled(text: str, numeral: Numeral) -> bool:
    return text[numeral.end - 1] in _scales().signs


def _joined(before: Numeral, after: Numeral) -> Numeral:
    """3億5000万 is one number."""
    value = None if before.value is None or after.value is None else before.value + after.value
    return Numeral(before.start, after.end, value)


def _value(found: re.Match[str], *, comma: bool) -> Fraction | None:
    """Null where it cannot be read."""
    part = found.groupdict()
    if sum(map(str.isdigit, found[0])) > _MOST_DIGITS:
        return None
    value = _magnitude(part, comma=comma)
    if value is not None and part["power"]:
        value = _raised(value, part["power"])
    negative = (part["sign"] or "+")[0] != "+" or bool(part["sign2"])
    return -value if value is not None and negative else value


def _magnitude(part: dict[str, str | Any], *, comma: bool) -> Fraction | None:
    if part["over"] is not None:
        return Fraction(int(part["over"]), int(part["under"])) if int(part["under"]) else None
    if part["whole"] is not None:
        bottom = int(part["bottom"])
        return int(part["whole"]) + Fraction(int(part["top"]), bottom) if bottom else None
    if part["grouped"] is not None:
        if comma and part["mark"] == "," and part["grouped"].count(",") == 1 and not part["decimals"]:
            return Fraction(part["grouped"].replace(",", "."))
        return Fraction(re.sub(r"\D", "", part["grouped"]) + (part["decimals"] or "").replace(",", "."))
    if part["indian"] is not None:
        return Fraction(part["indian"].replace(",", "") + (part["rest"] or ""))
    if part["dotted"] is not None:
        if part["comma"] or comma or part["dotted"].count(".") > 1:
            return Fraction(part["dotted"].replace(".", "") + (part["comma"] or "").replace(",", "."))
        return Fraction(part["dotted"])
    if part["bare"] is not None:
        return Fraction(f"0{part['bare']}")
    return Fraction(part["plain"] + (part["point"] or "").replace(",", "."))


def _raised(value: Fraction, power: str) -> Fraction | None:
    """With an exponent: of ten behind ``e`` or "× 10", else of the number itself."""
    shown = power.strip().replace("\u2212", "-").strip("()").replace("(", "")
    if shown[0] == "^":
        exponent = int(shown[1:])
        # A power of a power of ten is as long as its exponent.
        bits = max(value.numerator.bit_length(), value.denominator.bit_length())
        return value**exponent if abs(exponent) * bits <= 4 * _MOST_POWER and (value or exponent > 0) else None
    exponent = int(re.sub(r"\A[eE]|\A[×x]\s?10\^?", "", shown))
    return value * Fraction(10) ** exponent if abs(exponent) <= _MOST_POWER else None


def _in_words(said: str) -> int:
    total = part = 0
    for word in re.split(r"[\s-]+", said.lower()):
        if word in _ENGLISH:
            part += _ENGLISH[word]
        elif word == "hundred":
            part = max(part, 1) * 100
        elif word != "and":
            total += max(part, 1) * _MULTIPLIERS[word]
            part = 0
    return total + part
