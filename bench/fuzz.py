"""Mutated files and damaged run files, each through the command line: how does it end?

Run: python bench/fuzz.py. Experiment, task, judge and data files are mutated from ones that pass (pieces taken away,
repeated, put elsewhere, replaced by something odd; of Parquet one to four bits flipped) and planned or judged with. Run
files have one to four bits flipped, or a value of any kind in a column, in one row or in all, and are read by commands
that are drawn of all that read. Every mutation is the same in every run. Target: exit codes 0, 1, 2 and 130 alone, no
traceback, and an end within five minutes.
"""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from harness import ROOT, Bench

sys.path.insert(0, str(ROOT))

from tests import fuzz

COMMANDS = 2
"""On each damaged run file."""


def report(bench: Bench, title: str, found: Iterable[fuzz.Tried]) -> None:
    """One line of counts; and a line of what is wrong for each that is."""
    codes: Counter[int | None] = Counter()
    problems = []
    for tried in found:
        codes[tried.code] += 1
        if tried.problem is not None:
            problems.append(tried.problem)
    bench.figure(f"{title}: commands", codes.total())
    wrong = bench.figure(f"{title}: faults", len(problems), at_most=0)
    counts = "".join(f"{codes[code]:>10,}" for code in fuzz.CODES)
    bench.say(f"  {title:<30}{codes.total():>10,}{counts}{wrong:>9.0f}")
    for problem in problems:
        bench.say(f"    {problem}")


def main() -> None:
    bench = Bench("fuzz", __doc__, {"mutations": (2000, 2), "flips": (1000, 2), "values": (100_000, 2)})
    sizes = bench.chosen
    titles = "".join(f"{f'exit {code}':>10}" for code in fuzz.CODES)
    bench.head(f"{sizes.mutations:,} of each kind of file, {sizes.flips:,} run files with flipped bits")
    bench.say(f"  {'what is damaged':<30}{'commands':>10}{titles}{'faults':>9}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fuzz.prepare(folder)
        for kind in fuzz.FILES:
            report(bench, kind, fuzz.mutations(folder, kind, range(sizes.mutations)))
        report(bench, "run file: flipped bits", fuzz.flips(folder, range(sizes.flips), commands=COMMANDS))
        report(bench, "run file: values in columns", fuzz.values(folder, range(sizes.values), commands=COMMANDS))
    bench.finish()


if __name__ == "__main__":
    main()
