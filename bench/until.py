"""Asking until the ranking is settled: how often is anything false ever claimed?

Simulated experiments, looked at after every item by the product's own functions. Intervals of one system:
until_intervals.py; how many items it takes: until_items.py.

    python bench/until.py                     # everything, 2,000 experiments a cell: about 6 minutes on one core
    python bench/until.py --experiments 200 --only error
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from harness import Bench
from looks import BATCH, ITEMS, SYSTEMS, Scatter, carry_out, one_batch, scatters
from taskpace.analysis.stats.anytime import mean_sequence, per_correct, running, wins_needed
from taskpace.analysis.stats.claims import one_sided
from taskpace.analysis.stats.intervals import Floats
from taskpace.analysis.stats.sequential import decided
from taskpace.analysis.stats.significance import ALPHA
from worlds import Cut, World, draw_cut

CUTS = (
    Cut("just beyond", 0.0, "both"),
    Cut("just beyond", 0.1, "faster"),
    Cut("just beyond", 0.3, "both"),
    Cut("endless", 0.02, "faster"),
    Cut("endless", 0.3, "faster"),
)


# ---- error -----------------------------------------------------------------------------------------------------------


def false_ever(bench: Bench, scatter: Scatter, cut: Cut, seed: int, *, systems: int, ratio: float = 1.0) -> float:
    """Per cent of experiments with a false claim at any time. All systems are equal, or (``ratio``) every second one is
    slower, so that some pairs are equal and others are not.
    """
    rng = np.random.default_rng((seed, systems))
    steps = np.log(ratio) * (np.arange(systems) % 2)
    pairs = list(combinations(range(systems), 2))
    wrong = batches = 0
    while batches < bench.chosen.experiments // BATCH:
        drawn = draw_cut(_as_world(scatter), rng, cut, systems=systems, experiments=BATCH, items=ITEMS)
        log_p, way, on_most = one_batch(np.log(drawn.recorded_s) + steps[:, None, None], drawn.cut)
        claims = decided(log_p, shared=False)
        ever = np.zeros(BATCH, dtype=bool)
        for index, (a, b) in enumerate(pairs):
            truth = np.sign(steps[b] - steps[a])
            false = claims[..., index] & (way[..., index] != truth)
            if a == 0 and cut.beyond == "endless" and truth == 0:
                # On average the first takes for ever: only a claim about most items, or that it is sooner, is false.
                false &= on_most[..., index].astype(bool) | (way[..., index] == 1)
            ever |= false.any(axis=0)
        wrong += int(ever.sum())
        batches += 1
    return 100 * wrong / (batches * BATCH)


def _as_world(scatter: Scatter) -> World:
    """What draws log times for ``draw_cut``, which asks for no more than that."""
    return scatter


def print_error(bench: Bench) -> None:
    """False claims ever made, of systems that are all or partly equal."""
    bench.say("\n| scatter | cut answers | on | share | " + " | ".join(f"{n} systems" for n in SYSTEMS) + " | half |")
    bench.say("| --- | --- | --- | ---: |" + " ---: |" * (len(SYSTEMS) + 1))
    worst: list[float] = []
    for number, scatter in enumerate(scatters(bench)):
        for which, cut in enumerate(CUTS[:2] if bench.quick else CUTS):
            seed = 100 * number + which
            found = [false_ever(bench, scatter, cut, seed, systems=systems) for systems in SYSTEMS]
            found.append(
                false_ever(bench, scatter, cut, seed, systems=4, ratio=1.3) if cut.beyond != "endless" else np.nan
            )
            worst += [each for each in found if not np.isnan(each)]
            told = " | ".join("" if np.isnan(each) else f"{each:.1f} %" for each in found)
            bench.say(f"| {scatter.name} | {cut.beyond} | {cut.sides} | {100 * cut.share:.0f} % | {told} |")
    bench.say("\nhalf: four systems; every second one takes 1.3 times as long.")
    bench.figure("until decided: false claims ever", worst, "%")


def print_worlds_that_break_it(bench: Bench) -> None:
    """Claims about a mean that no method holds: log ratios that are skewed, and rare loops of one system."""
    bench.say("\n| log ratios | any false claim | fixed t-test at 20 | at 200 |\n| --- | ---: | ---: | ---: |")
    experiments = bench.chosen.experiments
    rng = np.random.default_rng(17)
    loops = rng.normal(0, 0.5, (ITEMS, experiments)) + np.where(
        rng.random((ITEMS, experiments)) < 0.02, np.log(20) * 0.98, -np.log(20) * 0.02
    )
    skewed = 0.6 * (rng.exponential(1, (ITEMS, experiments)) - 1)
    for name, values in (("exponential, sigma 0.6", skewed), ("2 % take 20 times as long", loops)):
        sides = [running(values), running(-values)]
        false = np.zeros(experiments, dtype=bool)
        for side in sides:
            false |= ((side.log_p <= np.log(ALPHA / 2)) & ~side.on_most).any(axis=0)
        fixed = [
            np.mean(2 * np.minimum(one_sided(values[:n])[0], one_sided(-values[:n])[0]) <= ALPHA) for n in (20, 200)
        ]
        told = " | ".join(f"{100 * share:.1f} %" for share in (false.mean(), *fixed))
        bench.say(f"| {name} | {told} |")
        bench.figure(f"until decided: false claims about the mean, {name}", 100 * float(false.mean()), "%")


def print_equivalent(bench: Bench) -> None:
    """False "equivalent" of systems that differ by the margin exactly, and how often equal ones are found so."""
    bench.say("\n| scatter | cut | margin | false, 2 systems | false, 4 systems | equal: found | after items |")
    bench.say("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    worst: list[float] = []
    for number, scatter in enumerate(scatters(bench)):
        for margin in (0.05, 0.2):
            for share in (0.0, 0.1, 0.3):
                if share and margin < 0.2:
                    continue
                rng = np.random.default_rng((number, round(100 * margin), round(100 * share)))
                drawn = [_equivalent(bench, scatter, rng, systems=systems, margin=margin, share=share, step=step)
                         for systems, step in ((2, np.log1p(margin)), (4, np.log1p(margin)), (2, 0.0))]  # fmt: skip
                false = [100 * float((first <= ITEMS).mean()) for first in drawn]
                worst += false[:2]
                bench.say(
                    f"| {scatter.name} | {100 * share:.0f} % | {100 * margin:.0f} % "
                    f"| {false[0]:.1f} % | {false[1]:.1f} % | {false[2]:.0f} % "
                    f"| {np.minimum(drawn[2], ITEMS).mean():.0f} |"
                )
    bench.figure("until decided: false equivalences ever", worst, "%")


def _equivalent(
    bench: Bench,
    scatter: Scatter,
    rng: np.random.Generator,
    *,
    systems: int,
    margin: float,
    share: float,
    step: float,
) -> Floats:
    """After which item some neighbours that differ by ``step`` are first equivalent, more than 660: never;
    (experiments,).
    """
    pairs = len(list(combinations(range(systems), 2)))
    experiments = bench.chosen.experiments
    drawn = draw_cut(
        _as_world(scatter),
        rng,
        Cut("just beyond", share, "both"),
        systems=systems,
        experiments=experiments,
        items=ITEMS,
    )
    logs = np.log(drawn.recorded_s) + step * np.arange(systems)[:, None, None]
    first = np.full(experiments, ITEMS + 1)
    for a in range(systems - 1):
        ratios = (logs[a + 1] - logs[a]).T
        if share:
            own = _first_by_median(ratios, drawn.cut[a].T > 0, drawn.cut[a + 1].T > 0, margin, 2 * ALPHA / pairs)
        else:
            found = mean_sequence(ratios, 2 * ALPHA / pairs)
            within = np.maximum(-found.low, found.high) <= np.log1p(margin)
            own = np.where(within.any(axis=0), within.argmax(axis=0) + 1, ITEMS + 1)
        first = np.minimum(first, own)
    return first


def _first_by_median(ratios: Floats, cut_a: Floats, cut_b: Floats, margin: float, error: float) -> Floats:
    """After which item the median is within the margin, looked at every tenth; (experiments,).

    ``anytime.median_ends`` of many experiments at once.
    """
    low, high = np.where(cut_a, -np.inf, ratios), np.where(cut_b, np.inf, ratios)
    first = np.full(ratios.shape[1], ITEMS + 1)
    for n in range(10, ITEMS + 1, 10):
        k = wins_needed(n, error / 2)
        if k > n:
            continue
        least, most = (np.partition(each[:n], at, axis=0)[at] for each, at in ((low, n - k), (high, k - 1)))
        within = np.maximum(-least, most) <= np.log1p(margin)
        first = np.where(within, np.minimum(first, n), first)
    return first


def print_per_correct(bench: Bench) -> None:
    """Time per correct answer, equal or not, where what takes long is answered wrong more often."""
    bench.say("\n| scatter | share correct | false claims ever | ratio 1.3: settled | after items |")
    bench.say("| --- | ---: | ---: | ---: | ---: |")
    wrong = []
    experiments = bench.chosen.experiments
    for number, scatter in enumerate(scatters(bench)[:3]):
        for share in (0.1, 0.3, 0.7):
            rng = np.random.default_rng((number, round(100 * share), 3))
            logs = scatter.log_times(rng, 2, ITEMS * experiments, 1).reshape(2, ITEMS, experiments)
            item = logs.mean(axis=0)
            chance = 1 / (1 + np.exp(item - np.log(share / (1 - share))))
            correct = (rng.random(logs.shape) < chance).astype(np.float64)
            found = []
            for ratio in (1.0, 1.3):
                totals = per_correct((np.exp(logs[0]), correct[0]), (ratio * np.exp(logs[1]), correct[1]))
                hit = totals.log_e >= -np.log(ALPHA)
                found.append(np.where(hit.any(axis=0), hit.argmax(axis=0) + 1, ITEMS + 1))
            wrong.append(100 * float((found[0] <= ITEMS).mean()))
            bench.say(
                f"| {scatter.name} | {100 * share:.0f} % | {wrong[-1]:.1f} % "
                f"| {100 * (found[1] <= ITEMS).mean():.0f} % | {np.minimum(found[1], ITEMS).mean():.0f} |"
            )
    bench.figure("until decided: false claims ever, per correct answer", wrong, "%")


def main() -> None:
    parts = {
        "error": print_error,
        "skewed": print_worlds_that_break_it,
        "equivalent": print_equivalent,
        "per correct": print_per_correct,
    }
    carry_out("until", __doc__, parts)


if __name__ == "__main__":
    main()
