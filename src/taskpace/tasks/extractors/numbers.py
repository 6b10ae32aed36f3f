"""Numbers in text: which one is the answer, and what it is worth.

A comma or a space groups thousands only where groups of three follow it; a comma before one, two or four and more
digits at the end is a decimal comma. Signs, percent, currencies and units around a number are no part of it.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

from taskpace.tasks.extractors.base import Extraction

_SPACES = "\u0020\u00a0\u2009\u202f"
_NUMBER = re.compile(
    rf"""
    (?<![\w.,/])                            # not within a word or another number
    (?P<sign>[-\u2212+])?\s?(?:[$\u20ac\u00a3\u00a5]\s?)?(?P<sign2>[-\u2212])?
    (?:
        (?P<whole>\d+)\s+(?P<top>\d+)/(?P<bottom>0*[1-9]\d*)      # 1 1/2
      | (?P<over>\d+)/(?P<under>0*[1-9]\d*)                       # 3/4
      | (?P<grouped>\d{{1,3}}(?:(?P<mark>[,'\u2019{_SPACES}])\d{{3}})(?:(?P=mark)\d{{3}})*)(?P<decimals>\.\d+)?
      | (?P<european>\d{{1,3}}(?:\.\d{{3}})+)(?P<comma>,\d+)
      | (?P<plain>\d+)(?P<point>[.,]\d+)?
      | (?P<bare>\.\d+)
    )
    (?P<power>[eE][-+]?\d+(?!\w))?
    (?![\d/])
    """,
    re.VERBOSE,
)
_MARKED = (
    re.compile(r"####\s*(.*)"),
    re.compile(r"\\boxed\{([^{}]*)\}"),
    re.compile(r"(?:answer\s*(?:is|=|:|would be|will be)|solution is)\s*:?\s*(.*)", re.IGNORECASE),
)
"""Where an answer says that it is one, the surest first."""


def numbers_in(text: str) -> list[Fraction]:
    """Every number in a text, in order."""
    return [_value(found) for found in _NUMBER.finditer(_without_markup(text))]


def read_number(text: str) -> str | None:
    r"""The answer of a worked problem in one form: what is marked as the answer, else the last number; null for none.

    After ``####``, in ``\boxed{}`` or after "the answer is" (or "solution is") it is the first number of that line, of
    the last such mark; "the answer is 3 + 4 = 7" is 7.
    """
    for mark in _MARKED:
        for said in reversed(mark.findall(text)):
            line = said.rsplit("=", 1)[-1]
            if found := numbers_in(line):
                return written(found[0])
    found = numbers_in(text)
    return written(found[-1]) if found else None


def to_number(text: str) -> Fraction | None:
    """The one number in a right answer such as ``1,234``, ``$5.50`` or ``12 km``; null if there is none or several."""
    found = numbers_in(text.rsplit("####", 1)[-1])
    return found[0] if len(found) == 1 else None


def written(number: Fraction) -> str:
    """``42``, ``0.75`` or, where decimals do not end, ``1/3``."""
    if number.denominator == 1:
        return str(number.numerator)
    rest = number.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    if rest != 1:
        return f"{number.numerator}/{number.denominator}"
    return f"{float(number):.12g}"


def _without_markup(text: str) -> str:
    return text.replace("**", "").replace("\\$", "$").replace("\\%", "%").replace("\\,", "")


def _value(found: re.Match[str]) -> Fraction:
    part = found.groupdict()
    if part["over"] is not None:
        value = Fraction(int(part["over"]), int(part["under"]))
    elif part["whole"] is not None:
        value = int(part["whole"]) + Fraction(int(part["top"]), int(part["bottom"]))
    elif part["grouped"] is not None:
        value = Fraction(re.sub(r"\D", "", part["grouped"]) + (part["decimals"] or ""))
    elif part["european"] is not None:
        value = Fraction(part["european"].replace(".", "") + part["comma"].replace(",", "."))
    elif part["bare"] is not None:
        value = Fraction(f"0{part['bare']}")
    else:
        value = Fraction(part["plain"] + (part["point"] or "").replace(",", "."))
    if part["power"]:
        exponent = int(part["power"][1:])
        value *= Fraction(10) ** max(-400, min(400, exponent))
    negative = "-" in (part["sign"] or "") or "\u2212" in (part["sign"] or "") or bool(part["sign2"])
    return -value if negative else value


def _read(text: str, _: dict[str, Any]) -> str | None:
    return read_number(text)


NUMBER = Extraction(read=_read)
