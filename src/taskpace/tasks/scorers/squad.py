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

from taskpace.tasks.scorers.base import Scored, Scorer, texts_of

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_SEPARATORS = re.compile(r"[,;\n]|\band\b|\bor\b", re.IGNORECASE)
_DENIALS = frozenset({"not", "no", "never", "neither", "nor", "isnt", "wasnt", "arent", "werent", "cannot", "cant"})
_DENIED_WITHIN = 3
"""Words before an answer in which a denial is about it."""
_SHORT, _MANY = 4, 3
"""Words of a part of a list, and parts that make one."""
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
    """Whether a sentence gives one of the answers and no other: normalised, as words in a row.

    Not in more than ``most_words``; not where a "not" stands shortly before it, as in "certainly not Paris"; and not
    where it is one of several, as in "Paris, London or Rome": who names them all has not answered.
    """
    words = normalise(said).split()
    if len(words) > most_words:
        return False
    return any(_is_given(words, normalise(answer).split(), said) for answer in answers)


def _is_given(words: list[str], answer: list[str], said: str) -> bool:
    places = [n for n in range(len(words)) if answer and words[n : n + len(answer)] == answer]
    return any(
        not _denied(words[max(0, place - _DENIED_WITHIN) : place])
        and not _one_of_many(words, place, place + len(answer))
        for place in places
    ) and not _listed(said, answer)


def _denied(before: list[str]) -> bool:
    """Whether the words before an answer deny it; "not London but Paris" denies London."""
    return bool(_DENIALS & set(before)) and "but" not in before


def _one_of_many(words: list[str], start: int, end: int) -> bool:
    """Whether an "or" stands beside it, or a number beside a number."""
    around = words[max(0, start - 1) : start] + words[end : end + 1]
    return "or" in around or (words[start].isdigit() and any(word.isdigit() for word in around))


def _listed(said: str, answer: list[str]) -> bool:
    """Whether it is one of three or more short parts in a row, between commas."""
    parts = [words for part in _SEPARATORS.split(said) if (words := normalise(part).split())]
    short = [len(part) <= _SHORT for part in parts]
    for place, part in enumerate(parts):
        if not (short[place] and any(part[n : n + len(answer)] == answer for n in range(len(part)))):
            continue
        before = next((n for n in range(place + 1) if place - n < 0 or not short[place - n]), place + 1)
        after = next((n for n in range(len(parts) - place) if not short[place + n]), len(parts) - place)
        if before + after - 1 >= _MANY:
            return True
    return False


def _f1(said: list[str], right: list[str]) -> float:
    if not said or not right:
        return float(said == right)
    common = sum((Counter(said) & Counter(right)).values())
    # 2 P R / (P + R) with P = common / said, R = common / right.
    return 2 * common / (len(said) + len(right))


def _accept(fields: dict[str, Any]) -> dict[str, Any]:
    return fields | {"answers": texts_of(fields, "answers")}


def _grade(_: str, answer: str | None, fields: dict[str, Any], options: SquadOptions) -> Scored:
    if answer is None:
        return Scored(outcome="unparsed")
    f1, exact = token_f1(answer, fields["answers"]), exact_match(answer, fields["answers"])
    inside = contains_answer(answer, fields["answers"], options.contained_words)
    match = "exact match" if exact else "contains an answer" if inside else "no exact match"
    passed = exact or inside or f1 >= options.pass_f1
    return Scored(outcome="correct" if passed else "wrong", score=f1, detail=f"F1 {f1:.2f}, {match}")


def _script(fields: dict[str, Any]) -> tuple[str, str]:
    return fields["answers"][0], "Nobody can say."


SQUAD = Scorer(
    version=2,
    extraction="text",
    needs=("answers",),
    accept=_accept,
    grade=_grade,
    script=_script,
    options=SquadOptions,
)
