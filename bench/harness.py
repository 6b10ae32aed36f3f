"""What every benchmark shares: its arguments, the lines it prints, its figures, and the file that keeps them.

A script makes a ``Bench``, prints with ``say`` and names each of its numbers with ``figure``. ``--quick`` takes the
smallest sizes, to see that the script works; ``--save`` writes bench/results/NAME.json, from which ``bench/page.py``
fills the pages in docs/. Without it nothing is written.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from multiprocessing import get_context
from multiprocessing.pool import Pool, ThreadPool
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from taskpace.machine import host

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench" / "results"


class Figure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One number that a benchmark reports; null where it is unknown, such as before the first measurement."""

    name: str
    median: float | None
    """Of the rounds; the value itself where there is one."""
    least: float | None
    greatest: float | None
    unit: str = ""
    at_most: float | None = None
    """The target that the median is held to; null: there is none on this side."""
    at_least: float | None = None
    met: bool | None = None
    """Whether the median meets its target; null: no target, or no median."""
    optional: bool = False
    """Measured only where another load generator is installed."""

    @property
    def target(self) -> str:
        """Text for a line of results: ``(target: at most 2)``; empty without a target."""
        bounds = [f"at most {self.at_most:,g}"] if self.at_most is not None else []
        bounds += [f"at least {self.at_least:,g}"] if self.at_least is not None else []
        return f"(target: {' and '.join(bounds)})" if bounds else ""

    def __format__(self, spec: str) -> str:
        """``median (least to greatest)``, each number as ``spec`` says; a single value stands alone."""
        if self.median is None:
            return "unknown"
        if self.least is None or self.greatest is None or self.least == self.greatest:
            return format(self.median, spec)
        return f"{self.median:{spec}} ({self.least:{spec}} to {self.greatest:{spec}})"


class Results(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A results file: one run of one benchmark."""

    name: str
    commit: str | None
    """Short hash, "+changes" added where the working tree of src/ or bench/ differed; null: not measured, or no git."""
    date: str | None
    machine: str | None
    command: str
    markdown: bool = False
    """Whether the lines are Markdown; else they are shown as they are."""
    lines: list[str]
    """Everything printed."""
    figures: list[Figure]


class Bench:
    """One benchmark while it runs.

    Args:
        name: of the script, without ``.py``.
        doc: its docstring, for ``--help``.
        sizes: an attribute of ``chosen`` and a flag each: its full and its quick value, ``{"rounds": (25, 2)}``.
        options: further flags with the arguments of ``argparse.ArgumentParser.add_argument``.
        markdown: whether it prints Markdown.

    Attributes:
        chosen: the sizes and options as given on the command line.
        quick: whether this is the quick form.
    """

    def __init__(
        self,
        name: str,
        doc: str | None,
        sizes: Mapping[str, tuple[int, int]] | None = None,
        options: Mapping[str, dict[str, Any]] | None = None,
        *,
        markdown: bool = False,
    ) -> None:
        sizes = sizes or {}
        parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
        parser.add_argument("--quick", action="store_true", help="the smallest sizes: does the script work?")
        parser.add_argument("--save", nargs="?", const=RESULTS, type=Path, metavar="FOLDER",
                            help="write NAME.json there (bench/results)")  # fmt: skip
        for size, (full, quick) in sizes.items():
            parser.add_argument(f"--{size.replace('_', '-')}", type=int, help=f"{full:,}; with --quick {quick:,}")
        for flag, arguments in (options or {}).items():
            parser.add_argument(flag, **arguments)
        self.chosen = parser.parse_args()
        self.quick: bool = self.chosen.quick
        if self.quick and self.chosen.save == RESULTS:
            parser.error("the quick form's figures are not results: give --save a folder")
        if self.chosen.save and getattr(self.chosen, "only", None):
            parser.error("--only measures a part of the figures: leave out --save")
        for size, values in sizes.items():
            if getattr(self.chosen, size) is None:
                setattr(self.chosen, size, values[self.quick])
        self._name, self._markdown = name, markdown
        self._machine = machine()
        self._commit = commit()
        self._date = f"{datetime.now(UTC):%Y-%m-%d}"
        self._lines: list[str] = []
        self._figures: dict[str, Figure] = {}

    def head(self, text: str) -> None:
        """Print the first line: name, date and machine, then what is measured."""
        self.say(f"{self._name}: {self._date}, {self._machine}; {text}")

    def say(self, text: str = "") -> None:
        """Print, and keep for the results file."""
        print(text, flush=True)
        self._lines += text.split("\n")

    def figure(
        self,
        name: str,
        values: float | Sequence[float] | np.ndarray | None,
        unit: str = "",
        *,
        at_most: float | None = None,
        at_least: float | None = None,
        optional: bool = False,
    ) -> Figure:
        """Keep a number for the results file, and return it for printing.

        Args:
            name: unique in the script, the same in the quick form and in the full one.
            values: one value, or one for each round; null or none at all: unknown.
            unit: such as ``s``.
            at_most: the target of the median.
            at_least: likewise.
            optional: not in every results file: measured only where another load generator is installed, or newer
                than the results.
        """
        if name in self._figures:
            raise ValueError(f'figure "{name}" is there already')
        found = np.atleast_1d(np.asarray([] if values is None else values, dtype=np.float64))
        known = [float(f"{value:.6g}") for value in (np.median(found), found.min(), found.max())] if len(found) else []
        median, least, greatest = known or (None, None, None)
        met = None
        if median is not None and (at_most is not None or at_least is not None):
            met = (at_most is None or median <= at_most) and (at_least is None or median >= at_least)
        self._figures[name] = Figure(
            name=name,
            median=median,
            least=least,
            greatest=greatest,
            unit=unit,
            at_most=at_most,
            at_least=at_least,
            met=met,
            optional=optional,
        )
        return self._figures[name]

    def print_parts(self, parts: Mapping[str, Callable[[], None]]) -> None:
        """Print each part under a heading of its own; of those the one that the option ``--only`` names, if it does."""
        for name, part in parts.items():
            if self.chosen.only in (None, name):
                self.say(f"\n## {name}")
                part()

    def finish(self) -> None:
        """Write the results file, if ``--save`` asks for it."""
        folder: Path | None = self.chosen.save
        if folder is None:
            return
        save(
            Results(
                name=self._name,
                commit=self._commit,
                date=self._date,
                machine=self._machine,
                command=_command(),
                markdown=self._markdown,
                lines=self._lines,
                figures=list(self._figures.values()),
            ),
            folder,
        )


def save(results: Results, folder: Path = RESULTS) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = msgspec.json.format(msgspec.json.encode(results), indent=1)
    (folder / f"{results.name}.json").write_bytes(text + b"\n")


def load(path: Path) -> Results:
    return msgspec.json.decode(path.read_bytes(), type=Results)


def machine() -> str:
    """Processor, cores, GPUs and Python, to stand above every result."""
    found = host.describe()
    cores = "?" if found.usable_cores is None else f"{found.usable_cores:g}"
    gpus = [gpu.name for gpu in found.gpus]
    return ", ".join([found.cpu or platform.machine(), f"{cores} cores", *gpus, f"Python {platform.python_version()}"])


def commit() -> str | None:
    """Of the working tree, when the benchmark starts. Result files do not count as changes."""
    try:
        short = _git("rev-parse", "--short", "HEAD").strip()
        changed = _git("status", "--porcelain", "--", "src", "bench", ":!bench/results").strip()
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{short}+changes" if changed else short


def threads() -> int:
    """For llama.cpp: two, or one where one core is all that may be used, as more would wait for each other."""
    return max(1, min(2, int(host.usable_cores() or 2)))


def short_questions(folder: Path, count: int = 1) -> Path:
    """Questions of a few words for quick forms, in the columns of MMLU: real prompts would take most of their time."""
    path = folder / "short.jsonl"
    asked = (
        {"subject": "sums", "question": f"1 + {n}?", "choices": [str(n + 1), "0", "-1", "-2"], "answer": 0}
        for n in range(1, count + 1)
    )
    path.write_bytes(b"".join(msgspec.json.encode(each) + b"\n" for each in asked))
    return path


def make_pool(processes: int | None, *, quick: bool) -> Pool:
    """Processes for the parts of a benchmark; a thread in the quick form, as a process would import longer than work.

    Args:
        processes: how many; null: one for each core.
        quick: whether this is the quick form.
    """
    return ThreadPool(1) if quick else get_context("spawn").Pool(processes)


def run_quietly(command: Sequence[str | Path]) -> str:
    """Run a command and return its standard output; where it fails, show what it said."""
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def summary_tables(run: Path) -> str:
    """The tables of a run file as Markdown, whose commands name no temporary folder of this machine."""
    told = run_quietly([sys.executable, "-m", "taskpace", "summary", run, "--format", "markdown"])
    return f"## {told.replace(str(run.parent), 'runs').partition('## ')[2].rstrip()}"


def _command() -> str:
    """As typed, less where the results went."""
    words = sys.argv[1:]
    if "--save" in words:
        place = words.index("--save")
        named = words[place + 1 : place + 2]
        del words[place : place + (2 if named and not named[0].startswith("-") else 1)]
    return " ".join(["python", f"bench/{Path(sys.argv[0]).name}", *words])


def _git(*arguments: str) -> str:
    return subprocess.run(["git", "-C", ROOT, *arguments], check=True, capture_output=True, text=True).stdout
