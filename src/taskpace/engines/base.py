"""What every engine is: a protocol, the request it takes, and what it hands back.

An engine runs inside a worker process and nowhere else. Adding one is a file in this package and a line in
``taskpace.engines``, or an entry point in the group ``taskpace.engines`` of another distribution: both name an
``EngineEntry``. What not every engine can do is a protocol of its own (``BatchEngine``, ``ThreadedReader``,
``DeviceEngine``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, runtime_checkable

import msgspec

from taskpace.engines.reasoning import Part, separate
from taskpace.errors import EngineError
from taskpace.records import Arrival, FinishReason, Usage

if TYPE_CHECKING:
    from taskpace.machine.clock import Clock  # with asyncio, for which who starts workers should not wait

NO_CONNECTION = "connect-"
"""What the kinds of failures begin with that say: nothing could be sent, for no connection could be opened."""


Tell = Callable[[str], None]


def nobody(_text: str) -> None:
    """Ignore the text: no one waits for it."""


class Message(msgspec.Struct, frozen=True):
    """One message of a conversation."""

    role: Literal["system", "user", "assistant"]
    """Who says it."""
    content: str
    """Its text."""


class Sampling(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How tokens are drawn. Part of a system: two temperatures are two systems."""

    temperature: float = 0.0
    """0 takes the most likely token."""
    top_p: float = 1.0
    """Nucleus sampling: the share of probability that tokens are drawn from."""
    seed: int | None = None
    """Mixed with the trial's id, so that repeats differ and a repeated run does not. Null: the experiment's seed."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One turn as the engine sees it."""

    messages: tuple[Message, ...]
    """The conversation so far: the system prompt where there is one, and the user's message last."""
    max_tokens: int
    """Limit of the answer; one that reaches it ends with the finish reason ``length``."""
    stop: tuple[str, ...]
    """Texts at which the answer ends, without them. Empty for most tasks."""
    sampling: Sampling
    """How tokens are drawn."""
    seed: int
    """The seed of this very request (``sampling.seed`` mixed with the trial's id)."""
    trial_id: str
    """Of the conversation: all its turns share it."""
    turn: int = 0
    """Which of the conversation's turns it is, from 0: later ones may reuse what the engine computed for those before.
    """
    last: bool = True
    """Whether the conversation ends with it."""
    script: tuple[str, str] | None = None
    """A right and a wrong answer, for engines that script their output (``simulated``); null for every real one."""


def until_stop(text: str, stops: Sequence[str]) -> str:
    """``text`` up to the first of ``Request.stop``, for engines that look for them themselves."""
    return text[: min((at for stop in stops if (at := text.find(stop)) >= 0), default=len(text))]


class EngineSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker needs to open an engine; the model reference is already a local path or a name."""

    engine: str
    """The entry's name."""
    model: str
    """The system's ``model``: a path of a file that is there, or the name as it was written; empty if unset."""
    options: dict[str, Any]
    """The engine's own options, still unchecked: each engine converts them to its own strict struct."""
    slots: int
    """The most requests that a closed loop has in flight at once. An open loop has no limit: what an engine in process
    cannot work on waits in its queue."""
    log: str | None = None
    """The file for the log of a server that the engine starts; null: a temporary one."""


class EngineInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What the engine reports about itself once it is open; stored with the run."""

    engine: str
    """Its name for readers."""
    version: str
    """Of the engine or of the library that computes."""
    chat_template: str
    """Where the template comes from: ``model``, ``plain`` (the model has none), ``server``, or ``none``."""
    details: dict[str, Any]
    """Anything worth keeping: context size, threads, quantisation, parameter count, ..."""
    in_process: bool = True
    """The model runs in the worker's own process; else the worker has its processor time for itself."""
    join: dict[str, Any] | None = None
    """Options with which another worker joins a server that this one has started; null: the system's own."""

    @property
    def on_this_machine(self) -> bool:
        """The model computes on the worker's machine, as far as that is known."""
        return self.in_process or self.join is not None


class Generation(msgspec.Struct, frozen=True, kw_only=True):
    """What one request gave. Times are absolute readings of the worker's clock."""

    arrivals: tuple[Arrival, ...]
    """``Arrival.ns`` is an absolute clock reading here; ``measure`` makes it relative to dispatch."""
    text: str
    """The visible answer."""
    reasoning: str
    """What a model thinks before it answers, apart from the answer; empty: none."""
    finish_ns: int | None
    """The stamp of the chunk that carried the finish reason; null for a generation that was cut short."""
    finish_reason: FinishReason | None
    """``length``: a token limit cut the answer. Null: unknown; with as many tokens as were allowed it is ``length``."""
    usage: Usage
    """Token counts; ``Usage()`` where they are unknown."""
    failure: EngineError | None = None
    """What is wrong with an answer that came whole, such as an error in the stream; its text is kept all the same."""


class Stamps:
    """Collects arrivals at the read point. One append per arrival; nothing is parsed before the end.

    Shared between the engine, which appends, and ``measure``, which needs what has arrived when a trial is cut short by
    its time limit or an error.
    """

    __slots__ = ("arrivals",)

    def __init__(self) -> None:
        self.arrivals: list[tuple[int, Any]] = []
        """``(absolute ns, whatever arrived)``, in order."""


class AnswerBuilder:
    """Puts an answer together once the clock has stopped: its texts, and an arrival for each read that brought some.

    For each read: ``add`` whatever text was in it, then ``arrived`` with its stamp. Reasoning that is in the
    visible text itself, between markers, is separated from the answer at the end (``taskpace.engines.reasoning``).

    Args:
        opened: whether the prompt ended with a marker that opens reasoning, so that the text begins with it.
    """

    def __init__(self, *, opened: bool = False) -> None:
        self._opened = opened
        self._visible: list[str] = []
        self._reasoning: list[str] = []
        self._visible_bytes = self._reasoning_bytes = self._arrived_bytes = 0
        self._arrivals: list[Arrival] = []
        self._built: _Built | None = None

    def add(self, visible: str = "", reasoning: str = "") -> None:
        """Append text. It counts from the next ``arrived``."""
        if visible:
            self._visible.append(visible)
            self._visible_bytes += _size(visible)
            self._built = None
        if reasoning:
            self._reasoning.append(reasoning)
            self._reasoning_bytes += _size(reasoning)
            self._built = None

    def arrived(self, ns: int) -> None:
        """End one read: an arrival at ``ns`` if text was added since the last one, however many pieces; else none."""
        size = self._visible_bytes + self._reasoning_bytes
        if size != self._arrived_bytes:
            self._arrived_bytes = size
            self._arrivals.append(Arrival(ns, self._visible_bytes, self._reasoning_bytes))
            self._built = None

    def announced(self, ns: int) -> None:
        """Put an arrival without text first: at ``ns`` a token was there whose text came later."""
        self._arrivals.insert(0, Arrival(ns, 0, 0))
        self._built = None

    @property
    def arrivals(self) -> tuple[Arrival, ...]:
        """``Generation.arrivals``. Markers are not text; the first arrival stands, as a token was there."""
        return self._answer.arrivals

    @property
    def text(self) -> str:
        """The visible text so far."""
        return self._answer.text

    @property
    def reasoning(self) -> str:
        """The reasoning so far."""
        return self._answer.reasoning

    @property
    def _answer(self) -> _Built:
        if self._built is None:
            text, reasoning = "".join(self._visible), "".join(self._reasoning)
            parts = separate(text, opened=self._opened) if text else None
            self._built = (
                _Built(text, reasoning, tuple(self._arrivals))
                if parts is None
                else _separated(text, reasoning, self._arrivals, parts)
            )
        return self._built


class _Built(NamedTuple):
    text: str
    reasoning: str
    arrivals: tuple[Arrival, ...]


def _separated(text: str, reasoning: str, arrivals: list[Arrival], parts: tuple[Part, ...]) -> _Built:
    """The answer split into its parts, in texts and in bytes at each arrival."""
    thoughts = [part for part in parts if part.reasoning]
    answer = [part for part in parts if not part.reasoning]
    ranges = [[(_size(text[: part.begin]), _size(text[: part.end])) for part in each] for each in (answer, thoughts)]
    found: list[Arrival] = []
    for arrival in arrivals:
        visible, thought = (
            sum(min(max(arrival.visible_bytes, begin), end) - begin for begin, end in each) for each in ranges
        )
        sizes = (visible, thought + arrival.reasoning_bytes)
        if not found or sizes != (found[-1].visible_bytes, found[-1].reasoning_bytes):
            found.append(Arrival(arrival.ns, *sizes))
    texts = ["".join(text[part.begin : part.end] for part in each) for each in (answer, thoughts)]
    return _Built(texts[0], reasoning + texts[1], tuple(found))


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


class Engine(Protocol):
    """A runtime that runs a model. Created and used in one worker process."""

    clock: Clock
    """The clock that stamps arrivals; virtual for the simulated engine when asked."""

    async def open(self, tell: Tell = nobody) -> EngineInfo:
        """Load the model; ``tell`` takes a few words on its progress.

        Raises ``TaskpaceError`` for what the user can put right, ``EngineError`` otherwise.
        """
        ...

    def prepare(self, request: Request) -> Any:
        """Render and serialise, so that nothing but sending is left to do. Runs before the clock starts."""
        ...

    async def ready(self, payload: Any) -> None:
        """Open whatever the payload needs open, such as a connection. Runs before the clock starts.

        Raises ``EngineError`` for a request that cannot be sent.
        """
        ...

    async def generate(self, payload: Any, stamps: Stamps) -> None:
        """Send the payload; append ``(clock.now_ns(), chunk)`` to ``stamps.arrivals`` at the read point, nothing else.

        Returns when the answer is complete. On cancellation (a time limit) it stops the generation, waits until the
        engine is free again, then lets ``CancelledError`` through. Raises ``EngineError`` for a request that failed.
        """
        ...

    def read(self, stamps: Stamps) -> Generation:
        """Turn what was stamped, complete or cut short, into a ``Generation`` (see ``AnswerBuilder``).

        Runs when the clock has stopped.
        """
        ...

    async def close(self) -> None:
        """Give back what ``open`` took."""
        ...


@runtime_checkable
class BatchEngine(Engine, Protocol):
    """Optional capability: answer several requests as one static batch. ``EngineEntry.batches`` announces it."""

    async def generate_batch(self, payloads: Sequence[Any], stamps: Sequence[Stamps]) -> None:
        """As ``generate``, for all at once; returns when the last item is complete.

        Raises ``EngineMemoryError`` for a batch that does not fit; the engine can go on with smaller ones.
        """
        ...


@runtime_checkable
class ThreadedReader(Engine, Protocol):
    """Optional capability: with ``reads_in_thread = True`` a long answer is read in a thread of its own.

    The arrivals of others do not wait for it then. ``read`` must touch nothing that changes while requests are in
    flight. Two answers are never read at once.
    """

    reads_in_thread: bool
    """Whether it may be."""


@runtime_checkable
class DeviceEngine(Engine, Protocol):
    """Optional capability: compute on a GPU and measure its memory."""

    def take_device_peak(self) -> int | None:
        """The most memory of the GPU in use since the last call, in bytes; null where there is none."""
        ...


class EngineFactory(Protocol):
    """What ``EngineEntry.target`` names: mostly the engine's class."""

    def __call__(self, spec: EngineSpec, /) -> Engine:
        """A new engine, not yet open. Raises ``ExperimentError`` for an option that cannot be used."""
        ...


class OptionsCheck(Protocol):
    """What ``EngineEntry.options_check`` names."""

    def __call__(self, options: dict[str, Any], /) -> object:
        """Raises ``ExperimentError`` naming the key when ``options`` cannot be used. What it returns is ignored."""
        ...


class EngineEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Where an engine is, and what can be known of it without loading it."""

    name: str
    """As of its entry point, and as experiments name it."""
    summary: str
    """One line for ``taskpace list engines``."""
    target: str
    """``module:class`` (see ``EngineFactory``), imported in the worker only."""
    options_check: str | None = None
    """``module:function`` (see ``OptionsCheck``), imported before anything is started, so by itself it should need no
    optional library. Null: options are checked when the engine is created."""
    needs_model_file: bool = True
    """Whether ``model`` is a reference to a file (see ``taskpace.models``); else it is passed on as it is."""
    takes_model_file: bool = False
    """Whether ``model`` may be such a reference as well; then it is looked up if it is one."""
    batches: bool = False
    """Whether it answers several requests as one static batch (``BatchEngine``)."""
    memory_per_file_byte: float = 1.2
    """Bytes of memory for each byte of the model's file, at most; greater where weights are unpacked."""
    remote: bool = False
    """Whether the model runs outside the worker, so that several workers can share its load."""
    scripted: bool = False
    """Whether the engine makes its answers up from a right and a wrong one (``Request.script``)."""
    library: str | None = None
    """The optional library it needs, by its import name."""
    extra: str | None = None
    """The extra of its distribution that installs that library; null: the library has no extra."""
    distribution: str = "taskpace"
    """The distribution it comes with; an entry point's own takes its place."""
