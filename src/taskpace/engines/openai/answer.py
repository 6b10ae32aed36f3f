"""What an OpenAI-compatible server sent, as arrivals, texts and counts. Pure: runs when the clock has stopped."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from taskpace.engines.base import AnswerBuilder, Generation
from taskpace.engines.openai.sse import EventSplitter
from taskpace.errors import EngineError
from taskpace.records import FinishReason, Usage

_END = b"[DONE]"
_OPEN, _CLOSE = "<think>", "</think>"
_REASONS: dict[str, FinishReason] = {"stop": "stop", "eos": "stop", "eos_token": "stop", "stop_sequence": "stop",
                                     "end_turn": "stop", "length": "length", "max_tokens": "length"}  # fmt: skip


class _Said(msgspec.Struct):
    """A delta, or a whole message."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None


class _Choice(msgspec.Struct):
    index: int = 0
    delta: _Said | None = None
    message: _Said | None = None
    text: str | None = None
    finish_reason: str | None = None


class _Event(msgspec.Struct):
    """A chunk of a stream, or a whole answer."""

    choices: list[_Choice] = []
    usage: Any = None
    error: Any = None
    object: Any = None
    message: Any = None


_decoder = msgspec.json.Decoder(_Event)


class Reader:
    """Puts an answer together, arrival by arrival; what is wrong with it ends up in ``failure``."""

    def __init__(self) -> None:
        self._answer = AnswerBuilder()
        self._thinking = _Thinking()
        self._finish_ns: int | None = None
        self._finish: str | None = None
        self._usage: Any = None
        self._events = 0
        self.failure: EngineError | None = None

    def stream(self, arrivals: Iterable[tuple[int, bytes]]) -> None:
        """Read a stream of server-sent events from stamped pieces of it."""
        splitter = EventSplitter()
        ns = 0
        try:
            for ns, data in arrivals:
                for event in splitter.feed(data):
                    self._read(ns, event)
                # Several tokens in one read are one arrival; a role, or the end, is no token of the answer.
                self._answer.arrived(ns)
            for event in splitter.end():
                self._read(ns, event)
        except EngineError as exc:
            self.failure = exc
        self._answer.add(*self._thinking.end())
        self._answer.arrived(ns)

    def whole(self, arrivals: Iterable[tuple[int, bytes]]) -> None:
        """Read an answer that came in one piece of JSON."""
        stamped = list(arrivals)
        try:
            self._read(stamped[-1][0] if stamped else 0, b"".join(data for _, data in stamped))
        except EngineError as exc:
            self.failure = exc
        self._answer.add(*self._thinking.end())
        # One arrival says when all was there, and nothing of when it began: no arrival.
        self._finish_ns = None

    def generation(self) -> Generation:
        reason = _REASONS.get(self._finish or "")
        arrivals = self._answer.arrivals
        if reason == "length" and arrivals:
            # No end-of-sequence token was made: the last token is the last that was shown.
            self._finish_ns = arrivals[-1].ns
        return Generation(
            arrivals=arrivals,
            text=self._answer.text,
            reasoning=self._answer.reasoning,
            finish_ns=self._finish_ns,
            finish_reason=reason,
            usage=read_usage(self._usage),
            failure=self.failure or self._wrong(),
        )

    def _wrong(self) -> EngineError | None:
        """What an answer that came to its end lacks."""
        if not self._events:
            return EngineError("the answer is empty: no event in it", kind="empty")
        if self._finish is None:
            return EngineError("the stream ended without saying why (no finish_reason)", kind="cut")
        if self._finish not in _REASONS:
            return EngineError(
                f'the server ended the answer for the reason "{self._finish[:40]}"', kind="finish-reason"
            )
        return None

    def _read(self, ns: int, data: bytes) -> None:
        if data.strip() == _END:
            return
        try:
            event = _decoder.decode(data)
        except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as exc:
            raise EngineError(f"an event is not what it should be: {exc}: {data[:80]!r}", kind="bad-event") from None
        self._events += 1
        if event.error is not None or event.object == "error":
            raise EngineError(
                f"the server sent an error: {error_text(event.error or event.message)}", kind="server-error"
            )
        if event.usage is not None:
            self._usage = event.usage
        for choice in event.choices:
            if choice.index:
                raise EngineError("the server sent several choices: ask for one (n = 1)", kind="several-choices")
            said = choice.delta or choice.message or _Said()
            visible = choice.text or said.content or ""
            reasoning = said.reasoning_content or said.reasoning or ""
            visible, more_reasoning = self._thinking.feed(visible)
            self._answer.add(visible, reasoning + more_reasoning)
            if choice.finish_reason:
                self._finish_ns, self._finish = ns, choice.finish_reason


class _Thinking:
    """Separates reasoning that stands in the text itself, between ``<think>`` and ``</think>`` at its beginning."""

    def __init__(self) -> None:
        self._state = "before"
        self._held = ""

    def feed(self, text: str) -> tuple[str, str]:
        """New text as (visible, reasoning); what may be the beginning of a tag is held back."""
        if self._state == "answer" or not text:
            return text, ""
        text, self._held = self._held + text, ""
        if self._state == "before":
            begun = text.lstrip()
            if len(begun) < len(_OPEN) and _OPEN.startswith(begun):
                self._held = text
                return "", ""
            if not begun.startswith(_OPEN):
                self._state = "answer"
                return text, ""
            self._state, text = "thinking", begun[len(_OPEN) :]
        return self._think(text)

    def _think(self, text: str) -> tuple[str, str]:
        reasoning, tag, visible = text.partition(_CLOSE)
        if tag:
            self._state = "answer"
            return visible, reasoning
        held = _begun(text)
        self._held = text[len(text) - held :]
        return "", text[: len(text) - held]

    def end(self) -> tuple[str, str]:
        """What was held back, once nothing more comes."""
        held, self._held = self._held, ""
        return ("", held) if self._state == "thinking" else (held, "")


def _begun(text: str) -> int:
    """How many characters at the end of ``text`` may be the beginning of ``</think>``."""
    return next((size for size in range(len(_CLOSE) - 1, 0, -1) if text.endswith(_CLOSE[:size])), 0)


def read_usage(usage: Any) -> Usage:
    """Token counts as the server reports them; whatever is missing or no count is unknown, and nothing is guessed."""
    counts = usage if isinstance(usage, dict) else {}
    output, prompt = _count(counts, "completion_tokens"), _count(counts, "prompt_tokens")
    if output is None and prompt is None:
        return Usage()
    return Usage(
        prompt_tokens=prompt,
        output_tokens=output,
        reasoning_tokens=_count(counts.get("completion_tokens_details"), "reasoning_tokens"),
        cached_tokens=_count(counts.get("prompt_tokens_details"), "cached_tokens"),
        token_source="usage",  # noqa: S106 - a source, not a secret
    )


def _count(counts: Any, name: str) -> int | None:
    value = counts.get(name) if isinstance(counts, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53 else None


def error_text(error: Any) -> str:
    """What an error object says, in one line."""
    if isinstance(error, dict):
        error = error.get("message") or error.get("detail") or error.get("type") or error
    return re.sub(r"\s+", " ", str(error)).strip()[:300]
