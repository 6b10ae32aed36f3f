"""The demo's experiment while a load comes and goes on all cores: does the same system finish first each time?

Three runs of examples/demo.toml, as `make demo` does it, each with a seed of its own. The claims are the summary's own:
of two runs one may claim what the other leaves open, but none may claim the opposite.

Run: python bench/demo_under_load.py [--runs N] [--keep FOLDER]
"""

from __future__ import annotations

import itertools
import tempfile
import textwrap
import tomllib
from pathlib import Path

import taskpace
from harness import ROOT, Bench, short_questions
from taskpace.analysis.schema.summary import Summary
from taskpace.experiment.experiment import experiment_of
from taskpace.report.words.answer import make_answer
from tiny_model import make_tiny_gguf
from twins import load_that_comes_and_goes

Claims = dict[tuple[str, str, str], str]
"""By task and pair of systems: the one that is claimed to finish sooner."""


def experiment(folder: Path, seed: int, *, quick: bool) -> dict[str, object]:
    table: dict[str, object] = tomllib.loads((ROOT / "examples" / "demo.toml").read_text("utf-8")) | {"seed": seed}
    if quick:
        tiny = str(make_tiny_gguf(folder / "tiny.gguf"))
        task = {"use": "mmlu-letter", "data": str(short_questions(folder, 2))}
        systems = [{"name": name, "model": tiny, "options": {"context": 1024}} for name in ("one", "two")]
        table |= {"tasks": [task], "items": 2, "warmup": 0, "system": systems}
    return table


def claims(summary: Summary) -> Claims:
    return {
        (table.task, pair.a, pair.b): pair.a if pair.task_time.lower == "a" else pair.b
        for table in summary.tables
        for pair in table.pairs
        if pair.task_time.lower is not None
    }


def opposite(one: Claims, other: Claims) -> int:
    """Pairs of systems that two runs claim the one way and the other."""
    return sum(other.get(pair, sooner) != sooner for pair, sooner in one.items())


def firsts(summary: Summary) -> dict[str, tuple[str, ...]]:
    """By task: who finishes first, alone or shared."""
    return {table.task: tuple(row.system for row in table.rows if row.rank_task_time == 1) for table in summary.tables}


def main() -> None:
    keep = {"--keep": {"type": Path, "metavar": "FOLDER", "help": "keep the run files there"}}
    bench = Bench("demo_under_load", __doc__, {"runs": (3, 2)}, keep)
    bench.head(
        f"examples/demo.toml, {bench.chosen.runs} runs; all cores busy for 4 to 15 s, idle for as long, and again"
    )
    found: list[Summary] = []
    with tempfile.TemporaryDirectory() as named:
        folder = bench.chosen.keep or Path(named)
        for seed in range(1, bench.chosen.runs + 1):
            asked = experiment_of(experiment(Path(named), seed, quick=bench.quick), "bench", default_name="demo")
            path = folder / f"demo-{seed}.db"
            with load_that_comes_and_goes(seed, quick=bench.quick), taskpace.run(asked, path) as done:
                found.append(done.summary())
            bench.say(f"  seed {seed}")
            for verdict in make_answer(found[-1], None).verdicts:
                bench.say(textwrap.fill(verdict, 100, initial_indent="    ", subsequent_indent="    "))
    winners, claimed = [firsts(summary) for summary in found], [claims(summary) for summary in found]
    same = sum(len({each[task] for each in winners}) == 1 for task in winners[0])
    tasks = bench.figure("tasks with the same first in every run", same, at_least=len(winners[0]))
    pairs = bench.figure("pairs decided, of a run", [len(each) for each in claimed])
    against = bench.figure(
        "pairs with opposite claims in two runs",
        sum(opposite(one, other) for one, other in itertools.combinations(claimed, 2)),
        at_most=0,
    )
    rows = [row for summary in found for table in summary.tables for row in table.rows]
    invalid = bench.figure("rows INVALID", sum(not row.valid for row in rows), at_most=0)
    bench.say(f"  the same system first in every run   {tasks:.0f} of {len(winners[0])} tasks")
    bench.say(
        f"  pairs of systems decided             {pairs:.0f} of {sum(len(table.pairs) for table in found[0].tables)}"
    )
    bench.say(f"  one run claims the opposite of another   {against:.0f}  {against.target}")
    bench.say(f"  rows INVALID                         {invalid:.0f} of {len(rows)}  {invalid.target}")
    bench.finish()


if __name__ == "__main__":
    main()
