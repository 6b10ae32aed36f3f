"""What a scorer is, and what helps it read the fields of an item."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Literal

import msgspec

from taskpace.text.bounded import JsonProblem, decode_json


class FieldProblem(Exception):  # noqa: N818 - it is about a field, and caught next door
    """A field of an item that a scorer cannot use."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class Scored(msgspec.Struct, frozen=True, kw_only=True):
    """What a scorer reports about one answer."""

    outcome: Literal["correct", "wrong", "unparsed"]
    """``unparsed``: the answer cannot be read, so that nothing is known of it."""
    score: float | None = None
    """From 0 to 1, where there are degrees."""
    detail: str | None = None
    """Why, in a few words, for who reads one trial."""


class NoOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """For scorers that have none."""


class Scorer(msgspec.Struct, frozen=True, kw_only=True):
    """One way to grade. Results name it with its version: ``letter/1``."""

    version: int
    """Raised with every change that can change a grade."""
    extraction: str | None
    """The extraction whose answers it grades; null: it grades the whole text."""
    needs: tuple[str, ...]
    """Fields that every item must have."""
    accept: Callable[[dict[str, Any]], dict[str, Any]]
    """Checks an item's fields and puts them in one form; raises ``FieldProblem``."""
    grade: Callable[[str, str | None, dict[str, Any], Any], Scored]
    """From the visible text, the answer read from it, the item's fields and the options."""
    script: Callable[[dict[str, Any]], tuple[str, str]]
    """A right and a wrong text, for an engine that only plays."""
    wants: tuple[str, ...] = ()
    """Fields that it uses where there are any."""
    options: type[msgspec.Struct] = NoOptions
    """What a task file may say under ``options``."""
    libraries: tuple[str, ...] = ()
    """Optional modules that it imports when it grades."""
    extra: str | None = None
    """The extra of its distribution that installs them; null: they have no extra."""
    distribution: str = "taskpace"
    """The distribution it comes with; an entry point's own takes its place."""
    survey: Callable[[Iterable[dict[str, Any]]], None] | None = None
    """Sees the fields of all rows, as the data give them, before any is accepted; raises ``FieldProblem`` where they
    cannot mean what each by itself seems to mean. Null: every row stands for itself."""
    locate: Callable[[dict[str, Any], Path], dict[str, Any]] | None = None
    """Finds what its options name, from the folder that relative paths start from, and gives the options with absolute
    paths and what identifies it; raises ``FieldProblem``. Null: they name nothing."""


def kind_of(value: Any) -> str:
    """``value``'s kind in a user's words."""
    names = {str: "text", bool: "a truth value", int: "a number", float: "a number", dict: "a table", list: "a list"}
    if value is None:
        return "nothing"
    return names.get(type(value), type(value).__name__)


def text_of(fields: dict[str, Any], name: str) -> str:
    """A field that must be text with something in it. Raises ``FieldProblem``."""
    value = fields[name]
    if not isinstance(value, str):
        raise FieldProblem(name, f"is {kind_of(value)}: give text")
    if not value.strip():
        raise FieldProblem(name, "is empty: fill it in or take the row out")
    return value


def texts_of(fields: dict[str, Any], name: str) -> list[str]:
    """A field of one text or several, none of them empty; in a CSV cell a JSON list. Raises ``FieldProblem``."""
    value = fields[name]
    if isinstance(value, str) and value.lstrip().startswith("["):
        try:
            value = decode_json(value)
        except JsonProblem:
            value = fields[name]
    values = value if isinstance(value, list) else [value]
    texts = [str(each) if isinstance(each, int | float) and not isinstance(each, bool) else each for each in values]
    if not texts:
        raise FieldProblem(name, "is an empty list: give one text or several")
    for each in texts:
        if not isinstance(each, str):
            raise FieldProblem(name, f"holds {kind_of(each)}: give a text or a list of texts")
        if not each.strip():
            raise FieldProblem(name, "holds an empty text: fill it in or take the row out")
    return texts
