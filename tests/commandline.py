"""The command line, run in this process or in one of its own."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

from taskpace.cli import main

Cli = Callable[..., "subprocess.CompletedProcess[str]"]


def run_here(folder: Path, *arguments: str, columns: int = 80, **environment: str) -> subprocess.CompletedProcess[str]:
    """Call ``taskpace.cli.main`` as ``python -m taskpace`` does; workers are processes of their own, as ever."""
    code, *written = call_here(folder, *arguments, columns=columns, **environment)
    texts = (each.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n") for each in written)
    return subprocess.CompletedProcess(["taskpace", *arguments], code, *texts)


def call_here(folder: Path, *arguments: str, columns: int = 80, **environment: str) -> tuple[int, bytes, bytes]:
    """The exit code, and what goes to standard output and to standard error, byte by byte.

    Folder, environment, arguments and streams are put back; that the command put the signal handlers back is asserted.
    """
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    with (
        contextlib.chdir(folder),
        _environment({"COLUMNS": str(columns)} | environment),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        before = sys.argv
        sys.argv = ["taskpace", *arguments]
        try:
            main()
        except SystemExit as ended:
            code = ended.code or 0
        except BaseException:  # noqa: BLE001 - Python, too, prints whatever is not caught
            traceback.print_exc()
            code = 1
        finally:
            sys.argv = before
    assert handlers == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    assert isinstance(code, int)
    return code, _written(out), _written(err)


def run_apart(
    folder: Path, *arguments: str, columns: int = 80, wrap: tuple[str, ...] = (), **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run ``python -m taskpace`` as a process, ``wrap`` being a program that runs it under some restriction."""
    return subprocess.run(
        [*wrap, sys.executable, "-m", "taskpace", *arguments],
        cwd=folder,
        env=os.environ | {"COLUMNS": str(columns)} | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@contextlib.contextmanager
def _environment(changes: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _written(stream: io.TextIOWrapper) -> bytes:
    stream.flush()
    below = stream.detach()
    assert isinstance(below, io.BytesIO)
    return below.getvalue()
