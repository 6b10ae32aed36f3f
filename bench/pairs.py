"""What the benchmarks share: alternating runs, medians with their spread, and the line that says on what machine."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from taskpace import host


def machine_line() -> str:
    """Date, processor, cores and versions, to stand above every result."""
    machine = host.describe()
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {machine.cpu or platform.machine()}, "
        f"{machine.usable_cores or '?'} cores, Python {platform.python_version()}"
    )


def spread(values: Sequence[float], digits: int = 3) -> str:
    """``median (least to greatest)``."""
    return f"{np.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def run_quietly(command: Sequence[str]) -> None:
    """Run a command; fail loudly if it does."""
    subprocess.run(command, check=True, capture_output=True)
