"""The list of models that a server gives, in whatever form. Pure.

It is asked for the time that a round trip takes and for a name to use where none is given; whether a name is served is
for the server to say when it is asked for an answer: gateways take names that they do not list (wildcards, routing
suffixes, aliases, names without a prefix or a tag).
"""

from __future__ import annotations

from typing import Any

from taskpace.engines.openai.complaint import one_line
from taskpace.engines.openai.loose import read_json
from taskpace.text.strict import close_to

_LISTS = ("data", "models", "body", "result")
_NAMES = ("id", "name", "model")
_LONGEST = 200
_FEW = 10


def names_of(body: bytes) -> list[str] | None:
    """The names in a list of models; null: it is not such a list.

    OpenAI's is under ``data``, Together's a bare list, Ollama's and Gemini's own are under ``models``.
    """
    try:
        value: Any = read_json(body)
    except ValueError:
        return None
    if isinstance(value, dict):
        value = next((value[key] for key in _LISTS if isinstance(value.get(key), list)), None)
    if not isinstance(value, list):
        return None
    names = [_name(each) for each in value]
    return [name for name in names if name]


def _name(model: Any) -> str:
    if isinstance(model, dict):
        model = next((model[key] for key in _NAMES if isinstance(model.get(key), str)), "")
    return one_line(model, _LONGEST) if isinstance(model, str) else ""


def some_of(names: list[str]) -> str:
    """A few of the names, and how many more there are."""
    more = len(names) - _FEW
    return ", ".join(names[:_FEW]) + (f" and {more} more" if more > 0 else "")


def beside(model: str, names: list[str]) -> str:
    """What a server does list, where ``model`` is not in it: a name like it, or a few."""
    if model in names or not names:
        return ""
    return close_to(model, names) or f" (it lists {some_of(names)})"
