"""Scorer ``agreement``: whether a judge grades an answer as the task's own scorer does."""

from __future__ import annotations

from typing import Any

from taskpace.tasks.scorers.base import FieldProblem, Scored, Scorer


def _accept(fields: dict[str, Any]) -> dict[str, Any]:
    if fields["verdict"] not in ("correct", "wrong"):
        raise FieldProblem("verdict", f"is {fields['verdict']!r}: give correct or wrong")
    return fields


def _grade(_: str, answer: str | None, fields: dict[str, Any], __: Any) -> Scored:
    if answer is None:
        return Scored(outcome="unparsed", detail="no verdict")
    return Scored(outcome="correct" if answer == fields["verdict"] else "wrong")


def _script(fields: dict[str, Any]) -> tuple[str, str]:
    right = fields["verdict"]
    return f"Verdict: {right}", f"Verdict: {'wrong' if right == 'correct' else 'correct'}"


AGREEMENT = Scorer(version=1, extraction="verdict", needs=("verdict",), accept=_accept, grade=_grade, script=_script)
