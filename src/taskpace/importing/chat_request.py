"""What the request reports that a load generator sent, in the fields of OpenAI's API."""

from __future__ import annotations

import re
from typing import Any

from taskpace.importing.values import count, rows, table, text
from taskpace.records import FinishReason

_SETTINGS = ("temperature", "top_p", "top_k", "min_p", "seed", "ignore_eos", "reasoning_effort")
_LIMITS = ("max_completion_tokens", "max_tokens", "max_output_tokens")
_STATUS = re.compile(
    r"(?:error code:?|server error|client error|status(?: code)?:?)\W{0,3}([45][0-9]{2})\b", re.IGNORECASE
)
_TIMEOUT = re.compile(r"time(?:d )?-?out", re.IGNORECASE)


def prompt_of(request: dict[str, Any]) -> str | None:
    """The prompt, or the texts of the user's messages; null where one of them is not text."""
    if (plain := text(request.get("prompt"))) is not None:
        return plain
    found = [_content(each.get("content")) for each in _messages(request) if each.get("role") == "user"]
    known = [each for each in found if each is not None]
    return "\n\n".join(known) if found and len(known) == len(found) else None


def system_prompt_of(request: dict[str, Any]) -> str | None:
    """The first system message; null where there is none."""
    return next(
        (_content(each.get("content")) for each in _messages(request) if each.get("role") in ("system", "developer")),
        None,
    )


def token_limit_of(request: dict[str, Any]) -> int | None:
    """How many tokens an answer may have; null: it does not say."""
    return next((limit for key in _LIMITS if (limit := count(request.get(key)))), None)


def settings_of(request: dict[str, Any]) -> dict[str, Any]:
    """What of a request makes one system another."""
    return {key: request[key] for key in _SETTINGS if isinstance(request.get(key), int | float | str)}


def finish_at_limit(tokens: int | None, limit: int | None) -> FinishReason | None:
    """``length`` of an answer with as many tokens as were allowed, in a log that does not say why answers ended.

    Its full time is then taken as known only from below, which is never wrong.
    """
    return "length" if tokens is not None and limit is not None and tokens >= limit > 0 else None


def error_kind(message: str) -> str:
    """A word for grouping failures: ``http-500``, ``timeout``, or ``failed``."""
    if (status := _STATUS.search(message[:10_000])) is not None:
        return f"http-{status[1]}"
    return "timeout" if _TIMEOUT.search(message[:10_000]) else "failed"


def _messages(request: dict[str, Any]) -> list[dict[str, Any]]:
    return [table(each) for each in rows(request.get("messages"))]


def _content(value: Any) -> str | None:
    """A message's text, also of one in parts."""
    if isinstance(value, str):
        return value
    parts = [text(table(part).get("text")) for part in rows(value)]
    known = [part for part in parts if part is not None]
    return "".join(known) if parts and len(known) == len(parts) else None
