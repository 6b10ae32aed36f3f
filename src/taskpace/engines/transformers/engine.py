"""Engine ``transformers``: causal language models in process, as in the paper: one at a time or in static batches.

What one should know of it:

- A step is stamped in a stopping criterion, the first thing that runs when all items' next tokens are known. On a GPU
  that is where ``generate`` waits for the device anyway, so no further synchronisation is added.
- In a static batch prompts are padded on the left. An item ends at its own end-of-sequence step; the batch ends with
  its last item, and everybody waits for that. Padding is counted nowhere.
- Greedy at temperature 0; else temperature, then top-p, nothing else. In a batch all items draw from one generator,
  seeded with the first item's seed.
- Stop texts are looked for at each step in the last tokens' text; what is at and after one is not part of the answer.
- Markers separate reasoning from the answer (``taskpace.engines.reasoning``), also where the chat template has
  written the opening one; a step whose token came before the answer's first is a reasoning token.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from taskpace.engines.base import (
    EngineInfo,
    EngineSpec,
    Generation,
    Request,
    Sampling,
    Stamps,
    Tell,
    nobody,
)
from taskpace.engines.plain_prompt import render_plain
from taskpace.engines.reasoning import is_opened
from taskpace.engines.threads import SlotThreads
from taskpace.engines.transformers.load import Loaded, Options, import_libraries, load, read_options
from taskpace.engines.transformers.reading import Special, read_tokens, reasoning_tokens, shown, special_tokens
from taskpace.errors import ContextOverflowError, EngineMemoryError
from taskpace.machine.clock import Clock, RealClock
from taskpace.records import FinishReason, Usage
from taskpace.text.safe_text import one_line

_TAIL_TOKENS = 24
"""So many of the last tokens are looked at for a stop text: none of the tasks' is longer."""
_SEED_BITS = 0x7FFF_FFFF


class Payload(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt as tokens, and how to go on."""

    tokens: list[int]
    max_tokens: int
    stop: tuple[str, ...]
    sampling: Sampling
    seed: int
    opened: bool = False
    """The chat template ends with a marker that opens reasoning."""


class End(msgspec.Struct, frozen=True):
    """The last event of an item: why it ended."""

    reason: FinishReason
    prompt_tokens: int
    stop: tuple[str, ...]
    opened: bool = False
    """As of the payload."""


class TransformersEngine:
    """One model, loaded once; one batch at a time. Raises ``ExperimentError`` for an option that cannot be used."""

    _special: Special | None = None
    """Of the tokenizer, once something was read."""

    def __init__(self, spec: EngineSpec) -> None:
        self.clock: Clock = RealClock()
        self._spec = spec
        self._options: Options = read_options(spec.options)
        self._threads: SlotThreads | None = None
        self._loaded: Loaded | None = None

    async def open(self, tell: Tell = nobody) -> EngineInfo:
        """Load the model. Raises what ``transformers_load.load`` raises."""
        torch, transformers = import_libraries()
        tell(f"loading {one_line(self._spec.model)}")
        self._threads = SlotThreads(1)
        try:
            self._loaded = await self._threads.run(lambda _cancelled: load(self._spec.model, self._options))
        except BaseException:
            await self.close()
            raise
        model, config = self._loaded.model, self._loaded.model.config
        return EngineInfo(
            engine="transformers",
            version=str(transformers.__version__),
            chat_template="plain" if self._plain else "model",
            details={
                "name": Path(self._spec.model).name,
                "architecture": type(model).__name__,
                "quantized_by": self._loaded.quantized_by,
                "dtype": self._loaded.dtype,
                "parameters": sum(parameter.numel() for parameter in model.parameters()),
                "size_bytes": sum(parameter.nbytes for parameter in model.parameters()),
                "training_context_tokens": getattr(config, "max_position_embeddings", None),
                "device": self._loaded.device,
                "devices": [torch.cuda.get_device_name()] if self._loaded.device == "cuda" else [],
                "torch": str(torch.__version__),
                "threads": torch.get_num_threads(),
                "options": msgspec.to_builtins(self._options),
            },
        )

    @property
    def _ready(self) -> Loaded:
        assert self._loaded is not None, "open comes first"  # noqa: S101 - a broken protocol, not a user's error
        return self._loaded

    @property
    def _plain(self) -> bool:
        return self._options.chat_template == "plain" or not self._ready.tokenizer.chat_template

    def prepare(self, request: Request) -> Payload:
        """The prompt as tokens. Raises ``ContextOverflowError`` for one that the model has no room for."""
        tokenizer = self._ready.tokenizer
        opened = False
        if self._plain:
            tokens = tokenizer(render_plain(request.messages))["input_ids"]
        else:
            messages = [{"role": message.role, "content": message.content} for message in request.messages]
            text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
            opened = is_opened(text)
            # The template has written the special tokens already.
            tokens = tokenizer(text, add_special_tokens=False)["input_ids"]
        context = getattr(self._ready.model.config, "max_position_embeddings", None)
        if context is not None and len(tokens) + request.max_tokens > context:
            raise ContextOverflowError(
                f"the prompt has {len(tokens)} tokens and the answer may have {request.max_tokens}: the model has room "
                f"for {context}"
            )
        return Payload(
            tokens=list(tokens),
            max_tokens=request.max_tokens,
            stop=request.stop,
            sampling=request.sampling,
            seed=request.seed & _SEED_BITS,
            opened=opened,
        )

    async def ready(self, payload: Any) -> None:
        """Nothing is needed."""

    async def generate(self, payload: Payload, stamps: Stamps) -> None:
        """A batch of one."""
        await self.generate_batch([payload], [stamps])

    async def generate_batch(self, payloads: Sequence[Payload], stamps: Sequence[Stamps]) -> None:
        """Answer all in one static batch; each item's stamps get its own tokens and end.

        Raises:
            EngineMemoryError: it does not fit; the engine can go on.
        """
        assert self._threads is not None, "open comes first"  # noqa: S101 - a broken protocol, not a user's error
        await self._threads.run(lambda cancelled: self._generate(payloads, stamps, cancelled))

    def _generate(self, payloads: Sequence[Payload], stamps: Sequence[Stamps], cancelled: Callable[[], bool]) -> None:
        torch, transformers = import_libraries()
        loaded = self._ready
        pad = _pad_token(loaded)
        longest = max(len(payload.tokens) for payload in payloads)
        rows = [[pad] * (longest - len(payload.tokens)) + payload.tokens for payload in payloads]
        mask = [[0] * (longest - len(payload.tokens)) + [1] * len(payload.tokens) for payload in payloads]
        hook = _Hook(loaded, payloads, stamps, self.clock.now_ns, cancelled)
        try:
            with torch.inference_mode():
                torch.manual_seed(payloads[0].seed)
                loaded.model.generate(
                    input_ids=torch.tensor(rows, device=loaded.device),
                    attention_mask=torch.tensor(mask, device=loaded.device),
                    generation_config=_settings(transformers, payloads, pad),
                    stopping_criteria=transformers.StoppingCriteriaList([hook]),
                )
        except (MemoryError, RuntimeError) as exc:
            if not _is_out_of_memory(torch, exc):
                raise
            said = one_line(str(exc))[:200]
        else:
            return
        # Out of the handler, so that no traceback keeps what has to go.
        gc.collect()
        if loaded.device == "cuda":
            torch.cuda.empty_cache()
        tried = f"a batch of {len(payloads)} with prompts of up to {longest} tokens"
        raise EngineMemoryError(f"{tried} does not fit: {said}")

    def read(self, stamps: Stamps) -> Generation:
        """Arrivals where text grew, the text up to a stop text, and the tokens that were made."""
        tokens = [(ns, event) for ns, event in stamps.arrivals if isinstance(event, int)]
        end = next(((ns, event) for ns, event in stamps.arrivals if isinstance(event, End)), None)
        tokenizer = self._ready.tokenizer
        self._special = self._special or special_tokens(tokenizer)
        stops, opened = (end[1].stop, end[1].opened) if end else ((), False)
        answer = read_tokens(tokenizer, shown(tokens, self._special), stops, opened=opened)
        return Generation(
            arrivals=answer.arrivals,
            text=answer.text,
            reasoning=answer.reasoning,
            finish_ns=end[0] if end else None,
            finish_reason=end[1].reason if end else None,
            usage=Usage(
                prompt_tokens=end[1].prompt_tokens,
                output_tokens=len(tokens),
                reasoning_tokens=reasoning_tokens(answer, tokens),
                cached_tokens=0,
                token_source="engine",  # noqa: S106 - a source, not a secret
            )
            if end
            else Usage(),
        )

    def take_device_peak(self) -> int | None:
        """The most that PyTorch had allocated on the GPU since the last call."""
        if self._ready.device != "cuda":
            return None
        torch, _ = import_libraries()
        peak: int = torch.cuda.max_memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        return peak

    async def close(self) -> None:
        """Give the model back. May be called twice."""
        self._loaded = None
        if self._threads is not None:
            self._threads.close()
        self._threads = None
        gc.collect()


class _Hook:
    """Called by ``generate`` after each step with all tokens so far; returns which items are done."""

    def __init__(
        self,
        loaded: Loaded,
        payloads: Sequence[Payload],
        stamps: Sequence[Stamps],
        now_ns: Callable[[], int],
        cancelled: Callable[[], bool],
    ) -> None:
        self._torch, _ = import_libraries()
        self._loaded, self._payloads = loaded, payloads
        self._arrivals = [each.arrivals for each in stamps]
        self._now_ns, self._cancelled = now_ns, cancelled
        self._ends = _end_tokens(loaded)
        self._written: list[list[int]] = [[] for _ in payloads]
        self._done = [False] * len(payloads)

    def __call__(self, input_ids: Any, _scores: Any, **_: Any) -> Any:
        last = input_ids[:, -1].tolist()  # waits for the device: the tokens are here
        ns = self._now_ns()
        for index, token in enumerate(last):
            if not self._done[index]:
                self._arrivals[index].append((ns, token))
                self._written[index].append(token)
                if (reason := self._why(index, token)) is not None:
                    self._done[index] = True
                    payload = self._payloads[index]
                    self._arrivals[index].append((ns, End(reason, len(payload.tokens), payload.stop, payload.opened)))
        stopped = self._cancelled()
        return self._torch.tensor([done or stopped for done in self._done], device=input_ids.device)

    def _why(self, index: int, token: int) -> FinishReason | None:
        payload, written = self._payloads[index], self._written[index]
        if token in self._ends:
            return "stop"
        if payload.stop:
            tail = self._loaded.tokenizer.decode(written[-_TAIL_TOKENS:], skip_special_tokens=True)
            if any(stop in tail for stop in payload.stop):
                return "stop"
        return "length" if len(written) >= payload.max_tokens else None


def _settings(transformers: Any, payloads: Sequence[Payload], pad: int) -> Any:
    sampling = payloads[0].sampling
    drawn = {"do_sample": True, "temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0}
    return transformers.GenerationConfig(
        max_new_tokens=max(payload.max_tokens for payload in payloads),
        pad_token_id=pad,
        **(drawn if sampling.temperature > 0 else {"do_sample": False}),
    )


def _end_tokens(loaded: Loaded) -> frozenset[int]:
    """All that the model or its tokenizer call an end of sequence."""
    found: set[int] = set()
    for known in (loaded.model.generation_config.eos_token_id, loaded.tokenizer.eos_token_id):
        found |= set(known) if isinstance(known, list) else set() if known is None else {known}
    return frozenset(found)


def _pad_token(loaded: Loaded) -> int:
    """Any will do: the attention mask leaves padding out."""
    pad = loaded.tokenizer.pad_token_id
    return int(pad if pad is not None else next(iter(_end_tokens(loaded)), 0))


def _is_out_of_memory(torch: Any, bad: BaseException) -> bool:
    words = ("out of memory", "can't allocate memory", "not enough memory", "DefaultCPUAllocator")
    return isinstance(bad, MemoryError | torch.OutOfMemoryError) or any(word in str(bad) for word in words)
