"""A file that names a program is a program: shown by `plan`, and asked about before a stranger's is run."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import click
import pytest
from rich.console import Console

from taskpace.cli.trust import check_trust
from taskpace.errors import ExperimentError
from taskpace.experiment.experiment import load_experiment

SERVED = """
items = 1
tasks = ["mmlu-letter"]
[[system]]
name = "served"
engine = "openai"
options = { server = "touch started {port} --api-key sk-0123456789abcdef" }
"""
CODE = """
items = 1
tasks = ["mmlu-letter"]
[[system]]
name = "coded"
engine = "transformers"
model = "m"
options = { trust_remote_code = true }
"""
NONE = """
items = 1
tasks = ["mmlu-letter"]
[[system]]
name = "plain"
engine = "simulated"
options = { time = "virtual" }
"""


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder beside the one that commands run in."""
    folder = tmp_path.parent / f"{tmp_path.name}-elsewhere"
    folder.mkdir()
    return folder


def test_plan_shows_which_programs_a_file_has_started(tmp_path, cli):
    """The command, without its key, and nothing is started."""
    (tmp_path / "x.toml").write_text(SERVED)
    done = cli("plan", "x.toml", columns=200)
    assert done.returncode == 0, done.stderr
    assert 'system "served" starts the program: touch started {port} --api-key ***' in done.stdout
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize(
    ("text", "words"), [(SERVED, "touch started"), (CODE, "the code that comes with the model")], ids=["server", "code"]
)
def test_a_file_from_elsewhere_is_not_run_unasked(cli, elsewhere, text, words):
    """Without a terminal: one line with what it would start, what to look at and the flag; nothing is started."""
    (elsewhere / "x.toml").write_text(text)
    done = cli("run", str(elsewhere / "x.toml"), "-o", "x.db", "--progress", "quiet")
    assert done.returncode == 2
    assert "lies outside the current folder" in done.stderr
    assert words in done.stderr
    assert "--trust" in done.stderr
    assert "0123456789" not in done.stderr


def test_what_names_no_program_needs_no_trust(cli, elsewhere):
    """Wherever it lies."""
    (elsewhere / "x.toml").write_text(NONE)
    assert cli("run", str(elsewhere / "x.toml"), "-o", "x.db", "--progress", "quiet").returncode == 0


def test_a_run_file_from_elsewhere_is_asked_about_too(tmp_path, cli, elsewhere):
    """It holds its experiment, and `taskpace run RUN.db` carries that out."""
    serving = SERVED.replace("options = {", "options = { server_timeout_s = 1,").replace(
        " --api-key sk-0123456789abcdef", ""
    )
    (tmp_path / "x.toml").write_text(serving)
    cli("run", "x.toml", "-o", "x.db", "--progress", "quiet")
    assert (tmp_path / "started").exists()  # here it is the user's own
    (tmp_path / "started").unlink()
    (tmp_path / "x.db").rename(elsewhere / "x.db")
    done = cli("run", str(elsewhere / "x.db"), "--progress", "quiet")
    assert (done.returncode, "--trust" in done.stderr) == (2, True)
    assert not (tmp_path / "started").exists()
    assert "--trust" not in cli("run", str(elsewhere / "x.db"), "--trust", "--progress", "quiet").stderr
    assert (tmp_path / "started").exists()


@pytest.mark.parametrize(("answer", "goes_on"), [("y\n", True), ("n\n", False), ("\n", False)])
def test_on_a_terminal_it_is_asked_once(tmp_path, elsewhere, monkeypatch, answer, goes_on):
    """Yes goes on; no, and no answer, do not."""
    monkeypatch.chdir(tmp_path)
    (elsewhere / "x.toml").write_text(SERVED)
    stdin = io.StringIO(answer)
    monkeypatch.setattr(stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stdin", stdin)
    shown = io.StringIO()
    experiment = load_experiment(elsewhere / "x.toml")

    def ask() -> None:
        console = Console(file=shown, force_terminal=True, width=200)
        check_trust(experiment, elsewhere / "x.toml", console, trusted=False)

    if goes_on:
        ask()
    else:
        with pytest.raises(click.Abort):
            ask()
    assert "touch started" in shown.getvalue()
    assert stdin.read() == ""


def test_a_link_into_this_folder_is_from_elsewhere(tmp_path, elsewhere, monkeypatch):
    """It is the file that counts, not the name."""
    monkeypatch.chdir(tmp_path)
    (elsewhere / "x.toml").write_text(SERVED)
    (tmp_path / "link.toml").symlink_to(elsewhere / "x.toml")
    with pytest.raises(ExperimentError, match="outside the current folder"):
        check_trust(load_experiment(Path("link.toml")), Path("link.toml"), Console(file=io.StringIO()), trusted=False)
