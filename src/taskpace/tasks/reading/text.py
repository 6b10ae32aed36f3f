"""Reads a text sentence by sentence, and any beginning of it at the cost of one sentence."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from taskpace.tasks.reading.sentences import sentences

State = TypeVar("State")
MOST_WHOLE = 4000
"""Characters of a text that may be nothing but an answer."""
_REREAD, _REREAD_ANYWAY = 8, 20_000
"""How many characters may be read again for each of a text, and for any text."""


class Reading(NamedTuple, Generic[State]):
    """How a text is read: what a sentence does to what was read before it, and the answer that comes of it."""

    start: State
    step: Callable[[State, str, bool], State]
    """From the state, a sentence, and whether it begins its line."""
    answer: Callable[[State], str | None]
    says: Callable[[str], bool]
    """Whether a sentence has anything that may be an answer: if not, no beginning of it has, but for one that ends in
    the first letter of a word."""
    whole: Callable[[str], str | None] | None = None
    """The answer of a text that is nothing but an answer, or null; null: there is none of that kind."""


def beginnings(text: str, reading: Reading[State]) -> Callable[[int], str | None]:
    """From a number of characters to the answer that so much of the text gives.

    Every sentence is read once; a beginning that ends within a sentence has that one read again, if it says anything.
    Where that has cost too much, as of long sentences that come character by character, such a beginning has no answer.
    """
    parts = list(sentences(text))
    starts = [part.start for part in parts]
    states = [reading.start]
    said: dict[int, bool] = {}
    left = _REREAD * len(text) + _REREAD_ANYWAY

    def answer(length: int) -> str | None:
        nonlocal left
        length = min(length, len(text))
        if length <= 0:
            return None
        if reading.whole is not None and length < MOST_WHOLE:
            alone = reading.whole(text[:length])
            if alone is not None:
                return alone
        index = bisect_right(starts, length - 1) - 1
        while len(states) <= index:
            before = parts[len(states) - 1]
            states.append(reading.step(states[-1], text[before.start : before.end], before.begins_line))
        part = parts[index]
        if index not in said:
            said[index] = reading.says(text[part.start : part.end])
        if not said[index] and not _begins_word(text, length):
            return reading.answer(states[index])
        left -= length - part.start
        if left < 0 and length < part.end:
            return None
        return reading.answer(reading.step(states[index], text[part.start : length], part.begins_line))

    return answer


def _begins_word(text: str, length: int) -> bool:
    """Whether the last of so many characters is the first of a word."""
    return text[length - 1].isalnum() and not text[max(0, length - 2) : length - 1].isalnum()
