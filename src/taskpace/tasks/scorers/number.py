"""Scorer ``number``: the answer of a worked problem."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import msgspec

from taskpace.tasks.extractors.numbers import read_number, to_number, written
from taskpace.tasks.scorers.base import FieldProblem, Scored, Scorer

_MARKS = ("####", "\\boxed{")
"""What a solution that is data marks its answer with: GSM8K, MATH."""


class NumberOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How near is right."""

    relative: float = 1e-6
    """The greatest difference, as a share of the right number."""


def _accept(fields: dict[str, Any]) -> dict[str, Any]:
    value = fields["answer"]
    readable = isinstance(value, str | int | float) and not isinstance(value, bool)
    number = to_number(str(value)) if readable else None
    said = None if number is None else written(number)
    if said is None and readable and any(mark in str(value) for mark in _MARKS):
        # A worked solution: read as a reply is, by what it marks as its answer.
        said = read_number(str(value))
    if said is None:
        raise FieldProblem("answer", f"is {str(value)[:60]!r}, not one number: give a number, such as 1,234 or 5.50")
    return fields | {"answer": said}


def _grade(_: str, answer: str | None, fields: dict[str, Any], options: NumberOptions) -> Scored:
    if answer is None:
        return Scored(outcome="unparsed")
    said, right = Fraction(answer), Fraction(fields["answer"])
    # An answer may be longer than any floating-point number.
    near = said == right or (
        abs(said) < 10**300 and math.isclose(float(said), float(right), rel_tol=options.relative, abs_tol=1e-12)
    )
    return Scored(outcome="correct" if near else "wrong")


def _script(fields: dict[str, Any]) -> tuple[str, str]:
    return f"The answer is {fields['answer']}.", f"The answer is {written(Fraction(fields['answer']) + 1)}."


NUMBER = Scorer(
    version=2,
    extraction="number",
    needs=("answer",),
    accept=_accept,
    grade=_grade,
    script=_script,
    options=NumberOptions,
)
