"""What many tests need: a simulated experiment and a way to run the command line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

import taskpace
from taskpace.experiment import Experiment

settings.register_profile("taskpace", deadline=None, print_blob=True)
settings.load_profile("taskpace")

Cli = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def simulated() -> Callable[..., Experiment]:
    """Builds a quick experiment on the simulated engine, in virtual time."""

    def build(options: dict[str, Any] | None = None, **settings: Any) -> Experiment:
        defaults: dict[str, Any] = {"models": ("sim",), "tasks": ("mmlu-letter",), "items": 5}
        return taskpace.quick_experiment(
            engine="simulated", options={"time": "virtual"} | (options or {}), **defaults | settings
        )

    return build


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    """Runs ``python -m taskpace`` in ``tmp_path``, 80 columns wide, and captures it."""

    def run(*arguments: str, columns: int = 80, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "taskpace", *arguments],
            cwd=tmp_path,
            env=os.environ | {"COLUMNS": str(columns)} | environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run
