"""Every example runs from a fresh clone: nothing but what is in this repository."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import msgspec
import pytest

import taskpace
from taskpace.experiment.experiment import Experiment, load_experiment
from taskpace.experiment.prepare import prepare
from taskpace.experiment.scenario import Scenario

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted(path.name for path in (ROOT / "examples").glob("*.toml"))
PACKAGED = {"smollm2-135m", "gemma3-270m"}
IN_PACKAGES = ("demo.toml", "mmlu.toml")
"""Those that together have every model that comes in a package; the others ask the same of them."""
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md"]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The examples alone, in a folder with nothing beside it."""
    return Path(shutil.copytree(ROOT / "examples", tmp_path / "clone" / "examples"))


def smallest(experiment: Experiment, folder: Path, **of_systems: object) -> None:
    """One item of each task, a few tokens each: every planned trial ends without a failure."""
    systems = tuple(msgspec.structs.replace(system, **of_systems) for system in experiment.systems)
    small = msgspec.structs.replace(experiment, items=1, repeats=1, max_tokens=8, warmup=0, until=None, systems=systems)
    with taskpace.run(prepare(small, folder), folder / "x.db") as run:
        frame = run.frame()
        assert frame.height == run.store.planned_count() >= len(systems)
        assert frame["failure_kind"].null_count() == frame.height


def test_there_are_examples():
    """Eight that answer different questions; each says in its first line which."""
    assert len(EXAMPLES) == 8
    firsts = [(ROOT / "examples" / name).read_text("utf-8").partition("\n")[0] for name in EXAMPLES]
    assert all(first.startswith("# ") for first in firsts)
    assert len(set(firsts)) == 8


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_runs_on_simulated_systems(clone, name):
    """Its tasks and data are there, whatever the models; static batches, which no simulated system has, one by one."""
    experiment = load_experiment(clone / name)
    scenarios = tuple(each for each in experiment.scenarios if each.batch is None) or (Scenario(),)
    experiment = msgspec.structs.replace(experiment, scenarios=scenarios)
    smallest(experiment, clone, engine="simulated", options={"time": "virtual"})


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_needs_no_model_of_the_network(name):
    """Its models come in packages, or are an endpoint of one's own."""
    systems = load_experiment(ROOT / "examples" / name).systems
    assert {system.model for system in systems if system.engine != "openai"} <= PACKAGED


@pytest.mark.real_model
@pytest.mark.parametrize("name", IN_PACKAGES)
def test_an_example_runs_on_its_own_models(clone, name):
    """With the models it names, which come in packages, one item of each task."""
    smallest(load_experiment(clone / name), clone, options={"threads": 1})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_command_of_a_page_reaches_out_of_the_repository(page):
    """What a page has people type, in a block or between backticks, names no path above this folder."""
    text = page.read_text("utf-8")
    typed = re.findall(r"^ *```.*?^ *```", text, re.DOTALL | re.MULTILINE) + re.findall(r"`[^`\n]+`", text)
    assert [piece for piece in typed if "../" in piece] == []
