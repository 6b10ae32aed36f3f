r"""What a sentence claims of its candidates, from its roles alone.

A claim has a kind:

- ``final``: marked as the answer (``\boxed{}``, ``<answer>``) or called final;
- ``stated``: "the answer is L", "Answer: L", "I choose L", "L is correct", "it is L";
- ``alone``: the sentence says nothing else;
- ``denied``: "not L", "L is wrong", "rather than L";
- ``mentioned``: "option L", "(L)".

What a sentence says only under a condition, asks, or says of others ("if", "some would say", "is it L?") claims
nothing. Several candidates where one was due ("L or L", "between L and L") are one claim about all of them.
"""

from __future__ import annotations

import itertools
import re
from functools import lru_cache
from typing import Literal, NamedTuple

Kind = Literal["final", "stated", "alone", "denied", "mentioned"]


class Claim(NamedTuple):
    """One claim of a sentence."""

    kind: Kind
    about: tuple[int, ...]
    """Which of the sentence's candidates, counted from 0. Several: any of them, or all."""


class _Line(NamedTuple):
    """Roles, and for each the candidate that it stands for, or -1."""

    roles: str
    who: tuple[int, ...]

    def without(self, start: int, end: int, instead: str = "", who: int = -1) -> _Line:
        """The line with ``instead`` in place of some roles; ``who``: the candidate that it stands for, or -1."""
        return _Line(
            self.roles[:start] + instead + self.roles[end:],
            (*self.who[:start], *([who] * len(instead)), *self.who[end:]),
        )

    def candidates(self, start: int, end: int) -> tuple[int, ...]:
        return tuple(who for who in self.who[start:end] if who >= 0)


def _line(roles: str) -> _Line:
    """Every ``L`` is a candidate of its own."""
    numbers = itertools.count()
    return _Line(roles, tuple(next(numbers) if role == "L" else -1 for role in roles))


class _Part(NamedTuple):
    """One candidate, or several in a row."""

    at: int
    """In the roles, where they are one ``L``."""
    members: tuple[int, ...]


# Expressions over roles (see ``roles``). ``L`` is a candidate, ``l`` one in brackets.
_BOX = re.compile(r"\[([^\[\]]*)(?:\]|\Z)")
_ASIDE = re.compile(r"(?<=[^(])\((?![LlFKOnNZY]*L[^()]{0,3}\)?\Z)(?!L\))[^()]*\)")
"""What is in brackets and is not a candidate by itself."""
_JUDGED = re.compile(r"\(F*(X?)F*([YW])[n.!]*\)")
_BRACKETED = re.compile(r"\(L\)")
_NOT_THESE = r"[FOnZpK]*[Ll](?:\)?(?:,?[AV],?|,(?=[AVL])|,?X)[FO]*[Ll](?![KPY]))*+\)?"
_NOT_IT = re.compile(
    r"XF*p[FOnY]*[Ll](?:\)?[,AV]{1,3}[FO]*[Ll])*+"  # none of L, L and L
    rf"|,A?X{_NOT_THESE},?b?|A?X{_NOT_THESE}(?:,?b)?"
)
"""not L; not L, but; L, not L; neither L nor L"""
_NOT_IT_AFTER = re.compile(r"[Ll]\)?[FK]*xK?[,b]{0,2}")
"""L is not, where the negation follows"""
_UNIT = re.compile(r"[Ll]\)?(?:[,/](?:w=|O)?[Ll]\)?)*+(?:F?,?[AV/]{1,3},?(?:w=|O|F)?[Ll]\)?)*+")
"""L, L and L; L or L; L/L"""
_LAST_OF_UNIT = re.compile(r"(?:,?A,?|,)(?:w=|O|F)?([Ll]\)?)\Z")
_BREAK = re.compile(r"(?:[,bJ.!T]|(?<=[YWwxX])A)(?!.*(?:[,bJ.!T]|(?<=[YWwxX])A))")
"""Where the clause of a candidate begins."""
_STATED_BEFORE = re.compile(r"(?:[nN][^=K]*?[K:=\-]|N|C|O[^,]*[K:=])[F:PC=O]*(?:w=)?[F(]*\Z")
"""the answer (to this) is L; answer: L; the option is L; I choose L"""
_NUMBER_STATED_BEFORE = re.compile(r"(?:[nN][^=K]*?[K:=\-]|N)[F:P=]*(?:w=)?[F(]*\Z")
"""A stated number. Fewer verbs than for choices: in a word problem much is chosen and left."""
_WRONG_ANSWER = re.compile(r"W[FO]*[nNO]")
"""the wrong answer is L"""
_IT_BEFORE = re.compile(r"(?:\A|[FTZRAbwC])P[hM]?K[FTZR]*\Z")
"""it is L"""
_SO_BEFORE = re.compile(r"(?:T|\A=)[FZ,:]*\Z")
"""so L"""
_NO_BEFORE = re.compile(r"\A[FRX,:.\-]*[XR][F,:\-]*\Z")
"""no, L; wait: L"""
_SO_AFTER = re.compile(r"[.!,)]*(?:J|\Z)")
_LINK_BEFORE = re.compile(r"\AF*[K:=]F*\Z")
"""is L, where the noun stands before a comma"""
_OPENS_CLAUSE = re.compile(r"\A[FTOnNRZAbP:\-Y(=hM]*\Z")
_RIGHT_AFTER = re.compile(
    r"\A\)?O?(?:F*PK(?=[.!,]|\Z)"
    r"|(?:[:\-.]*[FMPT]*[KPF=]+[FMZKOTA]*[YnN]|[:\-.]+[FPK]*Y|F*Y(?=[K,.!\-]|\Z)|N(?=[K,.!]|\Z))"
    r"[YnNOFKPZT]*(?=[.!,:\-J()A]|\Z)(?![,.]*b))"
)
"""L is right; L: correct; L is the answer; L it is. What goes on, as "right for France", "right only if", "true but",
says under which condition; "looks right" and "would be right" say less."""
_WRONG_AFTER = re.compile(r"\A\)?O?[:\-.]*(?:[FTAhMHPK]*[KPhM:\-.F)][FhMHZKP]*[XW]|W(?:[K,.!:]|J|\Z)|X(?=[,.!:]|\Z)|x)")
"""L is wrong; L: incorrect; L is not"""
_VERDICT = re.compile(r"(?:\A|[,.T:\-b])F*P?K[FZ]*(X?)[F]*([YW])[n]?[.!,]*\Z")
"""Of a labelled line: so this is right."""
_ALONE = re.compile(r"\A[FTKnNOYZCP:=,.!AhR()\-\[\]b]*\Z")
_UNSAID = frozenset("XIS")
_OTHERS_SAY = re.compile(r"[^K]*S")
"""some say L; not: it is often called L"""


@lru_cache(maxsize=1 << 12)
def claims(roles: str, *, units: bool = False) -> tuple[Claim, ...]:
    """The claims of a sentence, in its order.

    Args:
        roles: as ``roles_of`` gives them.
        units: whether words may stand between a candidate and what is said of it, as in "18 euros is the answer".
    """
    line = _line(roles)
    found: list[tuple[int, Claim]] = []
    line = _take_boxes(line, found, units=units)
    asked = "?" in roles[-3:]
    if asked:
        return tuple(claim for _, claim in found)
    line = _take_brackets(line)
    line = _take_denied(line, found)
    _take_alone(line, found, units=units)
    line, parts = _units(line)
    for part in parts:
        claim = _claim(line.roles, part, units=units)
        if claim is not None:
            found.append((part.members[0], claim))
    _take_remark(line, parts, found)
    return tuple(claim for _, claim in sorted(found, key=lambda each: each[0]))


def _take_boxes(line: _Line, found: list[tuple[int, Claim]], *, units: bool) -> _Line:
    while (box := _BOX.search(line.roles)) is not None:
        members = line.candidates(*box.span(1))
        inside = box[1].rsplit("=", 1)
        if len(inside) == 2:
            members = line.candidates(box.start(1) + len(inside[0]) + 1, box.end(1))
        plain = units or not re.search("w", inside[-1])
        if members and plain:
            found.append((members[0], Claim("final", members)))
        elif units and box[1].strip("Fp"):
            found.append((0, Claim("final", ())))  # something that is not a number
        line = line.without(*box.span(), ",")
    return line


def _take_brackets(line: _Line) -> _Line:
    """Asides go; "(L)" is a candidate in brackets, ``l``."""
    while (bracketed := _BRACKETED.search(line.roles)) is not None:
        line = line.without(*bracketed.span(), "l", line.candidates(*bracketed.span())[0])
    while (aside := _ASIDE.search(line.roles)) is not None:
        judged = _JUDGED.fullmatch(aside[0])
        line = line.without(*aside.span(), "" if judged is None else ":W" if judged[1] else f":{judged[2]}")
    return line


def _take_denied(line: _Line, found: list[tuple[int, Claim]]) -> _Line:
    """What is denied word by word goes, so that "not L but L" and "L, not L" claim what is left."""
    for pattern in (_NOT_IT_AFTER, _NOT_IT):
        while (denied := pattern.search(line.roles)) is not None:
            members = line.candidates(*denied.span())
            found.append((members[0], Claim("denied", members)))
            line = line.without(*denied.span())
    return line


def _take_alone(line: _Line, found: list[tuple[int, Claim]], *, units: bool) -> None:
    said = line.roles.split("J")[0]
    members = line.candidates(0, len(said))
    rest = re.sub(r"[Ll]\)?" + (r"w{0,2}(?=[.!,]*\Z)" if units else ""), "", said)
    if members and "V" not in said and _ALONE.fullmatch(rest):
        found.append((members[0], Claim("alone", members)))


def _units(line: _Line) -> tuple[_Line, list[_Part]]:
    """Candidates in a row are made one."""
    parts: list[_Part] = []
    at = 0
    while (unit := _UNIT.search(line.roles, at)) is not None:
        start, end = unit.span()
        last = _LAST_OF_UNIT.search(unit[0])
        # "the answer is L and L is wrong": the second begins a clause of its own.
        if (
            last is not None
            and "V" not in unit[0]
            and line.roles[end : end + 1] in ("K", "h", "M", "P")
            and _STATED_BEFORE.search(_clause(line.roles[:start])) is not None
        ):
            end = start + last.start()
        members = line.candidates(start, end)
        if len(members) > 1:
            line = line.without(start, end, "L", members[0])
            end = start + 1
        parts.append(_Part(start, members))
        at = end
    return line, parts


def _claim(roles: str, part: _Part, *, units: bool) -> Claim | None:
    at, members = part
    left, right = roles[:at], roles[at + 1 :]
    clause = _clause(left)
    if _WRONG_AFTER.match(right) is not None:
        return Claim("denied", members)
    corrects = not units and _NO_BEFORE.match(left) is not None and _SO_AFTER.match(right) is not None
    if corrects:
        return Claim("stated", members)
    if _UNSAID & set(clause) or ("I" in left and set("hHM") & set(clause)):
        return Claim("denied", members) if "X" in clause and not set("IS") & set(clause) else None
    if _is_stated(left, clause, right, units=units):
        if _WRONG_ANSWER.search(clause) is not None:
            return Claim("denied", members)
        if "H" in clause:
            return Claim("mentioned", members)
        return Claim("final" if "Z" in clause else "stated", members)
    if re.search(r"O[FO]*\Z", clause) or roles[at] == "l" or right.startswith(")"):
        return Claim("mentioned", members)
    return None


@lru_cache(maxsize=1 << 12)
def taken_back(roles: str, *, amount: bool = False) -> frozenset[int]:
    """The candidates that a sentence does not stand by: denied, asked, under a condition, or one of several.

    Args:
        roles: as ``roles_of`` gives them.
        amount: whether the candidates are numbers, so that "to L" is the end of a range.
    """
    line = _line(roles)
    everybody = frozenset(who for who in line.who if who >= 0)
    if "?" in roles[-3:]:
        return everybody
    found: list[tuple[int, Claim]] = []
    line = _take_denied(line, found)
    taken = {who for _, claim in found for who in claim.about}
    for at, role in enumerate(line.roles):
        if role == "L":
            left, right = line.roles[:at], line.roles[at + 1 :]
            several = (
                re.search(r"(?:V|B[^,]{1,3}A|w/)[FO]*\Z", left) is not None
                or re.match(r"\)?[,(]?V|\)?/w", right) is not None
            )
            several = several or (amount and (left.endswith("B") or re.match(r"w?B", right) is not None))
            if (
                several
                or {"X", "I"} & set(_clause(left))
                or _OTHERS_SAY.match(_clause(left))
                or _WRONG_AFTER.match(right) is not None
            ):
                taken.add(line.who[at])
    return frozenset(taken)


def _clause(left: str) -> str:
    """What stands before a candidate in its own clause."""
    if left.endswith("W"):
        return ""  # in languages without spaces: "A는 틀렸고 B가"
    broken = _BREAK.search(left)
    return left if broken is None else left[broken.end() :]


def _is_stated(left: str, clause: str, right: str, *, units: bool) -> bool:
    if (_NUMBER_STATED_BEFORE if units else _STATED_BEFORE).search(clause) is not None:
        return True
    if _LINK_BEFORE.match(clause) and re.search("[nNO]", left) is not None and not _UNSAID & set(left):
        return True
    if _IT_BEFORE.search(clause) is not None and (not units or re.search("[nN]", left)):
        return True
    if not units and _SO_BEFORE.search(left) is not None and _SO_AFTER.match(right) is not None:
        return True
    if _OPENS_CLAUSE.match(clause) is None:
        return False
    if units:
        return re.match(r"[wpF]{0,6}[KF]+[FhMZKO]*[nN]", right) is not None
    return _RIGHT_AFTER.match(right) is not None


def _take_remark(line: _Line, parts: list[_Part], found: list[tuple[int, Claim]]) -> None:
    """A labelled line's last clause may judge its label: "A. It floats, so this is incorrect."."""
    if (
        len(parts) != 1
        or len(parts[0].members) > 1
        or any(claim.kind in ("stated", "final", "denied") for _, claim in found)
    ):
        return
    at, members = parts[0]
    verdict = _VERDICT.search(line.roles, at + 1)
    if verdict is None or not re.match(r"\A[:\-(]*\Z", line.roles[:at]) or set("I") & set(line.roles):
        return
    right = (verdict[2] == "Y") != (verdict[1] == "X")
    found.append((members[0], Claim("stated" if right else "denied", members)))
