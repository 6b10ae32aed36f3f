"""What users install: the wheel and the sdist, in an environment without this tree and without any extra."""

from __future__ import annotations

import email
import re
import shlex
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest
from tests.installed import ROOT, make_environment, run

pytestmark = pytest.mark.slow

EXTRAS = ("altair", "genai_prices", "huggingface_hub", "jsonschema", "model2vec", "narwhals", "pynvml", "rouge_score")
MORE = ("sacrebleu", "scipy", "torch", "transformers", "vl_convert", "xllamacpp", "yaml", "zstandard", "hatchling")
EXPERIMENT = """
items = 2
tasks = ["mmlu-letter"]
[[system]]
name = "a"
engine = "simulated"
options = { time = "virtual" }
"""


@pytest.fixture(scope="module")
def folder(once) -> Path:
    return once("environment", make_environment)


@pytest.fixture
def installed(folder, tmp_path):
    """Runs the installed command in an empty folder, with what the extras bring as good as missing unless ``whole``."""
    (tmp_path / "x.toml").write_text(EXPERIMENT)
    hiding = tmp_path / "hiding"
    hiding.mkdir()
    hidden = f"import sys\nsys.modules |= dict.fromkeys({EXTRAS + MORE!r})\n"
    (hiding / "sitecustomize.py").write_text(hidden)

    def taskpace(arguments: str, whole: bool = False) -> subprocess.CompletedProcess[str]:
        command = [str(folder / "environment" / "bin" / "taskpace"), *shlex.split(arguments)]
        return run(command, tmp_path, **({} if whole else {"PYTHONPATH": str(hiding)}))

    return taskpace


@pytest.fixture(scope="module")
def wheel(folder) -> zipfile.ZipFile:
    (path,) = (folder / "dist").glob("*.whl")
    with zipfile.ZipFile(path) as opened:
        yield opened


def test_wheel_and_sdist_have_the_package_as_it_is_here(folder, wheel):
    """Every file of the package and the licence; the sdist has the same, the tests, and nothing ignored."""
    source = ROOT / "src"
    here = {
        path.relative_to(source).as_posix()
        for path in (source / "taskpace").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    in_wheel = {name for name in wheel.namelist() if not re.match(r"taskpace-[\d.]+\.dist-info/", name)}
    assert in_wheel == here
    assert "taskpace/py.typed" in here
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in wheel.namelist())
    (path,) = (folder / "dist").glob("*.tar.gz")
    with tarfile.open(path) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    assert {name.removeprefix("src/") for name in names if name.startswith("src/")} == here
    assert {"pyproject.toml", "LICENSE", "CHANGELOG.md", "tests/test_packaging.py", "constraints.txt"} <= names
    assert not [name for name in names if re.search(r"(^|/)(\.venv|runs|__pycache__|dist)(/|$)", name)]


def test_the_core_asks_for_no_large_library_but_polars_and_numpy(wheel):
    """What every installation brings: any other that is added is measured first (`make matrix`), and stands here."""
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    about = email.message_from_bytes(wheel.read(name))
    asked = [line for line in about.get_all("Requires-Dist") if "extra ==" not in line]
    assert sorted(re.match(r"[\w-]+", line)[0] for line in asked) == [
        *("click", "filelock", "httptools", "jinja2", "msgspec", "numpy", "platformdirs", "plotille", "polars", "rich"),
        *("snowballstemmer", "tomli-w", "uvloop"),
    ]
    assert about["Description"] or about.get_payload()


def test_the_core_measures_and_summarises_without_any_extra(installed):
    """Doctor, run, summary and export work; a report asks for its libraries by name, with this interpreter."""
    for arguments in ("doctor", "run x.toml -o x.db --progress quiet", "summary x.db", "export x.db --to csv -o x.csv"):
        done = installed(arguments)
        assert done.returncode == 0, (arguments, done.stderr)
    done = installed("report x.db")
    assert done.returncode == 2
    command = shlex.split(re.search(r"`(.*)`", done.stderr)[1])
    assert Path(command[0]).parent.name == "bin"
    assert command[1:] == ["-m", "pip", "install", "altair>=6", "vl-convert-python>=1.9"] or command[0] == "uv"
    assert "taskpace[" not in done.stderr


def test_with_the_charts_there_is_a_report(installed, tmp_path):
    """The same wheel, where altair and vl-convert are found."""
    assert installed("run x.toml -o x.db --progress quiet").returncode == 0
    done = installed("report x.db", whole=True)
    assert done.returncode == 0, done.stderr
    assert "<svg" in (tmp_path / "x.html").read_text("utf-8")
