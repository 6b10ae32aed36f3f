"""Scorer ``paraphrase``: a question in other words."""

from __future__ import annotations

from typing import Any

from taskpace.tasks.paraphrase import ParaphraseOptions, check_paraphrase
from taskpace.tasks.scorers.base import Scored, Scorer, text_of
from taskpace.tasks.scorers.choice import accept_choices


def _accept_question(fields: dict[str, Any]) -> dict[str, Any]:
    text_of(fields, "question")
    return fields | {"choices": accept_choices(fields["choices"])} if "choices" in fields else fields


def _grade_paraphrase(text: str, _: str | None, fields: dict[str, Any], options: ParaphraseOptions) -> Scored:
    check = check_paraphrase(text, fields["question"], fields.get("choices", ()), options)
    if check is None:
        return Scored(outcome="unparsed", detail="no text")
    return Scored(outcome="correct" if check.passed else "wrong", score=check.kept, detail=check.detail)


def _script_paraphrase(fields: dict[str, Any]) -> tuple[str, str]:
    """Words in reverse: passes the check, which reads no sentences, for most questions. And the question itself."""
    words = fields["question"].split()
    return f"What is meant by this: {' '.join(reversed(words))}?", fields["question"]


PARAPHRASE = Scorer(
    version=4,
    extraction=None,
    needs=("question",),
    wants=("choices",),
    accept=_accept_question,
    grade=_grade_paraphrase,
    script=_script_paraphrase,
    options=ParaphraseOptions,
)
