"""Scorer ``json``: an object by its schema, field by field."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from taskpace.tasks.extractors.json_answer import share_of_fields
from taskpace.tasks.scorers.base import FieldProblem, Scored, Scorer, kind_of
from taskpace.tasks.scorers.schema import SchemaProblem, check_schema, schema_problem
from taskpace.text.bounded import JsonProblem, decode_json


class JsonOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When an object counts."""

    least_share: float = 1.0
    """The share of fields that must be right, 0 to 1; the schema must fit in any case."""


def _accept(fields: dict[str, Any]) -> dict[str, Any]:
    found = {}
    for name in ("schema", "answer"):
        value = fields[name]
        if isinstance(value, str):
            try:
                value = decode_json(value)
            except JsonProblem as exc:
                raise FieldProblem(name, f"is {exc}: give an object") from None
        if not isinstance(value, dict):
            raise FieldProblem(name, f"is {kind_of(value)}: give a JSON object")
        found[name] = value
    try:
        check_schema(found["schema"])
    except SchemaProblem as exc:
        raise FieldProblem("schema", str(exc)) from None
    problem = schema_problem(found["answer"], found["schema"])
    if problem:
        raise FieldProblem("answer", f"does not fit its own schema ({problem}): correct one of the two")
    if not found["answer"]:
        raise FieldProblem("answer", "is an empty object: fill it in or take the row out")
    return fields | found


def _grade(_: str, answer: str | None, fields: dict[str, Any], options: JsonOptions) -> Scored:
    if answer is None:
        return Scored(outcome="unparsed", detail="no JSON object")
    value = json.loads(answer)
    share = share_of_fields(value, fields["answer"])
    problem = schema_problem(value, fields["schema"])
    passed = problem is None and share >= options.least_share
    fit = "fits the schema" if problem is None else f"does not fit the schema: {problem}"
    return Scored(
        outcome="correct" if passed else "wrong", score=share, detail=f"{100 * share:.0f} % of fields right; {fit}"
    )


def _script(fields: dict[str, Any]) -> tuple[str, str]:
    return json.dumps(fields["answer"], ensure_ascii=False), "{}"


JSON = Scorer(
    version=2,
    extraction="json",
    needs=("schema", "answer"),
    accept=_accept,
    grade=_grade,
    script=_script,
    options=JsonOptions,
    libraries=("jsonschema",),
    extra="quality",
)
