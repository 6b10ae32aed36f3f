"""What the tutorial and the how-to pages show: files, commands and outputs, and how the commands are run.

A fence with a title is a file, an `sh` fence holds commands, and a `text` fence that comes next is what the last of
them prints. `python -m tests.shown` runs the commands that read `examples/demo.db` and writes what they print into the
pages.
"""

from __future__ import annotations

import re
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.commandline import run_here

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
RUN_FILE = ROOT / "examples" / "demo.db"
"""A run of the tutorial's first command, as it was carried out."""
RECORDED = tuple(DOCS / name for name in ("tutorial.md", "howto/publish-results.md", "results/demo.md", "report.md"))
"""Pages whose commands work on that run file, so that their outputs are known."""
CARRIED_OUT = tuple(
    DOCS / "howto" / f"{name}.md" for name in ("choose-a-model", "compare-quantisations", "endpoint-under-load")
)
"""Pages whose commands start runs of other models: on simulated systems in a test."""
_FENCE = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.DOTALL | re.MULTILINE)


class Step(NamedTuple):
    """One `sh` fence, and the span of the output that follows it; null: no output is shown."""

    commands: list[list[str]]
    output: tuple[int, int] | None


def files(page: str) -> dict[str, str]:
    """The files that a page shows, by name."""
    return {title: body for _, title, body in _FENCE.findall(page) if title}


def steps(page: str) -> Iterator[Step]:
    """The commands that a page shows, in order."""
    fences = list(_FENCE.finditer(page))
    for index, fence in enumerate(fences):
        if fence[1] == "sh":
            following = fences[index + 1] if index + 1 < len(fences) else None
            shown = following.span(3) if following is not None and following[1] == "text" else None
            lines = fence[3].replace("\\\n", " ").splitlines()
            yield Step([words for line in lines if (words := shlex.split(line, comments=True))], shown)


def lay_out(page: str, folder: Path) -> None:
    """Put the files of the page, the recorded run and its experiment file into a folder."""
    for name, text in files(page).items():
        (folder / name).write_text(text, "utf-8")
    (folder / "runs").mkdir()
    shutil.copyfile(RUN_FILE, folder / "runs" / RUN_FILE.name)
    (folder / "examples").mkdir()
    shutil.copyfile(RUN_FILE.with_suffix(".toml"), folder / "examples" / "demo.toml")


def run_commands(step: Step, folder: Path) -> str:
    """Run the commands of a step; what the last one printed, without blanks at the ends of lines."""
    printed = ""
    for program, *arguments in step.commands:
        assert program == "taskpace", f"{program}: a page that is run shows commands of taskpace alone"
        done = run_here(folder, *arguments, COLUMNS="80")
        assert done.returncode == 0, f"{shlex.join(arguments)}: {done.stderr}"
        printed = done.stdout
    return "".join(f"{line.rstrip()}\n" for line in printed.strip("\n").splitlines())


def with_outputs(page: str, folder: Path) -> str:
    """The page with what its commands print put in place of the outputs that it shows."""
    lay_out(page, folder)
    made, end = [], 0
    for step in steps(page):
        printed = run_commands(step, folder)
        if step.output is not None:
            made += [page[end : step.output[0]], printed]
            end = step.output[1]
    return "".join(made) + page[end:]


def main() -> None:
    for path in RECORDED:
        with tempfile.TemporaryDirectory() as folder:
            path.write_text(with_outputs(path.read_text("utf-8"), Path(folder)), "utf-8")


if __name__ == "__main__":
    main()
