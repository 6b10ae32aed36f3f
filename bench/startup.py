"""Start-up: `taskpace --help` against `python -c "import click"`, alternating. Target: at most 2 times.

Run: python bench/startup.py
"""

from __future__ import annotations

import sys
import time

from pairs import machine_line, run_quietly, spread

ROUNDS = 25
OURS = [sys.executable, "-m", "taskpace", "--help"]
THEIRS = [sys.executable, "-c", "import click"]


def timed(command: list[str]) -> float:
    begun = time.perf_counter()
    run_quietly(command)
    return time.perf_counter() - begun


def main() -> None:
    timed(OURS), timed(THEIRS)
    pairs = [(timed(OURS), timed(THEIRS)) for _ in range(ROUNDS)]
    print(f"startup: {machine_line()}; {ROUNDS} alternating rounds, median (least to greatest)")
    print(f"  taskpace --help          {spread([ours for ours, _ in pairs])} s")
    print(f"  python -c 'import click' {spread([theirs for _, theirs in pairs])} s")
    print(f"  ratio                    {spread([ours / theirs for ours, theirs in pairs], 2)}  (target: at most 2)")


if __name__ == "__main__":
    main()
