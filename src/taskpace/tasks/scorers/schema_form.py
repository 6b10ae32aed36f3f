"""A JSON Schema in its own words: those of draft 2020-12, with references that are paths in the schema itself.

What older drafts write otherwise is put as today's has it. Sources: JSON Schema, drafts 6, 7 and 2020-12.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, unquote

from taskpace.text.safe_text import one_line

SAME_VALUE_LISTS = ("allOf", "anyOf", "oneOf")
SAME_VALUE = ("not", "if", "then", "else")
"""Keywords whose schemas are applied to the value itself, not to a part of it."""
_ONE_SCHEMA = (
    *(*SAME_VALUE_LISTS, *SAME_VALUE, "prefixItems", "items", "additionalItems", "unevaluatedItems", "contains"),
    *("additionalProperties", "unevaluatedProperties", "propertyNames", "contentSchema"),
)
"""Keywords that have a schema or a list of them."""
OF_NAMES = ("dependentSchemas", "dependencies")
_NAMED_SCHEMAS = (*OF_NAMES, "properties", "patternProperties", "$defs", "definitions")
"""Keywords that have a table of schemas by name."""
_DATA = ("const", "enum", "default", "examples")
"""Keywords that have values, which may look like schemas."""
REFERENCES = ("$ref", "$dynamicRef")
_ADDRESSES = ("$schema", "$id", "$anchor", "$dynamicAnchor")


class SchemaProblem(Exception):  # noqa: N818 - as `FieldProblem`: named for what it is about
    """Why a schema cannot be used, in words that follow its name: ``is not JSON Schema (...): correct it``."""


def self_contained(schema: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Rewrite a schema in the words of draft 2020-12, and list every schema in it.

    No address of its own and no other draft, which would bring other rules; each reference as a path. What is data
    (``const``, ``enum``) and what is an annotation is left as it is. Raises ``SchemaProblem`` for a reference outward.
    """
    targets = _targets(schema)
    places: dict[int, tuple[str, ...]] = {}
    made: list[tuple[dict[str, Any], dict[str, Any]]] = []

    def copied(value: Any, place: tuple[str, ...]) -> Any:
        if isinstance(value, list):
            return [copied(part, (*place, str(number))) for number, part in enumerate(value)]
        if not isinstance(value, dict):
            return value
        if id(value) not in targets:
            return {name: copied(part, (*place, name)) for name, part in value.items()}
        places[id(value)] = place
        table: dict[str, Any] = {}
        for name, part in value.items():
            if not (name in _ADDRESSES and isinstance(part, str)):
                today = _of_today(name, value)
                table[today] = copied(part, (*place, today))
        made.append((value, table))
        return table

    own: dict[str, Any] = copied(schema, ())
    for given, table in made:
        for name, meant in targets[id(given)].items():
            if isinstance(meant, dict):
                table[name] = _path(places[id(meant)])
                continue
            table.pop(name)
            if not meant:  # nothing fits, whatever else there is
                table["not"] = {}
    return own, [table for _, table in made]


def _targets(schema: dict[str, Any]) -> dict[int, dict[str, Any]]:
    """By the identity of each schema in a schema, what its references stand for. Raises ``SchemaProblem``.

    Schemas are where JSON Schema has them, and where a reference leads. All else is data.
    """
    found: dict[int, dict[str, Any]] = {}
    names: dict[str, list[dict[str, Any]]] = {}
    by_name: list[tuple[dict[str, Any], str, str]] = []
    address = schema["$id"].removesuffix("#") if isinstance(schema.get("$id"), str) else ""
    rest: list[Any] = [schema]
    while rest:
        table = rest.pop()
        if not isinstance(table, dict) or id(table) in found:
            continue
        leads: dict[str, Any] = {}
        found[id(table)] = leads
        rest.extend(_parts(table))
        own_names = [table.get("$anchor"), table.get("$dynamicAnchor"), _old_anchor(table)]
        for name in dict.fromkeys(each for each in own_names if isinstance(each, str)):
            names.setdefault(name, []).append(table)
        for keyword in REFERENCES:
            reference = table.get(keyword)
            if not isinstance(reference, str):
                continue
            inner = reference.removeprefix(address) if reference != address else "#"
            if inner.startswith("#") and inner != "#" and not inner.startswith("#/"):
                by_name.append((leads, keyword, inner))
                continue
            leads[keyword] = target(inner, schema)
            if leads[keyword] is None:
                raise _outward(reference)
            rest.append(leads[keyword])
    for leads, keyword, inner in by_name:
        named = names.get(unquote(inner[1:]), [])
        if len(named) != 1:
            raise _outward(inner)
        leads[keyword] = named[0]
    return found


def _outward(reference: str) -> SchemaProblem:
    return SchemaProblem(f"refers to what is not in it ({one_line(reference, 80)}): write it out in the schema")


def _old_anchor(table: dict[str, Any]) -> str | None:
    """Drafts 6 and 7 write ``"$id": "#name"`` for what is ``"$anchor": "name"`` today."""
    address = table.get("$id")
    return address[1:] if isinstance(address, str) and address.startswith("#") else None


def _of_today(keyword: str, table: dict[str, Any]) -> str:
    """The name of a keyword in draft 2020-12: a list of ``items`` has been ``prefixItems`` since."""
    if not isinstance(table.get("items"), list) or "prefixItems" in table:
        return keyword
    return {"items": "prefixItems", "additionalItems": "items"}.get(keyword, keyword)


def _parts(table: dict[str, Any]) -> Iterator[Any]:
    """The schemas that a schema is made of."""
    for keyword in _ONE_SCHEMA:
        part = table.get(keyword)
        yield from part if isinstance(part, list) else (part,)
    for keyword in _NAMED_SCHEMAS:
        if isinstance(table.get(keyword), dict):
            yield from table[keyword].values()


def _path(place: tuple[str, ...]) -> str:
    return "#" + "".join(f"/{quote(part.replace('~', '~0').replace('/', '~1'), safe='~')}" for part in place)


def target(reference: str, schema: dict[str, Any]) -> Any:
    """What ``#`` or ``#/$defs/name`` stands for; null for no schema."""
    if not reference.startswith("#"):
        return None
    found: Any = schema
    keywords = True  # of JSON Schema are the keys of the table at hand: neither names of properties nor anything else
    names = False
    for part in unquote(reference[1:]).split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict):
            if keywords and name in _DATA:
                return None
            keywords, names = names or (keywords and name in _ONE_SCHEMA), keywords and name in _NAMED_SCHEMAS
            found = found.get(name)
        elif isinstance(found, list) and name.isdecimal() and int(name) < len(found):
            found = found[int(name)]
        else:
            return None
    return found if isinstance(found, dict | bool) else None
