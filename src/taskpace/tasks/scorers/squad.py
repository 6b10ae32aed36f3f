"""Scorer ``squad``: short answers, by exact match and token F1, as the SQuAD benchmark defines them.

Source: Rajpurkar et al. (2016), "SQuAD: 100,000+ Questions for Machine Comprehension of Text", arXiv 1606.05250,
section 6.1: answers are compared without case, punctuation and the articles a, an, the; F1 is over the bag of tokens,
the best of several right answers counts.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from taskpace.tasks.scorers.base import Judgement, Scorer, texts_of

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


class SquadOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When an answer counts."""

    pass_f1: float = 0.6
    """The least F1 of a correct answer: three words, two of which are right, with one left out or too many."""
    contained_words: int = 0
    """An answer of at most so many words is correct, too, if a right answer stands in it, word for word: a sentence
    where a word was asked for is verbose, not wrong. 0: never."""


def normalise(text: str) -> str:
    """``text`` as SQuAD compares it."""
    bare = text.lower().translate(_PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", bare).split())


def exact_match(said: str, answers: Sequence[str]) -> bool:
    """Whether it is one of the answers."""
    return any(normalise(said) == normalise(answer) for answer in answers)


def token_f1(said: str, answers: Sequence[str]) -> float:
    """The best F1 against any answer, 0 to 1; where one side has no tokens, 1 if neither has any."""
    return max((_f1(normalise(said).split(), normalise(answer).split()) for answer in answers), default=0.0)


def contains_answer(said: str, answers: Sequence[str], most_words: int) -> bool:
    """Whether one of the answers stands in it, normalised, as words in a row; never in more than ``most_words``."""
    words = normalise(said)
    found = (normalise(answer) for answer in answers)
    return len(words.split()) <= most_words and any(answer and f" {answer} " in f" {words} " for answer in found)


def _f1(said: list[str], right: list[str]) -> float:
    if not said or not right:
        return float(said == right)
    common = sum((Counter(said) & Counter(right)).values())
    # 2 P R / (P + R) with P = common / said, R = common / right.
    return 2 * common / (len(said) + len(right))


def _accept(fields: dict[str, Any]) -> dict[str, Any]:
    return fields | {"answers": texts_of(fields, "answers")}


def _judge(_: str, answer: str | None, fields: dict[str, Any], options: SquadOptions) -> Judgement:
    if answer is None:
        return Judgement(outcome="unparsed")
    f1, exact = token_f1(answer, fields["answers"]), exact_match(answer, fields["answers"])
    inside = contains_answer(answer, fields["answers"], options.contained_words)
    match = "exact match" if exact else "contains an answer" if inside else "no exact match"
    passed = exact or inside or f1 >= options.pass_f1
    return Judgement(outcome="correct" if passed else "wrong", score=f1, detail=f"F1 {f1:.2f}, {match}")


def _script(fields: dict[str, Any]) -> tuple[str, str]:
    return fields["answers"][0], "Nobody can say."


SQUAD = Scorer(
    version=2,
    extraction="text",
    needs=("answers",),
    accept=_accept,
    judge=_judge,
    script=_script,
    options=SquadOptions,
)
