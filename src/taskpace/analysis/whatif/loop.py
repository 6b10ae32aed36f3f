"""Several answers in flight on one server: what each of them waits for, in counts that a speed turns into seconds.

A server with continuous batching works in steps (Yu et al. 2022, "Orca"; llama.cpp's ``update_slots``; vLLM's
scheduler). A step writes one token of every answer that is being written and reads the prompts that came since the last
one. So a token takes longer the more answers are written beside it, and longer still while another prompt is read; and
a request that finds all slots taken waits for one. Which requests meet follows from the speed, so that the loop has to
be played through.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from taskpace.analysis.stats.intervals import Floats

UNITS = 5
"""What is counted: turns; prompt tokens of a trial's own; prompt tokens read in the steps, its own among them; steps;
answers written in them after the first of each."""
_TURN, _OWN, _READ, _STEP, _OTHERS = range(UNITS)
_SAME = 1e-9
"""Seconds within which two things happen at once."""


class Turn(NamedTuple):
    """What is asked of the server, and written."""

    prompt_tokens: float
    """Without those from a cache."""
    steps: int
    """Output tokens after the first."""


class Sent(NamedTuple):
    """A trial: its turns, one after the other."""

    row: int
    turns: Sequence[Turn]


def count(
    blocks: Sequence[Sequence[Sent]], seconds: Floats, rows: int, in_flight: int, slots: int
) -> tuple[Floats, Floats]:
    """Play closed loops through.

    Args:
        blocks: trials in the order in which they are sent; each block begins and ends with nothing in flight.
        seconds: of each of the ``UNITS``.
        rows: trials in all.
        in_flight: trials at a time.
        slots: requests that the server works on at a time; the others queue.

    Returns:
        Of each row, summed over its turns, the ``UNITS`` that it waits for until the first token, and until the last:
        their products with ``seconds`` are its wait and its task time.
    """
    wait, total = np.zeros((rows, UNITS)), np.zeros((rows, UNITS))
    for block in blocks:
        _Server(block, seconds, wait, total, slots).play(in_flight)
    return wait, total


class _Request(NamedTuple):
    sent: Sent
    turn: int
    before: Floats
    """What had passed on the server when the request came to it; from its first token on, when that came."""


class _Server:
    """Of one block. ``_passed`` counts what its steps have done since the beginning, which all in flight wait for."""

    def __init__(self, block: Sequence[Sent], seconds: Floats, wait: Floats, total: Floats, slots: int) -> None:
        self._left: Iterator[Sent] = iter(block)
        self._seconds, self._wait, self._total, self._slots = seconds, wait, total, slots
        self._now_s, self._passed, self._steps, self._number = 0.0, np.zeros(UNITS), 0, 0
        self._coming: list[tuple[float, int, Sent, int]] = []
        """By when they reach the server; a heap, as the two below."""
        self._queue: deque[_Request] = deque()
        self._reading: list[tuple[float, int, _Request]] = []
        """By when the first token comes."""
        self._writing: list[tuple[int, int, _Request]] = []
        """By the step in which the last token comes."""

    def play(self, in_flight: int) -> None:
        for _ in range(in_flight):
            self._send_next(0.0)
        while self._coming or self._queue or self._reading or self._writing:
            self._begin_writing()
            free = self._slots - len(self._reading) - len(self._writing)
            joining = [self._queue.popleft() for _ in range(min(free, len(self._queue)))]
            if joining or self._writing:
                self._work(joining, free - len(joining))
            elif waiting := [heap[0][0] for heap in (self._coming, self._reading) if heap]:
                self._pass(max(min(waiting) - self._now_s, 0.0), np.zeros(UNITS))

    def _work(self, joining: list[_Request], free: int) -> None:
        """One step with new prompts, or as many without as nothing changes in."""
        step = np.zeros(UNITS)
        step[_STEP] = 1
        step[_OTHERS] = max(len(self._writing) - 1, 0)
        step[_READ] = sum(request.sent.turns[request.turn].prompt_tokens for request in joining)
        step_s = float(step @ self._seconds)
        times = 1
        if not joining:
            times = self._writing[0][0] - self._steps
            changes = [self._reading[0][0]] if self._reading else []
            changes += [self._coming[0][0]] if self._coming and free else []
            if changes and step_s > 0:
                times = min(times, max(1, math.ceil((min(changes) - self._now_s) / step_s - _SAME)))
        self._steps += times
        self._pass(times * step_s, times * step)
        for request in joining:
            turn = request.sent.turns[request.turn]
            waited = self._passed - request.before
            waited[_TURN], waited[_OWN] = 1, turn.prompt_tokens
            self._wait[request.sent.row] += waited
            self._total[request.sent.row] += waited
            self._number += 1
            ready_s = self._now_s + turn.prompt_tokens * float(self._seconds[_OWN])
            heapq.heappush(self._reading, (ready_s, self._number, request._replace(before=self._passed.copy())))
        while self._writing and self._writing[0][0] <= self._steps:
            self._end(heapq.heappop(self._writing)[2], self._now_s)

    def _pass(self, time_s: float, done: Floats) -> None:
        """Let time pass, and put in the queue what comes meanwhile."""
        begin_s, before = self._now_s, self._passed
        self._now_s, self._passed = begin_s + time_s, before + done
        while self._coming and self._coming[0][0] <= self._now_s + _SAME:
            at_s, _, sent, turn = heapq.heappop(self._coming)
            share = min(max((at_s - begin_s) / time_s, 0.0), 1.0) if time_s > 0 else 1.0
            self._queue.append(_Request(sent, turn, before + share * done))

    def _begin_writing(self) -> None:
        while self._reading and self._reading[0][0] <= self._now_s + _SAME:
            ready_s, number, request = heapq.heappop(self._reading)
            steps = request.sent.turns[request.turn].steps
            if steps:
                heapq.heappush(self._writing, (self._steps + steps, number, request._replace(before=self._passed)))
            else:
                self._end(request._replace(before=self._passed), ready_s)

    def _end(self, request: _Request, at_s: float) -> None:
        self._total[request.sent.row] += self._passed - request.before
        if request.turn + 1 < len(request.sent.turns):
            self._send(request.sent, request.turn + 1, at_s)
        else:
            self._send_next(at_s)

    def _send_next(self, at_s: float) -> None:
        if (sent := next(self._left, None)) is not None:
            self._send(sent, 0, at_s)

    def _send(self, sent: Sent, turn: int, at_s: float) -> None:
        self._number += 1
        heapq.heappush(self._coming, (at_s + float(self._seconds[_TURN]), self._number, sent, turn))
