"""Time to committed answer: when a reader could have stopped reading. Pure.

Defined as the earliest arrival after which the answer extracted from the text so far no longer changes. An answer may
come, go and come back, so this is no binary search: it walks back from the end while the answer stays what it is there.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence

from taskpace.records import Turn

Extract = Callable[[str], str | None]


def committed_ns(turns: Sequence[Turn], extract: Extract, spans: Sequence[tuple[int, int]] | None = None) -> int | None:
    """Nanoseconds from the first dispatch, over all turns; null when the final text has no answer.

    The text at an arrival is what its first ``visible_bytes`` bytes decode to, an unfinished character left out. The
    time of earlier turns counts in full.

    Args:
        turns: of one record, in order; the answer is in the last.
        extract: reads the answer from a text, or null.
        spans: closed ranges of lengths of the last turn's text, in characters: beginnings of it whose lengths lie in
            the same gap between ranges have the same answer. Null: it may change anywhere.
    """
    if not turns:
        return None
    last = turns[-1]
    final = extract(last.text)
    if final is None:
        return None
    earlier_ns = sum(turn.end_ns for turn in turns[:-1])
    raw = last.text.encode()
    regions = None if spans is None else _Regions(last.text, spans)
    committed: int | None = None
    same_as_later: tuple[int, int] | None = None
    for arrival in reversed(last.arrivals):
        size = min(arrival.visible_bytes, len(raw))
        place = (-1, size) if regions is None else regions.place(size)
        if place != same_as_later:
            if size < len(raw) and extract(raw[:size].decode(errors="ignore")) != final:
                break
            same_as_later = place
        committed = arrival.ns
    # Text without an arrival that shows it (none was kept) was there at the end of the turn, and not provably before.
    return earlier_ns + (last.end_ns if committed is None else committed)


class _Regions:
    """Which sizes in bytes are known to give the same answer."""

    def __init__(self, text: str, spans: Sequence[tuple[int, int]]) -> None:
        merged: list[list[int]] = []
        for first, final in sorted(spans):
            if merged and first <= merged[-1][1] + 1:
                merged[-1][1] = max(merged[-1][1], final)
            else:
                merged.append([first, final])
        self._edges: list[int] = []
        """Bytes: the first size inside a range, the first size after it, and so on in turn."""
        done_characters = done_bytes = 0
        for first, final in merged:
            for edge in (first, final + 1):
                edge_characters = min(max(edge, 0), len(text) + 1)
                done_bytes += len(text[done_characters:edge_characters].encode())
                # One past the whole text is one byte past its bytes.
                done_bytes += max(0, edge_characters - max(len(text), done_characters))
                done_characters = edge_characters
                self._edges.append(done_bytes)

    def place(self, size: int) -> tuple[int, int]:
        """Equal for sizes in one gap; of its own for every size within a range."""
        index = bisect_left(self._edges, size + 1)
        return (-1, size) if index % 2 else (index, 0)
