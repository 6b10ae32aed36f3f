"""Whatever is in a file that somebody hands over: a command ends by itself, with a code of its own and no traceback.

A few mutations of each kind with every run of the tests, thousands in ``bench/fuzz.py`` (``make soak``).
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

import pytest
from tests import fuzz
from tests.commandline import run_here

FEW = range(6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a run and data that pass as they are."""
    found = tmp_path_factory.mktemp("fuzz")
    fuzz.prepare(found)
    return found


def problems(found: Iterable[fuzz.Tried]) -> list[str]:
    return [tried.problem for tried in found if tried.problem is not None]


@pytest.mark.parametrize("kind", fuzz.FILES)
def test_mutated_files(folder, kind):
    """Experiments, tasks, judges and data, from bases that pass."""
    assert not problems(fuzz.mutations(folder, kind, FEW))


@pytest.mark.slow
def test_flipped_bits_of_a_run_file(folder):
    """One to four bits, anywhere in the file, through reading commands: numbers, or one line."""
    assert not problems(fuzz.flips(folder, FEW, commands=2))


@pytest.mark.slow
def test_values_of_every_kind_in_every_column(folder):
    """In one row or in all, in tables that look as they should: each through reading commands."""
    assert not problems(fuzz.values(folder, FEW, commands=2))


def test_a_copy_without_constraints_is_read_as_the_file_itself(folder):
    """So that the values above are what is wrong, and not the copy."""
    fuzz.copied(folder / "base.db", folder / "f.db").close()
    done, same = (
        run_here(folder, "summary", name, "--format", "json", "--resamples", "0") for name in ("f.db", "base.db")
    )
    assert (done.returncode, done.stdout) == (0, same.stdout)


@pytest.mark.slow
def test_every_reading_command_reads_the_file_as_it_is(folder):
    """A command that refuses whatever it is given would find nothing wrong with any damage."""
    (folder / "f.db").write_bytes((folder / "base.db").read_bytes())
    (folder / "j.db").unlink(missing_ok=True)
    assert [fuzz.tried(folder, *command) for command in fuzz.reading(folder)] == [fuzz.Tried(0, None)] * len(
        fuzz.reading(folder)
    )


def test_a_command_that_ends_badly_is_seen(folder, monkeypatch):
    """A traceback, a code of no kind and a command without an end are each a problem."""
    monkeypatch.setattr(fuzz, "LIMIT_S", 1)
    assert fuzz.tried(folder, "plan", "x.toml").problem is None
    ends = {"Traceback": (1, "", "Traceback (most recent call last)"), "139": (139, "", "")}
    for word, (code, out, err) in ends.items():
        done = subprocess.CompletedProcess([], code, out, err)
        monkeypatch.setattr(fuzz, "run_here", lambda *_, done=done: done)
        assert word in (fuzz.tried(folder, "plan").problem or "")
    monkeypatch.setattr(fuzz, "run_here", lambda *_: time.sleep(5))
    assert fuzz.tried(folder, "plan") == fuzz.Tried(None, "('plan',): hangs")
