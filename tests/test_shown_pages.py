"""The commands, experiments and outputs on the pages: all exist, run, and print what is shown."""

from __future__ import annotations

import re
import tomllib
import zlib
from collections.abc import Iterator

import msgspec
import pytest
from tests.reference import commands
from tests.shown import CARRIED_OUT, DOCS, RECORDED, ROOT, RUN_FILE, lay_out, run_commands, steps, with_outputs

from taskpace.engines import check_options
from taskpace.experiment import experiment
from taskpace.experiment.experiment import load_experiment
from taskpace.judge.settings import load_judge

PAGES = [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md"]
OPTIONS = {
    name: {flag for param in command.params for flag in (*param.opts, *param.secondary_opts)} | {"-h", "--help"}
    for name, command, _ in commands()
}


def typed(page: str) -> Iterator[str]:
    """Every command of taskpace on a page: lines of fences, and whole pieces between backticks."""
    fences = re.compile(r"^ *```[^\n]*\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
    for body in fences.findall(page):
        for line in body.replace("\\\n", " ").splitlines():
            if (line := line.strip().removeprefix("$ ").removeprefix("run: ")).startswith("taskpace "):
                yield line
    for piece in re.findall(r"`([^`]+)`", fences.sub("", page)):
        if (piece := " ".join(piece.split())).startswith("taskpace "):
            yield piece


def unknown(line: str) -> list[str]:
    """The words of a command that taskpace does not know: a command, or an option of one."""
    words = re.split(r"\s[|>#&;]+\s", line)[0].split()[1:]
    if not words or words[0].startswith("-") or not re.fullmatch(r"[a-z]+", words[0]):
        return []
    name = f"taskpace {words[0]}"
    if name not in OPTIONS:
        return [words[0]]
    known = OPTIONS[name].union(*(flags for each, flags in OPTIONS.items() if each.startswith(f"{name} ")))
    flags = [word.partition("=")[0].strip("[](),") for word in words[1:] if re.match(r"\[?--?[a-z]", word)]
    return [flag for flag in flags if flag.partition("|")[0] not in known]


def test_every_command_on_a_page_is_one_that_there_is():
    """Wherever a page names a command of taskpace, the command and its options exist."""
    wrong = DOCS / "bad-inputs.md"  # what it shows is refused
    texts = {page.name: page.read_text("utf-8") for page in PAGES if page != wrong}
    assert {(name, line): found for name in texts for line in typed(texts[name]) if (found := unknown(line))} == {}


def test_a_command_that_there_is_not_is_found():
    """An option that went, and a command that went, are named."""
    assert unknown("taskpace run x.toml --itmes 3") == ["--itmes"]
    assert unknown("taskpace rnu x.toml") == ["rnu"]
    assert unknown("taskpace run x.toml -n 3 --until decided | tail -1") == []
    assert len(list(typed((DOCS / "tutorial.md").read_text("utf-8")))) >= 4


def test_every_experiment_on_a_page_can_be_read(tmp_path):
    """A TOML block with systems, or a judge, is a file that taskpace reads: every key and value may be there."""
    blocks = re.compile(r"^```toml[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)
    read = 0
    for page in PAGES:
        for number, body in enumerate(blocks.findall(page.read_text("utf-8"))):
            file = tmp_path / f"{page.stem}-{number}.toml"
            file.write_text(body, "utf-8")
            for table, reader in (("[[system]]", load_experiment), ("[judge]", load_judge)):
                if re.search(rf"^{re.escape(table)}", body, re.MULTILINE):
                    reader(file)
                    read += 1
    assert read >= 10


@pytest.mark.real_model
@pytest.mark.parametrize("page", RECORDED, ids=lambda page: page.stem)
def test_the_outputs_on_a_page_are_what_its_commands_print(page, tmp_path):
    """The commands work on the recorded run, which the tutorial's first one would make, and print what is shown."""
    text = page.read_text("utf-8")
    assert text == with_outputs(text, tmp_path), f"{page.name} is not up to date: run `python -m tests.shown`"


def test_the_output_in_the_readme_is_a_part_of_that_on_the_page():
    """Each line that the README shows of the demo is on the demo's page, which is what the command prints."""
    (shown,) = re.findall(r"^```\n(On .*?)^```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL | re.MULTILINE)
    whole = {" ".join(line.split()) for line in (DOCS / "results" / "demo.md").read_text("utf-8").splitlines()}
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    assert len(lines) >= 5
    assert [line for line in lines if line not in whole] == []


@pytest.mark.usefixtures("workers_here")
@pytest.mark.parametrize("page", CARRIED_OUT, ids=lambda page: page.stem)
def test_the_commands_of_a_how_to_page_can_be_carried_out(page, tmp_path, monkeypatch):
    """From the files that the page shows, with simulated systems in place of its own, every command ends with 0."""
    made = experiment._system

    def simulated(name, settings, options, refuse):
        system = made(name, settings, options, refuse)
        check_options(system.engine, system.options)
        wait = 0.1 + zlib.crc32(name.encode()) % 10 / 10
        script = {"time": "virtual", "wait": wait, "slots": 16}
        return msgspec.structs.replace(system, engine="simulated", options=script)

    monkeypatch.setattr(experiment, "_system", simulated)
    monkeypatch.setenv("MY_KEY", "of nothing")
    text = page.read_text("utf-8")
    lay_out(text, tmp_path)
    for step in steps(text):
        run_commands(step, tmp_path)
    assert list((tmp_path / "runs").glob("*.db")) != [tmp_path / "runs" / RUN_FILE.name]


def test_the_extras_that_are_installed_on_a_page_are_those_of_the_project():
    """The table on the page has every extra but `dev` and `docs`, and no other."""
    extras = set(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"])
    table = re.findall(r"^\| `([\w-]+)` \|", (DOCS / "install.md").read_text("utf-8"), re.MULTILINE)
    assert set(table) == extras - {"dev", "docs"}
