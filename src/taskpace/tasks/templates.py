"""What a prompt's template may do: show fields, choose, loop, filter. Nothing else, and that is seen before it runs.

A task file may come from a stranger. Two fences stand around its templates. The first reads a template before it is
compiled (compiling computes what is constant) and knows what is allowed, not what is forbidden: fields, ``if`` and
``for``, filters that neither reach into Python nor make much of little, and methods of texts and tables that only read.
The second is jinja2's own sandbox, for what only shows when it runs; there an undefined name is an error, never an
empty text in the middle of a prompt.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from functools import lru_cache
from string import ascii_uppercase
from typing import TYPE_CHECKING, Any

import msgspec

from taskpace.errors import TaskError
from taskpace.text.strict import did_you_mean

if TYPE_CHECKING:
    from jinja2 import Template, nodes
    from jinja2.sandbox import SandboxedEnvironment

_OPTIONAL_TESTS = frozenset({"defined", "undefined", "default", "d"})
_KINDS = frozenset(
    (
        *(
            "Template",
            "Output",
            "TemplateData",
            "If",
            "For",
            "Name",
            "Const",
            "CondExpr",
            "Getattr",
            "Getitem",
            "Slice",
        ),
        *("Filter", "Test", "Call", "Keyword", "Compare", "Operand", "And", "Or", "Not", "Concat", "Add", "Sub"),
        *("Neg", "Pos", "List", "Tuple", "Dict", "Pair"),
    )
)
"""Kinds of nodes, as jinja2 names them. No products and powers: they make much of little."""
_WRITTEN = {
    "Assign": "{% set %}",
    "AssignBlock": "{% set %}",
    "With": "{% with %}",
    "Macro": "{% macro %}",
    "Import": "{% import %}",
    "FromImport": "{% from %}",
    "Include": "{% include %}",
    "Extends": "{% extends %}",
    "Block": "{% block %}",
    "FilterBlock": "{% filter %}",
    "CallBlock": "{% call %}",
    "Mul": "*",
    "Pow": "**",
    "Div": "/",
    "FloorDiv": "//",
    "Mod": "%",
}
"""How someone writes a kind that is not allowed."""
_FILTERS = (
    *("abs", "capitalize", "count", "d", "default", "dictsort", "first", "float", "int", "items", "last"),
    *("length", "list", "lower", "map", "max", "min", "reject", "rejectattr", "reverse", "round", "select"),
    *("selectattr", "sort", "string", "sum", "title", "trim", "truncate", "unique", "upper", "wordcount"),
)
_METHODS = frozenset(
    (
        *("upper", "lower", "title", "capitalize", "strip", "lstrip", "rstrip", "removeprefix", "removesuffix"),
        *("split", "rsplit", "splitlines", "startswith", "endswith", "count", "find", "index"),
        *("get", "items", "keys", "values"),
    )
)
_MOST_LOOPS_DEEP = 3
_MOST_CHARACTERS = 10_000_000
_MOST_PIECES = 1_000_000
_MOST_ROUNDS = 1_000_000
"""Of all loops together: loops within loops that write nothing take time all the same."""
_TOO_MUCH = f"makes more than {_MOST_CHARACTERS:,} characters of one item: shorten its loops"
BARE_PROMPT = "{{ prompt }}"
"""What a list of prompts has for a template: jinja2 need neither be imported nor asked for what it makes of it."""
_COUNTED = "_counted"
_rounds: ContextVar[int] = ContextVar("rounds", default=0)
"""Of the loops of the template that runs."""
_MAY = "a template may use the item's fields, if, for and filters"


class TemplateProblem(Exception):  # noqa: N818 - as `FieldProblem`: named for what it is about
    """What is wrong with a template, with the line and the remedy but without the place."""


class FieldsUsed(msgspec.Struct, frozen=True, kw_only=True):
    """The names a template takes from the item."""

    required: frozenset[str]
    optional: frozenset[str]
    """Asked about first (``is defined``, ``default(...)``), so an item may lack them."""


@lru_cache(maxsize=256)
def fields_used(template: str, location: str) -> FieldsUsed:
    """What a template needs.

    Raises:
        TaskError: one line that starts with ``location``, for a template that is not well formed or does what a
            template may not.
    """
    if template == BARE_PROMPT:
        return FieldsUsed(required=frozenset(("prompt",)), optional=frozenset())
    from jinja2 import meta, nodes

    try:
        compiled_template(template)
        tree = _environment().parse(template)
    except TemplateProblem as exc:
        raise TaskError(f"{location}: {exc}") from None
    names = meta.find_undeclared_variables(tree)
    optional = {
        found.node.name
        for found in tree.find_all((nodes.Test, nodes.Filter))
        if found.name in _OPTIONAL_TESTS and isinstance(found.node, nodes.Name)
    }
    return FieldsUsed(required=frozenset(names - optional), optional=frozenset(names & optional))


@lru_cache(maxsize=256)
def compiled_template(template: str) -> Template:
    """A template that may be run. Raises ``TemplateProblem``."""
    from jinja2 import TemplateError

    environment = _environment()
    try:
        _check(environment.parse(template))
        return environment.from_string(template)
    except (TemplateError, RecursionError) as exc:
        raise TemplateProblem(f"{_line(exc)}{one_line(exc)}: correct the template") from None


def run_template(template: str, fields: dict[str, Any]) -> str:
    """The text that a template makes of an item's fields.

    Raises:
        TemplateProblem: it may not run, does not fit the fields, or makes too much of them.
    """
    if template == BARE_PROMPT and isinstance(text := fields.get("prompt"), str):
        if len(text) > _MOST_CHARACTERS:
            raise TemplateProblem(_TOO_MUCH)
        return text
    from jinja2 import UndefinedError
    from jinja2.exceptions import SecurityError

    compiled = compiled_template(template)
    _rounds.set(0)
    try:
        return _joined(compiled.generate(fields))
    except TemplateProblem:
        raise
    except UndefinedError as exc:
        raise TemplateProblem(f"{one_line(exc)}: the item's fields are {', '.join(sorted(fields))}") from None
    except SecurityError as exc:
        raise TemplateProblem(f"{one_line(exc)}: {_MAY}") from None
    except Exception as exc:  # noqa: BLE001 - a template is the user's code: it may fail in any way
        raise TemplateProblem(f"{type(exc).__name__}: {one_line(exc)}: correct the template") from None


def _joined(made: Iterable[str]) -> str:
    pieces: list[str] = []
    characters = 0
    for piece in made:
        pieces.append(piece)
        characters += len(piece)
        if characters > _MOST_CHARACTERS or len(pieces) > _MOST_PIECES:
            raise TemplateProblem(_TOO_MUCH)
    return "".join(pieces)


def one_line(bad: BaseException) -> str:
    """An exception's text in one line, without the full stop."""
    return " ".join(str(bad).split()).rstrip(".") or type(bad).__name__


def _line(node: object) -> str:
    line = getattr(node, "lineno", None)
    return f"line {line}: " if line else ""


def _check(tree: nodes.Template) -> None:
    for node, loops in _walk(tree, 0):
        problem = "loops stand too deep in one another" if loops > _MOST_LOOPS_DEEP else _problem(node)
        if problem is not None:
            raise TemplateProblem(f"{_line(node)}{problem}: {_MAY}")


def _walk(node: nodes.Node, loops: int) -> Iterator[tuple[nodes.Node, int]]:
    """Every node, with how many loops it is in."""
    inside = loops + (type(node).__name__ == "For")
    yield node, inside
    for child in node.iter_child_nodes():
        yield from _walk(child, inside)


def _problem(node: nodes.Node) -> str | None:
    """What a node does that a template may not; null when nothing."""
    from jinja2 import nodes
    from jinja2.filters import FILTERS

    kind = type(node).__name__
    if kind not in _KINDS:
        return f"{_WRITTEN.get(kind, kind)} is not for templates"
    match node:
        case nodes.Getattr(attr=name) if name.startswith("_"):
            return f".{name} reaches into Python"
        case nodes.Const(value=str(text)) if text.startswith("__") or ".__" in text:
            return f'"{" ".join(text.split())[:60]}" reaches into Python'
        case nodes.Name(name="self" | "super" | "caller" | "varargs" | "kwargs" as name):
            return f"{name} is jinja2's own, no field"
        case nodes.Call(node=nodes.Getattr(attr=name)) if name in _METHODS:
            return None
        case nodes.Call(node=nodes.Getattr(attr=name) | nodes.Name(name=name)):
            return f"{name}() cannot be called here"
        case nodes.Call():
            return "nothing can be called here"
        case nodes.Filter(name=name) if name not in _environment().filters:
            if name in FILTERS:
                return f'the filter "{name}" is not for templates'
            return f'unknown filter "{name}"{did_you_mean(name, _environment().filters)}'
        case _:
            return None


@lru_cache(maxsize=1)
def _environment() -> SandboxedEnvironment:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Environment(ImmutableSandboxedEnvironment):
        def _generate(self, source: nodes.Template, *arguments: Any, **more: Any) -> str:
            """Compile with every loop counted."""
            from jinja2 import nodes

            for loop in source.find_all(nodes.For):
                loop.iter = nodes.Filter(loop.iter, _COUNTED, [], [], None, None, lineno=loop.lineno)
            return super()._generate(source, *arguments, **more)

    # Plain text is made, for a model: there is no HTML to escape for.
    environment = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False)
    environment.globals.clear()
    own = {"letter": _letter, "json": _json, "join": _join, "replace": _replace, _COUNTED: _counted}
    environment.filters = {name: environment.filters[name] for name in _FILTERS} | own
    return environment


def _counted(values: Iterable[Any]) -> Iterator[Any]:
    """Yield the values and count them; raises ``TemplateProblem`` past ``_MOST_ROUNDS`` for one item."""
    for value in values:
        _rounds.set(_rounds.get() + 1)
        if _rounds.get() > _MOST_ROUNDS:
            raise TemplateProblem(f"goes round more than {_MOST_ROUNDS:,} times for one item: shorten its loops")
        yield value


def _letter(index: int) -> str:
    """0 -> A, 1 -> B, ..., 25 -> Z."""
    return ascii_uppercase[index]


def _json(value: Any) -> str:
    """JSON for a reader: jinja2's own filter writes it for HTML."""
    return json.dumps(value, ensure_ascii=False)


def _join(values: Iterable[Any], between: str = "") -> str:
    """As jinja2's own, within bounds: joining a text by itself squares it, and filters stand in chains."""
    texts = [str(value) for value in values]
    if sum(map(len, texts)) + len(texts) * len(between) > _MOST_CHARACTERS:
        raise TemplateProblem(_TOO_MUCH)
    return between.join(texts)


def _replace(text: str, old: str, new: str, count: int = -1) -> str:
    """``replace`` with a bound on the length of its result."""
    text = str(text)
    if len(text) + text.count(old) * len(new) > _MOST_CHARACTERS:
        raise TemplateProblem(_TOO_MUCH)
    return text.replace(old, new, count)
