"""What a system may ask of an OpenAI-compatible server. Used by the engine ``openai``."""

from __future__ import annotations

import os
from typing import Annotated, Any, Literal

import msgspec

from taskpace.engines.openai.http.target import Target, read_url, tls_context
from taskpace.engines.openai.launch import check_command
from taskpace.errors import ExperimentError
from taskpace.text.strict import convert

_LOCATION = "options of engine openai"

Text = Annotated[str, msgspec.Meta(min_length=1)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=86_400)]


class FromVariable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A value that stands in an environment variable, so that no file holds it."""

    env: str


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a system may set."""

    url: str = ""
    """The base URL, as in ``http://localhost:8000/v1``; requests go to ``/chat/completions`` below it."""
    server: str | None = None
    """Instead: a command that starts the server, with ``{port}`` and, if wanted, ``{host}`` and ``{model}`` in it. It
    is asked at ``http://127.0.0.1:PORT/v1`` and stopped when the system is through."""
    server_timeout_s: Seconds = 900.0
    """How long that server may take until it answers."""
    api: Literal["chat", "completions"] = "chat"
    """``completions``: the prompt as plain text, for a model without a chat template."""
    api_key_env: str | None = None
    """Name of the variable that holds the key, sent as ``Authorization: Bearer``."""
    headers: dict[str, str | FromVariable] = {}
    """Further headers; ``{ env = "NAME" }`` takes a value from a variable."""
    body: dict[str, Any] = {}
    """Further fields of the request's body; they win over taskpace's own."""
    stream: bool = True
    """Off: for a server that cannot stream. Nothing is known then but the whole answer's time."""
    usage: bool = True
    """Ask for token counts at the end of a stream (``stream_options.include_usage``)."""
    prompt_cache: Literal["server", "llama.cpp", "vllm"] = "server"
    """``server``: as the server has it. The others keep the cache between the turns of one conversation and from one
    conversation to another: ``llama.cpp`` by ``cache_prompt``, false for a first turn and true for later ones;
    ``vllm`` by a ``cache_salt`` of each conversation's own."""
    reasoning_effort: Text | None = None
    """Sent as ``reasoning_effort``: ``low``, ``medium``, ``high``, or what else the server knows."""
    thinking_budget: Annotated[int, msgspec.Meta(ge=0)] | None = None
    """Tokens of reasoning, for a server that bounds them."""
    thinking_budget_field: Text = "thinking_token_budget"
    """What the server calls that budget; a dot goes into what nests. vLLM: ``thinking_token_budget``; llama.cpp:
    ``thinking_budget_tokens``; SGLang: ``custom_params.thinking_budget``; Qwen's own endpoints: ``thinking_budget``."""
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """What the server calls the token limit."""
    connect_timeout_s: Seconds = 10.0
    """Limit on opening a connection."""
    idle_timeout_s: Seconds = 60.0
    """Silence after which an answer counts as stalled."""
    ca_file: str | None = None
    """Certificate authorities (PEM) to trust besides the system's."""


def read_options(options: dict[str, Any]) -> Options:
    """Raises ``ExperimentError`` naming the key, also when a variable is not set."""
    found = convert(options, Options, ExperimentError, location=_LOCATION)
    try:
        _check_where(found)
        if found.ca_file is not None:
            tls_context(found.ca_file)
        make_headers(found)
    except ExperimentError as exc:
        raise ExperimentError(f"{_LOCATION}: {exc}") from None
    return found


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


def _check_where(options: Options) -> None:
    if not options.url and options.server is None:
        raise ExperimentError('the key "url" is missing: give an endpoint, or with "server" a command that starts one')
    if options.url and options.server is not None:
        raise ExperimentError('key "server": a server that is started has no "url" yet: leave one of the two out')
    if options.server is not None:
        check_command(options.server)
    else:
        read_url(options.url)


def make_headers(options: Options) -> dict[str, str]:
    """The headers that a user asked for, secrets filled in. Raises ``ExperimentError`` when a variable is not set."""
    found = {}
    if options.api_key_env is not None:
        found["Authorization"] = f"Bearer {_variable('api_key_env', options.api_key_env)}"
    for name, value in options.headers.items():
        text = value if isinstance(value, str) else _variable("headers", value.env)
        if not name.isascii() or not name.isprintable() or ":" in name or " " in name or not name:
            raise ExperimentError(f'key "headers": {name!r} is no name of a header')
        found[name] = _one_line(text, f'key "headers": the value of {name}')
    return found


def _variable(key: str, name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise ExperimentError(f'key "{key}": the variable {name} is not set: run `export {name}=...` first')
    return _one_line(value, f'key "{key}": what the variable {name} holds')


def _one_line(value: str, what: str) -> str:
    if not value.isprintable() or not value.isascii():
        raise ExperimentError(f"{what} is no plain text on one line")
    return value


def request_head(options: Options, target: Target, method: str, path: str) -> bytes:
    """Everything of a request before its body's length."""
    headers = {
        "Host": target.authority,
        "User-Agent": "taskpace",
        "Accept": "text/event-stream, application/json",
        "Accept-Encoding": "identity",
        "Content-Type": "application/json",
    } | make_headers(options)
    if target.proxy and target.proxy.authorization and not target.tls:
        headers["Proxy-Authorization"] = target.proxy.authorization
    lines = [f"{method} {target.at(path)} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "".join(f"{line}\r\n" for line in lines).encode("latin-1")
