"""A server that taskpace starts for a system, such as ``vllm serve`` or ``llama-server``, and stops again.

A supervisor, a small process of its own, stands between: it holds the server's process group and ends it as soon as
its standard input does, so the server goes whatever ends the worker, a kill included.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from taskpace.errors import ExperimentError

HOST = "127.0.0.1"
_PLACES = ("port", "host", "model")
_GRACE_S = 10.0
"""From the request to end until the kill."""
_LAST_WORDS_BYTES = 8000
_NOT_FOUND = 127
_INPUT = 0
_CHILD_SUBREAPER = 36
_ORPHANS_GRACE_S = 2.0
_BEYOND_TEXT = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f]")


def check_command(command: str) -> None:
    """Raises ``ExperimentError`` for a command that cannot be started or that leaves the port open."""
    if not hasattr(os, "killpg"):
        raise ExperimentError(
            'key "server": on Windows a server and all that it starts cannot be ended together: start it yourself, and '
            'give its "url"'
        )
    if "\0" in command:
        raise ExperimentError('key "server": the command has a NUL character in it: take it out')
    try:
        words = shlex.split(command)
    except ValueError as exc:
        raise ExperimentError(f'key "server": {exc}: {command}') from None
    places = set(re.findall(r"\{(\w*)\}", command))
    if not words or "port" not in places:
        raise ExperimentError('key "server": the command names no port: write {port} where it goes, after --port')
    if unknown := sorted(places - set(_PLACES)):
        raise ExperimentError(f'key "server": {{{unknown[0]}}} is unknown: there are {{port}}, {{host}} and {{model}}')


def fill_in(command: str, port: int, model: str) -> list[str]:
    """The words of a command (no shell reads it) with the places filled in."""
    values = {"port": str(port), "host": HOST, "model": model}
    return [re.sub(r"\{(\w+)\}", lambda found: values[found[1]], word) for word in shlex.split(command)]


def free_port() -> int:
    """A port that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


class Server:
    """A command that runs until ``stop``, or until this process ends.

    Args:
        command: program and arguments.
        log: what it prints is appended here; null: a temporary file.
    """

    def __init__(self, command: list[str], log: Path | None) -> None:
        # Both stay open as long as the server runs.
        self._log = tempfile.TemporaryFile() if log is None else open(log, "a+b", opener=_for_owner)  # noqa: SIM115 - end closes it
        self._begin = self._log.seek(0, os.SEEK_END)
        self._ended: str | None = None
        self._supervisor = subprocess.Popen(  # noqa: S603 - the user's own command, and no shell reads it
            [sys.executable, "-P", "-m", "taskpace.engines.openai.launch", *command],
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,  # a Ctrl-C in the terminal is for the run to decide about
        )

    def ended(self) -> str | None:
        """``ended with status 1; its last words: ...`` once it has; else null."""
        if self._ended is None and (status := self._supervisor.poll()) is not None:
            words = " | ".join(self.last_lines(3))
            self._ended = f"ended with status {status}" + (f"; its last words: {words[-400:]}" if words else "")
        return self._ended

    def last_lines(self, count: int) -> list[str]:
        """The last lines that it has printed, without colours and empty ones."""
        size = os.fstat(self._log.fileno()).st_size
        begin = max(self._begin, size - _LAST_WORDS_BYTES)
        text = os.pread(self._log.fileno(), size - begin, begin).decode("utf-8", "replace")
        lines = [_BEYOND_TEXT.sub("", line).strip() for line in re.split(r"[\r\n]+", text)]
        return [line for line in lines if line][-count:]

    def stop(self) -> None:
        """End the whole process group: first by request, then by force. Returns when it is gone."""
        assert self._supervisor.stdin is not None  # noqa: S101 - asked for above
        with contextlib.suppress(BrokenPipeError):
            self._supervisor.stdin.close()
        self._supervisor.wait()
        self.ended()
        self._log.close()


def _for_owner(path: str, flags: int) -> int:
    """A log may hold prompts, and whatever else a server prints: no other user may read it."""
    return os.open(path, flags, 0o600)


def supervise(command: list[str]) -> int:
    """Run ``command`` in a group of its own until it ends, or standard input does. Returns its status."""
    # A worker ignores both, and what is ignored is inherited; what is handled is not.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, lambda *_: os.close(_INPUT))
    _inherit_orphans()
    try:
        server = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)  # noqa: S603 - as above
    except OSError as exc:
        sys.stderr.write(f"{command[0]}: {exc.strerror}\n")
        return _NOT_FOUND
    while server.poll() is None and not _input_ended():
        pass
    _end_group(server)
    return server.returncode if server.returncode >= 0 else 128 - server.returncode


def _input_ended() -> bool:
    """Whether standard input has; waits a moment for it."""
    try:
        readable, _, _ = select.select([_INPUT], [], [], 0.1)
        return bool(readable) and not os.read(_INPUT, 1)
    except OSError:
        return True  # closed by a request to end


def _end_group(server: subprocess.Popen[bytes]) -> None:
    """The server by request, then by force; with it whatever it has left behind in its group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        server.wait(_GRACE_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()
    _end_orphans()


def _inherit_orphans() -> None:
    """Have whatever the server starts become this process's child when its parent ends, in whichever session it is.

    Source: prctl(2), ``PR_SET_CHILD_SUBREAPER``; there is nothing of the kind but on Linux.
    """
    if sys.platform == "linux":
        import ctypes  # slow to import, and most servers were started by someone else

        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_CHILD_SUBREAPER, 1, 0, 0, 0)


def _end_orphans() -> None:
    """What the server has left behind in other sessions: by request, then by force; said where it stays."""
    for number, wait_s in ((signal.SIGTERM, _ORPHANS_GRACE_S), (signal.SIGKILL, _ORPHANS_GRACE_S)):
        until = time.monotonic() + wait_s
        while (left := _children()) and time.monotonic() < until:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            time.sleep(0.05)
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
    if left := _children():
        sys.stderr.write(f"taskpace: still running, and not to be ended: {', '.join(map(str, left))}\n")


def _children() -> list[int]:
    """The children of this process; none where the system does not say."""
    try:
        return [
            int(pid)
            for task in Path("/proc/self/task").iterdir()
            for pid in (task / "children").read_text("ascii").split()
        ]
    except OSError:
        return []


if __name__ == "__main__":
    sys.exit(supervise(sys.argv[1:]))
