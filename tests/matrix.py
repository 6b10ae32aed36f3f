"""Install the wheel with all it needs on every Python of this machine, run it there, and measure what it weighs.

Run: make matrix. With --extras NAME... these extras are installed on top instead, each in an environment of its own, on
the first Python (torch alone takes gigabytes). With --installed nothing is installed: the extras are weighed as they
are in this environment (`make install`).
Exits with 1 where a command fails, or where the core weighs more than ``MOST_MB``.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

sys.path.append(str(Path(__file__).parents[1]))
from tests.installed import ROOT, build
from tests.test_packaging import EXPERIMENT

MOST_MB = 350
OLDEST = (3, 11)


def pythons() -> list[str]:
    """One interpreter for each version from the oldest supported on: those in PATH, and those of pyenv."""
    folders = [*map(Path, os.get_exec_path()), *Path.home().glob(".pyenv/versions/*/bin"), Path("/usr/local/bin")]
    found: dict[tuple[int, int], str] = {}
    for folder in folders:
        for path in folder.glob("python3.*"):
            named = re.fullmatch(r"python(\d+)\.(\d+)(?:\.exe)?", path.name)
            version = (int(named[1]), int(named[2])) if named else (0, 0)
            if version >= OLDEST and version not in found and _runs(path):
                found[version] = str(path)
    return [path for _, path in sorted(found.items())]


def _runs(path: Path) -> bool:
    """Whether it starts, and can make environments."""
    return subprocess.run([path, "-c", "import ensurepip"], capture_output=True, check=False).returncode == 0


def weight_mb(environment: Path) -> float:
    """Of all that is installed but pip, in megabytes of files."""
    files = [path for path in environment.rglob("*") if path.is_file() and not path.is_symlink()]
    return sum(path.stat().st_size for path in files if not re.search(r"/site-packages/pip[/-]", str(path))) / 1e6


class Environment:
    """A fresh one for one Python."""

    def __init__(self, python: str, folder: Path) -> None:
        self.folder = folder
        subprocess.run([python, "-m", "venv", folder / "venv"], check=True)
        self._bin = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")

    def pip(self, *arguments: str) -> float:
        """Seconds that an installation takes."""
        begun = time.monotonic()
        self.call("python", "-m", "pip", "install", "--quiet", "-c", str(ROOT / "constraints.txt"), *arguments)
        return time.monotonic() - begun

    def call(self, program: str, *arguments: str, code: int = 0) -> str:
        """What the program says. Exits when it does not end with ``code``."""
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(
            [self._bin / program, *arguments],
            cwd=self.folder,
            env=kept | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != code:
            sys.exit(f"{program} {shlex.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def weight_mb(self) -> float:
        return weight_mb(self.folder / "venv")


def carry_out(environment: Environment, wheel: Path) -> tuple[float, float]:
    """Core alone: doctor, a run, its summary; the report asks for its extra, and gets it by the very command it names.

    Returns:
        Megabytes of the core, and seconds to install it.
    """
    seconds = environment.pip(str(wheel))
    weight = environment.weight_mb()
    (environment.folder / "x.toml").write_text(EXPERIMENT)
    environment.call("taskpace", "doctor")
    environment.call("taskpace", "run", "x.toml", "-o", "x.db", "--progress", "quiet")
    environment.call("taskpace", "summary", "x.db")
    said = environment.call("taskpace", "report", "x.db", code=2)
    remedy = re.search(r"`(.*)`", said)
    if remedy is None:
        sys.exit(f"the report does not say what to install: {said}")
    subprocess.run(remedy[1], shell=True, check=True, capture_output=True)  # noqa: S602 - pasted, as a user does
    environment.call("taskpace", "report", "x.db")
    return weight, seconds


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--extras", nargs="+", default=[], help="only weigh these extras")
    parser.add_argument("--installed", action="store_true", help="only weigh what is installed here")
    chosen = parser.parse_args()
    if chosen.installed:
        weigh_installed()
        return
    found = pythons()
    if not found:
        sys.exit("no Python that taskpace supports was found")
    code = 0
    with tempfile.TemporaryDirectory() as made:
        build(Path(made) / "dist")
        (wheel,) = (Path(made) / "dist").glob("*.whl")
        if chosen.extras:
            weigh_extras(chosen.extras, found[0], wheel, Path(made))
            return
        print("| Python | core, MB | install, s |\n| --- | ---: | ---: |", flush=True)
        for number, python in enumerate(found):
            folder = Path(made) / f"python{number}"
            folder.mkdir()
            environment = Environment(python, folder)
            weight, seconds = carry_out(environment, wheel)
            version = environment.call("python", "-c", "import platform; print(platform.python_version())").strip()
            print(f"| {version} | {weight:.0f} | {seconds:.0f} |", flush=True)
            code |= weight > MOST_MB
            shutil.rmtree(folder)
    sys.exit(code)


def weigh_extras(extras: list[str], python: str, wheel: Path, made: Path) -> None:
    """Each on top of the core alone."""
    print("| extra | adds, MB | install, s |\n| --- | ---: | ---: |", flush=True)
    for extra in extras:
        folder = made / extra
        folder.mkdir()
        environment = Environment(python, folder)
        environment.pip(str(wheel))
        before = environment.weight_mb()
        seconds = environment.pip(f"{wheel}[{extra}]")
        print(f"| {extra} | {environment.weight_mb() - before:.0f} | {seconds:.0f} |", flush=True)
        shutil.rmtree(folder)


def needed(requirement: Requirement, seen: set[tuple[str, str]]) -> None:
    """Add what a requirement brings along to ``seen``: names of distributions, each with an extra or none."""
    name = canonicalize_name(requirement.name)
    for extra in ("", *requirement.extras):
        if (name, extra) not in seen:
            seen.add((name, extra))
            for each in map(Requirement, importlib.metadata.requires(name) or []):
                if each.marker is None or each.marker.evaluate({"extra": extra}):
                    needed(each, seen)


def installed(wanted: str) -> set[str]:
    """The distributions that a requirement brings along."""
    seen: set[tuple[str, str]] = set()
    needed(Requirement(wanted), seen)
    return {name for name, _ in seen}


def recorded_mb(names: set[str]) -> float:
    """What is installed of distributions, by the lists of their files (RECORD), in megabytes."""

    def sizes() -> Iterator[int]:
        for name in names:
            for file in importlib.metadata.files(name) or []:
                if (path := Path(str(file.locate()))).is_file():
                    yield path.stat().st_size

    return sum(sizes()) / 1e6


def weigh_installed() -> None:
    """The core, and what each extra for users brings on top of it."""
    core = installed("taskpace")
    extras = set(importlib.metadata.metadata("taskpace").get_all("Provides-Extra") or []) - {"dev", "docs"}
    print("| extra | adds, MB |\n| --- | ---: |")
    for extra in sorted(extras):
        print(f"| {extra} | {recorded_mb(installed(f'taskpace[{extra}]') - core):.0f} |")
    print(f"\ncore: {recorded_mb(core):.0f} MB")


if __name__ == "__main__":
    main()
