"""Scorer ``demands``: what a program can check of a text: its length, what it must say, what it must not."""

from __future__ import annotations

from typing import Any

import msgspec

from taskpace.tasks.plain import fold
from taskpace.tasks.scorers.base import FieldProblem, Scored, Scorer, kind_of
from taskpace.tasks.words import contains, count_words


class DemandsOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How demands are read, and how many must be met."""

    least_share: float = 1.0
    """The share of demands met that counts, 0 to 1."""
    whole_words: bool = False
    """Whether a point must stand as whole words; else a word may go on after it (tree, trees)."""
    differs_from: str | None = None
    """A field: the text must not be a copy of it, and no more than twice or less than half as long."""


class Demand(msgspec.Struct, frozen=True):
    """One of them, and whether it was met."""

    what: str
    met: bool


def check_demands(text: str, fields: dict[str, Any], options: DemandsOptions) -> list[Demand]:
    """Every demand of an item, in order.

    Args:
        text: what was written.
        fields: ``least_words``, ``most_words`` (whole numbers), ``points`` (lists of alternatives), ``forbidden``
            (phrases); those that are there.
        options: of the task.
    """
    words = count_words(text)
    found: list[Demand] = []
    if (least := fields.get("least_words")) is not None:
        found.append(Demand(f"at least {least} words ({words})", words >= least))
    if (most := fields.get("most_words")) is not None:
        found.append(Demand(f"at most {most} words ({words})", words <= most))
    for point in fields.get("points", ()):
        met = any(contains(text, phrase, whole=options.whole_words) for phrase in point)
        found.append(Demand(f"says {' or '.join(point)}", met))
    found.extend(Demand(f"without {phrase}", not contains(text, phrase)) for phrase in fields.get("forbidden", ()))
    if options.differs_from is not None:
        source = str(fields[options.differs_from])
        copied = fold(text) == fold(source)
        found.append(Demand("other words than the original", not copied))
        length = count_words(source)
        found.append(Demand(f"half to twice its length ({words} for {length})", length <= 2 * words <= 4 * length))
    return found


def _accept(fields: dict[str, Any]) -> dict[str, Any]:
    for name in ("least_words", "most_words"):
        value = fields.get(name)
        if isinstance(value, str) and value.strip().isdecimal() and len(value) < _MOST_DIGITS:
            fields = fields | {name: int(value)}  # of a CSV file, which is text
            continue
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
            raise FieldProblem(name, f"is {value!r}: give a whole number")
    if fields.get("least_words", 0) > fields.get("most_words", fields.get("least_words", 0)):
        raise FieldProblem("least_words", "is more than most_words: exchange the two")
    if not any(name in fields for name in _DEMANDS):
        raise FieldProblem(_DEMANDS[2], f"is not there, nor is another demand: give one of {', '.join(_DEMANDS)}")
    points = fields.get("points", [])
    if not isinstance(points, list):
        raise FieldProblem("points", f"is {kind_of(points)}: give a list, each point a text or a list of alternatives")
    points = [point if isinstance(point, list) else [point] for point in points]
    forbidden = fields.get("forbidden", [])
    for name, phrases in (("points", [each for point in points for each in point]), ("forbidden", forbidden)):
        if not isinstance(phrases, list) or any(not isinstance(each, str) or not each.strip() for each in phrases):
            raise FieldProblem(name, "holds a value that is not text: give texts that are not empty")
    if any(not point for point in points):
        raise FieldProblem("points", "holds an empty point: give at least one alternative")
    if not points and not forbidden and "least_words" not in fields and "most_words" not in fields:
        raise FieldProblem("points", "is an empty list and nothing else is demanded: give a point or take the row out")
    return fields | {"points": points, "forbidden": forbidden}


def _grade(text: str, _: str | None, fields: dict[str, Any], options: DemandsOptions) -> Scored:
    if not text.strip():
        return Scored(outcome="unparsed", detail="no text")
    demands = check_demands(text, fields, options)
    share = sum(demand.met for demand in demands) / len(demands) if demands else 1.0
    unmet = [demand.what for demand in demands if not demand.met]
    return Scored(
        outcome="correct" if share >= options.least_share else "wrong",
        score=share,
        detail=f"not met: {'; '.join(unmet)}" if unmet else "all demands met",
    )


def _script(fields: dict[str, Any]) -> tuple[str, str]:
    """The points in a row, filled up to the length that is wanted; and nothing of them."""
    said = ". ".join(point[0] for point in fields["points"])
    wanted = max(fields.get("least_words", 0), count_words(str(fields.get("text", ""))) // 2 + 1)
    return said + " so" * max(0, wanted - count_words(said)), "No."


_MOST_DIGITS = 10
_DEMANDS = ("least_words", "most_words", "points", "forbidden")

DEMANDS = Scorer(
    version=2,
    extraction=None,
    needs=(),
    wants=_DEMANDS,
    accept=_accept,
    grade=_grade,
    script=_script,
    options=DemandsOptions,
)
