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
    longest_whole: int = MOST_WHOLE
    """Characters, without the space around it, of the longest text that is."""


def beginnings(text: str, reading: Reading[State]) -> Callable[[int], str | None]:
    """From a number of characters to the answer that so much of the text gives.

    Every sentence is read once; a beginning that ends within a sentence has that one read again, if it says anything.
    Where that has cost too much, as of long sentences that come character by character, such a beginning has no answer.
    """
    parts = list(sentences(text))
    starts = [part.start for part in parts]
    states = [reading.start]
    silent: dict[int, str | None] = {}
    """By sentence that says nothing: the answer of what stands before it."""
    said: set[int] = set()
    left = _REREAD * len(text) + _REREAD_ANYWAY
    begins = len(text) - len(text.lstrip())

    def answer(length: int) -> str | None:
        nonlocal left
        length = min(length, len(text))
        if length <= 0:
            return None
        whole = reading.whole
        if whole is not None and length < MOST_WHOLE:
            # A longer text is not an answer by itself, unless it is the space around it that makes it so long.
            short = length - begins <= reading.longest_whole or text[length - 1].isspace()
            if short and (alone := whole(text[:length])) is not None:
                return alone
        index = bisect_right(starts, length - 1) - 1
        if index in silent and not _begins_word(text, length):
            return silent[index]
        while len(states) <= index:
            before = parts[len(states) - 1]
            states.append(reading.step(states[-1], text[before.start : before.end], before.begins_line))
        part = parts[index]
        if index not in said and index not in silent:
            if reading.says(text[part.start : part.end]):
                said.add(index)
            else:
                silent[index] = reading.answer(states[index])
                return answer(length)
        left -= length - part.start
        if left < 0 and length < part.end:
            return None
        return reading.answer(reading.step(states[index], text[part.start : length], part.begins_line))

    return answer


def _begins_word(text: str, length: int) -> bool:
    """Whether the last of so many characters is the first of a word."""
    return text[length - 1].isalnum() and (length == 1 or not text[length - 2].isalnum())
