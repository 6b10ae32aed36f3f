"""Start-up: `taskpace --help` against `python -c "import click"`, alternating. Target: at most 2 times.

Run: python bench/startup.py [--rounds N]
"""

from __future__ import annotations

import sys
import time

from harness import Bench, run_quietly

OURS = [sys.executable, "-m", "taskpace", "--help"]
THEIRS = [sys.executable, "-c", "import click"]


def timed(command: list[str]) -> float:
    begun = time.perf_counter()
    run_quietly(command)
    return time.perf_counter() - begun


def main() -> None:
    bench = Bench("startup", __doc__, {"rounds": (25, 2)})
    bench.head(f"{bench.chosen.rounds} alternating rounds, median (least to greatest)")
    timed(OURS), timed(THEIRS)
    pairs = [(timed(OURS), timed(THEIRS)) for _ in range(bench.chosen.rounds)]
    ours = bench.figure("taskpace --help", [ours for ours, _ in pairs], "s")
    theirs = bench.figure("import click", [theirs for _, theirs in pairs], "s")
    ratio = bench.figure("ratio", [ours / theirs for ours, theirs in pairs], at_most=2)
    bench.say(f"  taskpace --help          {ours:.3f} s")
    bench.say(f"  python -c 'import click' {theirs:.3f} s")
    bench.say(f"  ratio                    {ratio:.2f}  {ratio.target}")
    bench.finish()


if __name__ == "__main__":
    main()
