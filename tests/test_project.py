"""What surrounds the code: workflows, templates, changelog and citation name what exists."""

from __future__ import annotations

import importlib.util
import re
import shlex
import tomllib
from pathlib import Path

import pytest
import yaml

from taskpace.version import __version__

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
OF_THE_RUNNER = {"gh"}
"""Programs that every runner has."""


def workflow(path: Path) -> dict:
    """YAML reads the key ``on`` as true."""
    read = yaml.safe_load(path.read_text("utf-8"))
    return {("on" if key is True else key): value for key, value in read.items()}


def targets() -> set[str]:
    return set(re.findall(r"^([\w-]+):", MAKEFILE, re.MULTILINE))


def exists(command: list[str]) -> bool:
    """Whether a command's program, and what it is given to run, is there."""
    match command:
        case ["make", target]:
            return target in targets()
        case ["python", "-m", "pip", "install", *arguments]:
            asked = [argument.strip('"') for argument in arguments]
            return "constraints.txt" in asked and (ROOT / "constraints.txt").exists()
        case ["python", "-m", module, *_]:
            return importlib.util.find_spec(module) is not None
        case ["python", script, *_]:
            return (ROOT / script).exists()
        case [program, *_]:
            return program in OF_THE_RUNNER
    return False


def test_there_are_workflows_for_tests_benchmarks_docs_and_releases():
    """An empty list would pass all that follows."""
    assert {path.stem for path in WORKFLOWS} == {"tests", "benchmarks", "docs", "release"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_runs_what_exists_with_the_least_rights(path):
    """Each line of ``run`` names a target, script or module of this repository; actions are pinned; rights are asked
    for; every job ends by itself.
    """
    read = workflow(path)
    assert read["on"]
    assert read["permissions"] == {"contents": "read"}
    for job in read["jobs"].values():
        assert job["timeout-minutes"] <= 90
        for step in job["steps"]:
            assert ("run" in step) != ("uses" in step)
            if "uses" in step:
                assert re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}", step["uses"]), step
            for line in step.get("run", "").splitlines():
                assert exists(shlex.split(line)), line
                # An expression in a script is text of the script, whoever wrote it.
                assert "${{" not in line


def test_a_line_that_names_nothing_is_found():
    """The check above can fail."""
    for line in ("make no-such-target", "python no/such.py", "python -m no_such_module", "rm -rf x"):
        assert not exists(shlex.split(line))


def test_all_supported_systems_and_pythons_are_tested():
    """Linux, macOS and Windows, on each version from the oldest on that the project allows."""
    jobs = workflow(ROOT / ".github" / "workflows" / "tests.yml")["jobs"]
    chosen = jobs["fast"]["strategy"]["matrix"]
    assert {name.partition("-")[0] for name in chosen["os"]} == {"ubuntu", "macos", "windows"}
    assert chosen["python"][0] == PROJECT["requires-python"].removeprefix(">=")
    assert jobs["matrix"]["steps"][1]["with"]["python-version"].split() == chosen["python"]
    (command,) = (step["run"] for step in jobs["fast"]["steps"] if "pip install" in step.get("run", ""))
    assert set(re.search(r"\[(.*)\]", command)[1].split(",")) <= set(PROJECT["optional-dependencies"])


def test_contributing_names_targets_and_files_that_exist():
    """Every ``make`` target, every path in backticks or a link."""
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    assert set(re.findall(r"make ([a-z-]+)", text)) - {"changelog"} <= targets()
    linked = re.findall(r"\]\(([\w./-]+)(?:#[\w-]+)?\)", text)
    named = re.findall(r"`((?:src|docs|tests|bench|changes|examples)/[\w./-]*)`", text)
    assert linked
    assert named
    assert [name for name in linked + named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize(
    "path", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")), ids=lambda path: path.stem
)
def test_templates_of_issues_are_forms(path):
    """YAML with what the form needs."""
    read = yaml.safe_load(path.read_text("utf-8"))
    if path.stem != "config":
        assert {"name", "description", "body"} <= set(read)
        assert all(part["attributes"]["label"] for part in read["body"])


def test_the_citation_is_of_this_project():
    """The file's format, the name, the licence, and the version, which a release changes in both files."""
    read = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert read["version"] == __version__, "write the version of src/taskpace/version.py into CITATION.cff"
    assert (read["cff-version"], read["title"], read["license"]) == ("1.2.0", PROJECT["name"], PROJECT["license"])
    assert all(url.startswith("https://") for url in PROJECT["urls"].values())


@pytest.fixture
def collect():
    spec = importlib.util.spec_from_file_location("collect", ROOT / "changes" / "collect.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_fragments_become_a_section(collect, tmp_path):
    """By kind, in Keep a Changelog's order, before the latest version; what is older stays as it is."""
    (tmp_path / "README.md").write_text("about")
    (tmp_path / "b.fixed.md").write_text("B works.\n")
    (tmp_path / "12.added.md").write_text("A, which\nis new.\n")
    new = collect.section("1.2.3", "2026-01-31", collect.fragments(tmp_path))
    assert new == "## [1.2.3] - 2026-01-31\n\n### Added\n\n- A, which\n  is new.\n\n### Fixed\n\n- B works.\n"
    old = "# Changelog\n\nText.\n\n## [1.2.2] - 2026-01-01\n\n- old\n"
    assert collect.collected(old, new) == f"# Changelog\n\nText.\n\n{new}\n{old[old.index('## ') :]}"


@pytest.mark.parametrize(("name", "text"), [("a.new.md", "x"), ("a.added.md", " \n"), ("a.md", "x")])
def test_a_fragment_of_no_kind_or_without_text_is_refused(collect, tmp_path, name, text):
    """It would be lost."""
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=r"NAME\.KIND\.md"):
        collect.fragments(tmp_path)


def test_the_fragments_that_are_here_can_be_collected(collect):
    """And the changelog has the form that they go into."""
    collect.fragments(ROOT / "changes")
    headings = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - (\d{4}-\d\d-\d\d|unreleased)", heading) for heading in headings)
    assert headings


SUPPRESSION = re.compile(r"# (?:noqa|type: ignore|pragma|pyright|pylint)\b.*")
REASONED = re.compile(r"# (?:noqa: [A-Z0-9]+(?:, [A-Z0-9]+)* - \S|noqa: \S.*  # \S|type: ignore\[[\w-]+\]  # \S)")
OF_NO_CHECK = re.compile(r"type: ignore|pragma|pyright|pylint")
"""Only mypy and ruff run here, and mypy on ``src`` alone; elsewhere these would be left from another time."""


@pytest.mark.parametrize("folder", ["src", "tests", "bench", "examples", "docs", "changes"])
def test_a_check_that_is_silenced_has_its_reason_beside_it(folder):
    """Each names its rule and why; that it is still needed ruff (RUF100) and mypy (warn_unused_ignores) say."""
    found = [
        (f"{path.relative_to(ROOT)}:{number}", silenced[0])
        for path in sorted((ROOT / folder).rglob("*.py"))
        if path != Path(__file__)
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if (silenced := SUPPRESSION.search(line))
    ]
    assert not [each for each in found if not REASONED.match(each[1])]
    assert not [each for each in found if folder != "src" and OF_NO_CHECK.search(each[1])]
