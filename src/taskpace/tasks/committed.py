"""Time to committed answer: when a reader could have stopped reading. Pure.

Defined as the earliest arrival after which the answer extracted from the text so far no longer changes. An answer may
come, go and come back, so a binary search would fail: the search walks back from the end while the answer stays
what it is there.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence

from taskpace.records import Turn

_MOST_READ = 4_000_000
"""Characters that may be read again for one answer, so that an extraction that reads whole texts has a bound."""


def committed_ns(turns: Sequence[Turn], answer_of: Callable[[int], str | None]) -> int | None:
    """Nanoseconds from the first dispatch, over all turns; null when the final text has no answer.

    The text at an arrival is what its first ``visible_bytes`` bytes decode to, an unfinished character left out. The
    time of earlier turns counts in full.

    Args:
        turns: of one record, in order; the answer is in the last.
        answer_of: from a number of characters of the last turn's text to the answer that so much of it gives.
    """
    if not turns:
        return None
    last = turns[-1]
    final = answer_of(len(last.text))
    if final is None:
        return None
    earlier_ns = sum(turn.end_ns for turn in turns[:-1])
    characters = _characters(last.text)
    committed: int | None = None
    seen = len(last.text)
    for arrival in reversed(last.arrivals):
        length = characters(arrival.visible_bytes)
        if length < seen:
            if answer_of(length) != final:
                break
            seen = length
        committed = arrival.ns
    # Text without an arrival that shows it (none was kept) was there at the end of the turn, and not provably before.
    return earlier_ns + (last.end_ns if committed is None else committed)


def rereading(text: str, extract: Callable[[str], str | None]) -> Callable[[int], str | None]:
    """``answer_of`` by reading the beginnings themselves; null for every one that comes when that has cost too much."""
    left = _MOST_READ

    def answer_of(length: int) -> str | None:
        nonlocal left
        if length >= len(text):
            return extract(text)
        left -= length
        return extract(text[:length]) if left >= 0 else None

    return answer_of


def _characters(text: str) -> Callable[[int], int]:
    """From a number of bytes of a text to the number of characters that are whole in them."""
    if text.isascii():
        return lambda size: min(size, len(text))
    ends: list[int] = []
    size = 0
    for character in text:
        size += 1 if character < "\x80" else 2 if character < "\u0800" else 3 if character < "\U00010000" else 4
        ends.append(size)
    return lambda size: bisect_right(ends, size)
