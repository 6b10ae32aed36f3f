"""Commands that install what is missing name this interpreter and the libraries, and no stranger's distribution."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shlex
import shutil
import sys
import tomllib
from pathlib import Path

import pytest

from taskpace import installing
from taskpace.errors import MissingExtraError

ROOT = Path(__file__).parents[1]
EXTRAS: dict[str, list[str]] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"][
    "optional-dependencies"
]


@pytest.fixture(autouse=True)
def installed(monkeypatch) -> None:
    """What a wheel of this project says of itself; nothing is in PATH."""
    stated = [f'{line} ; extra == "{extra}"' for extra, lines in EXTRAS.items() for line in lines]
    known = {"taskpace": ["click>=8", *stated], "plug-a": None}

    def requires(name: str) -> list[str] | None:
        if name not in known:
            raise importlib.metadata.PackageNotFoundError(name)
        return known[name]

    monkeypatch.setattr(importlib.metadata, "requires", requires)
    monkeypatch.setattr(shutil, "which", lambda _name: None)


@pytest.mark.parametrize("extra", sorted(EXTRAS))
def test_an_extra_is_installed_as_its_libraries_by_this_interpreter(extra):
    """A distribution of an index that is called taskpace is not asked for, nor the ``pip`` of another environment."""
    command = shlex.split(installing.install_command(["x"], extra))
    assert command == [sys.executable, "-m", "pip", "install", *EXTRAS[extra]]


def test_a_library_without_an_extra_is_named_itself():
    """Likewise where the metadata are older than the code, or not there."""
    for library, extra in (("a-library", None), ("another", "no-such-extra")):
        assert shlex.split(installing.install_command([library], extra))[3:] == ["install", library]


def test_an_extra_of_another_distribution_is_its_own():
    """A plug-in comes from wherever its author put it: its metadata do not have to be known here."""
    for name in ("plug-a", "plug-b"):
        assert shlex.split(installing.install_command(["x"], "y", name))[4:] == [f"{name}[y]"]


def test_the_bare_name_of_an_interpreter_is_used_where_it_is_the_one(monkeypatch):
    """In an environment that is active people read ``python``."""
    monkeypatch.setattr(shutil, "which", {"python": sys.executable}.get)
    assert installing.install_command(["x"], None) == "python -m pip install x"


@pytest.mark.parametrize("uv", [True, False])
def test_an_environment_without_pip_gets_it_or_uv(monkeypatch, uv):
    """An environment of uv has no pip; the command names the environment, wherever it is pasted."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    monkeypatch.setattr(shutil, "which", {"uv": "uv"}.get if uv else lambda _name: None)
    command = installing.install_command(["x"], None)
    python = shlex.quote(sys.executable)
    pip = f"{python} -m ensurepip && {python} -m pip install x"
    assert command == (f"uv pip install --python {python} x" if uv else pip)


def test_windows_knows_double_quotes_alone(monkeypatch):
    """A bare ``>`` would write into a file."""
    monkeypatch.setattr(installing, "_SYSTEM", "nt")
    monkeypatch.setattr(sys, "executable", r"C:\My Files\python.exe")
    command = installing.install_command(["x"], "charts")
    assert command == r'"C:\My Files\python.exe" -m pip install "altair>=6" "vl-convert-python>=1.9"'


def test_the_message_names_library_extra_and_command():
    """In one line."""
    said = str(MissingExtraError("engine llamacpp", "xllamacpp", "llamacpp"))
    assert said.startswith("engine llamacpp needs xllamacpp, which is not installed (extra llamacpp): run `")
    assert "\n" not in said
