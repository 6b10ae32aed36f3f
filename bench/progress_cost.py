"""Does watching change what is watched? Task times with the live progress display and without, alternating.

Run: python bench/progress_cost.py
"""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import taskpace
from pairs import machine_line, spread

ROUNDS = 11
RUN = ["-m", "taskpace", "run", "-m", "smollm2-135m", "-t", "mmlu-explain", "-n", "12", "--max-tokens", "96"]


def mean_task_time(progress: str) -> float:
    """One run with its standard error on a terminal; mean task time in seconds."""
    ours, theirs = pty.openpty()
    drain = threading.Thread(target=_drain, args=(ours,))
    drain.start()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.db"
        command = [sys.executable, *RUN, "--progress", progress, "-o", str(path)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=theirs)
        os.close(theirs)
        drain.join()
        os.close(ours)
        with taskpace.open(path) as run:
            return run.frame()["task_time_s"].mean()


def _drain(terminal: int) -> None:
    try:
        while os.read(terminal, 65536):
            pass
    except OSError:  # the other end is closed
        pass


def main() -> None:
    mean_task_time("quiet")
    pairs = [(mean_task_time("live"), mean_task_time("quiet")) for _ in range(ROUNDS)]
    print(f"progress_cost: {machine_line()}; {ROUNDS} alternating rounds of 12 trials, mean task time")
    print(f"  live   {spread([live for live, _ in pairs])} s")
    print(f"  quiet  {spread([quiet for _, quiet in pairs])} s")
    print(f"  ratio  {spread([live / quiet for live, quiet in pairs])}")


if __name__ == "__main__":
    main()
