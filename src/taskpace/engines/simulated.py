"""Engine ``simulated``: scripted waits, token times, lengths, answers and faults.

For dry runs, for the docs, and as the oracle that measuring and statistics are tested against: what it is told to take
is known exactly. In ``virtual`` time an hour passes in the time of the Python code and every figure comes back exactly;
in ``real`` time a thread keeps the schedule as an engine in process would, so the whole harness is under test.

Every draw depends on the engine's seed, the trial's id and what is drawn, and on nothing else: neither order nor
concurrency changes a trial.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Annotated, Any, Literal

import msgspec

from taskpace.engines.base import (
    AnswerBuilder,
    EngineInfo,
    EngineSpec,
    Generation,
    Message,
    Request,
    Stamps,
    Tell,
    nobody,
    until_stop,
)
from taskpace.engines.threads import SlotThreads
from taskpace.errors import EngineError, EngineMemoryError, ExperimentError
from taskpace.machine.clock import Clock, RealClock, VirtualClock
from taskpace.records import Usage
from taskpace.text.strict import convert
from taskpace.version import __version__

_FILLER = "and then it goes on, "
# Sleeping overshoots by some 0.1 ms; the last part before a deadline is spun, giving way to other slots' threads.
_SPIN_NS = 200_000


class Distribution(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a quantity varies from trial to trial. A plain number in the options means ``constant``."""

    kind: Literal["constant", "lognormal", "uniform", "pareto"]
    median: float | None = None
    """Of ``lognormal``; the value of ``constant``; of ``pareto``."""
    sigma: float | None = None
    """Of ``lognormal``: standard deviation of the logarithm."""
    low: float | None = None
    high: float | None = None
    alpha: float | None = None
    """Of ``pareto``: the tail index; below 2 the variance is infinite."""

    def problem(self) -> str | None:
        """What is wrong with the parameters, or nothing."""
        needs = {
            "constant": ("median",),
            "lognormal": ("median", "sigma"),
            "uniform": ("low", "high"),
            "pareto": ("median", "alpha"),
        }[self.kind]
        for name in needs:
            value = getattr(self, name)
            if value is None or not math.isfinite(value) or value < 0 or (name == "alpha" and value == 0):
                return f'"{self.kind}" needs "{name}", a number of 0 or more'
        if self.kind == "uniform" and (self.low or 0.0) > (self.high or 0.0):
            return '"low" is above "high"'
        return None

    def draw(self, rng: random.Random) -> float:
        median, sigma, alpha = self.median or 0.0, self.sigma or 0.0, self.alpha or 1.0
        if self.kind == "lognormal":
            return median * math.exp(rng.gauss(0.0, sigma))
        if self.kind == "uniform":
            return rng.uniform(self.low or 0.0, self.high or 0.0)
        if self.kind == "pareto":
            # Scale x_m from the median: m = x_m * 2^(1/alpha).
            return median / 2 ** (1 / alpha) * rng.paretovariate(alpha)
        return median


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Something that goes wrong in a share of the trials, after some of the answer has been written."""

    kind: Literal["error", "stall", "crash", "out-of-memory"]
    rate: float = 1.0
    after_tokens: int = 0


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the engine is scripted to do. Seconds, bytes, tokens."""

    time: Literal["real", "virtual"] = "real"
    seed: int = 0
    wait: float | Distribution = 0.1
    """Seconds before the first token."""
    token_time: float | Distribution = 0.01
    """Seconds from one token to the next; one draw for a trial."""
    tokens_per_byte: float | Distribution = 0.25
    length: float | Distribution = 120
    """Bytes of visible text; an answer is never cut to fit. A stop text of the task ends it before: where that is a
    line's end (``qa-closed``, ``qa-context``), the answer is all there is, whatever the length."""
    reasoning: float | Distribution = 0
    """Bytes of reasoning before the visible text."""
    correct: float = 1.0
    """Probability of the right answer. Where further words count against it (``dialogue``), give a ``length`` of 0."""
    answer_at: float = 0.0
    """Where in the visible text the answer is: 0 at its start, 1 at its end. Above 0 a line's end comes before it,
    which is a stop text of ``qa-closed`` and ``qa-context``: leave it 0 there."""
    prompt_tokens_per_byte: float = 0.25
    slots: Annotated[int, msgspec.Meta(ge=1)] | None = None
    """Answers that are written at once; further requests wait their turn. Null: the most that a closed loop of the
    experiment has in flight."""
    load_time: float = 0.0
    """Seconds that loading takes, in the engine's own time."""
    faults: list[Fault] = []


def read_options(options: dict[str, Any]) -> Options:
    """Raises ``ExperimentError`` naming the key when ``options`` cannot be used."""
    location = "options of engine simulated"
    read = convert(options, Options, ExperimentError, location=location)
    for field in msgspec.structs.fields(Options):
        value = getattr(read, field.name)
        if isinstance(value, Distribution) and (problem := value.problem()):
            raise ExperimentError(f'{location}: key "{field.name}": {problem}')
        if isinstance(value, float) and not (math.isfinite(value) and value >= 0):
            raise ExperimentError(f'{location}: key "{field.name}": invalid value {value}: give a number of 0 or more')
    shares = [
        ("correct", read.correct),
        ("answer_at", read.answer_at),
        *(("faults.rate", f.rate) for f in read.faults),
    ]
    for name, share in shares:
        if not 0 <= share <= 1:
            raise ExperimentError(f'{location}: key "{name}": invalid value {share}: give a share from 0 to 1')
    return read


class _Piece(msgspec.Struct, frozen=True):
    reasoning: bool
    text: str


class Script(msgspec.Struct, frozen=True, kw_only=True):
    """What one request will do. Times in nanoseconds since the engine got the request."""

    pieces: tuple[_Piece, ...]
    wait_ns: int
    token_ns: int
    usage: Usage
    finish_reason: Literal["stop", "length"]
    fault: Fault | None

    def due_ns(self, number: int) -> int:
        """When token ``number`` (from 0) arrives."""
        return self.wait_ns + number * self.token_ns


class SimulatedEngine:
    """Plays scripts. See ``Options``."""

    def __init__(self, spec: EngineSpec) -> None:
        self._options = read_options(spec.options)
        self._slots = self._options.slots or spec.slots
        self._free = asyncio.Semaphore(self._slots)
        self._threads: SlotThreads | None = None
        self._virtual = VirtualClock() if self._options.time == "virtual" else None
        self.clock: Clock = self._virtual or RealClock()

    async def open(self, tell: Tell = nobody) -> EngineInfo:
        tell(f"loading for {self._options.load_time:g} s")
        await asyncio.sleep(self._options.load_time)
        if self._virtual is None:
            self._threads = SlotThreads(self._slots)
        return EngineInfo(
            engine="simulated",
            version=__version__,
            chat_template="none",
            details={"options": msgspec.to_builtins(self._options)},
        )

    def prepare(self, request: Request) -> Script:
        """Draw the whole request's script."""
        options = self._options
        rng = _rng(options.seed, request.trial_id, "script", len(request.messages))
        wait_s, token_s = _draw(options.wait, rng), _draw(options.token_time, rng)
        tokens_per_byte = _draw(options.tokens_per_byte, rng)
        length, reasoning_length = _draw(options.length, rng), _draw(options.reasoning, rng)
        right = rng.random() < options.correct
        answer = (request.script or ("done", "done"))[0 if right else 1]
        text = until_stop(_compose(answer, round(length), options.answer_at), request.stop)
        pieces = [
            *(_Piece(True, part) for part in _cut(_pad(round(reasoning_length)), tokens_per_byte)),
            *(_Piece(False, part) for part in _cut(text, tokens_per_byte)),
        ]
        kept = tuple(pieces[: request.max_tokens])
        return Script(
            pieces=kept,
            wait_ns=round(wait_s * 1e9),
            token_ns=round(token_s * 1e9),
            usage=Usage(
                prompt_tokens=max(1, self._prompt_tokens(request.messages)),
                output_tokens=len(kept),
                reasoning_tokens=sum(piece.reasoning for piece in kept),
                # A later turn's prompt begins with all that was said before it.
                cached_tokens=self._prompt_tokens(request.messages[:-1]) if request.turn else 0,
                token_source="engine",  # noqa: S106 - a source, not a secret
            ),
            finish_reason="stop" if len(kept) == len(pieces) else "length",
            fault=self._fault(request.trial_id),
        )

    def _prompt_tokens(self, messages: tuple[Message, ...]) -> int:
        return round(self._options.prompt_tokens_per_byte * sum(len(m.content.encode()) for m in messages))

    def _fault(self, trial_id: str) -> Fault | None:
        rng = _rng(self._options.seed, trial_id, "fault", 0)
        return next((fault for fault in self._options.faults if rng.random() < fault.rate), None)

    async def ready(self, payload: Any) -> None:
        """Nothing is needed."""

    async def generate(self, payload: Script, stamps: Stamps) -> None:
        if self._threads is None:
            async with self._free:  # first come, first served
                await self._generate_in_virtual_time(payload, stamps)
        else:
            await self._threads.run(lambda cancelled: self._generate_in_real_time(payload, stamps, cancelled))

    async def _generate_in_virtual_time(self, script: Script, stamps: Stamps) -> None:
        assert self._virtual is not None  # noqa: S101 - known from the caller
        clock = self._virtual
        due_ns = begun = clock.now_ns()
        for after_ns, event in _events(script):
            due_ns = begun + after_ns
            if isinstance(event, Fault):
                await clock.sleep_until(due_ns)
                if event.kind == "stall":
                    await asyncio.Event().wait()
                _strike(event)
            # Nothing reads before the end, and what comes after a time limit is discarded: so one sleep is enough.
            stamps.arrivals.append((due_ns, event))
        await clock.sleep_until(due_ns)

    def _generate_in_real_time(self, script: Script, stamps: Stamps, cancelled: Callable[[], bool]) -> None:
        now_ns = self.clock.now_ns
        begun = now_ns()
        for due_ns, event in _events(script):
            _sleep_until(begun + due_ns, now_ns, cancelled)
            if isinstance(event, Fault):
                while event.kind == "stall" and not cancelled():
                    time.sleep(0.01)
                _strike(event)
            if cancelled():
                return
            stamps.arrivals.append((now_ns(), event))

    def read(self, stamps: Stamps) -> Generation:
        answer = AnswerBuilder()
        end: tuple[int, Script] | None = None
        for ns, event in stamps.arrivals:
            if isinstance(event, Script):
                end = (ns, event)
            elif event.reasoning:
                answer.add(reasoning=event.text)
            else:
                answer.add(event.text)
            answer.arrived(ns)
        return Generation(
            arrivals=answer.arrivals,
            text=answer.text,
            reasoning=answer.reasoning,
            finish_ns=end[0] if end else None,
            finish_reason=end[1].finish_reason if end else None,
            usage=end[1].usage if end else Usage(),
        )

    async def close(self) -> None:
        if self._threads is not None:
            self._threads.close()


def _events(script: Script) -> Iterator[tuple[int, _Piece | Fault | Script]]:
    """What happens when: the pieces of text, then the script itself as the end; a fault cuts the sequence."""
    for number, piece in enumerate(script.pieces):
        if script.fault is not None and number >= script.fault.after_tokens:
            yield script.due_ns(number), script.fault
        yield script.due_ns(number), piece
    last = script.due_ns(max(0, len(script.pieces) - 1))
    if script.fault is not None:
        yield last, script.fault
    yield last, script


def _strike(fault: Fault) -> None:
    if fault.kind == "error":
        raise EngineError("scripted error")
    if fault.kind == "out-of-memory":
        raise EngineMemoryError("scripted: out of memory")
    if fault.kind == "crash":
        # Windows ends a process at once by either.
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))


def _sleep_until(deadline_ns: int, now_ns: Callable[[], int], cancelled: Callable[[], bool]) -> None:
    while (left := deadline_ns - now_ns()) > 0 and not cancelled():
        time.sleep(min(max(0, left - _SPIN_NS) / 1e9, 0.05))


def _compose(answer: str, length: int, answer_at: float) -> str:
    """``answer`` within filler, ``length`` bytes in all (more when the answer alone is longer)."""
    spare = max(0, length - len(answer.encode()))
    before = round(spare * answer_at)
    lead = _pad(before - 1) + "\n" if before else ""
    rest = spare - before
    return lead + answer + ("\n" + _pad(rest - 1) if rest else "")


def _pad(length: int) -> str:
    return (_FILLER * (max(0, length) // len(_FILLER) + 1))[: max(0, length)]


def _cut(text: str, tokens_per_byte: float) -> list[str]:
    """``text`` in as many pieces as it has tokens, of nearly equal length; no piece is empty."""
    if not text:
        return []
    count = min(len(text), max(1, round(len(text.encode()) * tokens_per_byte)))
    edges = [round(number * len(text) / count) for number in range(count + 1)]
    return [text[a:b] for a, b in pairwise(edges)]


def _draw(quantity: float | Distribution, rng: random.Random) -> float:
    return quantity.draw(rng) if isinstance(quantity, Distribution) else float(quantity)


def _rng(seed: int, trial_id: str, what: str, number: int) -> random.Random:
    digest = hashlib.sha256(f"{seed}:{trial_id}:{what}:{number}".encode()).digest()
    return random.Random(digest)  # noqa: S311 - a simulation, not a secret
