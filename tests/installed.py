"""taskpace as users get it: built, and installed afresh beside the distribution of docs/extending.md."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "extending.md").read_text("utf-8")
FILES = dict(re.findall(r"^`([\w./-]+)`:\n\n```\w+\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE))
"""Of the example distribution, by path."""


def make_environment(folder: Path) -> None:
    """``dist`` with sdist and wheel, ``taskpace-example``, and ``environment``, where both are installed.

    What they depend on is installed where the tests run: seen from there, not installed again.
    """
    example, environment = folder / "taskpace-example", folder / "environment"
    for name, text in FILES.items():
        path = example / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    build(folder / "dist")
    venv.create(environment)
    site = next(environment.glob("lib/python*/site-packages"))
    seen = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    (site / "dependencies.pth").write_text("\n".join(seen), "utf-8")
    pip = [sys.executable, "-m", "pip", "--python", str(environment / "bin" / "python"), "--disable-pip-version-check"]
    # --ignore-installed: what is installed where the tests run stays as it is.
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--ignore-installed", "--no-compile"]
    (wheel,) = (folder / "dist").glob("*.whl")
    done = run([*pip, "install", "--quiet", *options, str(wheel), str(example)], folder)
    assert done.returncode == 0, done.stderr


def build(folder: Path) -> None:
    """Sdist and wheel of this tree."""
    done = run([sys.executable, "-m", "hatchling", "build", "-d", str(folder)], ROOT)
    assert done.returncode == 0, done.stderr


def run(command: list[str], folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Without this tree's own modules in the way."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        command,
        cwd=folder,
        env=kept | {"COLUMNS": "120"} | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
