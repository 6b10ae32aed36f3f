"""Scorer ``text``: the user's own prompts with answers."""

from __future__ import annotations

from typing import Any

from taskpace.tasks.plain import fold, plain
from taskpace.tasks.scorers.base import FieldProblem, Scored, Scorer, kind_of


def _accept_text(fields: dict[str, Any]) -> dict[str, Any]:
    answer = fields["answer"]
    if isinstance(answer, bool) or not isinstance(answer, str | int | float):
        raise FieldProblem("answer", f"is {kind_of(answer)}: give a text or a number")
    if not _comparable(str(answer)):
        raise FieldProblem("answer", "is empty: fill it in or take the row out")
    return fields | {"answer": str(answer)}


def _grade_text(_: str, answer: str | None, fields: dict[str, Any], __: Any) -> Scored:
    if answer is None:
        return Scored(outcome="unparsed")
    return Scored(outcome="correct" if _comparable(answer) == _comparable(fields["answer"]) else "wrong")


def _comparable(text: str) -> str:
    """Without case, spacing, and the punctuation and mark-up around it; all there is, when nothing else is there."""
    return fold(text) or " ".join(plain(text).casefold().split()) or text.strip()


def _script_text(fields: dict[str, Any]) -> tuple[str, str]:
    return fields["answer"], f"not {fields['answer']}"


TEXT = Scorer(
    version=2,
    extraction="text",
    needs=("answer",),
    accept=_accept_text,
    grade=_grade_text,
    script=_script_text,
)
