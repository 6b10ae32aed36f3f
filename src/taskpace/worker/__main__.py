"""A worker as a process of its own: frames come in on standard input and go out on standard output.

It ends when its standard input does, so a parent that is killed leaves no worker behind.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import sys
import threading
import time
import traceback
from typing import BinaryIO, NoReturn

from taskpace.worker.messages import (
    Close,
    FromWorker,
    MoreJobs,
    Open,
    RunCell,
    Stop,
    Stored,
    ToWorker,
    decode_to_worker,
    encode,
    read_frame,
)
from taskpace.worker.worker import Worker

_SWITCH_INTERVAL_S = 0.00005
_GATHER_S = 0.02
"""How long records under load wait for each other on their way to the run."""


class _Pipes:
    """Frames over two pipes, each with a thread of its own, so that neither side ever waits in a timed region."""

    def __init__(self, source: BinaryIO, sink: BinaryIO) -> None:
        self._source = source
        self._sink = sink
        self._writing = threading.Lock()
        self.inbox: queue.SimpleQueue[ToWorker] = queue.SimpleQueue()
        self._more: queue.SimpleQueue[MoreJobs] = queue.SimpleQueue()
        self._outbox: queue.SimpleQueue[tuple[FromWorker | None, bool]] = queue.SimpleQueue()
        self._stored = 0
        self._stored_changed = threading.Condition()
        self._stop = threading.Event()
        threading.Thread(target=self._read, name="taskpace-inbox", daemon=True).start()
        self._writer = threading.Thread(target=self._write, name="taskpace-outbox")
        self._writer.start()

    def send(self, message: FromWorker, urgent: bool) -> None:
        """Through the outbox's thread, so that the caller never waits."""
        self._outbox.put((message, urgent))

    def send_now(self, message: FromWorker) -> None:
        self._send_bytes(encode(message))

    def _send_bytes(self, frames: bytes) -> None:
        with self._writing:
            try:
                self._sink.write(frames)
                self._sink.flush()
            except BrokenPipeError:
                os._exit(3)

    def more_jobs(self, timeout_s: float) -> MoreJobs | None:
        with contextlib.suppress(queue.Empty):
            return self._more.get(timeout=timeout_s) if timeout_s else self._more.get_nowait()
        return None

    def wait_stored(self, records: int) -> None:
        with self._stored_changed:
            self._stored_changed.wait_for(lambda: self._stored >= records)

    def stopping(self) -> bool:
        return self._stop.is_set()

    def finish(self) -> None:
        """Flush what was sent."""
        self._outbox.put((None, True))
        self._writer.join()

    def _read(self) -> None:
        while True:
            if (body := read_frame(self._source)) is None:
                # The run is gone. Nothing reads what is in flight; do not let a model run on for nothing.
                os._exit(3)
            try:
                read = decode_to_worker(body)
            except BaseException:  # noqa: BLE001 - as in _write: the run would wait for an answer
                _end_with_traceback()
            match read:
                case Stored():
                    with self._stored_changed:
                        self._stored += 1
                        self._stored_changed.notify_all()
                case Stop():
                    self._stop.set()
                case MoreJobs() as message:
                    self._more.put(message)
                case message:
                    if isinstance(message, RunCell):
                        # A part that ended early has left what came too late for it.
                        self._more = queue.SimpleQueue()
                    self.inbox.put(message)

    def _write(self) -> None:
        """Gather what is not urgent: at each turn this thread takes Python's lock from the one that stamps."""
        last = False
        while not last:
            message, urgent = self._outbox.get()
            if not urgent:
                time.sleep(_GATHER_S)
            messages = [message]
            while not self._outbox.empty():
                messages.append(self._outbox.get()[0])
            last = messages[-1] is None
            try:
                frames = b"".join(encode(message) for message in messages if message is not None)
            except BaseException:  # noqa: BLE001 - else the run would wait for ever for a thread that is gone
                _end_with_traceback()
            self._send_bytes(frames)


def _end_with_traceback() -> NoReturn:
    """At once, for a thread that fails: its log then shows why."""
    traceback.print_exc()
    sys.stderr.flush()
    os._exit(1)


def main() -> None:
    """Serve one system over standard input and output until told to close."""
    # Ctrl-C in a terminal, and a supervisor's SIGTERM, reach the whole process group; the run decides what they mean
    # and shows it with Stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # A callback that wants to stamp an arrival waits for Python's lock: at most this long, not the usual 5 ms.
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    # Frames keep the real standard output to themselves; whatever a library prints goes to the log.
    sink = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    pipes = _Pipes(sys.stdin.buffer, sink)
    try:
        _serve(Worker(pipes), pipes)
    except BaseException:  # noqa: BLE001 - the run reads it as this worker's last words
        traceback.print_exc()
        pipes.finish()
        sys.stderr.flush()
        # An engine's threads may still be at work; nothing is left to wait for them.
        os._exit(1)
    pipes.finish()


def _serve(worker: Worker, pipes: _Pipes) -> None:
    while True:
        match pipes.inbox.get():
            case Open() as message:
                if not worker.open(message):
                    return
            case RunCell() as message:
                worker.run_cell(message)
            case Close():
                worker.close()
                return
            case _:  # the others never reach the inbox
                raise AssertionError


if __name__ == "__main__":
    main()
