"""Who judges: one entry per scorer. A new one is a few functions and a line in ``SCORERS``."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from typing import Any, Literal

import msgspec

from taskpace.tasks.paraphrase import ParaphraseOptions, check_paraphrase

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_AROUND_TEXT = " \t\r\n.,;:!?\"'“”‘’«»*_`()[]"


class FieldProblem(Exception):  # noqa: N818 - it is about a field, and caught next door
    """A field of an item that a scorer cannot use."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    outcome: Literal["correct", "wrong", "unparsed"]
    score: float | None = None
    detail: str | None = None


class NoOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """For scorers that have none."""


class Scorer(msgspec.Struct, frozen=True, kw_only=True):
    """One way to judge."""

    version: int
    """Raised with every change that can change a judgement."""
    extraction: str | None
    """The extraction whose answers it judges; null: it judges the whole text."""
    needs: tuple[str, ...]
    """Fields that every item must have."""
    accept: Callable[[dict[str, Any]], dict[str, Any]]
    """Checks an item's fields and puts them in one form; raises ``FieldProblem``."""
    judge: Callable[[str, str | None, dict[str, Any], Any], Judgement]
    """From the visible text, the answer read from it, the item's fields and the options."""
    script: Callable[[dict[str, Any]], tuple[str, str]]
    """A right and a wrong text, for an engine that only plays."""
    wants: tuple[str, ...] = ()
    """Fields that it uses where there are any."""
    options: type[msgspec.Struct] = NoOptions


# --- letter: one of several choices ---------------------------------------------------------------------------------


def _accept_choice(fields: dict[str, Any]) -> dict[str, Any]:
    choices = _accept_choices(fields["choices"])
    return fields | {"choices": choices, "answer": _accept_answer(fields["answer"], len(choices))}


def _accept_choices(value: Any) -> list[str]:
    if isinstance(value, str) and value.lstrip().startswith("["):
        # A CSV cell holds no list, but it can hold the text of one.
        try:
            value = msgspec.json.decode(value)
        except msgspec.DecodeError:
            raise FieldProblem("choices", 'is no list: write the choices as JSON, ["one", "two"]') from None
    if not isinstance(value, list):
        raise FieldProblem("choices", f"is {_kind(value)}, not a list: give a list of texts")
    if not 2 <= len(value) <= len(_ALPHABET):
        raise FieldProblem("choices", f"has {len(value)} choices: give from 2 to {len(_ALPHABET)}")
    if any(isinstance(choice, bool) or not isinstance(choice, str | int | float) for choice in value):
        raise FieldProblem("choices", "holds something that is no text: give a list of texts")
    choices = [str(choice).strip() for choice in value]
    if "" in choices:
        raise FieldProblem("choices", "holds an empty choice: fill it in or take the row out")
    return choices


def _accept_answer(value: Any, count: int) -> str:
    """The letter of an answer given as a letter or as an index from 0."""
    letters = _ALPHABET[:count]
    if isinstance(value, str) and len(value.strip()) == 1 and value.strip().upper() in letters:
        return value.strip().upper()
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < count:
        return letters[value]
    raise FieldProblem(
        "answer",
        f"is {value!r}, out of range: give a letter from A to {letters[-1]}, or an index from 0 to {count - 1}",
    )


def _kind(value: Any) -> str:
    names = {str: "text", bool: "a truth value", int: "a number", float: "a number", dict: "a table"}
    return names.get(type(value), type(value).__name__)


def _judge_letter(_: str, answer: str | None, fields: dict[str, Any], __: Any) -> Judgement:
    if answer is None:
        return Judgement(outcome="unparsed")
    return Judgement(outcome="correct" if answer == fields["answer"] else "wrong")


def _script_letter(fields: dict[str, Any]) -> tuple[str, str]:
    right = _ALPHABET.index(fields["answer"])
    wrong = (right + 1) % len(fields["choices"])
    return f"The answer is {_ALPHABET[right]}.", f"The answer is {_ALPHABET[wrong]}."


# --- text: the user's own prompts with answers ----------------------------------------------------------------------


def _accept_text(fields: dict[str, Any]) -> dict[str, Any]:
    answer = fields["answer"]
    if isinstance(answer, bool) or not isinstance(answer, str | int | float):
        raise FieldProblem("answer", f"is {_kind(answer)}: give a text or a number")
    if not _fold(str(answer)):
        raise FieldProblem("answer", "is empty: fill it in or take the row out")
    return fields | {"answer": str(answer)}


def _judge_text(_: str, answer: str | None, fields: dict[str, Any], __: Any) -> Judgement:
    if answer is None:
        return Judgement(outcome="unparsed")
    return Judgement(outcome="correct" if _fold(answer) == _fold(fields["answer"]) else "wrong")


def _fold(text: str) -> str:
    """Without case, spacing, and the punctuation and mark-up around it; all there is, when nothing else is there."""
    folded = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    return folded.strip(_AROUND_TEXT) or folded


def _script_text(fields: dict[str, Any]) -> tuple[str, str]:
    return fields["answer"], f"not {fields['answer']}"


# --- paraphrase -----------------------------------------------------------------------------------------------------


def _accept_question(fields: dict[str, Any]) -> dict[str, Any]:
    question = fields["question"]
    if not isinstance(question, str):
        raise FieldProblem("question", f"is {_kind(question)}: give text")
    if not question.strip():
        raise FieldProblem("question", "is empty: fill it in or take the row out")
    return fields | {"choices": _accept_choices(fields["choices"])} if "choices" in fields else fields


def _judge_paraphrase(text: str, _: str | None, fields: dict[str, Any], options: ParaphraseOptions) -> Judgement:
    check = check_paraphrase(text, fields["question"], fields.get("choices", ()), options)
    if check is None:
        return Judgement(outcome="unparsed", detail="no text")
    return Judgement(outcome="correct" if check.passed else "wrong", score=check.kept, detail=check.detail)


def _script_paraphrase(fields: dict[str, Any]) -> tuple[str, str]:
    """Words in reverse: passes the check, which reads no sentences, for most questions. And the question itself."""
    words = fields["question"].split()
    return f"What is meant by this: {' '.join(reversed(words))}?", fields["question"]


SCORERS: dict[str, Scorer] = {
    "letter": Scorer(
        version=1,
        extraction="letter",
        needs=("choices", "answer"),
        accept=_accept_choice,
        judge=_judge_letter,
        script=_script_letter,
    ),
    "text": Scorer(
        version=1,
        extraction="text",
        needs=("answer",),
        accept=_accept_text,
        judge=_judge_text,
        script=_script_text,
    ),
    "paraphrase": Scorer(
        version=1,
        extraction=None,
        needs=("question",),
        wants=("choices",),
        accept=_accept_question,
        judge=_judge_paraphrase,
        script=_script_paraphrase,
        options=ParaphraseOptions,
    ),
}
"""Every scorer there is."""
