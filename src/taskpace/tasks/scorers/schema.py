"""JSON Schemas that stand in the data, and so may come from anyone: applied within bounds, and never resolved outward.

A reference leads into the schema itself or is refused before anything follows it. Patterns are matched by an engine
without backtracking (Rust's, in polars), in time linear in the text. What a schema demands of one value is counted, and
given up beyond a limit: definitions that refer to each other can ask for 2**64 comparisons in a few lines.

Source: JSON Schema, draft 2020-12.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any

from taskpace.tasks.scorers.schema_form import (
    OF_NAMES,
    REFERENCES,
    SAME_VALUE,
    SAME_VALUE_LISTS,
    SchemaProblem,
    self_contained,
    target,
)
from taskpace.text.bounded import MOST_NESTED, nested_too_deep
from taskpace.text.safe_text import one_line

_MOST_CHARACTERS = 50_000
_MOST_STEPS = 200_000
"""Comparisons for one value: about a second. A schema of fifty fields takes some hundreds."""
_CHARACTERS_A_STEP = 100
"""Of a text that a pattern is matched against."""
Keyword = Callable[[Any, Any, Any, Any], Iterable[Any] | None]
_steps: ContextVar[int] = ContextVar("steps", default=0)


class _TooManySteps(Exception):  # noqa: N818 - a signal between functions of this module
    pass


def check_schema(schema: dict[str, Any]) -> None:
    """See that a schema is well formed, refers to nothing outside it or without end, and has patterns that end.

    Raises:
        SchemaProblem: with the remedy.
    """
    from jsonschema import Draft202012Validator, SchemaError

    if nested_too_deep(schema):
        raise SchemaProblem(f"is nested more than {MOST_NESTED} levels deep: flatten it")
    if len(json.dumps(schema)) > _MOST_CHARACTERS:
        raise SchemaProblem(f"has more than {_MOST_CHARACTERS:,} characters: shorten it")
    own, tables = self_contained(schema)
    for table in tables:
        _check_draft(table)
        _check_patterns(table)
    _check_ends(tables, own)
    try:
        # Formats are not checked: compiling a pattern with Python's engine can fail in any way.
        Draft202012Validator.check_schema(own, format_checker=None)
    except SchemaError as exc:
        raise SchemaProblem(f"is not JSON Schema ({one_line(exc.message, 80)}): correct it") from None
    except RecursionError:
        raise SchemaProblem("is nested too deep: flatten it") from None


def schema_problem(value: Any, schema: dict[str, Any]) -> str | None:
    """What is wrong with ``value`` by a schema that has been checked, in one line; null if nothing is."""
    _steps.set(0)
    try:
        found = next(iter(_validator()(self_contained(schema)[0]).iter_errors(value)), None)
    except _TooManySteps:
        return f"it takes more than {_MOST_STEPS:,} steps to check"
    except (RecursionError, ArithmeticError, ValueError) as exc:  # too deep; numbers and half emojis beyond bounds
        return f"it cannot be checked ({one_line(str(exc), 80)})"
    return None if found is None else one_line(str(found.message), 200)


def _check_ends(tables: Iterable[dict[str, Any]], schema: dict[str, Any]) -> None:
    """See that following a schema without going into the value comes to an end."""
    ended: set[int] = set()

    def follow(table: Any, path: tuple[int, ...]) -> None:
        if not isinstance(table, dict) or id(table) in ended:
            return
        if id(table) in path or len(path) > MOST_NESTED:
            raise SchemaProblem("refers to itself, or from one part to the next, without end: take the circle out")
        for part in _of_the_same_value(table, schema):
            follow(part, (*path, id(table)))
        ended.add(id(table))

    for table in tables:
        follow(table, ())


def _of_the_same_value(table: dict[str, Any], schema: dict[str, Any]) -> Iterator[Any]:
    for name in REFERENCES:
        if isinstance(table.get(name), str):
            yield target(table[name], schema)
    for name in SAME_VALUE_LISTS:
        if isinstance(table.get(name), list):
            yield from table[name]
    for name in SAME_VALUE:
        yield table.get(name)
    for name in OF_NAMES:
        if isinstance(table.get(name), dict):
            yield from table[name].values()


def _check_draft(table: dict[str, Any]) -> None:
    """Refuse by name what older drafts have and today's would not see, or not understand."""
    for name, today in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(table.get(name), bool):
            raise SchemaProblem(
                f'has "{name}" as draft 4 has it, true or false: make it the number itself, in place of "{today}"'
            )
    for name, today in (("$recursiveRef", "$ref"), ("divisibleBy", "multipleOf"), ("extends", "allOf")):
        if name in table:
            raise SchemaProblem(f'has "{name}" of an older draft: write "{today}"')


def _check_patterns(table: dict[str, Any]) -> None:
    named = table.get("patternProperties")
    patterns = [table["pattern"]] if isinstance(table.get("pattern"), str) else []
    for pattern in (*patterns, *(named if isinstance(named, dict) else ())):
        try:
            _matching(pattern, [""])
        except ValueError as exc:
            raise SchemaProblem(
                f"has the pattern {one_line(pattern, 60)!r}, which cannot be matched in linear time ({exc}): write it "
                "without look-around and back references"
            ) from None
    if named and "unevaluatedProperties" in table:
        raise SchemaProblem('has "patternProperties" beside "unevaluatedProperties": use "additionalProperties"')


def _matching(pattern: str, texts: list[str]) -> list[bool]:
    """Whether each text has a part that fits. Raises ``ValueError`` for a pattern that the engine does not take."""
    import polars as pl

    try:
        found: list[bool] = pl.Series(texts, dtype=pl.String).str.contains(pattern).to_list()
    except pl.exceptions.PolarsError as exc:
        lines = [line.strip() for line in str(exc).splitlines() if line.strip()]
        said = next((line for line in lines if line.startswith("error:")), lines[0] if lines else "refused")
        raise ValueError(one_line(said.removeprefix("error: ").removeprefix("regex error: "), 80)) from None
    return found


def _spend(steps: int) -> None:
    _steps.set(_steps.get() + steps)
    if _steps.get() > _MOST_STEPS:
        raise _TooManySteps


@lru_cache(maxsize=1)
def _validator() -> Any:
    from jsonschema import Draft7Validator, Draft202012Validator
    from jsonschema.validators import extend

    given = Draft202012Validator.VALIDATORS
    own: dict[str, Keyword] = {
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
        "additionalProperties": _additional_properties(given["additionalProperties"]),
        "uniqueItems": _unique_items,
        "multipleOf": _multiple_of,
        "dependencies": Draft7Validator.VALIDATORS["dependencies"],
    }
    return extend(Draft202012Validator, {name: _counted(keyword) for name, keyword in (given | own).items()})


def _counted(keyword: Keyword) -> Keyword:
    def counted(validator: Any, said: Any, value: Any, schema: Any) -> Iterable[Any] | None:
        _spend(1 + (len(said) if isinstance(said, dict | list) else 0))
        return keyword(validator, said, value, schema)

    return counted


def _fitting(pattern: str, texts: list[str]) -> list[bool]:
    _spend(sum(1 + len(text) // _CHARACTERS_A_STEP for text in texts))
    return _matching(pattern, texts)


def _pattern(_: Any, pattern: str, value: Any, __: Any) -> Iterator[Any]:
    if isinstance(value, str) and not _fitting(pattern, [value])[0]:
        yield _error(f"{value!r} does not match {pattern!r}")


def _pattern_properties(validator: Any, named: dict[str, Any], value: Any, _: Any) -> Iterator[Any]:
    if not isinstance(value, dict):
        return
    names = list(value)
    for pattern, schema in named.items():
        for name, fits in zip(names, _fitting(pattern, names), strict=True):
            if fits:
                yield from validator.descend(value[name], schema, path=name, schema_path=pattern)


def _additional_properties(given: Keyword) -> Keyword:
    def additional_properties(validator: Any, said: Any, value: Any, schema: Any) -> Iterator[Any]:
        if not isinstance(value, dict):
            return
        _spend(len(value))
        if "patternProperties" not in schema:
            yield from given(validator, said, value, schema) or ()
            return
        names = [name for name in value if name not in schema.get("properties", {})]
        known = {
            name
            for pattern in schema["patternProperties"]
            for name, fits in zip(names, _fitting(pattern, names), strict=True)
            if fits
        }
        for name in names:
            if name in known:
                continue
            if isinstance(said, dict):
                yield from validator.descend(value[name], said, path=name)
            elif not said:
                yield _error(f"{name!r} does not match any of the patterns of names")

    return additional_properties


def _multiple_of(_: Any, step: float, value: Any, __: Any) -> Iterator[Any]:
    """By the decimals that are written: 19.99 is a multiple of 0.01, though the floats are none of each other."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    whole, part = (Fraction(n) if isinstance(n, int) else Fraction(Decimal(repr(n))) for n in (value, step))
    if (whole / part).denominator != 1:
        yield _error(f"{value!r} is not a multiple of {step!r}")


def _unique_items(_: Any, wanted: Any, value: Any, __: Any) -> Iterator[Any]:
    """By value, as JSON Schema has it: 1 is 1.0 and not true. In time linear in the list."""
    if not wanted or not isinstance(value, list):
        return
    seen: set[str] = set()
    for part in value:
        key = json.dumps(_by_value(part), sort_keys=True)
        if key in seen:
            yield _error(f"{one_line(repr(value), 80)} has non-unique elements")
            return
        seen.add(key)


def _by_value(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _by_value(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_by_value(part) for part in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _error(message: str) -> Any:
    from jsonschema import ValidationError

    return ValidationError(message)
