"""Experiments that ship: files with a name each, run as ``taskpace run NAME``."""

from __future__ import annotations

from pathlib import Path

from taskpace.errors import ExperimentError
from taskpace.text.strict import close_to, named

HERE = Path(__file__).parent


def shipped() -> dict[str, str]:
    """Names, each with what it is: the first line of its file, a comment."""
    files = sorted(HERE.glob("*.toml"))
    return {file.stem: file.read_text("utf-8").split("\n", 1)[0].lstrip("# ") for file in files}


def shipped_file(name: str) -> Path | None:
    """The file of that name; null when there is none."""
    file = HERE / f"{name}.toml"
    return file if name in shipped() else None


def found_file(file: Path) -> Path:
    """The file as it was given on a command line, or the shipped one of that name.

    Raises:
        ExperimentError: there is neither.
    """
    if file.exists():
        return file
    shipped_one = shipped_file(str(file))
    if shipped_one is None:
        raise ExperimentError(
            f"{named(file)}: experiment file not found{close_to(str(file), shipped())}: check the path; "
            "`taskpace list experiments` lists those that ship"
        )
    return shipped_one
