"""Scorer ``agreement``: whether a judge says of an answer what the task's own scorer said."""

from __future__ import annotations

from typing import Any

from taskpace.tasks.scorers.base import FieldProblem, Judgement, Scorer


def _accept(fields: dict[str, Any]) -> dict[str, Any]:
    if fields["verdict"] not in ("correct", "wrong"):
        raise FieldProblem("verdict", f"is {fields['verdict']!r}: give correct or wrong")
    return fields


def _judge(_: str, answer: str | None, fields: dict[str, Any], __: Any) -> Judgement:
    if answer is None:
        return Judgement(outcome="unparsed", detail="no verdict")
    return Judgement(outcome="correct" if answer == fields["verdict"] else "wrong")


def _script(fields: dict[str, Any]) -> tuple[str, str]:
    right = fields["verdict"]
    return f"Verdict: {right}", f"Verdict: {'wrong' if right == 'correct' else 'correct'}"


AGREEMENT = Scorer(version=1, extraction="verdict", needs=("verdict",), accept=_accept, judge=_judge, script=_script)
