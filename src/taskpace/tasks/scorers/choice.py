"""Scorer ``letter``: one of several choices."""

from __future__ import annotations

import re
from collections.abc import Iterable
from string import ascii_uppercase
from typing import Any

from taskpace.tasks.scorers.base import FieldProblem, Scored, Scorer, kind_of
from taskpace.text.bounded import JsonProblem, decode_json

_LETTER = re.compile(r"\(?([A-Za-z])[).:]?")
_INDEX = re.compile(r"\d{1,3}(?:\.0*)?")


def _accept_choice(fields: dict[str, Any]) -> dict[str, Any]:
    choices, labels = _labelled(fields)
    answer = fields["answer"]
    index = _by_choice(answer, choices) if labels is None else _by_label(answer, labels)
    found = fields | {"choices": choices, "answer": ascii_uppercase[index]}
    # The labels have told which choice is meant: everywhere else choices go by letters.
    found.pop("labels", None)
    return found


def accept_choices(value: Any) -> list[str]:
    """A list of texts, or the text of one. Raises ``FieldProblem``."""
    return _choices(value)[0]


def _labelled(fields: dict[str, Any]) -> tuple[list[str], list[str] | None]:
    """The choices, and the label of each where they have any. Raises ``FieldProblem``."""
    choices, own = _choices(fields["choices"])
    if "labels" not in fields:
        return choices, own
    value = _decoded(fields["labels"], "labels")
    labels = [_label(each) for each in value] if isinstance(value, list) else []
    if len(labels) < len(choices):
        raise FieldProblem("labels", f"has {len(labels)} labels for {len(choices)} choices: give a list, one for each")
    return choices, labels[: len(choices)]


def _choices(value: Any) -> tuple[list[str], list[str] | None]:
    """The texts, and their labels where the value has them: ``{"A": "one", "B": "two"}``,
    ``{"label": ["A", "B"], "text": ["one", "two"]}`` and ``[{"label": "A", "text": "one"}, ...]``.
    """
    value = _decoded(value, "choices")
    labels = None
    if isinstance(value, dict) and isinstance(value.get("label"), list) and isinstance(value.get("text"), list):
        labels, value = [_label(each) for each in value["label"]], value["text"]
        if len(labels) != len(value):
            raise FieldProblem("choices", f"has {len(labels)} labels for {len(value)} choices: give one for each")
    elif isinstance(value, dict) and any(isinstance(each, list) for each in value.values()):
        raise FieldProblem(
            "choices", 'is a table of lists: name the list of texts in "columns", by the column, a dot and its own name'
        )
    elif isinstance(value, dict):
        labels, value = [_label(name) for name in value], list(value.values())
        while value and value[-1] is None:  # a column of tables gives every row the keys of all
            labels.pop()
            value.pop()
    elif (
        isinstance(value, list) and value and all(isinstance(e, dict) and {"label", "text"} <= e.keys() for e in value)
    ):
        labels, value = [_label(each["label"]) for each in value], [each["text"] for each in value]
    if not isinstance(value, list):
        raise FieldProblem("choices", f"is {kind_of(value)}, not a list: give a list of texts")
    if not 2 <= len(value) <= len(ascii_uppercase):
        raise FieldProblem("choices", f"has {len(value)} choices: give from 2 to {len(ascii_uppercase)}")
    if not set(map(type, value)) <= {str, int, float}:
        raise FieldProblem("choices", "holds a value that is not text: give a list of texts")
    choices = [str(choice).strip() for choice in value]
    if "" in choices:
        raise FieldProblem("choices", "holds an empty choice: fill it in or take the row out")
    return choices, labels


def _decoded(value: Any, field: str) -> Any:
    """A CSV cell holds no list, but it can hold the text of one."""
    if not isinstance(value, str) or not value.lstrip().startswith(("[", "{")):
        return value
    try:
        return decode_json(value)
    except JsonProblem:
        raise FieldProblem(field, f'is not a list: write the {field} as JSON, ["one", "two"]') from None


def _label(value: Any) -> str:
    """A label, or the answer that names one, as text: 2, 2.0 and "2" are one label, and so are true and "True"."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()


def _by_label(answer: Any, labels: list[str]) -> int:
    wanted = _label(answer)
    for known, said in ((labels, wanted), ([label.casefold() for label in labels], wanted.casefold())):
        if known.count(said) == 1:
            return known.index(said)
    raise FieldProblem("answer", f"is {answer!r}, not one of the labels {', '.join(labels)}: correct one of the two")


def _by_choice(answer: Any, choices: list[str]) -> int:
    """The index of an answer given as a letter, as an index from 0, or as the text of a choice."""
    index = _letter(answer)
    if index is None:
        index = _index(answer)
    if index is None or index >= len(choices):
        index = _named(answer, choices)
    if index is None:
        last = ascii_uppercase[len(choices) - 1]
        raise FieldProblem(
            "answer",
            f"is {answer!r}, out of range: give a letter from A to {last}, an index from 0 to {len(choices) - 1}, or "
            "the text of one choice",
        )
    return index


def _letter(answer: Any) -> int | None:
    found = _LETTER.fullmatch(answer.strip()) if isinstance(answer, str) else None
    return None if found is None else ascii_uppercase.index(found[1].upper())


def _index(answer: Any) -> int | None:
    """Of a whole number from 0, also as a float or as text."""
    if isinstance(answer, bool):
        return None
    if isinstance(answer, str) and _INDEX.fullmatch(answer.strip()):
        answer = float(answer)
    if isinstance(answer, float) and answer.is_integer():
        answer = int(answer)
    return answer if isinstance(answer, int) and answer >= 0 else None


def _named(answer: Any, choices: list[str]) -> int | None:
    """The index of the one choice that is this text."""
    text = answer.strip() if isinstance(answer, str) else None
    return choices.index(text) if text is not None and choices.count(text) == 1 else None


def _survey(rows: Iterable[dict[str, Any]]) -> None:
    """See that indices count from 0, and that what reads as an index or a letter is not the text of a choice.

    A single row cannot show whether an answer of 1 is the first choice or the second; of a column that never has a 0
    and has the number of choices it is plain.
    """
    seen = zeros = beyond = 0
    most = 0
    named: str | None = None
    torn: dict[str, str] = {}  # kind -> an answer that is of this kind and also the text of another choice
    decided: set[str] = set()
    for row in rows:
        answer, choices = row.get("answer"), row.get("choices")
        index = _index(answer)
        if index is None and not isinstance(answer, str):
            continue
        numbers = isinstance(choices, list) and not all(isinstance(each, str) for each in choices)
        if not isinstance(choices, list) or "labels" in row or isinstance(answer, str) or numbers:
            try:
                choices, labels = _labelled(row)
            except (FieldProblem, KeyError):
                continue
            if labels is not None:
                continue
        count = len(choices)
        if index is not None:
            seen, zeros, beyond = seen + 1, zeros + (index == 0), beyond + (index == count)
            most = max(most, count)
        # A number is the text of a choice only where choices are numbers, too.
        said = _label(answer) if numbers else answer
        text = _named(said, choices)
        short, kind = (_letter(answer), "letter") if index is None else (index, "index")
        if short is None or short >= count:
            named = named or (None if text is None else str(answer)[:60])
        elif text is None:
            if said not in choices:
                decided.add(kind)
        elif text != short:
            torn.setdefault(kind, str(answer)[:60])
            most = max(most, count)
    if beyond and not zeros:
        raise FieldProblem(
            "answer",
            f"runs from 1 to the number of choices and is never 0, but an index counts from 0: {beyond} of {seen} rows "
            "would be left out and the rest be one choice off. Where 1 is the first choice, add "
            f"{_labels(range(1, most + 1))} to the task's table of the data",
        )
    if named is not None and torn:
        raise FieldProblem(
            "answer",
            f"has texts of choices ({named!r}), and {next(iter(torn.values()))!r}, which is the text of one choice "
            "and the letter or index of another: give letters",
        )
    if undecided := next((kind for kind in torn if kind not in decided), None):
        counted = _labels(range(most)), _labels(range(1, most + 1))
        means = {
            "index": f"Where 0 is the first choice, add {counted[0]}, and where 1 is, {counted[1]},",
            "letter": f"Where it is the letter, add {_labels(ascii_uppercase[:most])}",
        }[undecided]
        raise FieldProblem(
            "answer",
            f"has {torn[undecided]!r}, which is the {undecided} of one choice and the text of another, and no row "
            f"shows which is meant. {means} to the task's table of the data; where it is the text, name the column of "
            'the choices as "labels", too, in the table "columns"',
        )


def _labels(labels: Iterable[Any]) -> str:
    """What to write into a task's table of the data."""
    listed = ", ".join(f'"{label}"' for label in labels)
    return f"`values = {{ labels = [{listed}] }}`"


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
    wants=("labels",),
    accept=_accept_choice,
    survey=_survey,
    grade=_grade_letter,
    script=_script_letter,
)
