"""An unexpected error is one line, and output that cannot be written any more does not end a run."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from rich.console import Console

import taskpace.cli
from taskpace.cli.fault import fault_line
from taskpace.report.terminal.progress import follow
from taskpace.runner.events import RunEnded

QUICK = ("run", "-m", "sim", "--engine", "simulated", "-t", "mmlu-letter", "-n", "3")
ENDED = RunEnded(path="x.db", planned=1, done=1, interrupted=False, given_up=())


class PanicException(BaseException):
    """As native libraries raise it: no ``Exception``."""


def broken_command(exc: BaseException) -> click.Command:
    def command() -> None:
        raise exc

    return click.Command("doctor", callback=command)


@pytest.mark.parametrize(
    "exc",
    [ValueError("of sk-0123456789abcdef"), RecursionError("deep"), PanicException("index out of bounds"), KeyError("x"),
     UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), AssertionError()],
    ids=lambda exc: type(exc).__name__,
)  # fmt: skip
def test_a_fault_is_one_line_with_a_file_to_report(cli, monkeypatch, exc):
    """No traceback on the terminal; the file has it, without keys, and is its owner's alone."""
    monkeypatch.setattr(taskpace.cli._LazyGroup, "get_command", lambda *_: broken_command(exc))
    done = cli("doctor")
    (line,) = done.stderr.splitlines()
    assert done.returncode == 2
    assert line.startswith(f"taskpace: a fault of taskpace's own ({type(exc).__name__}")
    report = Path(re.search(r"\S+taskpace-fault-\S+\.txt", line)[0])
    text = report.read_text("utf-8")
    assert "Traceback" in text
    assert "in command" in text
    assert "sk-0123456789abcdef" not in line + text
    assert report.stat().st_mode & 0o777 == 0o600
    report.unlink()


def test_debug_shows_the_traceback(cli, monkeypatch):
    """``taskpace --debug COMMAND``: for who mends it."""
    monkeypatch.setattr(taskpace.cli._LazyGroup, "get_command", lambda *_: broken_command(KeyError("x")))
    assert "Traceback" in cli("--debug", "doctor").stderr


def test_what_the_system_refuses_is_one_line_of_its_own(cli, monkeypatch):
    """Memory, permissions, a disk: no fault of taskpace's."""
    for exc, words in (
        (MemoryError(), "not enough memory"),
        (PermissionError(13, "Permission denied", "a.toml"), "a.toml: Permission denied"),
        (OSError(24, "Too many open files"), "Too many open files"),
    ):
        monkeypatch.setattr(taskpace.cli._LazyGroup, "get_command", lambda *_, exc=exc: broken_command(exc))
        done = cli("doctor")
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert words in done.stderr
        assert "fault" not in done.stderr


def test_a_report_that_cannot_be_written_is_told(monkeypatch):
    """On a full disk the line is still one line."""

    def full(**_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.mkstemp", full)
    assert "no report of it could be written" in fault_line(ValueError("x"))


class Broken(io.StringIO):
    """A stream whose reader is gone."""

    def write(self, _text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


@pytest.mark.parametrize("mode", ["json", "plain", "live"])
def test_progress_that_nobody_reads_ends_no_run(monkeypatch, mode):
    """The listener falls silent; where standard error is left, it is told once."""
    said = io.StringIO()
    monkeypatch.setattr(sys, "stdout", Broken())
    console = Console(file=said if mode == "json" else Broken(), width=200)
    with follow(mode, console) as listener:
        listener(ENDED)
        listener(ENDED)
    assert said.getvalue().count("the run continues without it") == (mode == "json")


@pytest.mark.slow
def test_a_closed_pipe_ends_no_run_and_no_reader_with_a_traceback(tmp_path):
    """`taskpace run --progress json | true` carries the run out; readers end quietly, and a full disk is told."""
    code, said = closed(tmp_path, *QUICK, "-o", "x.db", "--progress", "json")
    assert (code, said.count("the run continues without it")) == (0, 1)
    assert closed(tmp_path, "export", "x.db", "--to", "csv", "-o", "-") == (1, "")
    assert closed(tmp_path, "summary", "x.db") == (1, "")
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "taskpace", "summary", "x.db", "--format", "json"]
        done = subprocess.run(command, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr.count("No space left on device")) == (2, 1)
    assert "Traceback" not in done.stderr


def closed(folder: Path, *arguments: str) -> tuple[int, str]:
    """Exit code and standard error of a command whose standard output is not read."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "taskpace", *arguments]
    done = subprocess.run(command, cwd=folder, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    return done.returncode, done.stderr


def test_every_promise_names_a_test_that_is_there():
    """Each row of promises in docs/security.md has one, and none that is named has gone."""
    root = Path(__file__).parents[1]
    rows = re.findall(r"^\| (?!-|promise)(.*) \|$", (root / "docs" / "security.md").read_text("utf-8"), re.MULTILINE)
    assert len(rows) > 20
    for promise, held in (row.rsplit(" | ", 1) for row in rows):
        named = re.findall(r"`((?:tests|bench)/[\w/]+\.py)`", held)
        assert any(name.startswith("tests/") for name in named), promise
        assert all((root / name).is_file() for name in named), (promise, named)
