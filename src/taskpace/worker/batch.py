"""One static batch, as the paper has them: all items are sent together, and everybody waits for the last one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from taskpace.engines.base import BatchEngine, Message, Stamps
from taskpace.records import Failure, Record, Turn
from taskpace.worker.lag import LagMonitor
from taskpace.worker.messages import Job
from taskpace.worker.trial import failure_of, generate_within, machine_ns, make_request, make_turn, read_of


async def measure_batch(
    engine: BatchEngine, jobs: Sequence[Job], timeout_s: float, lag: LagMonitor, dispatched: Callable[[Job], None]
) -> list[Record]:
    """Carry out one static batch of one-turn trials; a record for each, in order.

    A trial's time is the batch's: from the common dispatch to the last byte of the last item. Its own end is in
    ``finish_ns``. What cannot be prepared (a prompt that is too long) is that trial's failure; the batch goes without.
    """
    started_at = datetime.now(UTC).isoformat(timespec="milliseconds")
    payloads: list[Any] = []
    sent: list[Job] = []
    failures: dict[str, Failure] = {}
    for job in jobs:
        lag.begin(job.trial_id)
        dispatched(job)
        try:
            payload = engine.prepare(make_request(job, _messages(job)))
            await engine.ready(payload)
        except BaseException as exc:  # noqa: BLE001 - whatever an engine raises is this trial's error, not the run's end
            failures[job.trial_id] = failure_of(exc)
        else:
            payloads.append(payload)
            sent.append(job)
    turns = dict(zip((job.trial_id for job in sent), await _send(engine, payloads, timeout_s), strict=True))
    records = []
    for job in jobs:
        turn, failure = turns.get(job.trial_id, (None, failures.get(job.trial_id)))
        records.append(
            Record(
                trial_id=job.trial_id,
                attempt=job.attempt,
                phase=job.phase,
                started_at=started_at,
                turns=() if turn is None else (turn,),
                failure=failure,
                loop_lag_ns=lag.end(job.trial_id),
                machine_ns=None if turn is None else machine_ns(engine, turn),
            )
        )
    return records


def _messages(job: Job) -> list[Message]:
    system = [Message("system", job.system_prompt)] if job.system_prompt else []
    return [*system, Message("user", job.prompts[0])]


async def _send(engine: BatchEngine, payloads: list[Any], timeout_s: float) -> list[tuple[Turn | None, Failure | None]]:
    """The turn and the failure of each."""
    if not payloads:
        return []
    stamps = [Stamps() for _ in payloads]
    dispatch_ns = engine.clock.now_ns()
    generating = engine.generate_batch(payloads, stamps)
    known_ns, failure = await generate_within(generating, round(timeout_s * 1e9), engine.clock, dispatch_ns, stamps)
    last_ns = max((each.arrivals[-1][0] for each in stamps if each.arrivals), default=dispatch_ns) - dispatch_ns
    end_ns = last_ns if failure is None else known_ns
    found: list[tuple[Turn | None, Failure | None]] = []
    for each in stamps:
        try:
            generation = read_of(engine, each, dispatch_ns, known_ns)
        except BaseException as exc:  # noqa: BLE001 - as above
            found.append((None, failure or failure_of(exc)))
        else:
            found.append((make_turn(generation, dispatch_ns, 0, end_ns), failure))
    return found
