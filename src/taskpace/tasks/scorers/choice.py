"""Scorer ``letter``: one of several choices."""

from __future__ import annotations

from string import ascii_uppercase
from typing import Any

import msgspec

from taskpace.tasks.scorers.base import FieldProblem, Scored, Scorer, kind_of


def _accept_choice(fields: dict[str, Any]) -> dict[str, Any]:
    choices = accept_choices(fields["choices"])
    return fields | {"choices": choices, "answer": _accept_answer(fields["answer"], len(choices))}


def accept_choices(value: Any) -> list[str]:
    """A list of texts, or the text of one. Raises ``FieldProblem``."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        # A CSV cell holds no list, but it can hold the text of one.
        try:
            value = msgspec.json.decode(value)
        except msgspec.DecodeError:
            raise FieldProblem("choices", 'is no list: write the choices as JSON, ["one", "two"]') from None
    if not isinstance(value, list):
        raise FieldProblem("choices", f"is {kind_of(value)}, not a list: give a list of texts")
    if not 2 <= len(value) <= len(ascii_uppercase):
        raise FieldProblem("choices", f"has {len(value)} choices: give from 2 to {len(ascii_uppercase)}")
    if any(isinstance(choice, bool) or not isinstance(choice, str | int | float) for choice in value):
        raise FieldProblem("choices", "holds something that is no text: give a list of texts")
    choices = [str(choice).strip() for choice in value]
    if "" in choices:
        raise FieldProblem("choices", "holds an empty choice: fill it in or take the row out")
    return choices


def _accept_answer(value: Any, count: int) -> str:
    """The letter of an answer given as a letter or as an index from 0."""
    letters = ascii_uppercase[:count]
    if isinstance(value, str) and len(value.strip()) == 1 and value.strip().upper() in letters:
        return value.strip().upper()
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < count:
        return letters[value]
    raise FieldProblem(
        "answer",
        f"is {value!r}, out of range: give a letter from A to {letters[-1]}, or an index from 0 to {count - 1}",
    )


def _grade_letter(_: str, answer: str | None, fields: dict[str, Any], __: Any) -> Scored:
    if answer is None:
        return Scored(outcome="unparsed")
    return Scored(outcome="correct" if answer == fields["answer"] else "wrong")


def _script_letter(fields: dict[str, Any]) -> tuple[str, str]:
    right = ascii_uppercase.index(fields["answer"])
    wrong = (right + 1) % len(fields["choices"])
    return f"The answer is {ascii_uppercase[right]}.", f"The answer is {ascii_uppercase[wrong]}."


LETTER = Scorer(
    version=2,
    extraction="letter",
    needs=("choices", "answer"),
    accept=_accept_choice,
    grade=_grade_letter,
    script=_script_letter,
)
