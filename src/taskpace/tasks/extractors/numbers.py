r"""The number that a worked problem comes to, or nothing.

What is marked as the answer (``####``, ``\boxed{}``) or stated ("the answer is 18", "Antwort: 18", "18 is the
answer") counts; two statements that contradict each other are none, unless the writer corrects themselves in between.
A statement within a numbered step counts where there is no other. Without a statement it is what the last sentence with
a number comes to: the number behind its last "is" or "=", or its only one. Remarks ("Check: ...")
count where there is nothing else, and a number alone on its line stays until something is concluded. What is denied,
asked, a choice of several, a range, a sum left open, or no rational number is not read.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

from taskpace.tasks.extractors.base import Extraction
from taskpace.tasks.numerals import Numeral, numerals, says_number
from taskpace.tasks.plain import plain
from taskpace.tasks.reading.claims import claims
from taskpace.tasks.reading.ledger import Ledger, Said
from taskpace.tasks.reading.roles import CANDIDATE, language_of, roles_of
from taskpace.tasks.reading.sentences import LONGEST_PLAIN
from taskpace.tasks.reading.text import Reading, beginnings

_MOST_NUMBERS = 60
"""In a sentence; one with more says nothing."""
_LIST_MARK = re.compile(r"\A\s*(?:\d{1,3}[.)]|[Ss]tep\s\d{1,3}[.:)]?)\s+")
_DIGIT = re.compile(r"\d")
_DECIMAL_COMMA = frozenset(["de", "fr", "es", "pt", "it", "nl", "sv", "pl", "ru", "uk", "id", "vi", "tr"])
_SAID = re.compile(r"[=KC][F:(]*L(?![^=KC]*[=KC][F:(]*L)")
_NOT_ONE = re.compile(r"\A[wF]{0,2}A?L|\A\*|\A-\(?L|\AB|\Aw{0,2}V|\A\(\*")
_ASIDE = re.compile(r"(?<=[^(])\([^()]*\)")
_VARIABLE = r"[a-z]\s?=\s?-?[\d.]*\d"
_GIVEN = re.compile(
    rf",?\s(?:when|where|if|for|with|given|at)\s{_VARIABLE}(?:,?\s(?:and\s)?{_VARIABLE}){{0,4}}"
    rf"|(?<=\d)\s?\({_VARIABLE}(?:,\s{_VARIABLE}){{0,4}}\)",
    re.IGNORECASE,
)
"""What the number holds for: "42 when x = 3"."""
_NEEDED = re.compile(
    r"\b((?:needs?|needed|requires?|required|must|has to|have to)\b[^.,\d]{0,40})\bat least\b", re.IGNORECASE
)
"""The least that is needed is what was asked for."""
_REMARK = re.compile(
    r"\W{0,9}(?:(?:quick|sanity)?\s?check(?:ing)?\b|notes?\b|verif\w{1,9}|confiden\w{2,3}\b|(?:i|we)(?:\s\w{1,7})?\sassum|assum(?:ed|ption)"
    r"|(?:to|let's|let us|let me|we can|you can)\s(?:double[- ])?(?:verify|check|confirm)\b)",
    re.IGNORECASE,
)
"""How a sentence begins that mentions the answer and gives none."""
_IN_BRACKETS = re.compile(r"\s*\([^()]*\)[.\s]*")
_RESULT = re.compile(r"\b(?:final\s)?result\b\W{0,3}(?:\s?(?:is|was|of|equals|=|:))", re.IGNORECASE)
_ALONE = re.compile(r"\A[F(]*Lw{0,2}[).!]*\Z")
_CIRCUMSTANCE = re.compile(r"\A[TF,]*pF{0,2}L")
"""After 3 weeks"""
_LAST_BEHIND_COLON = re.compile(r":[F(]*L(?=w{0,2}[.!)]*\Z)")
_UNCLEAR_BEFORE = re.compile(r"(?:B[F]*|[*-])\Z")


class _Finding(NamedTuple):
    kind: str
    value: str | None


class _State(NamedTuple):
    """What the sentences so far come to."""

    ledger: Ledger = Ledger()
    steps: Ledger = Ledger()
    """Statements in numbered steps."""
    last: Said | None = None
    """What the last sentence with a number comes to."""
    given: str | None = None
    """What stood alone on its line, or was called the result, since when nothing was concluded."""
    series: bool = False
    """Whether different numbers stood alone."""
    remark: Said | None = None
    """What the last remark with a number comes to."""
    remarks: bool = False
    """Whether what is read is a remark: to the end of its line."""


def read_number(text: str) -> str | None:
    """The answer of a worked problem in one form (``42``, ``0.75``, ``1/3``); null where none is clearly given."""
    return beginnings(text, _READING)(len(text))


def numbers_in(text: str) -> list[Fraction]:
    """Every number in a text that can be read, in order."""
    return [each.value for each in numerals(plain(text)) if each.value is not None]


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
    if rest != 1 or max(abs(number.numerator), number.denominator) > 10**300:
        return f"{number.numerator}/{number.denominator}"
    return f"{float(number):.12g}"


def _step(state: _State, sentence: str, begins_line: bool) -> _State:
    in_step, findings = _findings(sentence, begins_line)
    ledger, steps, last, given, series, remark, remarks = state
    remarks = (remarks and not begins_line) or bool(_REMARK.match(sentence) or _IN_BRACKETS.fullmatch(sentence))
    for kind, value in findings:
        if kind == "change":
            ledger, steps, given = ledger.change(), steps.change(), None
        elif kind == "last" and remarks:
            remark = Said(value, final=False)
        elif kind == "last":
            last = Said(value, final=False)
        elif kind == "concluded":
            given = None
        elif kind in ("alone", "result"):
            if not (in_step or remarks):
                series = series or (kind == "alone" and given not in (None, value))
                given = None if series else value
        elif kind == "denied" and value is not None:
            ledger = ledger.deny(value)
        elif in_step and kind == "stated":
            # Of steps the last one counts.
            steps = steps.change().state(value)
        else:
            ledger = ledger.state(value, final=kind == "final")
    return _State(ledger, steps, last, given, series, remark, remarks)


def _answer(state: _State) -> str | None:
    for ledger in (state.ledger, state.steps):
        if ledger.stated is not None:
            return ledger.answer()
    last = state.last or state.remark
    read = state.given or (None if last is None else last.value)
    return None if read in state.ledger.denied else read


@lru_cache(maxsize=1 << 11)
def _findings(sentence: str, begins_line: bool) -> tuple[bool, tuple[_Finding, ...]]:
    """Whether it is a numbered step, and what a sentence says, in its order."""
    text = _NEEDED.sub(r"\1", plain(sentence)[:LONGEST_PLAIN])
    if _DIGIT.search(without := _GIVEN.sub("", text)):
        text = without
    mark = _LIST_MARK.match(text) if begins_line else None
    if mark is not None and text[mark.end() :].strip():
        text = text[mark.end() :]
    comma = language_of(text) in _DECIMAL_COMMA if _DIGIT.search(text) else False
    found = _tuples_as_one(text, numerals(text, comma=comma, words=True))
    if not found and "[" not in (roles := roles_of(text)):
        return mark is not None, (_Finding("change", None),) if _changes(roles) else ()
    if len(found) > _MOST_NUMBERS:
        return False, (_Finding("last", None),)
    roles = roles_of(_marked(text, found))
    findings = [_Finding("change", None)] if _changes(roles) else []
    said = claims(roles, units=True)
    claimed = [_Finding(kind, _value(roles, about, found)) for kind, about in said if kind in ("final", "stated")]
    denied = [_Finding("denied", _written(found[index])) for kind, about in said if kind == "denied" for index in about]
    if _DIGIT.search(text):
        value = _comes_to(roles, found)
        findings.append(_Finding("last", value))
        if "T" in roles:
            findings.append(_Finding("concluded", None))
        elif begins_line and value is not None and _ALONE.match(roles) is not None:
            findings.append(_Finding("alone", value))
        elif value is not None and _RESULT.search(text):
            findings.append(_Finding("result", value))
    return mark is not None, (*findings, *denied, *claimed)


def _changes(roles: str) -> bool:
    return "R" in roles or roles.startswith(("X,", "X.", "b"))


def _marked(text: str, found: list[Numeral]) -> str:
    parts: list[str] = []
    at = 0
    for each in found:
        parts += [text[at : each.start], CANDIDATE]
        at = each.end
    return "".join([*parts, text[at:]])


def _tuples_as_one(text: str, found: list[Numeral]) -> list[Numeral]:
    """Numbers in brackets with commas between them, "(3, 4)", are one that cannot be read."""
    made: list[Numeral] = []
    first = 0
    for at, each in enumerate(found):
        made.append(each)
        if at and re.fullmatch(r"\s?[,;]\s?", text[found[at - 1].end : each.start]) is None:
            first = at
        if (
            first < at
            and text[found[first].start - 1 : found[first].start] in tuple("([{")
            and text[each.end : each.end + 1] in tuple(")]}")
        ):
            made[first - at - 1 :] = [Numeral(found[first].start, each.end, None)]
    return made


def _written(numeral: Numeral) -> str | None:
    return None if numeral.value is None else written(numeral.value)


def _value(roles: str, about: tuple[int, ...], found: list[Numeral]) -> str | None:
    """What a claim about some numbers comes to; null where they differ, or where it goes on as a sum or a range."""
    values = {_written(found[index]) for index in about}
    if len(values) != 1:
        return None
    places = [at for at, role in enumerate(roles) if role == "L"]
    first, last = places[about[0]], places[about[-1]]
    clause = re.split(r"[,J.!b\]]", roles[last + 1 :])[0]
    before = roles[:first]
    if before.endswith(":") and re.match(r"[wFpL]*K[F(]*L", clause):
        return _comes_to(clause, found[about[-1] + 1 :])
    if re.match(r"[wF]*=F*\(?L[*-]", clause):
        return values.pop()  # "18 = 10 + 8"
    if "=" in clause and len(about) == 1 and re.match(r"[*\-wF(]*[L*\-()wF]*=", clause):
        return _comes_to(clause, found[about[0] + 1 :])
    if _UNCLEAR_BEFORE.search(before) or _NOT_ONE.match(clause):
        rest = re.match(r"[wF]{0,2}A?(L)", clause)
        same = rest is not None and _written(found[about[-1] + 1]) in values
        return values.pop() if same and not _UNCLEAR_BEFORE.search(before) else None
    return values.pop()


def _comes_to(roles: str, found: list[Numeral]) -> str | None:
    """What a sentence without a statement comes to: the number behind its last link, or its only one."""
    if "?" in roles[-3:] or "I" in roles or not found:
        return None
    outside = _ASIDE.sub(lambda aside: "." * len(aside[0]), roles)
    if "L" in outside:
        # What is in brackets explains what stands outside.
        kept = [at for at, role in enumerate(roles) if role == "L"]
        found = [each for at, each in zip(kept, found, strict=False) if outside[at] == "L"]
        roles = outside.replace(".", "")
    main = roles.split("J")[0]
    if "L" in main:
        roles, found = main, found[: main.count("L")]
    said = _SAID.search(roles)
    listed = _LAST_BEHIND_COLON.search(roles)
    if listed is not None and (said is None or said.start() < listed.start()):
        said = listed
    if said is None and (circumstance := _CIRCUMSTANCE.match(roles)) is not None and roles.count("L") == 2:
        roles, found = roles[circumstance.end() :], found[1:]
    index = None
    if said is not None:
        index = roles[: said.end()].count("L") - 1
        rest = roles[said.end() :]
        if (
            re.match(r"\A(?:[wF]{0,2}A?L|[*-]|B|[w]{0,2}V)", rest)
            or "X" in roles[max(0, said.start() - 3) : said.start()]
        ):
            return None
    elif len({each.value for each in found}) == 1:
        index = 0
        if {"X", "x", "I", "V"} & set(roles) or re.search(r"BF*L", roles):
            return None
    return None if index is None or index >= len(found) else _written(found[index])


_READING = Reading(start=_State(), step=_step, answer=_answer, says=says_number)


def _read(text: str, _: dict[str, Any]) -> str | None:
    return read_number(text)


def _beginnings(text: str, _: dict[str, Any]) -> Callable[[int], str | None]:
    return beginnings(text, _READING)


NUMBER = Extraction(read=_read, beginnings=_beginnings)
