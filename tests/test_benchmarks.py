"""Benchmarks: every script in bench/ runs, and the pages show what the results files hold."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

import msgspec
import pytest
from tests.conftest import TORCH_BENCHES
from tests.in_process import InProcess, workers_here

from taskpace.runner.runner import run_plan

ROOT = Path(__file__).parents[1]
BENCH, DOCS = ROOT / "bench", ROOT / "docs"
RESULTS = BENCH / "results"
HELPERS = {
    *(
        "bare_generate",
        "batching",
        "endless_server",
        "flatness",
        "harness",
        "http_instant_server",
        "llama_server",
        "looks",
        "page",
        "peer_aiohttp",
        "peer_request",
        "peer_socket",
        "peers",
        "soak_server",
        "tiny_model",
    ),
    "worlds",
}
"""What other scripts import or start; everything else in bench/ measures."""
SCRIPTS = sorted(path.stem for path in BENCH.glob("*.py") if path.stem not in HELPERS)
MARKS = dict.fromkeys(
    (
        "demo_under_load",
        "dialogue",
        "gate_real",
        "greedy",
        "neighbours",
        "overhead_llamacpp",
        "overhead_transformers",
        "progress_cost",
        "servers",
        "soak",
        "twins",
    ),
    pytest.mark.real_model,
) | {"report": pytest.mark.browser}
"""Of those that need more than the others, all of which are slow."""
CONSTANTS = {
    "docs/statistics.md": {
        "95 %",
        "0.1",
        "0.2",
        "0.5",
        "0.6",
        "1.5",
        "5 %",
        "90 %",
        "2 %",
        "10 %",
        "30 %",
        "15 %",
        "1.3",
        "0.05",
        "2.5",
    },
    "docs/ci.md": {"5 %", "95 %", "10 %", "7 %", "2.5", "0.3", "6.0", "0.2", "0.5"},
}
"""By page: fractions and percentages in its prose that no benchmark measures."""
LIMIT_S = 600
WITH_A_FLAG = ("decided_real_again",)
"""Results and blocks of a script's flag that `make bench` does not give: it would take half an hour."""
BY_MAKE_SOAK = ("soak",)
"""Scripts that `make soak` runs, as `make bench` would take half an hour longer."""


class Figure(msgspec.Struct):
    name: str
    optional: bool = False


class Results(msgspec.Struct):
    """What the tests need of a results file."""

    name: str
    command: str
    lines: list[str]
    figures: list[Figure]

    def names(self) -> list[str]:
        """Of the figures that every machine can measure."""
        return [figure.name for figure in self.figures if not figure.optional]


def read(path: Path) -> Results:
    return msgspec.json.decode(path.read_bytes(), type=Results)


def pages() -> dict[str, str]:
    """Every page with a block, by its path."""
    texts = {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in DOCS.rglob("*.md")}
    return {name: text for name, text in texts.items() if "<!-- bench: " in text}


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, ModuleType]]:
    """The modules ``harness`` and ``page`` of bench/."""
    monkeypatch.syspath_prepend(BENCH)
    import harness
    import page

    yield {"harness": harness, "page": page}
    for name in ("harness", "page"):
        del sys.modules[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", [pytest.param(name, marks=MARKS.get(name, ())) for name in SCRIPTS])
def test_quick_form_runs_and_gives_the_figures_of_the_results_file(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every script runs in its quick form, keeps what it prints, and has the figures that the pages are made of."""
    run_here(BENCH / f"{name}.py", "--quick", "--save", tmp_path, cwd=tmp_path, monkeypatch=monkeypatch)

    quick = read(tmp_path / f"{name}.json")
    assert capsys.readouterr().out.splitlines() == quick.lines
    assert quick.command == f"python bench/{name}.py --quick"
    assert quick.names() == read(RESULTS / f"{name}.json").names(), "run `make bench`"


@pytest.mark.real_model
def test_gpu_script_runs_in_its_quick_form_without_a_gpu(tmp_path: Path) -> None:
    """The GPU script leaves its tables and its report on any machine; without the extra charts, its tables."""
    done = run("sh", BENCH / "gpu.sh", "--quick", tmp_path / "gpu", cwd=tmp_path, PYTHON=sys.executable)

    assert done.returncode == 0, done.stderr
    assert "tiny bfloat16" in (tmp_path / "gpu" / "gpu.md").read_text("utf-8")
    assert (tmp_path / "gpu" / "gpu.html").exists()

    (tmp_path / "altair.py").write_text('raise ImportError("as if it were not installed")\n', "utf-8")
    again = run("sh", BENCH / "gpu.sh", "--quick", tmp_path / "gpu", cwd=tmp_path, PYTHON=sys.executable,
                PYTHONPATH=str(tmp_path))  # fmt: skip

    assert again.returncode == 0, again.stderr
    assert again.stdout.splitlines()[-1] == (
        "no report without the extra charts: where there is one, run taskpace report gpu.db"
    )


def test_peers_quick_form_names_what_is_installed_and_installs_nothing(tmp_path: Path) -> None:
    """Which other clients there are can be asked without making their environments."""
    done = run(sys.executable, BENCH / "peers.py", "--quick", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert "aiohttp on uvloop: bare aiohttp " in done.stdout


def test_every_script_has_a_results_file_a_block_and_a_place_in_make_bench() -> None:
    """No script can be forgotten, and no results file or block outlives its script."""
    blocks = {name for text in pages().values() for name in re.findall(r"<!-- bench: (\w+)", text)}
    listed = re.search(r"BENCHES := ((?:.*\\\n)*.*)", (ROOT / "Makefile").read_text("utf-8"))
    assert listed

    assert sorted(path.stem for path in RESULTS.glob("*.json")) == sorted([*SCRIPTS, *WITH_A_FLAG])
    assert sorted(blocks) == sorted([*SCRIPTS, *WITH_A_FLAG])
    assert sorted([*listed[1].replace("\\", "").split(), *BY_MAKE_SOAK]) == SCRIPTS


def test_pages_show_what_the_results_files_hold() -> None:
    """Every block and every figure in the prose is as ``bench/page.py`` makes it."""
    done = run(sys.executable, BENCH / "page.py", "--check", cwd=ROOT)

    assert done.returncode == 0, done.stderr


def test_prose_quotes_no_figure_by_hand() -> None:
    """A fraction or percentage outside blocks and figures is a constant of the benchmark's, not a measured number."""
    written = r"<!-- bench: .*?<!-- /bench -->|<!-- figure: .*?<!-- / -->|`[^`]*`"
    for name, text in pages().items():
        prose = re.sub(written, "", text, flags=re.DOTALL)
        found = set(re.findall(r"\d+ %|\d+\.\d+", prose)) - CONSTANTS.get(name, set())

        assert not found, f"{name}: write these as `<!-- figure: ... -->`, or add them to CONSTANTS"


def test_a_page_changes_with_the_results(bench: dict[str, ModuleType]) -> None:
    """A new result changes its block, the figure that the prose quotes and what is said of the target."""
    page = "It is <!-- figure: x | ratio | median | .1f -->9<!-- / -->.\n<!-- bench: x -->\nold\n<!-- /bench -->\n"
    figure = bench["harness"].Figure(name="ratio", median=2.26, least=2.0, greatest=2.5, at_most=2, met=False)
    results = bench["harness"].Results(
        name="x", commit="abc", date="2026-01-02", machine="M", command="python bench/x.py", lines=["x: 2.26"],
        figures=[figure],
    )  # fmt: skip

    filled = bench["page"].fill(page, {"x": results})

    assert filled == (
        "It is <!-- figure: x | ratio | median | .1f -->2.3<!-- / -->.\n"
        "<!-- bench: x -->\n`python bench/x.py`, 2026-01-02, commit abc, M:\n\n```\nx: 2.26\n```\n\n"
        "Missed: ratio, 2.26 (target: at most 2).\n<!-- /bench -->\n"
    )
    assert bench["page"].fill(filled, {"x": results}) == filled


def test_a_quick_form_cannot_overwrite_the_results(tmp_path: Path) -> None:
    """The figures of a quick form are not results: ``--save`` needs a folder with them."""
    done = run(sys.executable, BENCH / "startup.py", "--quick", "--save", cwd=tmp_path)

    assert done.returncode == 2
    assert "give --save a folder" in done.stderr


def run_here(script: Path, *arguments: str | Path, cwd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a script as ``python script`` does, in this process: a process of its own is mostly imports."""
    monkeypatch.setattr(sys, "argv", [str(each) for each in (script, *arguments)])
    monkeypatch.chdir(cwd)
    monkeypatch.syspath_prepend(BENCH)
    before = set(sys.modules)
    with patch.dict(os.environ), workers_here():
        if script.stem in TORCH_BENCHES:
            run_plan.__kwdefaults__["launch"] = InProcess  # which workers_here() takes back
        try:
            with ended_well():
                runpy.run_path(str(script), run_name="__main__")
        finally:
            for name in set(sys.modules) - before:
                if Path(getattr(sys.modules[name], "__file__", None) or "").parent == BENCH:
                    del sys.modules[name]


@contextmanager
def ended_well() -> Iterator[None]:
    """Exit code 0 ends a script as its last line does; any other is an error of the test."""
    try:
        yield
    except SystemExit as exc:
        if exc.code:
            raise RuntimeError(f"exit code {exc.code}") from exc


def run(*command: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
