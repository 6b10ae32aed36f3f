"""Frames between a run and its worker: the same however a pipe cuts them."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, strategies as st

from taskpace.worker.messages import Dispatched, decode_from_worker, encode, take_frames


@given(st.lists(st.text(max_size=300), max_size=6), st.lists(st.integers(0, 2000), max_size=6), st.integers(0, 3))
def test_frames_come_whole_and_in_order(names, cuts, lost):
    """Whatever is read at a time; of a frame that has lost its end nothing comes, and what came before it stays."""
    sent = [Dispatched(trial_id=name, attempt=1) for name in names]
    stream = b"".join(map(encode, sent))
    stream = stream[: len(stream) - lost] if lost < len(stream) else stream
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    unread = bytearray()
    found = []
    for start, end in pairwise(places):
        unread += stream[start:end]
        found += map(decode_from_worker, take_frames(unread))
    whole = sent if len(stream) == sum(len(encode(each)) for each in sent) else sent[:-1]
    assert found == whole
    assert bool(unread) == (whole != sent)
