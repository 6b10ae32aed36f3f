"""Does watching change what is watched? Task times with the live progress display and without, alternating.

Run: python bench/progress_cost.py [--rounds N] [--trials N] [--tokens N]
"""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import tempfile
import threading
from functools import partial
from pathlib import Path

import taskpace
from harness import Bench, short_questions
from tiny_model import make_tiny_gguf

MODEL = "smollm2-135m"
RUN = ["-m", "taskpace", "run", "-t", "mmlu-explain"]


def mean_task_time(progress: str, trials: int, tokens: int, *, quick: bool) -> float:
    """One run with its standard error on a terminal; mean task time in seconds."""
    ours, theirs = pty.openpty()
    drain = threading.Thread(target=_drain, args=(ours,))
    drain.start()
    with tempfile.TemporaryDirectory() as name:
        folder, model = Path(name), MODEL
        path = folder / "run.db"
        size = ["-n", str(trials), "--max-tokens", str(tokens)]
        if quick:
            model = str(make_tiny_gguf(folder / "tiny.gguf"))
            size += ["--data", str(short_questions(folder, trials)), "--warmup", "0"]
        command = [sys.executable, *RUN, "-m", model, *size, "--progress", progress, "-o", str(path)]
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
    bench = Bench("progress_cost", __doc__, {"rounds": (11, 1), "trials": (12, 1), "tokens": (96, 2)})
    rounds, trials, tokens = bench.chosen.rounds, bench.chosen.trials, bench.chosen.tokens
    bench.head(f"{rounds} alternating rounds of {trials} trials, mean task time")
    asked = partial(mean_task_time, trials=trials, tokens=tokens, quick=bench.quick)
    if not bench.quick:
        asked("quiet")  # what is read for the first time is not measured
    pairs = [tuple(asked(mode) for mode in ("live", "quiet")) for _ in range(rounds)]
    bench.say(f"  live   {bench.figure('live', [live for live, _ in pairs], 's'):.3f} s")
    bench.say(f"  quiet  {bench.figure('quiet', [quiet for _, quiet in pairs], 's'):.3f} s")
    bench.say(f"  ratio  {bench.figure('ratio', [live / quiet for live, quiet in pairs]):.3f}")
    bench.finish()


if __name__ == "__main__":
    main()
