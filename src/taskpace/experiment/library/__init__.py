"""Experiments that ship: files with a name each, run as ``taskpace run NAME``."""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parent


def shipped() -> dict[str, str]:
    """Names, each with what it is: the first line of its file, a comment."""
    files = sorted(HERE.glob("*.toml"))
    return {file.stem: file.read_text("utf-8").split("\n", 1)[0].lstrip("# ") for file in files}


def shipped_file(name: str) -> Path | None:
    """The file of that name; null when there is none."""
    file = HERE / f"{name}.toml"
    return file if name in shipped() else None
