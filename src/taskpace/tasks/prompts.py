"""Prompts: jinja2 templates over an item's fields, in jinja2's sandbox.

A task file may come from a stranger. The sandbox keeps its template from Python's internals and from changing what it
is given; an undefined name is an error, never an empty text in the middle of a prompt.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from taskpace.errors import TaskError

if TYPE_CHECKING:
    from jinja2.sandbox import SandboxedEnvironment

    from taskpace.tasks.items import Item
    from taskpace.tasks.task import Task

_OPTIONAL_TESTS = frozenset({"defined", "undefined", "default", "d"})


class FieldsUsed(msgspec.Struct, frozen=True, kw_only=True):
    """The names a template takes from the item."""

    required: frozenset[str]
    optional: frozenset[str]
    """Asked about first (``is defined``, ``default(...)``), so an item may lack them."""


@lru_cache(maxsize=256)
def fields_used(template: str, place: str) -> FieldsUsed:
    """What a template needs. Raises ``TaskError``, starting with ``place``, for one that is not well formed."""
    from jinja2 import TemplateError, meta, nodes

    environment = _environment()
    try:
        tree = environment.parse(template)
        # Parsing does not notice an unknown filter or test; compiling does.
        environment.compile(tree)
        tree = environment.parse(template)
    except (TemplateError, RecursionError) as bad:
        raise TaskError(f"{place}: {_line_of(bad)}{_one_line(bad)}: correct the template") from None
    names = meta.find_undeclared_variables(tree) - set(environment.globals)
    optional = {
        found.node.name
        for found in tree.find_all((nodes.Test, nodes.Filter))
        if found.name in _OPTIONAL_TESTS and isinstance(found.node, nodes.Name)
    }
    return FieldsUsed(required=frozenset(names - optional), optional=frozenset(names & optional))


def render(task: Task, item: Item) -> tuple[str, ...]:
    """The user's messages, one for each turn.

    Raises:
        TaskError: a template uses a name that the item lacks, reaches for what the sandbox forbids, or gives no text.
    """
    return tuple(
        _render_turn(turn.prompt, item.fields, f'task "{task.name}", turn {number}, key "prompt"')
        for number, turn in enumerate(task.turns, 1)
    )


def _render_turn(template: str, fields: dict[str, Any], place: str) -> str:
    from jinja2 import TemplateError, UndefinedError
    from jinja2.exceptions import SecurityError

    try:
        text: str = _compiled(template).render(fields).strip()
    except UndefinedError as bad:
        known = ", ".join(sorted(fields))
        raise TaskError(f"{place}: {_one_line(bad)}: the item's fields are {known}") from None
    except SecurityError as bad:
        raise TaskError(f"{place}: {_one_line(bad)}: a template may only use the item's fields") from None
    except TemplateError as bad:
        raise TaskError(f"{place}: {_one_line(bad)}: correct the template") from None
    except Exception as bad:  # noqa: BLE001 - a template is the user's code: it may fail in any way
        raise TaskError(f"{place}: {type(bad).__name__}: {_one_line(bad)}: correct the template") from None
    if not text:
        raise TaskError(f"{place}: renders to no text at all: write a prompt")
    return text


@lru_cache(maxsize=256)
def _compiled(template: str) -> Any:
    return _environment().from_string(template)


@lru_cache(maxsize=1)
def _environment() -> SandboxedEnvironment:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    # Plain text is made, for a model: there is no HTML to escape for.
    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False
    )
    environment.filters["letter"] = _letter
    environment.filters["json"] = _json
    return environment


def _letter(index: int) -> str:
    """0 -> A, 1 -> B, ..., 25 -> Z."""
    return "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[index]


def _json(value: Any) -> str:
    """JSON for a reader: jinja2's own filter writes it for HTML."""
    return json.dumps(value, ensure_ascii=False)


def _line_of(bad: BaseException) -> str:
    line = getattr(bad, "lineno", None)
    return f"line {line}: " if line else ""


def _one_line(bad: BaseException) -> str:
    return " ".join(str(bad).split()).rstrip(".") or type(bad).__name__
