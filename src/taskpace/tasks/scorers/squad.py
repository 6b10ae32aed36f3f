"""Scorer ``squad``: short answers, by exact match, token F1 or a sentence that gives the answer.

Source: Rajpurkar et al. (2016), "SQuAD: 100,000+ Questions for Machine Comprehension of Text", arXiv 1606.05250,
section 6.1; what is stricter than that is in ``taskpace.tasks.short_answers``.
"""

from __future__ import annotations

from typing import Any

import msgspec

from taskpace.tasks.plain import plain
from taskpace.tasks.scorers.base import Scored, Scorer, texts_of
from taskpace.tasks.short_answers import contains_answer, exact_match, marked, nearly, token_f1

_MOST_CHARACTERS = 20_000
"""Of an answer; the rest of a longer one is not read."""


class SquadOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When an answer counts."""

    pass_f1: float = 0.6
    """The least F1 of a correct answer: three words, two of which are right, with one left out or too many. Numbers,
    dates, ordinals and names must agree whatever the F1, and no word may stand in place of another."""
    contained_words: int = 0
    """An answer of at most so many words is correct, too, if a right answer is in it, word for word: a sentence
    where a word was asked for is verbose, not wrong. 0: never."""


def _accept(fields: dict[str, Any]) -> dict[str, Any]:
    return fields | {"answers": texts_of(fields, "answers")}


def _grade(_: str, answer: str | None, fields: dict[str, Any], options: SquadOptions) -> Scored:
    if answer is None:
        return Scored(outcome="unparsed")
    # Cut twice: one character may be eighteen in plain form.
    said, answers = marked(plain(answer[:_MOST_CHARACTERS])[:_MOST_CHARACTERS]), fields["answers"]
    f1, exact = token_f1(said, answers), exact_match(said, answers)
    inside = not exact and contains_answer(said, answers, options.contained_words)
    near = not exact and nearly(said, answers, options.pass_f1)
    match = "exact match" if exact else "contains an answer" if inside else "no exact match"
    if f1 >= options.pass_f1 and not (exact or inside or near):
        match = "a word that matters is another"
    passed = exact or inside or near
    return Scored(outcome="correct" if passed else "wrong", score=f1, detail=f"F1 {f1:.2f}, {match}")


def _script(fields: dict[str, Any]) -> tuple[str, str]:
    return fields["answers"][0], "Nobody can say."  # words: as it is


SQUAD = Scorer(
    version=3,
    extraction="text",
    needs=("answers",),
    accept=_accept,
    grade=_grade,
    script=_script,
    options=SquadOptions,
)
