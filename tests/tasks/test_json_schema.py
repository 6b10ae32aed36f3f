"""JSON Schemas in the data: never resolved outward, never without end, right where they are within bounds."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from tests.later import Later

from taskpace.tasks.scorers import SCORERS, FieldProblem, schema as schema_module
from taskpace.tasks.scorers.schema import check_schema, schema_problem
from taskpace.tasks.scorers.schema_form import SchemaProblem

jsonschema = Later("jsonschema")

JSON = SCORERS["json"]


def refusal(schema: dict[str, Any]) -> str:
    with pytest.raises(SchemaProblem) as caught:
        check_schema(schema)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def nothing_leaves(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was asked of the network or read of a file while it is in use."""
    asked: list[Any] = []
    monkeypatch.setattr(socket, "create_connection", lambda *to, **_: asked.append(to))
    monkeypatch.setattr(socket.socket, "connect", lambda *to: asked.append(to))
    monkeypatch.setattr("urllib.request.urlopen", lambda *to, **_: asked.append(to))
    return asked


@pytest.mark.parametrize("key", ["$ref", "$dynamicRef"])
@pytest.mark.parametrize(
    "reference",
    [
        *(
            "http://127.0.0.1:9/schema.json",
            "https://example.com/s#/a",
            "file:///etc/hostname",
            "//example.com/s",
            "s.json",
        ),
        *(
            "#/$defs/none",
            "#none",
            "#/properties/a/enum",
            "urn:x",
            "https://json-schema.org/draft/2020-12/schema",
            "#/%zz",
        ),
    ],
)
@pytest.mark.parametrize("within", [False, True])
def test_a_reference_leads_into_the_schema_or_is_refused(nothing_leaves, reference, key, within):
    """Before anything follows it, wherever it stands; also one to a draft that the library knows."""
    schema = {"properties": {"a": {"enum": [1]}, "b": {key: reference}}} if within else {key: reference}
    assert refusal(schema).startswith(f"refers to what is not in it ({reference})")
    with pytest.raises(FieldProblem, match="write it out in the schema"):
        JSON.accept({"schema": schema, "answer": {"a": 1, "b": 2}})
    assert nothing_leaves == []


def test_another_address_of_the_schema_is_taken_off(nothing_leaves):
    """A schema may call itself what it likes and refer to itself by that name; nothing is fetched from there."""
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": "https://example.com/s.json",
        "$defs": {"name": {"$id": "https://example.com/other.json", "type": "string"}},
        "properties": {"a": {"$ref": "https://example.com/s.json#/$defs/name"}, "b": {"$ref": "#/$defs/name"}},
    }
    check_schema(schema)
    assert schema_problem({"a": "x", "b": "y"}, schema) is None
    assert schema_problem({"a": 1}, schema) == "1 is not of type 'string'"
    assert nothing_leaves == []


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}]}}, "$ref": "#/$defs/a"},
        {
            "$defs": {"a": {"not": {"$ref": "#/$defs/b"}}, "b": {"if": {"$ref": "#/$defs/a"}}},
            "properties": {"x": {"$ref": "#/$defs/a"}},
        },
        {"$defs": {"a": {"dependentSchemas": {"x": {"$ref": "#/$defs/a"}}}}, "allOf": [{"$ref": "#/$defs/a"}]},
        {"$dynamicAnchor": "me", "oneOf": [{"$dynamicRef": "#me"}]},
        {"$defs": {f"a{n}": {"$ref": f"#/$defs/a{n + 1}"} for n in range(300)} | {"a300": {}}, "$ref": "#/$defs/a0"},
    ],
)
def test_a_schema_that_never_gets_into_the_value_is_refused(schema):
    """By itself, in a circle of several, or so far on that it is as good as endless."""
    assert "without end" in refusal(schema)


def test_a_schema_of_trees_may_refer_to_itself():
    """Every round goes one level deeper into the value, which ends; one too deep is a problem and no crash."""
    schema = {"type": "object", "properties": {"children": {"type": "array", "items": {"$ref": "#"}}}}
    check_schema(schema)
    assert schema_problem({"children": [{"children": []}]}, schema) is None
    assert schema_problem({"children": [{"children": [3]}]}, schema) == "3 is not of type 'object'"
    deep: dict[str, Any] = {}
    for _ in range(400):
        deep = {"children": [deep]}
    assert (schema_problem(deep, schema) or "").startswith("it cannot be checked")


def test_comparisons_are_counted_and_given_up(monkeypatch):
    """Each of these definitions is the one before twice over: the last one asks for 2**24 comparisons."""
    monkeypatch.setattr(schema_module, "_MOST_STEPS", 5_000)
    defs: dict[str, Any] = {"a0": {"type": "string"}}
    for n in range(1, 25):
        defs[f"a{n}"] = {"anyOf": [{"$ref": f"#/$defs/a{n - 1}"}, {"$ref": f"#/$defs/a{n - 1}"}]}
    schema = {"$defs": defs, "$ref": "#/$defs/a24"}
    check_schema(schema)
    assert schema_problem("x", schema) is None
    assert schema_problem(1, schema) == "it takes more than 5,000 steps to check"
    assert schema_problem([[n] for n in range(3000)], {"items": {"enum": [*range(500)]}}) is not None


@pytest.mark.parametrize(
    "schema",
    [
        {"pattern": "^(a+)+$"},
        {"$schema": "http://json-schema.org/draft-07/schema#", "properties": {"x": {"pattern": "^(a|a)*$"}}},
        {"properties": {"x": {"$schema": "http://json-schema.org/draft-04/schema#", "pattern": "^(a|a)*$"}}},
        {"propertyNames": {"pattern": "^(a+)+$"}},
        {"patternProperties": {"^(a+)+$": False}, "additionalProperties": False},
    ],
)
def test_a_pattern_that_python_would_never_finish_ends(schema):
    """In a value, in a name, and where the schema says that it is of an older draft, which has rules of its own."""
    hard = "a" * 60 + "!"
    check_schema(schema)
    for value in (hard, {"x": hard}, {hard: 1}):
        schema_problem(value, schema)  # it ends
    assert "match" in (schema_problem(hard, {"pattern": "^(a+)+$"}) or "")


@pytest.mark.parametrize("pattern", ["(?=a)", r"(a)\1", "(", "a{1000}{1000}", "[", "(?<!x)y"])
def test_a_pattern_that_cannot_be_matched_in_linear_time_is_refused(pattern):
    """With look-around, back references or no sense; as a value's pattern and as a name's."""
    assert "which cannot be matched in linear time" in refusal({"pattern": pattern})
    assert "which cannot be matched in linear time" in refusal({"items": {"patternProperties": {pattern: {}}}})


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"type": "strin"}, "is not JSON Schema"),
        ({"multipleOf": 0}, "is not JSON Schema"),
        ({"properties": {f"a{n}": {} for n in range(9000)}}, "has more than 50,000 characters"),
        ({"patternProperties": {"a": {}}, "unevaluatedProperties": False}, "additionalProperties"),
    ],
)
def test_a_schema_that_is_none_or_too_large_is_refused(schema, says):
    """In one line, with the remedy."""
    assert says in refusal(schema)


def test_nesting_is_bounded():
    """Of a schema as a table, and as the text of one."""
    schema: dict[str, Any] = {}
    for _ in range(100):
        schema = {"items": schema}
    assert "nested more than 64 levels" in refusal(schema)
    with pytest.raises(FieldProblem, match="nested more than 64 levels"):
        JSON.accept({"schema": '{"items":' * 5000, "answer": {"a": 1}})


@pytest.mark.parametrize("value", [10**400, "\ud83d", 10**5000, [10**5000, 1], float("inf")], ids="abcde")
def test_a_value_that_nothing_can_be_said_of_is_a_problem_and_no_crash(value):
    """Answers are anybody's: numbers of any size, half an emoji."""
    for schema in ({"multipleOf": 0.1}, {"pattern": "a"}, {"uniqueItems": True}, {"patternProperties": {"a": {}}}):
        schema_problem(value, schema)
        schema_problem({"\ud83d": value}, schema)


KEYWORDS = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["object", "array", "string", "integer"]),
        "pattern": st.sampled_from(["^a", "b$", "[0-9]+", ""]),
        "uniqueItems": st.booleans(),
        "patternProperties": st.dictionaries(
            st.sampled_from(["^a", "b$", "c"]), st.sampled_from([True, False, {"type": "integer"}])
        ),
        "additionalProperties": st.sampled_from([True, False, {"type": "string"}]),
        "properties": st.dictionaries(st.sampled_from("abc"), st.sampled_from([True, {"type": "integer"}])),
        "items": st.sampled_from([True, {"type": "integer"}, {"pattern": "^a"}]),
    },
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([1.0, 1.5, -0.0]) | st.text("abc0\n", max_size=3),
    lambda part: st.lists(part, max_size=4) | st.dictionaries(st.text("abc", max_size=2), part, max_size=4),
    max_leaves=8,
)


@settings(max_examples=3 * settings.default.max_examples)
@given(KEYWORDS, VALUES)
def test_within_bounds_a_schema_says_what_it_always_said(schema, value):
    """Where no text ends with a line end, which `$` of Python's engine passes over, the library agrees."""
    if "\n" in repr(value).replace("\\n", "\n"):
        return
    check_schema(schema)
    assert (schema_problem(value, schema) is None) == jsonschema.Draft202012Validator(schema).is_valid(value)


LOOKS_LIKE_A_SCHEMA = st.recursive(
    st.sampled_from(["abc", "#none", "http://x/y", "(", 1, True]),
    lambda part: (
        st.dictionaries(
            st.sampled_from(["$id", "$schema", "$ref", "$anchor", "pattern", "properties", "items", "enum"]),
            part,
            max_size=3,
        )
        | st.lists(part, max_size=2)
    ),
    max_leaves=6,
)


@given(LOOKS_LIKE_A_SCHEMA, st.sampled_from(["default", "examples"]))
def test_values_in_a_schema_are_values_whatever_they_look_like(value, annotation):
    """Nothing in them is taken out, followed or matched, in the schema itself and where a property is called so."""
    for schema in ({"const": value}, {"enum": [value]}, {"$id": "http://x", "anyOf": [{"const": value}]}):
        check_schema(schema)
        assert schema_problem(value, schema) is None
        assert schema_problem({"other": 1}, schema) is not None
    schema = {annotation: [value], "properties": {"const": {"type": "string"}, "enum": {"pattern": "^a"}}}
    check_schema(schema)
    assert schema_problem({"const": "x", "enum": "a"}, schema) is None
    assert schema_problem({"const": 1}, schema) == "1 is not of type 'string'"
    assert "does not match" in (schema_problem({"enum": "b"}, schema) or "")


@pytest.mark.parametrize("place", ["const", "enum/0", "default", "examples/0"])
def test_a_reference_into_a_value_is_refused(place):
    """What stands there is no schema."""
    schema = {"$defs": {"a": {place.split("/")[0]: [{"type": "string"}] if "/" in place else {}}}}
    assert "refers to what is not in it" in refusal(schema | {"$ref": f"#/$defs/a/{place}"})


@pytest.mark.parametrize(
    "schema",
    [
        {"items": [{"type": "string"}, {"$ref": "#/items/0"}]},
        {"items": [{"type": "string"}], "additionalItems": {"$ref": "#/items/0"}},
        {"items": [{"type": "string"}, True], "additionalItems": False, "$defs": {"a": {"$ref": "#/additionalItems"}}},
        {"dependencies": {"a": ["b"], "b": {"properties": {"a": {"type": "string"}}}}},
        {"dependencies": {"a": {"required": ["b"]}}, "properties": {"b": {"$ref": "#/dependencies/a"}}},
        {"definitions": {"s": {"$id": "#s", "type": "string"}}, "additionalProperties": {"$ref": "#s"}},
        {"x-parts": {"a/b~": {"type": "string"}}, "additionalProperties": {"$ref": "#/x-parts/a~1b~0"}},
        {"x-parts": {"default": {"enum": ["x"]}}, "additionalProperties": {"$ref": "#/x-parts/default"}},
        {"$id": "http://x/y", "properties": {"a": {"$ref": "http://x/y"}}, "type": "object"},
        {"properties": {"a": {"$ref": "#/definitions/no"}}, "definitions": {"no": False}},
        {"properties": {"a": {"$ref": "#/definitions/any"}}, "definitions": {"any": True}},
    ],
)
@settings(max_examples=60)
@given(value=VALUES)
def test_what_draft_7_writes_otherwise_means_what_it_meant(schema, value):
    """Lists of items, dependencies, names as addresses, and references to all of them."""
    check_schema(schema)
    assert (schema_problem(value, schema) is None) == jsonschema.Draft7Validator(schema).is_valid(value)


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({"minimum": 0, "exclusiveMinimum": True}, 'has "exclusiveMinimum" as draft 4 has it, true or false: make it'),
        ({"items": {"maximum": 0, "exclusiveMaximum": False}}, 'has "exclusiveMaximum" as draft 4 has it'),
        ({"properties": {"a": {"$recursiveRef": "#"}}}, 'has "$recursiveRef" of an older draft: write "$ref"'),
        ({"divisibleBy": 2}, 'has "divisibleBy" of an older draft: write "multipleOf"'),
        ({"dependencies": {"a": 1}}, "is not JSON Schema"),
        ({"items": [1]}, "is not JSON Schema"),
        ({"$ref": "#/$defs/a", "$defs": {"a": True}, "allOf": 5}, "is not JSON Schema"),
        ({"$anchor": ["a"], "$id": {}}, "is not JSON Schema"),
    ],
)
def test_what_older_drafts_have_and_cannot_be_taken_over_is_refused_by_name(schema, says):
    """With what to write today; a property may be called so."""
    assert says in refusal(schema)
    check_schema({"properties": {key: {"type": "string"} for key in schema}})


@given(st.integers(-(10**6), 10**6), st.integers(0, 6))
def test_a_decimal_is_a_multiple_of_a_decimal_by_what_is_written(n, digits):
    """19.99 of 0.01: whatever the floats that stand for them are multiples of."""
    step, value = float(f"1e-{digits}"), float(f"{n}e-{digits}")
    schema = {"multipleOf": step}
    check_schema(schema)
    assert schema_problem(value, schema) is None
    assert schema_problem(float(f"{n}5e-{digits + 1}"), schema) is not None


def test_multiples_of_whole_numbers_and_of_what_is_no_number():
    """Texts and truth values are passed over, as JSON Schema has it; the largest and the smallest are compared."""
    for value in (6, 6.0, "x", True, 0, 1e300):
        assert schema_problem(value, {"multipleOf": 3 if value != 1e300 else 0.01}) is None
    for value in (7, 6.5, 1e-300):
        assert schema_problem(value, {"multipleOf": 3}) == f"{value!r} is not a multiple of 3"


WORDS = st.sampled_from(
    [
        *("$ref", "$dynamicRef", "$id", "$schema", "$anchor", "$dynamicAnchor", "$defs", "definitions", "items", "not"),
        *("prefixItems", "additionalItems", "dependencies", "dependentSchemas", "allOf", "properties", "enum", "const"),
        *("unevaluatedItems", "unevaluatedProperties", "contains", "multipleOf", "patternProperties", "x", "a"),
    ]
)
ANY_SCHEMA = st.recursive(
    st.sampled_from(
        [
            *("#", "#/$defs/a", "#/items/0", "#/additionalItems", "#a", "a", "a#/$defs/a", "#/definitions/x", "#/x/a"),
            *(True, False, None, 1, 0.5, [], {}),
        ]
    ),
    lambda part: st.dictionaries(WORDS, part, max_size=4) | st.lists(part, max_size=2),
    max_leaves=12,
)


@settings(max_examples=4 * settings.default.max_examples)
@given(st.dictionaries(WORDS, ANY_SCHEMA, max_size=5), VALUES)
def test_whatever_stands_in_a_schema_it_is_refused_or_says_something(schema, value):
    """Keywords of the wrong kind, references to what gets another name, drafts mixed: no other error comes out."""
    try:
        check_schema(schema)
    except SchemaProblem:
        return
    schema_problem(value, schema)


def test_a_plan_of_such_data_asks_nobody(tmp_path: Path, cli: Any):
    """The command says in one line what is wrong with the row."""
    row = '{"text": "x", "schema": {"$ref": "http://127.0.0.1:9/s.json"}, "answer": {"a": 1}}\n'
    (tmp_path / "x.jsonl").write_text(row, "utf-8")
    done = cli("plan", "-m", "sim", "--engine", "simulated", "-t", "extract", "--data", "x.jsonl", "-n", "1")
    assert done.returncode == 2
    assert done.stderr == (
        'taskpace: x.jsonl: row 1, column "schema": refers to what is not in it (http://127.0.0.1:9/s.json): '
        "write it out in the schema\n"
    )
