"""What a system may ask of an OpenAI-compatible server."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

Text = Annotated[str, msgspec.Meta(min_length=1)]
Seconds = Annotated[float, msgspec.Meta(gt=0, le=86_400)]


class FromVariable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A value that is in an environment variable, so that no file holds it."""

    env: str


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a system may set."""

    url: str = ""
    """The base URL, as in ``http://localhost:8000/v1``; requests go to ``/chat/completions`` below it. Parameters
    behind a question mark go with every request."""
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
    omit: list[Text] = []
    """Fields of taskpace's own that the request is to lack, such as ``seed``: the server's own values apply then."""
    rename: dict[Text, Text] = {}
    """What the server calls fields of taskpace's own, as in ``{ seed = "random_seed" }``."""
    query: dict[Text, str | FromVariable] = {}
    """Parameters behind every URL, such as Azure's ``api-version``; ``{ env = "NAME" }`` as in ``headers``."""
    proxy: bool = True
    """Ask through the proxy that the environment names, if it names one. A server that is started is never asked so."""
    connect_timeout_s: Seconds = 10.0
    """Limit on opening a connection."""
    idle_timeout_s: Seconds = 60.0
    """Silence after which an answer counts as stalled."""
    ca_file: str | None = None
    """Certificate authorities (PEM) to trust in addition to the system's."""
