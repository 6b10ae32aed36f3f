"""What is observed of a trial, frozen, and the version of the format it is kept in.

Everything here is raw. Numbers derived from it (TTFT, TPOT, time per correct answer, ...) are computed on read by
``taskpace.analysis`` and never stored. Times end in ``_ns`` and are integer nanoseconds of one monotonic clock; a time
"since dispatch" counts from the scheduled dispatch of its turn. Unknown is ``None``, never 0.
"""

from __future__ import annotations

import struct
from typing import Literal

import msgspec

FORMAT_VERSION = 4
"""Version of everything a run file holds; a file with a higher one is refused, not guessed at."""

Outcome = Literal["correct", "wrong", "unparsed", "truncated", "timeout", "error", "completed"]
"""How a trial ended. ``completed`` is for tasks that have no right answer."""

OUTCOMES: tuple[Outcome, ...] = (
    "correct",
    "wrong",
    "unparsed",
    "truncated",
    "timeout",
    "error",
    "completed",
)

CUT_OFF: tuple[Outcome, ...] = ("truncated", "timeout")
"""The token limit or the time limit ended the answer: of its full time and length only a lower bound is known."""
CUT: tuple[Outcome, ...] = (*CUT_OFF, "error")
"""Cut answers and failures: each took what was recorded, or longer; a crashed worker's trial 0 s or longer."""

MOST_COUNT = 2**53
"""Of tokens or the like, and of a time in nanoseconds (104 days): sums of them stay exact."""
LATE_NS, LATE_SHARE = 250_000_000, 0.1
"""Lag of the client, in nanoseconds and of the task time, from which on a trial's time is not the system's. A busy
client is late by some hundredths of a second, again and again; by more it was suspended, or swapped out."""

Phase = Literal["warm-up", "measured"]
FinishReason = Literal["stop", "length"]
TokenSource = Literal["engine", "usage", "tokenizer", "foreign", "contradictory"]
"""Who counted: the engine, the server's usage report, the model's own tokenizer, or another model's (an estimate, and
marked as such wherever it is shown). ``contradictory``: a usage report that does not add up, so no count is known."""


class Arrival(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One arrival: when it was read, and how much text there was once it had been read.

    A first arrival without text stands for a first token whose text the engine kept back.
    """

    ns: int
    """Nanoseconds since the turn's dispatch."""
    visible_bytes: int
    """UTF-8 bytes of visible text so far, this arrival included."""
    reasoning_bytes: int
    """UTF-8 bytes of reasoning so far, this arrival included."""


_ARRIVAL = struct.Struct("<qII")


def pack_arrivals(arrivals: tuple[Arrival, ...]) -> bytes:
    """Marks as they are kept: 16 bytes each, little-endian (i64 ns, u32 visible bytes, u32 reasoning bytes)."""
    pack = _ARRIVAL.pack
    return b"".join([pack(arrival.ns, arrival.visible_bytes, arrival.reasoning_bytes) for arrival in arrivals])


def unpack_arrivals(blob: bytes) -> tuple[Arrival, ...]:
    """The reverse of ``pack_arrivals``."""
    return tuple(Arrival(*fields) for fields in _ARRIVAL.iter_unpack(blob))


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Token counts as reported. ``output_tokens`` includes reasoning and the end-of-sequence token."""

    prompt_tokens: int | None = None
    """Cached ones included. Null: unknown, here and below."""
    output_tokens: int | None = None
    """Reasoning included. Tokens as the model counts them: chunks and words are none."""
    reasoning_tokens: int | None = None
    """0 where the model does not reason."""
    cached_tokens: int | None = None
    """Of the prompt's tokens those that were not computed again."""
    token_source: TokenSource | None = None
    """``engine`` where the engine counts itself; null without counts."""


Refusal = Literal["always", "perhaps"]
"""What a refused request shows about the next one. ``always``: whatever is asked will be refused, for it is the
key, the address, the model or the account; ``perhaps``: it may be a field that all requests have, or this prompt
alone."""


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why a trial did not run to its end."""

    kind: str
    """A word for grouping: ``timeout``, ``context-overflow``, ``out-of-memory``, ``worker-died``, ``engine``, ..."""
    message: str
    retry_after_s: float | None = None
    """How long a server asks to wait; told to whoever retries, and kept in the message alone."""
    refusal: Refusal | None = None
    """Told to whoever decides whether to ask on, and kept nowhere. Null: no refusal, or one that may pass by itself."""


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """One request and what came back. Most trials have one; a dialogue has several."""

    dispatch_ns: int
    """Scheduled dispatch, on the worker's monotonic clock; of a load that several nodes shared, on the driver's.
    Comparable within one worker only."""
    send_delay_ns: int
    """How much later than the scheduled dispatch the request really left."""
    arrivals: tuple[Arrival, ...]
    text: str
    reasoning: str
    end_ns: int
    """Since dispatch: the last byte of the answer was read, of a static batch the last byte of its last item; for a
    failure, the moment it was known."""
    finish_ns: int | None
    """Since dispatch: the end was read. The end-of-sequence token shows no text, so its arrival is this one."""
    finish_reason: FinishReason | None
    usage: Usage


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt at one trial."""

    trial_id: str
    attempt: int
    """Counts from 1. Nothing is retried silently: every attempt is kept."""
    phase: Phase
    started_at: str
    """Wall-clock time (ISO 8601, UTC), a label; no duration is ever taken from it."""
    turns: tuple[Turn, ...]
    failure: Failure | None
    loop_lag_ns: int | None
    """The greatest lag of the client's event loop seen during the trial; null when it was too short to be sampled."""
    machine_ns: int | None = None
    """Dispatch on the machine's monotonic clock, which all workers of one machine share until it is restarted (of a
    load that several nodes shared: the driver's machine); null in virtual time, and where nothing was dispatched."""
    final: bool = True
    """False: it failed for a passing reason, and another attempt was to follow. While the last attempt is not final the
    trial is still to be done."""


class Grade(msgspec.Struct, frozen=True, kw_only=True):
    """What the task makes of a record."""

    outcome: Outcome
    answer: str | None
    """The answer that was read from the text; null when none could be."""
    score: float | None
    """Between 0 and 1 where the scorer gives a degree, else null."""
    detail: str | None
    """Why, in a few words, where the outcome alone does not say."""
    committed_ns: int | None
    """Since dispatch, over all turns: the earliest arrival after which the answer no longer changes."""
    scorer: str
    """Name and version of what judged it: ``letter/1``."""
