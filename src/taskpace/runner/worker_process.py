"""The local form of a worker: a process of its own, reached over two pipes.

The run talks to anything that has ``send``, ``receive`` and ``end``; this is the one for this machine.
"""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from typing import IO, BinaryIO, Protocol

import msgspec

from taskpace.text.safe_text import one_line
from taskpace.worker.messages import FromWorker, ToWorker, decode_from_worker, encode, take_frames

_LOG_TAIL_BYTES = 4000
_EXIT_WAIT_S = 10.0
_PIPE_BYTES = 1024 * 1024
"""The most that Linux gives a pipe without being asked by root: seconds of records, under any load there is."""
_READ_BYTES = 64 * 1024


class WorkerDiedError(Exception):
    """The worker is gone. The message shows how it ended and what it printed last.

    Args:
        reason: the message.
        lost: what it had in flight, by trial and attempt; null: all that its run knows to be in flight.
    """

    kind = "worker-died"
    """Of the failures of what it had in flight."""

    def __init__(self, reason: str, lost: frozenset[tuple[str, int]] | None = None) -> None:
        super().__init__(reason)
        self.lost = lost


class NodeDiedError(WorkerDiedError):
    """The machine of a cluster is gone on which the worker was, which shows nothing about the worker."""

    kind = "node-lost"


class WorkerHandle(Protocol):
    """What a run needs of a worker, wherever it runs."""

    takes_more: bool
    """Whether jobs may follow those that a part began with (``MoreJobs``)."""

    def send(self, message: ToWorker) -> None:
        """Hand over a message. A worker that is gone shows up in ``receive``."""
        ...

    def receive(self, timeout_s: float, gather_s: float = 0.0) -> list[FromWorker]:
        """All messages there are, in order.

        Args:
            timeout_s: how long to wait for the first; nothing by then is an empty list.
            gather_s: how long to wait for more once there is one.

        Raises:
            WorkerDiedError: it is gone, and all that it said has been handed over.
        """
        ...

    def end(self) -> None:
        """Make sure that it is gone: at once, whatever it does."""
        ...


def launch_workers(launch: Callable[[], WorkerHandle], count: int) -> WorkerHandle:
    """Start so many workers, which share one load, as one."""
    if count == 1:
        return launch()
    from taskpace.runner.worker_group import WorkerGroup  # with asyncio, for which few runs need wait

    return WorkerGroup([launch() for _ in range(count)])


class WorkerProcess:
    """A worker as a child process. Its standard error is kept in a temporary log for the case that it crashes.

    Args:
        environment: variables, in place of this process's own.
    """

    takes_more = True

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._log: BinaryIO = tempfile.TemporaryFile()  # noqa: SIM115 - closed in end()
        self._process = subprocess.Popen(
            # -P: a file in the user's folder must not shadow a module of the worker's.
            [sys.executable, "-P", "-m", "taskpace.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=environment,
        )
        self._inbox: queue.SimpleQueue[list[FromWorker] | None] = queue.SimpleQueue()
        self._gone = False
        self._unreadable: str | None = None
        """What is wrong with a message that could not be read; null: all could."""
        self._gather_s = 0.0
        self._roomy = _enlarged(self._process.stdout)
        self._reader = threading.Thread(target=self._read, name="taskpace-worker-reader", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, message: ToWorker) -> None:
        assert self._process.stdin is not None  # noqa: S101 - asked for above
        with contextlib.suppress(BrokenPipeError):  # receive() reports how it ended
            self._process.stdin.write(encode(message))
            self._process.stdin.flush()

    def receive(self, timeout_s: float, gather_s: float = 0.0) -> list[FromWorker]:
        # Where the pipe has room for what comes meanwhile, the reader gathers, and is woken as seldom as this is.
        self._gather_s = gather_s if self._roomy else 0.0
        messages: list[FromWorker] = []
        with contextlib.suppress(queue.Empty):
            while not self._gone:
                said = self._inbox.get_nowait() if messages else self._inbox.get(timeout=timeout_s)
                if said is None:
                    self._gone = True
                    break
                if not messages and gather_s and not self._roomy:
                    time.sleep(gather_s)
                messages += said
        if self._gone and not messages:
            raise WorkerDiedError(self._last_words())
        return messages

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        self._log.close()

    def _read(self) -> None:
        source = self._process.stdout
        assert source is not None  # noqa: S101 - asked for above
        unread = bytearray()
        while data := os.read(source.fileno(), _READ_BYTES):
            unread += data
            if bodies := take_frames(unread):
                messages: list[FromWorker] = []
                try:
                    for body in bodies:
                        messages.append(decode_from_worker(body))  # noqa: PERF401 - those before the bad one count
                except msgspec.MsgspecError as exc:
                    # An engine may put anything into what it gives; a worker that cannot be understood is of no use.
                    self._unreadable = str(exc)
                self._inbox.put(messages)
                if self._unreadable is not None:
                    break
            if self._gather_s and len(data) < _READ_BYTES:
                time.sleep(self._gather_s)
        self._inbox.put(None)

    def _last_words(self) -> str:
        if self._unreadable is not None:
            return f"the worker's engine gives what a run file cannot hold: {one_line(self._unreadable)}"
        try:
            status = self._process.wait(timeout=_EXIT_WAIT_S)
        except subprocess.TimeoutExpired:
            return "the worker closed its pipe and did not end"
        how = f"ended with status {status}"
        if status < 0:
            name = signal.Signals(-status).name if -status in set(signal.Signals) else f"signal {-status}"
            hint = " (out of memory?)" if -status == signal.SIGKILL else ""
            how = f"was killed by {name}{hint}"
        size = self._log.seek(0, os.SEEK_END)
        self._log.seek(max(0, size - _LOG_TAIL_BYTES))
        lines = self._log.read().decode("utf-8", "replace").split("\n")
        tail = " | ".join(line.strip() for line in lines if line.strip())[-400:] if lines else ""
        return f"the worker {how}" + (f"; its last words: {tail}" if tail else "")


def _enlarged(pipe: IO[bytes] | None) -> bool:
    """Give a pipe room for what a worker says in a while, so that it never waits; false where that cannot be."""
    if pipe is None or sys.platform != "linux":
        return False
    import fcntl

    try:
        return fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES) >= _PIPE_BYTES
    except OSError:  # the user's pipes have as much as they may
        return False
