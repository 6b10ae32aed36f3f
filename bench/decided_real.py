"""Recorded runs of real models, and asking until it is decided: how they scatter, and what a replay would have said.

A replay asks no model: it takes the recorded trials of a run that asked all its items, in another random order of the
items, and lets the product's decider look after every one. It shows what that run would have called and when; that
times of another day differ it cannot show. ``--again`` does: it carries the experiment out with other seeds.

    python bench/decided_real.py runs/demo.db runs/other.db           # replays, a minute for a few tables
    python bench/decided_real.py runs/demo.db --again examples/demo.toml    # real models, ten times the demo
    python bench/decided_real.py runs/demo.db runs/b.db --again examples/demo.toml --again b.toml    # and of each run

``--keep FOLDER`` keeps the run files, and the same command goes on where it was ended.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import msgspec
import numpy as np
import polars as pl

import taskpace
from harness import ROOT, Bench
from taskpace.analysis.data.arrays import Arrays, to_arrays
from taskpace.analysis.data.frame import last_attempts, load_frame
from taskpace.analysis.stats.claims import decide, log_ratios
from taskpace.analysis.stats.intervals import Floats
from taskpace.analysis.stats.significance import ALPHA, holm
from taskpace.analysis.until import decider
from taskpace.experiment.experiment import load_experiment
from taskpace.experiment.until import Seen, Until
from taskpace.store.store import Store

LEAST = 20
"""Items of a table that is replayed."""
SIZES = {"seeds": (10, 2)}
DEMO = ROOT / "runs" / "demo.db"
"""What ``make demo`` makes."""
Key = tuple[str, str]
"""Two systems."""


class Table(msgspec.Struct, frozen=True):
    """One task of a recorded run, one trial at a time."""

    name: str
    arrays: Arrays
    prompt_bytes: Floats
    """(items,)."""


def tables_of(path: Path) -> Iterator[Table]:
    """All tables of a run file with two systems or more."""
    with Store.open(path) as store:
        trials = last_attempts(load_frame(store))
    for (task, scenario), part in trials.group_by("task", "scenario", maintain_order=True):
        systems = tuple(part["system"].unique(maintain_order=True))
        if len(systems) < 2 or str(scenario).startswith("batch="):
            continue
        arrays = to_arrays(part, systems, in_order=True)
        lengths = dict(part.select("item_id", "prompt_bytes").unique("item_id").iter_rows())
        yield Table(f"{path.stem}: {task}", arrays, np.array([lengths[item] or np.nan for item in arrays.items], float))


# ---- how real log ratios scatter -------------------------------------------------------------------------------------


def print_scatter(bench: Bench, tables: list[Table]) -> None:
    """Standard deviation of log ratios, pair by pair, and how much of it the prompt's length explains."""
    bench.say("\n| run: task | systems | items | cut | sigma | excess kurtosis | explained by the prompt's length |")
    bench.say("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    sigmas, explained = [], []
    for table in tables:
        arrays = table.arrays
        pairs = list(combinations(range(len(arrays.systems)), 2))
        ratios = log_ratios(arrays.recorded_s, arrays.cut > 0, pairs, arrays.late > 0).recorded
        found = [_moments(column, np.log(table.prompt_bytes)) for column in ratios.T]
        found = [each for each in found if each is not None]
        if not found:
            continue
        sigma, kurtosis, share = np.array(found).T
        sigmas += sigma.tolist()
        explained += share.tolist()
        bench.say(
            f"| {table.name} | {len(arrays.systems)} | {len(arrays.items)} | {_cut_share(arrays):.0f} % "
            f"| {_range(sigma, '.2f')} | {_range(kurtosis, '.1f')} | {_range(100 * share, '.0f', ' %')} |"
        )
    bench.say(
        f"\nOver all {len(sigmas)} pairs: sigma {np.median(sigmas):.2f} in the middle, {np.min(sigmas):.2f} to "
        f"{np.max(sigmas):.2f}; the prompt's length explains {100 * np.median(explained):.0f} % in the middle, "
        f"{100 * np.max(explained):.0f} % at most (adjusted for the number of items: below 0 is chance)."
    )
    bench.figure("real runs: sigma of log ratios", sigmas)
    bench.figure("real runs: explained by the prompt's length", [100 * each for each in explained], "%")


def _moments(ratios: Floats, known: Floats) -> tuple[float, float, float] | None:
    """Standard deviation, excess kurtosis, and adjusted R^2 of the regression on what is known beforehand."""
    both = np.isfinite(ratios) & np.isfinite(known)
    values, lengths = ratios[both], known[both]
    n = len(values)
    if n < LEAST or not values.std() or not lengths.std():
        return None
    z = (values - values.mean()) / values.std()
    share = np.corrcoef(values, lengths)[0, 1] ** 2
    return float(values.std(ddof=1)), float((z**4).mean() - 3), float(1 - (1 - share) * (n - 1) / (n - 2))


def _range(values: Floats, form: str, unit: str = "") -> str:
    low, high = f"{values.min():{form}}{unit}", f"{values.max():{form}}{unit}"
    return low if low == high else f"{low} to {high}"


def _cut_share(arrays: Arrays) -> float:
    return float(100 * arrays.cut[~np.isnan(arrays.correct)].mean())


# ---- replay ----------------------------------------------------------------------------------------------------------


class Outcome(msgspec.Struct, frozen=True):
    """What one replay, or one real run, called."""

    winners: dict[Key, str]
    """Of the pairs that were called: who is sooner, or ``equivalent``."""
    items: float
    """Asked of a system, on average; who is settled rests."""
    saved_s: float


def replay(table: Table, until: Until, seed: int) -> Outcome:
    """The decider looks after every item, in a random order; who is in no open pair is not asked any more."""
    arrays, decide_now = table.arrays, decider(until)
    order = np.random.default_rng(seed).permutation(len(arrays.items))
    seen: dict[str, list[Seen | None]] = {system: [] for system in arrays.systems}
    needed = frozenset(arrays.systems)
    asked_s, standing = 0.0, decide_now(seen)
    for item in order:
        for system, name in enumerate(arrays.systems):
            trial = _seen(arrays, system, item) if name in needed else None
            seen[name].append(trial)
            asked_s += trial.seconds or 0.0 if trial else 0.0
        standing = decide_now(seen)
        needed = standing.needed()
        if not needed:
            break
    asked = [sum(trial is not None for trial in trials) for trials in seen.values()]
    return Outcome(
        {
            (pair.a, pair.b): {"a": pair.a, "b": pair.b}.get(pair.verdict, pair.verdict)
            for pair in standing.pairs
            if pair.verdict != "open"
        },
        float(np.mean(asked)),
        float(np.nansum(arrays.spent_s)) - asked_s,
    )


def _seen(arrays: Arrays, system: int, item: int) -> Seen | None:
    where = (system, item, 0)
    if np.isnan(arrays.correct[where]):
        return None
    seconds = arrays.recorded_s[where]
    return Seen(
        None if np.isnan(seconds) else float(seconds),
        cut=bool(arrays.cut[where]),
        correct=bool(arrays.correct[where]),
        late=bool(arrays.late[where]),
    )


class Full(msgspec.Struct, frozen=True):
    """What the whole run says of a pair, by the tests for a number of items that was fixed."""

    winner: str | None
    """Null: open."""
    log_ratio: float
    """Of the recorded times, mean over the items."""


def full_claims(table: Table) -> dict[Key, Full]:
    arrays = table.arrays
    indices = list(combinations(range(len(arrays.systems)), 2))
    ratios = log_ratios(arrays.recorded_s, arrays.cut > 0, indices, arrays.late > 0)
    claims = decide(ratios)
    adjusted = holm(np.nan_to_num(claims.p, nan=1.0).tolist())
    return {
        (arrays.systems[a], arrays.systems[b]): Full(
            arrays.systems[a if claims.leaning[index] > 0 else b] if adjusted[index] <= ALPHA else None,
            float(np.nanmean(ratios.recorded[:, index])),
        )
        for index, (a, b) in enumerate(indices)
    }


class Agreement(msgspec.Struct):
    """Of calls, against what the full run says."""

    same: int = 0
    against: int = 0
    unknown: int = 0
    """The full run itself calls nothing there."""

    def count(self, called: dict[Key, str], full: dict[Key, Full], margin: float | None) -> None:
        for pair, winner in called.items():
            known = full[pair]
            if winner == "equivalent":
                same = abs(known.log_ratio) <= np.log1p(margin or 0.0)
            elif known.winner is None:
                self.unknown += 1
                continue
            else:
                same = winner == known.winner
            self.same, self.against = self.same + same, self.against + (not same)


HEAD = (
    "\n| run: task | systems | margin | pairs called by the full run | called | as the full run | otherwise "
    "| full run open | items of a system | of | minutes saved |\n"
    "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
)


def row(name: str, table: Table, until: Until, outcomes: list[Outcome], total: Agreement) -> str:
    """A line of the table; ``total``: to which the agreement is added."""
    full, own = full_claims(table), Agreement()
    for outcome in outcomes:
        own.count(outcome.winners, full, until.margin)
        total.count(outcome.winners, full, until.margin)
    systems = len(table.arrays.systems)
    pairs = systems * (systems - 1) // 2
    called = np.mean([len(outcome.winners) for outcome in outcomes]) / pairs
    saved = round(float(np.mean([each.saved_s for each in outcomes])) / 60, 1) + 0.0  # no minus before a 0
    claimed = sum(each.winner is not None for each in full.values())
    margin = "none" if until.margin is None else f"{100 * until.margin:.0f} %"
    return (
        f"| {name} | {systems} | {margin} | {claimed} of {pairs} | {100 * called:.0f} % | {own.same} | {own.against} "
        f"| {own.unknown} | {np.mean([each.items for each in outcomes]):.0f} | {len(table.arrays.items)} "
        f"| {saved:.1f} |"
    )


def print_replay(bench: Bench, tables: list[Table]) -> None:
    """Each table in other orders of its items, without a margin and with one."""
    bench.say(HEAD)
    total, spared = Agreement(), []
    for table in tables:
        if len(table.arrays.items) < LEAST:
            continue
        for until in (Until(), Until(margin=0.2)):
            outcomes = [replay(table, until, seed) for seed in range(bench.chosen.seeds)]
            bench.say(row(table.name, table, until, outcomes, total))
            spared.append(100 * (1 - float(np.mean([each.items for each in outcomes])) / len(table.arrays.items)))
    bench.say(
        f"\nEach table in {bench.chosen.seeds} orders. In all {total.same} calls as the full run, {total.against} "
        f"otherwise, {total.unknown} of pairs that the full run leaves open. Equivalent is as the full run where its "
        "ratio is within the margin."
    )
    bench.figure("replay: calls against the full run's winner", total.against, at_most=0)
    bench.figure("replay: items spared", spared, "%")


# ---- again, with real models -----------------------------------------------------------------------------------------


def print_again(bench: Bench, experiments: list[tuple[Path, list[Table]]]) -> None:
    """Experiments carried out until they are decided, with other seeds: other items, another order of systems.

    Args:
        bench: which prints it.
        experiments: each with the tables of the run that asked all its items.
    """
    bench.say(HEAD)
    total = Agreement()
    margin = bench.chosen.margin
    until = Until(margin=None if margin is None else float(margin.rstrip("%")) / 100)
    for experiment, tables in experiments:
        most = max(len(table.arrays.items) for table in tables)
        with tempfile.TemporaryDirectory() as own:
            seeds = range(1, 1 + bench.chosen.seeds)
            folder = bench.chosen.keep or Path(own)
            runs = [_carried_out(experiment, folder, seed, margin, most) for seed in seeds]
            for table in tables:
                bench.say(row(table.name, table, until, [_outcome_of(table, run) for run in runs], total))
    bench.figure("again: calls against the full run's winner", total.against, at_most=0)


def _carried_out(file: Path, folder: Path, seed: int, margin: str | None, most: int) -> Path:
    settings = {"until": "decided", "max_items": most} | ({"margin": margin} if margin else {})
    experiment = msgspec.structs.replace(load_experiment(file, **settings), seed=1000 + seed)
    path = folder / f"{'-'.join(filter(None, (file.stem, str(seed), margin)))}.db"
    with taskpace.run(experiment, path, base=file.parent):
        return path


def _outcome_of(table: Table, path: Path) -> Outcome:
    """What a run said of the task of a table, with the names of systems that it has."""
    task = table.name.split(": ", 1)[1]
    with taskpace.open(path) as run:
        found = next(each for each in run.summary(resamples=0).tables if each.task == task)
        spent = run.frame().filter(pl.col("task") == task)["task_time_s"].sum()
    assert found.settled is not None
    names = table.arrays.systems
    winners = {}
    for pair in found.settled.pairs:
        key = tuple(sorted((pair.a, pair.b), key=names.index))
        if pair.verdict != "open":
            winners[key] = {"a": pair.a, "b": pair.b}.get(pair.verdict, pair.verdict)
    items = [each.n for each in found.rows]
    return Outcome(winners, float(np.mean(items)), float(np.nansum(table.arrays.spent_s)) - spent)


# ---- a run for the quick form ----------------------------------------------------------------------------------------


def simulated(folder: Path) -> Path:
    """Two systems of the simulated engine in virtual time: whether the script works, and nothing else."""
    path = folder / "simulated.db"
    systems = "\n".join(
        f'[[system]]\nname = "{name}"\nengine = "simulated"\nmodel = "{name}"\n'
        f'options = {{ time = "virtual", token_time = {pace}, '
        'length = { kind = "lognormal", median = 60, sigma = 0.3 } }'
        for name, pace in (("one", 0.01), ("two", 0.02))
    )
    file = folder / "simulated.toml"
    file.write_text(f'items = 24\ntasks = ["mmlu-letter"]\n{systems}\n', "utf-8")
    with taskpace.run(file, path):
        return path


def main() -> None:
    options = {
        "runs": {"nargs": "*", "type": Path, "help": "run files that asked all their items (runs/demo.db)"},
        "--again": {
            "action": "append",
            "type": Path,
            "metavar": "FILE",
            "help": "the experiment of a run, once for each run file in their order: carry it out again",
        },
        "--keep": {
            "type": Path,
            "metavar": "FOLDER",
            "help": "with --again: keep its run files, and take them up again",
        },
        "--margin": {"metavar": "PERCENT", "help": "with --again, such as 20%%; a replay is with and without"},
    }
    name = "decided_real_again" if "--again" in sys.argv else "decided_real"
    bench = Bench(name, __doc__, SIZES, options, markdown=True)
    with tempfile.TemporaryDirectory() as folder:
        paths = bench.chosen.runs or [simulated(Path(folder)) if bench.quick else DEMO]
        tables = [list(tables_of(path)) for path in paths]
    if not all(tables):
        raise SystemExit("name run files with two systems or more")
    bench.head(f"{len(paths)} run files, {sum(map(len, tables))} tables")
    if bench.chosen.again:
        if len(bench.chosen.again) != len(paths):
            raise SystemExit("--again: name one experiment for each run file")
        bench.say("\n## again")
        print_again(bench, list(zip(bench.chosen.again, tables, strict=True)))
    else:
        bench.say("\n## scatter")
        every = [table for found in tables for table in found]
        print_scatter(bench, every)
        bench.say("\n## replay")
        print_replay(bench, every)
    bench.finish()


if __name__ == "__main__":
    main()
