"""Why an answer ended, in the words that servers have for it. Pure."""

from __future__ import annotations

import re
from functools import lru_cache

from taskpace.records import FinishReason

_STOP = (
    "stop",  # OpenAI, and nearly all that follow it; Gemini (STOP)
    "stop_sequence",  # Anthropic, Bedrock, TGI; Cohere (STOP_SEQUENCE)
    "stop_token",
    "stop_str",
    "end_turn",  # Anthropic, Bedrock, xAI
    "eos",  # Together, llama.cpp's own
    "eos_token",  # TGI, watsonx
    "eos_found",  # LM Studio's own (eosFound)
    "stop_string_found",  # LM Studio's own (stopStringFound)
    "end",
    "end_of_text",
    "endoftext",
    "complete",  # Cohere (COMPLETE)
    "completed",
    "finish",
    "finished",
    "normal",  # Baidu
    "done",
)
_LENGTH = (
    "length",  # OpenAI, and nearly all that follow it
    "max_tokens",  # Anthropic, Bedrock, Cohere; Gemini (MAX_TOKENS)
    "max_new_tokens",
    "max_output_tokens",
    "max_completion_tokens",
    "max_length",
    "max_len",
    "model_length",  # Mistral: the context was full
    "token_limit",  # watsonx
    "limit",  # llama.cpp's own
    "context_length_reached",  # LM Studio's own (contextLengthReached)
    "max_predicted_tokens_reached",  # LM Studio's own
    "context_window_exceeded",
    "model_context_window_exceeded",  # Anthropic, Zhipu
    "truncated",
)
_MEANINGS: dict[str, FinishReason] = dict.fromkeys(_STOP, "stop")
_MEANINGS.update(dict.fromkeys(_LENGTH, "length"))
_PREFIX = re.compile(r"^(?:finish_?reason|stop_?reason|reason)[._:]+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@lru_cache(maxsize=64)
def meaning(reason: str) -> FinishReason | None:
    """``stop``, ``length``, or null for any other reason: a filter, a tool that is to be called, an error.

    Case, hyphens and camel case do not matter, nor does the name of the enumeration before it, as in
    ``FinishReason.MAX_TOKENS`` or ``FINISH_REASON_STOP``.
    """
    word = _HUMP.sub("_", reason.strip()).replace("-", "_").replace(" ", "_").lower()
    return _MEANINGS.get(_PREFIX.sub("", word))
