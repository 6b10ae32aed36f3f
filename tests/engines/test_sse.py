"""The event splitter: the same events however the network cut them."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from taskpace.engines.openai.sse import EventSplitter, EventTooLongError

PARTS = (
    *(b"\r", b"\n", b"\r\n", b"data: x", b"data:", b"data", b"data:  y", b": c", b"a", b"event: e", b"id", b" "),
    *(b"\xef\xbb\xbf", b"\xef", "é".encode()),
)
streams = st.lists(st.sampled_from(PARTS), max_size=16).map(b"".join)


def by_lines(stream: bytes) -> list[bytes]:
    """The standard's algorithm, line by line, on the whole stream at once."""
    text = stream.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    events, data = [], []
    for line in text.split(b"\n")[:-1]:
        field, colon, value = line.partition(b":")
        if not line and data:
            events.append(b"\n".join(data))
        if not line:
            data = []
        elif field == b"data":
            data.append(value.removeprefix(b" ") if colon else b"")
    return events


@given(streams, st.lists(st.integers(0, 60), max_size=6))
def test_any_cut_gives_the_standards_events(stream, cuts):
    """Wherever the bytes are cut, the events are those of the standard's own algorithm on the whole."""
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    splitter = EventSplitter()
    found = [event for start, end in pairwise(places) for event in splitter.feed(stream[start:end])]
    assert found == by_lines(stream)


def test_a_last_event_without_its_empty_line_is_not_lost():
    """A server that forgets the final empty line has said what it said."""
    splitter = EventSplitter()
    assert splitter.feed(b"data: a\n\ndata: b") == [b"a"]
    assert splitter.end() == [b"b"]
    assert splitter.end() == []


@pytest.mark.parametrize("piece", [b"x" * 10, b"data: x\n"])
def test_memory_is_bounded(piece):
    """An event that never ends is an error once it is longer than any answer, not a full memory."""
    splitter = EventSplitter(most_bytes=100)
    with pytest.raises(EventTooLongError, match="more than 100 bytes"):
        [splitter.feed(piece) for _ in range(20)]


def test_events_that_end_are_not_bounded_together():
    """The bound is on one event: a stream of many is as long as it is."""
    splitter = EventSplitter(most_bytes=100)
    assert sum(len(splitter.feed(b"data: 1234567890\n\n")) for _ in range(1000)) == 1000
