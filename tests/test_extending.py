"""The distribution of docs/extending.md is built, installed beside taskpace in a fresh environment, and run."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from tests.installed import FILES, PAGE, ROOT, make_environment, run

import taskpace

pytestmark = pytest.mark.slow

COMMANDS = [line.split() for line in re.findall(r"^```sh\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)[0].splitlines()]


class Installed:
    """A fresh environment with both, and a copy of the example's folder."""

    def __init__(self, made: Path, folder: Path) -> None:
        self.folder = shutil.copytree(made / "taskpace-example", folder / "taskpace-example")
        self._bin = made / "environment" / "bin"

    def __call__(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return run([str(self._bin / program), *arguments], self.folder)


@pytest.fixture(scope="module")
def installed(once, tmp_path_factory) -> Installed:
    return Installed(once("environment", make_environment), tmp_path_factory.mktemp("extending"))


@pytest.fixture(scope="module")
def said(installed) -> dict[str, str]:
    """What each command of the page prints, by its second word; the first, ``pip install .``, has been carried out."""
    first, *others = COMMANDS
    assert first == ["pip", "install", "."]
    found = {}
    for program, *arguments in others:
        done = installed(program, *arguments)
        assert done.returncode == 0, done.stderr
        found[arguments[0]] = done.stdout
    return found


def test_the_page_has_the_files_and_both_packages_are_the_installed_ones(installed):
    """All files of the page are found, and neither package comes from a source tree."""
    assert {"pyproject.toml", "repeat.toml", "parrots.toml", "src/taskpace_example/parrot.py"} <= set(FILES)
    done = installed("python", "-c", "import taskpace, taskpace_example as t; print(taskpace.__file__, t.__file__)")
    assert all("/environment/lib/" in path for path in done.stdout.split()), done.stdout + done.stderr


def test_doctor_and_list_know_the_plug_ins(said):
    """``list engines`` shows the engine's summary, ``doctor`` all four plug-ins with their distribution, usable."""
    assert re.search(r"^parrot +yes +repeats the prompt", said["list"], re.MULTILINE)
    for plugin in ("engine parrot", "scorer same-words", "extraction quoted", "importer gateway"):
        assert re.search(rf"^{plugin} +taskpace-example +yes", said["doctor"], re.MULTILINE), said["doctor"]


def test_the_run_has_every_trial_with_its_grade_and_its_time(installed, said):
    """One at a time and in static batches, the plug-ins' answers, grades, counts and times are recorded, and what was
    recorded can be read where they are not installed.
    """
    assert "careful" in said["summary"]
    with taskpace.open(installed.folder / "parrots.db") as run:
        trials = run.frame()
    counts = Counter(trials.select("system", "scenario").iter_rows())
    assert counts == {(system, scenario): 6 for system in ("careful", "hasty") for scenario in ("single", "batch=2")}
    careful = trials.filter(pl.col("system") == "careful")
    assert set(careful["outcome"]) == {"correct"}
    assert set(careful["score"]) == {1.0}
    hasty = trials.filter(pl.col("system") == "hasty")
    assert set(hasty["outcome"]) <= {"correct", "wrong", "unparsed"}
    assert set(hasty["outcome"]) != {"correct"}
    alone = careful.filter(pl.col("scenario") == "single")
    # A word, a step of 5 ms: the last word of n comes n - 1 steps after the dispatch.
    assert (alone["task_time_s"] >= (alone["output_tokens"] - 1) * 0.005).all()
    batches = careful.filter(pl.col("scenario") == "batch=2")
    assert len(set(batches["task_time_s"])) == 3  # everybody waits for the batch


def test_the_log_is_imported_and_graded_by_the_task(installed, said):
    """The importer recognises the page's log; what it does not have is unknown, and the failed request is kept."""
    assert "access.jsonl: 2 samples, 1 failed: far, access" in said["import"]
    with taskpace.open(installed.folder / "access.db") as run:
        trials = run.frame().sort("system", "outcome")
    rows = trials.select("system", "outcome", "task_time_s", "output_tokens", "answer").rows()
    assert sorted(rows, key=str) == [
        ("far", "correct", 1.31, 5, "She laughed."),
        ("far", "error", None, None, None),
        ("near", "correct", 0.61, 8, "The river is wide here."),
        ("near", "correct", 0.74, 9, "She laughed."),
    ]


def test_a_wrong_option_is_refused_as_the_page_says(installed):
    """The options check of a foreign engine runs before anything starts, and its message is one line."""
    experiment = installed.folder / "wrong.toml"
    experiment.write_text(FILES["parrots.toml"].replace("words_per_s = 200", "word_per_s = 200"), "utf-8")
    done = installed("taskpace", "plan", experiment.name)
    assert done.returncode == 2
    assert done.stderr.strip() in PAGE


@pytest.mark.parametrize("check", [("format", "--check"), ("check",)])
def test_the_example_is_written_as_taskpace_is(installed, check):
    """The page's Python passes this project's formatter and linter."""
    command = [sys.executable, "-m", "ruff", *check, "--config", str(ROOT / "pyproject.toml"), "--quiet"]
    ignored = ["--ignore", "S311,S106"] if check == ("check",) else []
    done = subprocess.run(
        [*command, *ignored, "src"], cwd=installed.folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
