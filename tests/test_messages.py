"""Frames between a run and its worker: the same however a pipe cuts them."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
from itertools import pairwise
from types import SimpleNamespace

import pytest
from hypothesis import given, strategies as st

from taskpace.records import Failure
from taskpace.runner.worker_process import WorkerDiedError, WorkerProcess
from taskpace.worker.messages import Dispatched, OpenFailed, decode_from_worker, encode, take_frames


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


def test_a_message_that_cannot_be_read_ends_the_worker_at_once():
    """An engine may put anything into what it gives: what came before is handed over, then the field is named."""
    read, write = os.pipe()
    worker = WorkerProcess.__new__(WorkerProcess)
    worker._process = SimpleNamespace(stdout=os.fdopen(read, "rb"))
    worker._inbox, worker._gone, worker._roomy = queue.SimpleQueue(), False, True
    worker._gather_s, worker._unreadable = 0.0, None
    good = Dispatched(trial_id="t", attempt=1)
    os.write(write, encode(good) + encode(OpenFailed(failure=Failure(kind=7, message="m"))))
    worker._read()  # returns, though the pipe is open
    assert worker.receive(0) == [good]
    with pytest.raises(WorkerDiedError, match=r"cannot hold: Expected `str`, got `int` - at `\$\.failure\.kind`"):
        worker.receive(0)
    os.close(write)
    worker._process.stdout.close()


def test_a_message_that_cannot_be_read_ends_the_worker():
    """As when taskpace is updated amid a run: it says why and is gone, for which the run would wait else."""
    body = b"\xc1"  # MessagePack has no such byte
    done = subprocess.run(
        [sys.executable, "-P", "-m", "taskpace.worker"],
        input=len(body).to_bytes(4, "little") + body,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"DecodeError" in done.stderr.splitlines()[-1]
