"""What an OpenAI-compatible server sent, as arrivals, texts and counts. Pure: runs when the clock has stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from taskpace.engines.base import AnswerBuilder, Generation
from taskpace.engines.openai.chunks import Choice, read_chunks, read_texts
from taskpace.engines.openai.complaint import NO_WORD, Complaint, complaint, complaint_of, one_line
from taskpace.engines.openai.finish import meaning
from taskpace.engines.openai.http.coding import MOST_BYTES, plain
from taskpace.engines.openai.loose import Halves
from taskpace.engines.openai.sse import EventSplitter
from taskpace.engines.openai.usage import Reports
from taskpace.errors import EngineError
from taskpace.records import Refusal
from taskpace.text.secrets import Secrets

_NONE = Secrets(())
_JSON = (b"{", b"[")
_BLANK = b" \t\r\n\xef\xbb\xbf"
_LEAST_REPEATED = 16
"""Characters of a last chunk that cannot be a coincidence when they repeat all that was said before."""


class Reader:
    """Puts an answer together, arrival by arrival; what is wrong with it ends up in ``failure``.

    Args:
        as_error: makes an error of what a server complains of within an answer.
        secrets: not to be repeated in it.
    """

    def __init__(
        self,
        as_error: Callable[[Complaint], EngineError] = lambda said: server_error(said.text),
        secrets: Secrets = _NONE,
    ) -> None:
        self._as_error, self._secrets = as_error, secrets
        self._answer = AnswerBuilder()
        self._halves = (Halves(), Halves())
        """Of what stands where answers stand, and of the reasoning that stands apart."""
        self._said: list[str] = []
        self._thought = False
        self._index: Any = None
        self._timed = True
        self._finish_ns: int | None = None
        self._finish: str | None = None
        self._ended_ns: int | None = None
        """The server said, by ``[DONE]`` or by the end of a whole answer, that nothing more comes."""
        self._usage = Reports()
        self._events = 0
        self._ns = 0
        """The stamp of the event that is being read."""
        self._beside = b""
        self.failure: EngineError | None = None

    def stream(self, arrivals: Iterable[tuple[int, bytes]]) -> None:
        """Read a stream of server-sent events from stamped pieces of it."""
        if self._read_all(arrivals) and self._events:
            # As it shows nothing about when the answer began, it cannot stand for one that was streamed.
            problem = "the server sent a whole answer and no stream: set stream = false"
            self.failure = EngineError(problem, kind="content-type", refusal="perhaps")

    def whole(self, arrivals: Iterable[tuple[int, bytes]]) -> None:
        """Read an answer that came in one piece of JSON, or in events all the same."""
        self._read_all(arrivals)
        self._timed = False

    def generation(self) -> Generation:
        reason = meaning(self._finish or "")
        arrivals, text, reasoning = self._answer.arrivals, self._answer.text, self._answer.reasoning
        if reason == "length" and arrivals:
            # No end-of-sequence token was made: the last token is the last that was shown.
            self._finish_ns = arrivals[-1].ns
        finish_ns = self._ended_ns if self._finish is None else self._finish_ns
        return Generation(
            # One arrival says when all was there, and nothing of when it began: no arrival.
            arrivals=arrivals if self._timed else (),
            text=text,
            reasoning=reasoning,
            finish_ns=finish_ns if self._timed else None,
            finish_reason=reason,
            usage=self._usage.usage(visible=bool(text), reasoned=bool(reasoning)),
            failure=self.failure or self._wrong(),
        )

    def _wrong(self) -> EngineError | None:
        """What an answer that came to its end lacks."""
        if self._beside and self._finish is None:
            return self._as_error(complaint_of(self._secrets.masked_bytes(self._beside)))
        if not self._events:
            return EngineError("the answer is empty: no event in it", kind="empty")
        if self._finish is not None:
            return None if meaning(self._finish) else _other_end(self._secrets.masked(self._finish))
        if self._ended_ns is None:
            return EngineError("the stream ended without saying why (no finish_reason)", kind="cut")
        if not self._said and not self._thought:
            return EngineError("the answer is empty, and does not say why (no finish_reason)", kind="empty")
        return None

    def _read_all(self, arrivals: Iterable[tuple[int, bytes]]) -> bool:
        """Read whatever came; returns whether it was JSON as a whole, without a fault."""
        as_json: bool | None = None
        body: list[bytes] = []
        splitter = EventSplitter()
        events: list[bytes] = []
        reads: list[tuple[int, int]] = []
        """Of each read its stamp, and how many events there were by then."""
        ns = 0
        try:
            for ns, data in plain(arrivals, MOST_BYTES):
                if as_json is None and (begun := data.lstrip(_BLANK)):
                    as_json = begun.startswith(_JSON)
                if as_json:
                    body.append(data)
                else:
                    events += splitter.feed(data)
                    reads.append((ns, len(events)))
            events += [b"".join(body)] if as_json else splitter.end()
        except EngineError as exc:
            self.failure = _alone(exc)
        try:
            self._read_events(events, reads)
            for event in events[reads[-1][1] if reads else 0 :]:
                self._read(ns, event)
            if as_json and self.failure is None:
                self._ended_ns = ns
        except EngineError as exc:
            self.failure = _alone(exc)  # which came before the other
            ns = self._ns
        self._beside = splitter.beside
        self._answer.add(self._halves[0].end(), self._halves[1].end())
        self._answer.arrived(ns)
        return bool(as_json) and self.failure is None

    def _read_events(self, events: Sequence[bytes], reads: Sequence[tuple[int, int]]) -> None:
        """Read events; what one read brought is one arrival. Raises ``EngineError``."""
        texts = read_texts(events)
        begin = 0
        for ns, end in reads:
            shown: list[str] = []
            thought: list[str] = []
            for at in range(begin, end):
                if (choice := texts[at]) is not None and self._index is None:
                    self._index = choice.index
                if choice is None or (choice.index != self._index and choice.index is not None):
                    self._add(shown, thought)
                    self._read(ns, events[at])
                    continue
                self._events += 1
                delta = choice.delta
                if delta is None or choice.text or choice.finish_reason is not None:
                    visible, reasoning = choice.texts()
                    if choice.finish_reason is not None:
                        self._add(shown, thought)
                        finish = Choice(choice.index, visible, reasoning, whole=False, finish=choice.finish_reason)
                        self._take(ns, finish, alone=True)
                        continue
                else:  # as nearly all are, and without a call
                    visible, reasoning = delta.content or "", delta.reasoning_content or delta.reasoning or ""
                if visible:
                    shown.append(visible)
                if reasoning:
                    thought.append(reasoning)
            if shown or thought:
                self._add(shown, thought)
            # Several tokens in one read are one arrival; a role, or the end, is not a token of the answer.
            self._answer.arrived(ns)
            begin = end

    def _add(self, shown: list[str], thought: list[str]) -> None:
        """Append these texts to the answer, and empty the lists."""
        if shown:
            self._said += shown
            self._answer.add(self._halves[0].feed("".join(shown)))
            shown.clear()
        if thought:
            self._thought = True
            self._answer.add(reasoning=self._halves[1].feed("".join(thought)))
            thought.clear()

    def _read(self, ns: int, data: bytes) -> None:
        self._ns = ns
        for chunk in read_chunks(data):
            if chunk.ends and self._ended_ns is None:
                self._ended_ns = ns
            if chunk.error is not None:
                raise self._as_error(complaint(self._secrets.masked_in(chunk.error)))
            if chunk.usage is not None:
                self._usage.add(chunk.usage)
            self._events += bool(chunk.choices) or chunk.usage is not None
            for choice in chunk.choices:
                self._take(ns, choice, alone=len(chunk.choices) == 1)

    def _take(self, ns: int, choice: Choice, *, alone: bool) -> None:
        if self._index is None:
            self._index = choice.index
        if not alone if choice.index is None else self._index != choice.index:
            raise EngineError("the server sent several choices: ask for one (n = 1)", kind="several-choices")
        visible, reasoning = choice.visible, choice.reasoning
        if choice.whole or choice.finish:
            visible, reasoning = self._new(choice)
        self._add([visible] if visible else [], [reasoning] if reasoning else [])
        if choice.finish and (self._finish is None or visible or reasoning):
            self._finish_ns, self._finish = ns, choice.finish

    def _new(self, choice: Choice) -> tuple[str, str]:
        """What a chunk adds: a last one may bring the whole message again, or bring what was missing of it."""
        visible, reasoning = choice.visible, choice.reasoning
        if choice.whole and (self._said or self._thought):
            said = "".join(self._said)
            visible = visible.removeprefix(said) if visible.startswith(said) else ""
            reasoning = "" if self._thought else reasoning
        elif choice.finish and len(visible) >= _LEAST_REPEATED and len(self._said) > 1:
            visible = "" if visible == "".join(self._said) else visible
        return visible, reasoning


def server_error(text: str, refusal: Refusal | None = None) -> EngineError:
    """A server's complaint within an answer."""
    return EngineError(f"the server sent an error: {text or NO_WORD}", kind="server-error", refusal=refusal)


def _alone(exc: EngineError) -> EngineError:
    """An error to be kept by a reader that its frames hold: without them, as only the garbage collector frees circles.

    The same goes for the errors that it came of.
    """
    exc.__context__ = None
    return exc.with_traceback(None)


def _other_end(reason: str) -> EngineError:
    return EngineError(f'the server ended the answer for the reason "{one_line(reason, 40)}"', kind="finish-reason")
