"""One chunk of a stream, or a whole answer, as the few things of it that are read, in every dialect. Pure.

Only what is read is checked; null, empty and absent are one thing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import msgspec

from taskpace.engines.openai.loose import read_json
from taskpace.errors import EngineError

_END = (b"[DONE]", b'"[DONE]"')
_SHOWN = 80
REASONING_FIELDS = (
    "reasoning_content",  # DeepSeek, vLLM before 0.12, SGLang, llama-server, LM Studio
    "reasoning",  # vLLM, Ollama, OpenRouter, Groq
    "reasoning_text",  # GitHub Copilot
    "thinking",  # gateways to Anthropic and Ollama
    "thinking_blocks",  # LiteLLM, of Anthropic's
    "reasoning_details",  # OpenRouter
)
"""What reasoning is called where it has a field of its own. Servers give one text under two names: the first counts."""
_REASONING_PARTS = frozenset({"thinking", "reasoning", "reasoning_text", "reasoning_content", "summary_text"})
"""Types of content parts that are not part of the answer: Mistral's ``thinking``, and what gateways make of others'."""
_TEXT_OF_PART = ("text", "thinking", "reasoning", "reasoning_text", "summary", "content", "refusal", "value")
_DEEPEST = 4
_OF_AN_ERROR = ("message", "detail", "msg", "errors", "error_message")


class Choice(NamedTuple):
    """What one chunk brings of the answer."""

    index: Any
    visible: str
    reasoning: str
    whole: bool
    """It is the message as a whole, not what is new of it."""
    finish: str


class Chunk(NamedTuple):
    """One event."""

    choices: tuple[Choice, ...] = ()
    usage: Any = None
    error: Any = None
    """Null: it is none."""
    ends: bool = False
    """``[DONE]``."""


NOTHING = Chunk()
"""A chunk that keeps a connection alive."""


class TextDelta(msgspec.Struct, gc=False):
    """A delta of text, or of reasoning under a name in common use."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: None = None
    reasoning_text: None = None
    thinking: None = None
    thinking_blocks: None = None
    reasoning_details: None = None


_NO_DELTA = TextDelta()


class TextChoice(msgspec.Struct, gc=False):
    """A choice that brings text or shows why it ends; whatever else is read of one is not there, or null."""

    index: int | None = None
    delta: TextDelta | None = None
    text: str | None = None
    message: None = None
    finish_reason: str | None = None
    usage: None = None
    error: None = None

    def texts(self) -> tuple[str, str]:
        """Of the answer, and of the reasoning."""
        delta = self.delta or _NO_DELTA
        return (self.text or "") + (delta.content or ""), delta.reasoning_content or delta.reasoning or ""


class _TextEvent(msgspec.Struct, gc=False):
    choices: tuple[TextChoice]
    usage: None = None
    x_groq: None = None
    error: None = None


_AT_ONCE = 200
"""Events: in some 0.1 ms, as no other thread, such as the one that stamps, can run meanwhile."""
_decode_text = msgspec.json.Decoder(_TextEvent).decode


def read_texts(events: Sequence[bytes]) -> list[TextChoice | None]:
    """Of each event the choice in it, as nearly all have one of text; null for any other, for ``read_chunks``.

    Many events at once: it takes a tenth of the time.
    """
    found: list[_TextEvent | None] = []
    unread = map(_decode_text, events)
    while len(found) < len(events):
        try:
            found.extend(islice(unread, _AT_ONCE))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            found.append(None)
    return [None if event is None else event.choices[0] for event in found]


def read_chunks(data: bytes) -> list[Chunk]:
    """The data of an event, whatever it is: one chunk, as a rule.

    A server that leaves out the empty lines between its events has several in one; one that forwards another's lines
    repeats their ``data:``.

    Raises:
        EngineError: ``bad-event``: it cannot be read.
    """
    try:
        return [read_chunk(data)]
    except EngineError as exc:
        lines = [line.strip().removeprefix(b"data:").strip() for line in data.split(b"\n")]
        lines = [line for line in lines if line]
        if lines == [data.strip()]:
            raise
        try:
            return [read_chunk(line) for line in lines]
        except EngineError:
            raise exc from None


def read_chunk(data: bytes) -> Chunk:
    """One chunk. Raises ``EngineError`` (``bad-event``) for what is none."""
    data = data.strip()
    if data in _END:
        return Chunk(ends=True)
    if not data:
        return NOTHING
    try:
        value = read_json(data)
    except ValueError as exc:
        raise _bad(data, f"it is not JSON ({exc})") from None
    if isinstance(value, list) and len(value) == 1:  # Gemini's errors
        value = value[0]
    if not value:
        return NOTHING
    if not isinstance(value, dict):
        raise _bad(data, "it is not an object")
    choices = value.get("choices")
    if error := _error(value, choices):
        return Chunk(error=error)
    if not isinstance(choices or [], list):
        raise _bad(data, "its choices are not a list")
    # By a list, as in worker.trial.make_turn.
    return Chunk(tuple([_choice(choice, data) for choice in choices or []]), _usage(value, choices or []))


def _bad(data: bytes, problem: str) -> EngineError:
    shown = data[:_SHOWN].decode("utf-8", "backslashreplace")
    return EngineError(f"an event is not what it should be: {problem}: {shown}", kind="bad-event")


def _error(value: dict[str, Any], choices: Any) -> Any:
    """The error that a chunk is, or null: under ``error``, said to be one, or words where choices should be."""
    if error := value.get("error"):
        return error if isinstance(error, dict | list) else value
    if isinstance(choices, list):
        for choice in choices:
            if isinstance(choice, dict) and (error := choice.get("error")):
                return error
    if choices:
        return None
    kind = value.get("object") or value.get("type")
    if isinstance(kind, str) and kind.lower() == "error":
        return value
    if "choices" in value or "usage" in value:
        return None
    said = any(value.get(key) and not _is_message(value[key]) for key in _OF_AN_ERROR)
    return value if said else None


def _usage(value: dict[str, Any], choices: list[Any]) -> Any:
    """The report of tokens, where it is called so; Moonshot has it within the choice, Groq had it in ``x_groq``."""
    for place in (value, *choices[:1], value.get("x_groq")):
        if isinstance(place, dict) and (usage := place.get("usage")):
            return usage
    return None


def _is_message(value: Any) -> bool:
    return isinstance(value, dict) and "role" in value


def _choice(choice: Any, data: bytes) -> Choice:
    if choice is None:
        return Choice(None, "", "", whole=False, finish="")
    if not isinstance(choice, dict):
        raise _bad(data, "a choice is not an object")
    delta, message = choice.get("delta"), choice.get("message")
    said = delta or message or {}
    if not isinstance(said, dict):
        raise _bad(data, "a delta is not an object")
    answer: list[str] = []
    thoughts: list[str] = []
    for field in (choice.get("text"), said.get("content"), said.get("refusal")):
        if isinstance(field, str):
            answer.append(field)
        elif field:
            _sort_parts(field, answer, thoughts, data)
    named = (said.get(field) for field in REASONING_FIELDS)
    reasoning = next((value for value in named if value and isinstance(value, str | list | dict)), None)
    thoughts[:0] = _texts(reasoning, data)
    finish = choice.get("finish_reason")
    return Choice(
        choice.get("index"),
        "".join(answer),
        "".join(thoughts),
        whole=not delta and bool(message),
        finish="" if finish is None else finish if isinstance(finish, str) else repr(finish)[:_SHOWN],
    )


def _sort_parts(content: Any, answer: list[str], thoughts: list[str], data: bytes) -> None:
    """Content that is a list of typed parts: text to the answer, thoughts to the reasoning."""
    for part in content if isinstance(content, list) else [content]:
        kind = part.get("type") if isinstance(part, dict) else None
        text = "".join(_texts(part, data))
        (thoughts if kind in _REASONING_PARTS else answer).append(text)


def _texts(part: Any, data: bytes, depth: int = 0) -> Iterator[str]:
    """The texts of a part, whatever its type calls them, and of the parts within it."""
    if isinstance(part, str):
        yield part
    elif isinstance(part, dict) and depth < _DEEPEST:
        text = next((part[key] for key in _TEXT_OF_PART if part.get(key)), None)
        yield from _texts(text, data, depth + 1)
    elif isinstance(part, list) and depth < _DEEPEST:
        for each in part:
            yield from _texts(each, data, depth + 1)
    elif part is not None:
        raise _bad(data, "its content is not text")
