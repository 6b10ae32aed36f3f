"""What another system lacks is refused in one line, before anything starts; the modules load without it."""

from __future__ import annotations

import ast
import os
import sys
from pathlib import Path

import pytest

import taskpace
from taskpace.engines import simulated
from taskpace.engines.openai.launch import check_command
from taskpace.engines.transformers import load
from taskpace.errors import ExperimentError

SOURCES = sorted(Path(taskpace.__file__).parent.rglob("*.py"))
POSIX_ONLY = {"fcntl", "grp", "pwd", "pty", "resource", "termios", "uvloop"}


def test_no_module_needs_at_its_import_what_windows_lacks():
    """POSIX's own modules are imported inside the functions that know what to do without them."""
    found = []
    for path in SOURCES:
        for node in ast.parse(path.read_text("utf-8")).body:
            names = [name.name for name in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found += [f"{path.name}: {name}" for name in names if name.partition(".")[0] in POSIX_ONLY]
    assert SOURCES
    assert found == []


def test_a_server_is_refused_where_there_are_no_process_groups(monkeypatch):
    """What it starts would outlive the run."""
    check_command("serve --port {port}")
    monkeypatch.delattr(os, "killpg")
    with pytest.raises(ExperimentError, match=r'"server": on Windows .* start it yourself, and give its "url"'):
        check_command("serve --port {port}")


def test_a_limit_of_memory_is_refused_where_there_is_none(monkeypatch):
    """One line that names the key."""
    monkeypatch.setitem(sys.modules, "resource", None)
    with pytest.raises(ExperimentError, match='"memory_limit_mb": Windows has no such limit'):
        load._limit_memory(100)


def test_a_scripted_crash_ends_a_process_where_there_is_no_sigkill(monkeypatch):
    """By the signal that ends one at once there."""
    sent = []
    monkeypatch.delattr(simulated.signal, "SIGKILL")
    monkeypatch.setattr(os, "kill", lambda _pid, number: sent.append(number))
    simulated._strike(simulated.Fault(kind="crash"))
    assert sent == [simulated.signal.SIGTERM]
