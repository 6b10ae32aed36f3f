"""The fields of a request's body: taskpace's own, how they are left out or renamed, and what to do when one is refused.

Pure.
"""

from __future__ import annotations

import json
from typing import Any

from taskpace.engines.openai.complaint import Complaint, fields_in_question
from taskpace.engines.openai.options import Options
from taskpace.errors import ExperimentError
from taskpace.text.strict import did_you_mean

_FIXED = {
    "messages": "it is the question",
    "prompt": "it is the question",
    "stream": "set stream = false for a server that cannot",
}


def own_fields(options: Options) -> tuple[str, ...]:
    """The fields that taskpace itself sends and that can be left out or renamed, by the names they have without it."""
    limit = options.max_tokens_field
    cache = {"llama.cpp": ("cache_prompt",), "vllm": ("cache_salt",)}.get(options.prompt_cache, ())
    return (
        "model",
        limit,
        "temperature",
        "top_p",
        "seed",
        "stop",
        "stream_options",
        *cache,
        *reasoning_fields(options),
    )


def check_fields(options: Options) -> None:
    """Raises ``ExperimentError`` for ``omit`` and ``rename`` where they name no field, or both name the same."""
    known = own_fields(options)
    for key, names in (("omit", options.omit), ("rename", list(options.rename))):
        for name in names:
            if name in _FIXED:
                raise ExperimentError(f'key "{key}": "{name}" has to be there: {_FIXED[name]}')
            if name in options.body:
                raise ExperimentError(f'key "{key}": "{name}" is one of body: take it out there')
            if name not in known:
                raise ExperimentError(f'key "{key}": unknown request field "{name}"{did_you_mean(name, known)}')
    if both := sorted(set(options.omit) & set(options.rename)):
        raise ExperimentError(f'key "rename": "{both[0]}" is left out by omit as well: choose one')


def shaped(body: dict[str, Any], options: Options) -> dict[str, Any]:
    """``body`` as this endpoint takes it."""
    for name in options.omit:
        body.pop(name, None)
    if options.rename:
        body = {options.rename.get(name, name): value for name, value in body.items()}
    return body | options.body


def reasoning_fields(options: Options) -> dict[str, Any]:
    """The request's fields that say how much to reason.

    Sources: OpenAI, chat completions (``reasoning_effort``); vLLM, docs/features/reasoning_outputs.md
    (``thinking_token_budget``); SGLang, docs/advanced_features/thinking_budget; llama.cpp takes
    ``thinking_budget_tokens`` (tried with the version that is installed as the extra ``llamacpp``).
    """
    fields: dict[str, Any] = {}
    if options.reasoning_effort is not None:
        fields["reasoning_effort"] = options.reasoning_effort
    if options.thinking_budget is not None:
        first, *nested = options.thinking_budget_field.split(".")
        value: Any = options.thinking_budget
        for name in reversed(nested):
            value = {name: value}
        fields[first] = value
    return fields


def remedy(said: Complaint, options: Options) -> str | None:
    """Which option does without the field that a server complains of; null: it names none that taskpace sends."""
    own = own_fields(options)
    sent = {options.rename.get(name, name): name for name in own if name not in options.omit}
    sent |= {name: name for name in ("stream", *options.body)}
    fields = fields_in_question(said, sent)
    if not fields:
        return None
    name = sent[fields[0]]
    if name in options.body:
        return f'take "{name}" out of body'
    if name == options.max_tokens_field:
        return _other_limit(said, name)
    if name in reasoning_fields(options):
        return "take reasoning_effort or thinking_budget out of the options"
    return {
        "stream": "set stream = false",
        "stream_options": "set usage = false",
        "cache_prompt": 'set prompt_cache = "server"',
        "cache_salt": 'set prompt_cache = "server"',
        "model": None,
    }.get(name, f"leave it out with omit = {json.dumps([*options.omit, name])}")


def _other_limit(said: Complaint, name: str) -> str:
    other = "max_completion_tokens" if name == "max_tokens" else "max_tokens"
    if other in said.text or name == "max_completion_tokens":
        return f'set max_tokens_field = "{other}"'
    return "call it otherwise with max_tokens_field or rename, or lower max_tokens"
