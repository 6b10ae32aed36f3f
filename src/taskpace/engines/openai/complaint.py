"""What a server says when something is wrong, whatever shape it gives it; pure.

The dialects there are: ``{"error": {"message", "type", "param", "code"}}`` (OpenAI and most), ``{"error": "..."}``
(Ollama, TGI), ``[{"error": {...}}]`` (Gemini), ``{"detail": [{"loc", "msg"}]}`` (FastAPI), the same within ``message``,
as a value or as a text (Mistral), ``{"object": "error", "message": "..."}`` (older vLLM, SGLang),
``{"code", "error": "..."}`` (xAI).
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

import msgspec

from taskpace.engines.openai.loose import read_json
from taskpace.records import Refusal

NO_WORD = "no word of why"
_MOST = 300
"""Characters of what a server reports that are kept."""
_WORDS = ("message", "Message", "msg", "detail", "details", "error", "errors", "error_message", "errorMessage",
          "reason", "title", "type")  # fmt: skip
_TAG = re.compile(r"<(script|style)\b.*?</\1\s*>|<[^<>]*>", re.DOTALL | re.IGNORECASE)
_OF_THE_ITEM = re.compile(
    r"context.?(?:length|size|window)|maximum context"
    r"|(?:prompt|input|request|text|messages?)\b.{0,40}\btoo (?:long|large)"
    r"|exceed.{0,40}(?:context|tokens|length)"
    r"|content.?(?:filter|policy|management)|moderation|flagged|safety|blocked by|guardrail|invalid_prompt",
    re.IGNORECASE,
)
"""What is said of one prompt: another one may do."""
_FIELD = r"(?i:parameter|argument|field)s?\b[^.]{0,40}[:\s]"
_OF_EVERY = re.compile(
    r"\bmax_?(?:completion_?|output_?|new_?)?tokens\b"
    r"|\bmodel\b.{0,99}\b(?:not (?:exist|found|available|supported)|unknown)|\b(?:no such|unknown|invalid) model\b"
    r"|\bapi.?key\b"
    r"|\b(?:account|organi[sz]ation|subscription|project)\b.{0,40}\b(?:flagged|blocked|suspended|disabled|deactivated)",
    re.IGNORECASE,
)
"""What is said of the settings, whatever else is named: they are those of every request."""
_SPENT = re.compile(
    r"insufficient.?(?:quota|credit|balance|funds)|exceeded your current quota|out of credits?"
    r"|credit balance is too low|billing.{0,6}(?:hard|limit|not.active)|account is not active",
    re.IGNORECASE,
)
_SOON = re.compile(r"rate.?limit|(?:retry|try again) (?:in|after)\b|per.?(?:second|minute|hour|day)\b", re.IGNORECASE)
"""Said of a limit that time lifts; Gemini says "exceeded your current quota" of both."""
_PASSING = frozenset({408, 409, 423, 425, 429})
_CERTAIN = frozenset({401, 402, 404})
"""The key, the money, the address or the model: never one prompt, whatever words are used."""
_PERHAPS = frozenset({400, 413, 414, 422, 431})
_NOT_IMPLEMENTED = (501, 505)
_REDIRECT, _BAD, _BROKEN, _END = 300, 400, 500, 600
_DIGITS = 3
_DEEPEST = 6
"""Complaints are not nested deeper than this."""


class Complaint(NamedTuple):
    """What is said, and what it is said of."""

    text: str
    """In one line."""
    status: int | None = None
    """A status that is repeated in the body, or stands there alone because the answer has status 200."""
    fields: tuple[str, ...] = ()
    """Names that are given as the request's fields in question."""


def complaint(value: Any) -> Complaint:
    """What an error reports that was read as JSON, or is text that is none."""
    parts = list(_parts(value))
    said = next((part for part in parts if isinstance(part, str) and part.strip()), None)
    text = one_line(_spelt(value) if said is None else said)
    found = [part for part in parts if isinstance(part, dict)]
    codes = [part.get(key) for part in found for key in ("status", "code", "statusCode", "status_code")]
    status = next((int(code) for code in codes if code is not None and _is_status(code)), None)
    return Complaint(text, status, tuple(dict.fromkeys(_named(found))))


def complaint_of(body: bytes) -> Complaint:
    """The complaint in the body of an answer: JSON, a page or plain text."""
    try:
        return complaint(read_json(body))
    except ValueError:
        text = body.decode("utf-8", "replace")
        return complaint(_TAG.sub(" ", text) if "<" in text[:_MOST] else text)


def one_line(text: str, most: int = _MOST) -> str:
    """``text`` on one line, of so many characters at most."""
    flat = " ".join(text[: 20 * most].split())[:most].strip()
    return flat.encode("utf-8", "replace").decode()  # half a character cannot be kept


def fields_in_question(said: Complaint, sent: Collection[str]) -> list[str]:
    """The sent fields that a server complains about: named as such, or in quotes, or as a word."""
    if named := [name for name in said.fields if name in sent]:
        return named
    quoted = [name for name in re.findall(r"[\"'`‘“]([\w.]+)[\"'`’”]", said.text) if name in sent]
    told = [(found.end(), name) for name in sent if (found := re.search(_FIELD + re.escape(name) + r"\b", said.text))]
    # Words of plain English mean no field by themselves.
    words = {name for name in sent if "_" in name or name in ("seed", "temperature")}
    return (
        quoted[:1]
        or [name for _, name in sorted(told)][-1:]
        or [word for word in re.findall(r"\w+", said.text) if word in words][-1:]
    )


def refusal(status: int, said: Complaint) -> Refusal | None:
    """Whether others will be refused as well, by the status and what is said; null: it may pass, or is one item's."""
    if status in _PASSING:
        return "always" if _SPENT.search(said.text) and not _SOON.search(said.text) else None
    if status >= _BROKEN:
        return "always" if status in _NOT_IMPLEMENTED else None
    if status in _CERTAIN or _SPENT.search(said.text):
        return "always"
    if _OF_THE_ITEM.search(said.text) and not any(map(_OF_EVERY.search, (said.text, *said.fields))):
        return None
    if status in _PERHAPS:
        return "perhaps"
    return "always" if status >= _REDIRECT else None


def _parts(value: Any, depth: int = 0) -> Iterator[Any]:
    """The texts and objects of an error, outermost object first, the likeliest texts before others."""
    if depth > _DEEPEST:
        return
    if isinstance(value, str):
        if value.lstrip()[:1] in ("{", "["):
            with contextlib.suppress(ValueError):
                yield from _parts(read_json(value.encode("utf-8", "replace")), depth + 1)
        yield value
    elif isinstance(value, list):
        for each in value[:8]:
            yield from _parts(each, depth + 1)
    elif isinstance(value, dict):
        yield value
        texts = [value[key] for key in _WORDS if key in value]
        if isinstance(beside := _beside(value), str) and texts and isinstance(texts[0], str):
            texts[0] = f"{texts[0]}: {beside}"
        for each in texts:
            yield from _parts(each, depth + 1)


def _beside(value: dict[str, Any]) -> Any:
    """What makes a general text particular: FastAPI's location, or the words of a provider behind OpenRouter."""
    if isinstance(location := value.get("loc"), list):
        return ".".join(str(step) for step in location[:8] if isinstance(step, str))
    metadata = value.get("metadata")
    return metadata.get("raw") if isinstance(metadata, dict) else None


def _spelt(value: Any) -> str:
    """A value in which no text was found, as JSON; nothing for one that is empty."""
    if not value:
        return ""
    try:
        return msgspec.json.encode(value).decode()
    except (ValueError, OverflowError, RecursionError):
        return "an error that cannot be shown"


def _is_status(code: Any) -> bool:
    if isinstance(code, str):
        return len(code) == _DIGITS and code.isascii() and code.isdigit() and _BAD <= int(code) < _END
    return isinstance(code, int) and _BAD <= code < _END


def _named(objects: list[dict[str, Any]]) -> Iterator[str]:
    for each in objects:
        if isinstance(param := each.get("param"), str):
            yield param.rpartition(".")[2] if "." in param else param
        location = each.get("loc")
        if isinstance(location, list | tuple) and len(location) == 2 and isinstance(location[1], str):
            yield location[1]
