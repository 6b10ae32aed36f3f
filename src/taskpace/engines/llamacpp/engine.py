"""Engine ``llamacpp``: GGUF models in this process, by llama.cpp's own server (xllamacpp), with continuous batching.

What one should know of it:

- Sampling is temperature, then top-p, then a draw, and nothing else, as other engines understand the two; temperature 0
  is greedy. llama.cpp's own defaults (top-k 40, min-p 0.05, and what a model file may carry) are switched off.
- A model without a chat template gets plain text (see ``render_plain``), never a template that it was not trained on.
- Nothing is reused between conversations (unless ``prompt_cache`` is on), but a conversation keeps its slot between its
  turns, and a later turn reuses what was computed for those before it, as a user of a server would have it. With more
  conversations than slots one may lose its slot meanwhile; its next turn is then computed again.
- With a concurrency above 1, what shares a batch with a request can change its rounding, and so, rarely, its text.
- A stopped generation ends after the token, and a stopped prompt after the batch, that is being computed
  (``batch_size`` tokens at most); only then is the slot free again, and ``generate`` waits for that.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import msgspec

from taskpace.engines.base import AnswerBuilder, EngineInfo, EngineSpec, Generation, Request, Stamps, Tell, nobody
from taskpace.engines.llamacpp.http import ask
from taskpace.engines.llamacpp.load import (
    choose_context,
    import_xllamacpp,
    load,
    make_params,
    read_options,
    usable_physical_cores,
)
from taskpace.engines.llamacpp.slots import SlotTable
from taskpace.engines.plain_prompt import render_plain
from taskpace.engines.threads import SlotThreads
from taskpace.errors import ContextOverflowError, EngineError, EngineMemoryError, ExperimentError
from taskpace.machine.clock import Clock, RealClock
from taskpace.models.gguf_header import read_metadata
from taskpace.records import FinishReason, Usage

# This very seed means "a random one" to llama.cpp.
_RANDOM_SEED = 0xFFFF_FFFF
# What llama.cpp hands over in two calls for one token comes within microseconds; the next token takes longer.
_TOGETHER_NS = 500_000


class Payload(msgspec.Struct, frozen=True):
    """A request, ready to be handed to llama.cpp."""

    chat: bool
    body: dict[str, Any]
    max_tokens: int
    conversation: str
    begins: bool
    ends: bool


class LlamaCppEngine:
    """One model, loaded once, with a thread for each slot.

    Raises ``ExperimentError`` for an option that cannot be used.
    """

    def __init__(self, spec: EngineSpec) -> None:
        self.clock: Clock = RealClock()
        self._spec = spec
        self._options = read_options(spec.options)
        self._server: Any = None
        self._threads: SlotThreads | None = None
        self._slots = SlotTable(1)
        self._plain = False
        # The server also listens on a port of this machine and cannot be told not to. No other program may use it.
        self._key = secrets.token_hex(16)

    async def open(self, tell: Tell = nobody) -> EngineInfo:
        """Load the model.

        Raises:
            MissingExtraError: xllamacpp is not installed.
            ExperimentError: more context than the model was trained with, more slots than llama.cpp has, or control
                of a reasoning that the model's template does not know.
            ModelError: llama.cpp cannot load the file.
        """
        xllamacpp = import_xllamacpp()
        path = Path(self._spec.model)
        tell(f"loading {path.name}")
        metadata = read_metadata(path)
        self._plain = self._options.chat_template == "plain" or "tokenizer.chat_template" not in metadata
        context = choose_context(self._options.context, metadata, path)
        threads = self._options.threads or usable_physical_cores()
        slots = self._options.slots or self._spec.slots
        params = make_params(
            xllamacpp,
            self._options,
            model=self._spec.model,
            slots=slots,
            context=context,
            threads=threads,
            key=self._key,
        )
        self._threads = SlotThreads(slots)
        self._slots = SlotTable(slots)
        try:
            self._server = await self._threads.run(lambda _cancelled: load(xllamacpp, params, path, self._key))
            properties, model = self._ask("GET", "/props"), self._ask("GET", "/v1/models")["data"][0]["meta"]
            self._check_reasoning(properties.get("chat_template_caps", {}), path)
        except BaseException:
            await self.close()
            raise
        return EngineInfo(
            engine="llamacpp",
            version=xllamacpp.__version__,
            chat_template="plain" if self._plain else "model",
            details={
                "model_file": path.name,
                "name": metadata.get("general.name"),
                "architecture": metadata.get("general.architecture"),
                "quantisation": properties.get("model_ftype"),
                "parameters": model.get("n_params"),
                "size_bytes": model.get("size"),
                "training_context_tokens": model.get("n_ctx_train"),
                "context_tokens": properties["default_generation_settings"]["n_ctx"],
                "slots": slots,
                "threads": threads,
                "devices": [device["description"] for device in xllamacpp.get_device_info()],
                "system": " ".join(xllamacpp.get_system_info().split()),
                "options": msgspec.to_builtins(self._options),
            },
        )

    def _check_reasoning(self, template: dict[str, Any], path: Path) -> None:
        """What a template does not know would be ignored, and the results of two efforts be the same."""
        if self._plain and (self._options.reasoning_effort or self._options.thinking_budget is not None):
            raise ExperimentError(
                f"{path.name} gets plain text, without a chat template that arrivals reasoning: "
                'leave "reasoning_effort" and "thinking_budget" out'
            )
        if self._options.reasoning_effort and not template.get("supports_reasoning_effort", True):
            raise ExperimentError(
                f'{path.name} has a chat template without a reasoning effort: leave "reasoning_effort" out, '
                'or see whether "chat_template_kwargs" has what it knows'
            )

    def prepare(self, request: Request) -> Payload:
        """The whole request as llama.cpp takes it."""
        body: dict[str, Any] = {
            "max_tokens": request.max_tokens,
            "stop": list(request.stop),
            "temperature": request.sampling.temperature,
            "top_p": request.sampling.top_p,
            "seed": request.seed % _RANDOM_SEED,
            # Only these two, in the order of the other engines (llama.cpp's own order is top-p first).
            "samplers": ["temperature", "top_p"],
            "dynatemp_range": 0.0,
            "mirostat": 0,
            "cache_prompt": self._options.prompt_cache,
            "stream": True,
            "stream_options": {"include_usage": True},
            # A call back for every batch of the prompt: else nothing could stop the reading of a long one.
            "return_progress": True,
        }
        if self._plain:
            body["prompt"] = render_plain(request.messages)
        else:
            body["messages"] = [{"role": message.role, "content": message.content} for message in request.messages]
            if self._options.chat_template_kwargs:
                body["chat_template_kwargs"] = dict(self._options.chat_template_kwargs)
            if self._options.reasoning_effort:
                body["reasoning_effort"] = self._options.reasoning_effort
            if self._options.thinking_budget is not None:
                body["thinking_budget_tokens"] = self._options.thinking_budget
        return Payload(
            chat=not self._plain,
            body=body,
            max_tokens=request.max_tokens,
            conversation=request.trial_id,
            begins=request.turn == 0,
            ends=request.last,
        )

    async def ready(self, payload: Any) -> None:
        """Nothing is needed."""

    async def generate(self, payload: Payload, stamps: Stamps) -> None:
        """Generate in a thread of this request's own.

        Raises:
            ContextOverflowError: the prompt does not fit the context, or the answer ran into its end.
            EngineMemoryError: llama.cpp could not get the memory.
            EngineError: anything else that llama.cpp refuses, in its own words.
        """
        assert self._threads is not None, "open comes first"  # noqa: S101 - a broken protocol, not a user's error
        await self._threads.run(lambda cancelled: self._generate(payload, stamps, cancelled))

    def _generate(self, payload: Payload, stamps: Stamps, cancelled: Callable[[], bool]) -> None:
        if self._options.prompt_cache:
            self._ask_for_answer(payload, payload.body, stamps, cancelled)
            return
        slot, own = self._slots.take(payload.conversation, begins=payload.begins)
        goes_on = False
        try:
            self._ask_for_answer(payload, payload.body | {"id_slot": slot, "cache_prompt": own}, stamps, cancelled)
            goes_on = not payload.ends and not cancelled() and not _hit_limit(stamps)
        finally:
            self._slots.give_back(slot, payload.conversation if goes_on else None)

    def _ask_for_answer(
        self, payload: Payload, body: dict[str, Any], stamps: Stamps, cancelled: Callable[[], bool]
    ) -> None:
        if cancelled():
            return
        now_ns, append = self.clock.now_ns, stamps.arrivals.append

        def stamp(chunk: dict[str, Any]) -> bool:
            append((now_ns(), chunk))
            return cancelled()

        # The server stays out of this frame's variables: an exception's traceback would keep it alive after ``close``.
        try:
            if payload.chat:
                self._server.handle_chat_completions(body, stamp)
            else:
                self._server.handle_completions(body, stamp)
        except (RuntimeError, ValueError) as exc:
            raise _failure(str(exc)) from exc
        if cancelled():
            # The call has returned, but llama.cpp stops only when it has computed what it is at, and the next request
            # would wait for that and be blamed. So wait here: an empty request queues behind the order to stop.
            # In the same slot, if it has one: another may hold a conversation that goes on.
            self._server.handle_completions({"prompt": "", "max_tokens": 1, "id_slot": body.get("id_slot", -1)})
            return
        _check_end(stamps, payload.max_tokens)

    def read(self, stamps: Stamps) -> Generation:
        """Arrivals where text arrived, the texts, and llama.cpp's own counts; a stream cut short has no counts."""
        answer = AnswerBuilder()
        finish_ns: int | None = None
        finish_reason: FinishReason | None = None
        counts: dict[str, Any] | None = None
        first_ns: int | None = None
        for ns, chunk in stamps.arrivals:
            if first_ns is None and "prompt_progress" not in chunk and chunk.get("choices"):
                first_ns = ns
            for choice in chunk.get("choices", ()):
                answer.add(*_texts(choice))
                if choice.get("finish_reason"):
                    finish_ns = ns
                    finish_reason = "length" if choice["finish_reason"] == "length" else "stop"
            answer.arrived(ns)
            counts = chunk.get("usage") or counts
        if first_ns is not None and (not answer.arrivals or answer.arrivals[0].ns - first_ns > _TOGETHER_NS):
            # llama.cpp announces the first token at once, with text or without: it keeps text back as long as that may
            # be the beginning of a stop text. Else a few tokens would seem to have come in no time.
            answer.announced(first_ns)
        return Generation(
            arrivals=answer.arrivals,
            text=answer.text,
            reasoning=answer.reasoning,
            finish_ns=finish_ns,
            finish_reason=finish_reason,
            usage=_usage(counts, reasoned=bool(answer.reasoning)),
        )

    async def close(self) -> None:
        """End the server and the threads. May be called twice."""
        if self._threads is not None:
            self._threads.close()
        self._threads = None
        self._server = None  # its destructor ends llama.cpp's own threads and gives the memory back

    def _ask(self, method: str, path: str) -> Any:
        return ask(self._server, self._key, method, path)


def _texts(choice: dict[str, Any]) -> tuple[str, str]:
    """New visible text and new reasoning, in a chunk of either kind of stream."""
    delta = choice.get("delta", {})
    return choice.get("text") or delta.get("content") or "", delta.get("reasoning_content") or ""


def _usage(counts: dict[str, Any] | None, *, reasoned: bool) -> Usage:
    if counts is None:
        return Usage()
    details = counts.get("prompt_tokens_details") or {}
    return Usage(
        prompt_tokens=counts.get("prompt_tokens"),
        output_tokens=counts.get("completion_tokens"),
        # llama.cpp counts them together with the rest: known only where there are none.
        reasoning_tokens=None if reasoned else 0,
        cached_tokens=details.get("cached_tokens"),
        token_source="engine",  # noqa: S106 - a source, not a secret
    )


def _hit_limit(stamps: Stamps) -> bool:
    """A conversation ends with an answer that is cut."""
    return any(
        choice.get("finish_reason") == "length"
        for _, chunk in stamps.arrivals[-3:]
        for choice in chunk.get("choices", ())
    )


def _check_end(stamps: Stamps, max_tokens: int) -> None:
    """Raise for a stream that ended otherwise than with an answer.

    A full context ends an answer with the reason "length", as the limit does. The count distinguishes the two.
    """
    finish: str | None = None
    for _, chunk in stamps.arrivals[-3:]:
        if "error" in chunk:
            raise _failure(_message(chunk["error"]))
        finish = next((choice["finish_reason"] for choice in chunk.get("choices", ())), None) or finish
        written = (chunk.get("usage") or {}).get("completion_tokens")
        if finish == "length" and written is not None and written < max_tokens:
            raise ContextOverflowError(
                f"the context was full after {written} of at most {max_tokens} tokens of the answer"
            )
    if finish is None:
        raise EngineError("llama.cpp ended the stream without saying why")


def _message(error: object) -> str:
    return str(cast("dict[str, Any]", error).get("message", error)) if isinstance(error, dict) else str(error)


def _failure(message: str) -> EngineError:
    message = " ".join(message.split())
    if re.search(r"context size|n_ctx", message, re.IGNORECASE):
        return ContextOverflowError(message)
    if re.search(r"out of memory|bad_alloc|failed to (re)?allocate", message, re.IGNORECASE):
        return EngineMemoryError(message)
    return EngineError(message)
