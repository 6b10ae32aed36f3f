"""What lies inside the timed region of one trial, and nothing else.

The clock starts at the scheduled dispatch with the payload ready to send, and stops when the last byte of the answer
has been read. Parsing, scoring and storing happen before or after, never between.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from taskpace.engines.base import Engine, Generation, Message, Request, Stamps, ThreadedReader
from taskpace.errors import EngineError
from taskpace.machine.clock import Clock, RealClock
from taskpace.records import MOST_COUNT, Arrival, Failure, Record, Turn
from taskpace.worker.lag import LagMonitor
from taskpace.worker.messages import Job
from taskpace.worker.schedule import Turnstile, wait_until

_MOST_CHARACTERS = 2000
"""Of what an engine says is wrong."""
_LONG = 512
"""Arrivals of an answer that takes about a millisecond to read. A thread costs a tenth of that."""


class Gates:
    """Where the trials of one event loop pass one by one."""

    def __init__(self) -> None:
        self.send = Turnstile()
        """Before a clock starts."""
        self.read = Turnstile()
        """After it has stopped, before the answer is read."""
        self.thread = asyncio.Lock()
        """Held while a long answer is read beside the event loop."""
        self.unsent: set[asyncio.Task[Any]] = set()
        """The tasks of trials whose turn is being prepared: cancelled now, they have sent nothing of it."""


async def measure(
    engine: Engine,
    job: Job,
    timeout_s: float,
    lag: LagMonitor,
    dispatched: Callable[[Job], None],
    *,
    due_ns: int | None = None,
    gates: Gates | None = None,
    stopping: Callable[[], bool] = lambda: False,
) -> Record:
    """Carry out one trial. Never raises for what the engine or the model does: that is a recorded failure.

    Args:
        engine: open, in a closed loop with a slot free.
        job: the trial.
        timeout_s: limit on the sum of the turns' times, in seconds; think times are none of them.
        lag: a running monitor of the event loop.
        dispatched: called once, before the first clock start.
        due_ns: open loop: the clock's reading at which the first turn is due. Its clock starts then, however late it
            is sent. Null: at once.
        gates: shared by all trials of one event loop; null: there is only this one.
        stopping: whether the run is to end: then the pauses between turns are skipped.

    Raises:
        asyncio.CancelledError: its task was cancelled while it was among the gates' ``unsent``.
    """
    started_at = datetime.now(UTC).isoformat(timespec="milliseconds")
    messages = [Message("system", job.system_prompt)] if job.system_prompt else []
    turns: list[Turn] = []
    failure: Failure | None = None
    left_ns = round(timeout_s * 1e9)
    gates = gates or Gates()
    lag.begin(job.trial_id)
    dispatched(job)
    for prompt in job.prompts:
        if turns and job.think_ns:
            # The user's pause counts nowhere: a run that is to end cuts it short and finishes the conversation.
            await wait_until(engine.clock.now_ns() + job.think_ns, engine.clock, stopping)
        messages.append(Message("user", prompt))
        turn, failure = await _take_turn(
            engine, make_request(job, messages, len(turns)), left_ns, due_ns=None if turns else due_ns, gates=gates
        )
        if turn is not None:
            turns.append(turn)
            left_ns -= turn.end_ns
        if failure is not None or turn is None or turn.finish_reason == "length":
            break
        messages.append(Message("assistant", turn.text))
    return Record(
        trial_id=job.trial_id,
        attempt=job.attempt,
        phase=job.phase,
        started_at=started_at,
        turns=tuple(turns),
        failure=failure,
        loop_lag_ns=lag.end(job.trial_id),
        machine_ns=machine_ns(engine, turns[0]) if turns else None,
    )


def machine_ns(engine: Engine, first: Turn) -> int | None:
    """When a record's first turn was dispatched, on the machine's clock; null where the engine has one of its own."""
    return first.dispatch_ns if isinstance(engine.clock, RealClock) else None


def make_request(job: Job, messages: list[Message], turn: int = 0) -> Request:
    """A job's request for the turn of that number (from 0), with all that has been said so far."""
    return Request(
        messages=tuple(messages),
        max_tokens=job.max_tokens,
        stop=job.stop,
        sampling=job.sampling,
        seed=job.seed,
        trial_id=job.trial_id,
        turn=turn,
        last=turn == len(job.prompts) - 1,
        script=job.script,
    )


async def _take_turn(
    engine: Engine, request: Request, limit_ns: int, *, due_ns: int | None, gates: Gates
) -> tuple[Turn | None, Failure | None]:
    stamps = Stamps()
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine runs in one
    gates.unsent.add(task)
    try:
        payload = engine.prepare(request)
        await engine.ready(payload)
    except BaseException as exc:  # noqa: BLE001 - whatever an engine raises is this trial's error, not the run's end
        return None, failure_of(exc)
    finally:
        gates.unsent.discard(task)

    if due_ns is None:
        await gates.send.wait()
    else:
        await engine.clock.sleep_until(due_ns)
    sent_ns = engine.clock.now_ns()
    # In a closed loop a request is due when the slot is free and the payload ready, which is now.
    dispatch_ns = sent_ns if due_ns is None else due_ns
    send_delay_ns = max(0, sent_ns - dispatch_ns)
    known_ns, failure = await generate_within(
        engine.generate(payload, stamps), limit_ns, engine.clock, dispatch_ns, [stamps], spent_ns=send_delay_ns
    )
    try:
        generation = await _read(engine, stamps, dispatch_ns, known_ns, gates)
    except BaseException as exc:  # noqa: BLE001 - as above
        return None, failure or failure_of(exc)
    if failure is None and generation.failure is not None:
        failure = failure_of(generation.failure)
    turn = make_turn(generation, dispatch_ns, send_delay_ns, known_ns)
    if failure is None and turn.finish_reason is None and (turn.usage.output_tokens or 0) >= request.max_tokens:
        # A server that does not say why it ended has said it by its count.
        turn = msgspec.structs.replace(turn, finish_reason="length")
    if failure is None:
        turn = msgspec.structs.replace(turn, end_ns=_last_byte_ns(turn.arrivals, turn.finish_ns, known_ns))
    return turn, failure


async def generate_within(
    generating: Awaitable[None],
    limit_ns: int,
    clock: Clock,
    dispatch_ns: int,
    stamps: Sequence[Stamps],
    *,
    spent_ns: int = 0,
) -> tuple[int, Failure | None]:
    """Let an engine generate until it ends, fails or the time limit has passed.

    What it still delivers while it is being stopped came after the limit: no one waited for it, and it is discarded.

    Args:
        generating: the engine's answer to what was sent.
        limit_ns: from ``dispatch_ns``.
        clock: the engine's.
        dispatch_ns: its reading when the clock started.
        stamps: what the engine appends to.
        spent_ns: of the limit, before the request was sent.

    Returns:
        When it was known, in nanoseconds since dispatch, and why it failed; null: it did not.
    """
    failure: Failure | None = None
    try:
        async with asyncio.timeout((limit_ns - spent_ns) / 1e9) as limit:
            await generating
    except BaseException as exc:  # noqa: BLE001 - whatever an engine raises is this trial's error, not the run's end
        # An engine may have time limits of its own; only ours is this trial's.
        ours = isinstance(exc, TimeoutError) and limit.expired()
        failure = Failure(kind="timeout", message=f"no end within {limit_ns / 1e9:g} s") if ours else failure_of(exc)
    if failure is None or failure.kind != "timeout":
        return clock.now_ns() - dispatch_ns, failure
    for each in stamps:
        each.arrivals = [arrival for arrival in each.arrivals if arrival[0] - dispatch_ns <= limit_ns]
    return limit_ns, failure


async def _read(engine: Engine, stamps: Stamps, dispatch_ns: int, known_ns: int, gates: Gates) -> Generation:
    """As ``read_of``, without keeping others' arrivals waiting where that can be helped."""
    await gates.read.wait()
    if len(stamps.arrivals) > _LONG and isinstance(engine, ThreadedReader) and engine.reads_in_thread:
        async with gates.thread:
            return await asyncio.to_thread(read_of, engine, stamps, dispatch_ns, known_ns)
    return read_of(engine, stamps, dispatch_ns, known_ns)


def read_of(engine: Engine, stamps: Stamps, dispatch_ns: int, known_ns: int) -> Generation:
    """What the engine reads from its stamps.

    Raises:
        EngineError: it is not a ``Generation``, its times are not of this request, as with another clock, or it counts
            what a run file does not hold.
    """
    generation = engine.read(stamps)
    if not isinstance(generation, Generation):
        raise EngineError(f"the engine's read gives {type(generation).__name__}, not Generation")
    arrivals, finish_ns = generation.arrivals, generation.finish_ns
    first_ns, last_ns = (arrivals[0].ns, arrivals[-1].ns) if arrivals else (dispatch_ns, dispatch_ns)
    if finish_ns is None:
        finish_ns = last_ns
    if min(first_ns, finish_ns) < dispatch_ns or max(last_ns, finish_ns) > dispatch_ns + known_ns:
        raise EngineError(
            f"the engine's times lie outside the request, which took {known_ns / 1e9:g} s: first arrival after "
            f"{(first_ns - dispatch_ns) / 1e9:g} s, last after {(last_ns - dispatch_ns) / 1e9:g} s, end after "
            f"{(finish_ns - dispatch_ns) / 1e9:g} s; an engine stamps with the now_ns() of its own clock"
        )
    usage = generation.usage
    for count in (usage.prompt_tokens, usage.output_tokens, usage.reasoning_tokens, usage.cached_tokens):
        if count is not None and not 0 <= count <= MOST_COUNT:
            raise EngineError(f"the engine gives a count of {count} tokens; what is unknown is None")
    for arrival in arrivals:
        if arrival.visible_bytes < 0 or arrival.reasoning_bytes < 0:
            raise EngineError("the engine gives an arrival of less than 0 bytes")
    return generation


def failure_of(exc: BaseException) -> Failure:
    """An exception of an engine as what a record reports about it; one that is none of an engine's is raised again.

    A panic of a native library (pyo3) is an engine's, and no ``Exception``.
    """
    if isinstance(exc, EngineError):
        return Failure(kind=exc.kind, message=_kept(str(exc)), retry_after_s=exc.retry_after_s, refusal=exc.refusal)
    if not isinstance(exc, Exception) and type(exc).__name__ != "PanicException":
        raise exc
    return Failure(kind="engine", message=_kept(f"{type(exc).__name__}: {exc}{_raised_at(exc)}"))


def _raised_at(exc: BaseException) -> str:
    """The file, without its folder, and the line that raised it."""
    trace = exc.__traceback__
    if trace is None:
        return ""
    while trace.tb_next is not None:
        trace = trace.tb_next
    return f" ({Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno})"


def _kept(message: str) -> str:
    """As much of a message as is kept, as text that can be."""
    return message[:_MOST_CHARACTERS].encode("utf-8", "replace").decode()


def make_turn(generation: Generation, dispatch_ns: int, send_delay_ns: int, end_ns: int) -> Turn:
    """A generation as a turn: absolute readings become times since ``dispatch_ns``; ``end_ns`` is one already."""
    # By a list: a tuple made of a generator is cut to its size, and Python keeps 2,000 such of each size for later.
    arrivals = tuple(
        [
            Arrival(arrival.ns - dispatch_ns, arrival.visible_bytes, arrival.reasoning_bytes)
            for arrival in generation.arrivals
        ]
    )
    finish_ns = None if generation.finish_ns is None else generation.finish_ns - dispatch_ns
    return Turn(
        dispatch_ns=dispatch_ns,
        send_delay_ns=send_delay_ns,
        arrivals=arrivals,
        text=generation.text,
        reasoning=generation.reasoning,
        end_ns=end_ns,
        finish_ns=finish_ns,
        finish_reason=generation.finish_reason,
        usage=generation.usage,
    )


def _last_byte_ns(arrivals: tuple[Arrival, ...], finish_ns: int | None, known_ns: int) -> int:
    """When the last byte of the final answer was read; an answer without a byte ends when its end was read."""
    if arrivals and arrivals[-1].visible_bytes > 0:
        return next(arrival.ns for arrival in arrivals if arrival.visible_bytes == arrivals[-1].visible_bytes)
    return known_ns if finish_ns is None else finish_ns
