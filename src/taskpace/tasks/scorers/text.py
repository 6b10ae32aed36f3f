"""Scorer ``text``: the user's own prompts with answers."""

from __future__ import annotations

import unicodedata
from typing import Any

from taskpace.tasks.scorers.base import FieldProblem, Scored, Scorer, kind_of

_AROUND_TEXT = " \t\r\n.,;:!?\"'“”‘’«»*_`()[]"


def _accept_text(fields: dict[str, Any]) -> dict[str, Any]:
    answer = fields["answer"]
    if isinstance(answer, bool) or not isinstance(answer, str | int | float):
        raise FieldProblem("answer", f"is {kind_of(answer)}: give a text or a number")
    if not _fold(str(answer)):
        raise FieldProblem("answer", "is empty: fill it in or take the row out")
    return fields | {"answer": str(answer)}


def _grade_text(_: str, answer: str | None, fields: dict[str, Any], __: Any) -> Scored:
    if answer is None:
        return Scored(outcome="unparsed")
    return Scored(outcome="correct" if _fold(answer) == _fold(fields["answer"]) else "wrong")


def _fold(text: str) -> str:
    """Without case, spacing, and the punctuation and mark-up around it; all there is, when nothing else is there."""
    folded = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return folded.strip(_AROUND_TEXT) or folded


def _script_text(fields: dict[str, Any]) -> tuple[str, str]:
    return fields["answer"], f"not {fields['answer']}"


TEXT = Scorer(
    version=1,
    extraction="text",
    needs=("answer",),
    accept=_accept_text,
    grade=_grade_text,
    script=_script_text,
)
