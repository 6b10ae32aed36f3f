"""Reads a text sentence by sentence, and any beginning of it at the cost of one sentence."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from taskpace.tasks.reading.sentences import sentences

State = TypeVar("State")


class Reading(NamedTuple, Generic[State]):
    """How a text is read: what a sentence does to what was read before it, and the answer that comes of it."""

    start: State
    step: Callable[[State, str, bool], State]
    """From the state, a sentence, and whether it begins its line."""
    answer: Callable[[State], str | None]
    whole: Callable[[str], str | None]
    """The answer of a text that is nothing but an answer; null: it is more than that."""


def beginnings(text: str, reading: Reading[State]) -> Callable[[int], str | None]:
    """From a number of characters to the answer that so much of the text gives.

    Every sentence is read once; a beginning that ends within a sentence has that one read again.
    """
    parts = list(sentences(text))
    starts = [part.start for part in parts]
    states = [reading.start]

    def answer(length: int) -> str | None:
        length = min(length, len(text))
        if length <= 0:
            return None
        index = bisect_right(starts, length - 1) - 1
        while len(states) <= index:
            part = parts[len(states) - 1]
            states.append(reading.step(states[-1], text[part.start : part.end], part.begins_line))
        part = parts[index]
        read = reading.step(states[index], text[part.start : length], part.begins_line)
        alone = reading.whole(text[:length].strip()) if length < MOST_WHOLE else None
        stated = reading.answer(read)
        return alone if alone is not None else stated

    return answer


MOST_WHOLE = 4000
"""Characters of a text that may be nothing but a choice."""
