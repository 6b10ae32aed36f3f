"""What the bootstrap's intervals would cover, beside those that taskpace uses: why it does not use BCa.

    python bench/bootstrap_intervals.py [--experiments N] [--resamples N]

The same simulated experiments as in bench/calibration.py, the lognormal ones. BCa is Efron's (1987), over items, with
10,000 resamples; the bootstrap of quantiles is the percentile interval of 2,000.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
from scipy import special

from harness import Bench, make_pool
from taskpace.analysis.stats.bootstrap import RESAMPLES, Resamples
from taskpace.analysis.stats.intervals import Floats, of_means, of_ratios
from taskpace.analysis.stats.quantiles import of_quantiles
from taskpace.analysis.stats.split import split
from worlds import HURRY, SLOWER, TRUTH_ITEMS, WORLDS, Trials, World, draw, side_of

DESIGNS = ((30, 1), (100, 1), (660, 1), (100, 3))
NAMES = ("mean task time", "time per correct answer", "split: verbosity", "split: whole", "median", "p90")


def bca(columns: Floats, statistic: Callable[[Floats], Floats], resamples: Resamples) -> tuple[Floats, Floats]:
    """Ends of BCa intervals of functions of item totals: (items, k) -> two of (values,)."""
    totals = columns.sum(axis=0)
    value, left_out = statistic(totals), statistic(totals - columns)
    drawn = np.sort(statistic(resamples.totals(columns)), axis=0)
    spread = left_out.mean(axis=0) - left_out
    acceleration = (spread**3).sum(axis=0) / (6 * (spread**2).sum(axis=0) ** 1.5)
    bias = special.ndtri(np.clip((drawn < value).mean(axis=0), 0.5 / len(drawn), 1 - 0.5 / len(drawn)))
    ends = []
    for z in (special.ndtri(0.025), special.ndtri(0.975)):
        moved = bias + (bias + z) / (1 - acceleration * (bias + z))
        place = np.clip(np.rint(special.ndtr(moved) * (len(drawn) + 1)) - 1, 0, len(drawn) - 1).astype(int)
        ends.append(np.take_along_axis(drawn, place[None], axis=0)[0])
    return ends[0], ends[1]


def bootstrap_quantiles(times: Floats, shares: tuple[float, ...], drawn_items: Floats) -> tuple[Floats, Floats]:
    """Percentile intervals; ``drawn_items``: (resamples, items), numbers of the items drawn."""
    found = np.quantile(times[drawn_items].reshape(len(drawn_items), -1), shares, axis=1)
    low, high = np.quantile(found, (0.025, 0.975), axis=1)
    return low, high


def estimates(trials: Trials) -> tuple[Floats, Floats]:
    """Columns whose totals give the first four estimates, and the item means of the two parts of the split."""
    n, repeats = trials.time_s.shape[1:]
    parts = split(side_of(trials, 0), side_of(trials, 1)).reshape(n, repeats, 4).mean(axis=1)
    signed = np.column_stack([parts[:, 1], parts.sum(axis=1)])
    positive = np.column_stack([trials.time_s[0].sum(axis=1), trials.correct[0].sum(axis=1), np.full(n, repeats)])
    return np.column_stack([positive, signed, np.ones(n)]), signed


def statistic(totals: Floats) -> Floats:
    seconds, correct, count, verbosity, whole, items = (totals[..., place] for place in range(6))
    return np.stack([np.log(seconds / count), np.log(seconds / correct), verbosity / items, whole / items], axis=-1)


def cell(job: tuple[World, int, int, int, int, int]) -> tuple[Floats, Floats]:
    """Share of the experiments in which each interval holds the truth: by bootstrap, and taskpace's."""
    world, n, repeats, experiments, count, truth_items = job
    many = draw(world, np.random.default_rng(1), SLOWER, HURRY, items=truth_items // repeats, repeats=repeats)
    true = statistic(estimates(many)[0].sum(axis=0))
    shares = (0.5, 0.9)
    true_quantiles = np.quantile(many.time_s[0], shares)
    del many
    rng = np.random.default_rng(11)
    resamples = Resamples(n, count)
    drawn_items = np.random.default_rng(12).integers(0, n, (min(2000, count), n))
    theirs, ours = np.zeros(6), np.zeros(6)
    for _ in range(experiments):
        trials = draw(world, rng, SLOWER, HURRY, items=n, repeats=repeats)
        columns, signed = estimates(trials)
        low, high = bca(columns, statistic, resamples)
        theirs[:4] += (low <= true) & (true <= high)
        times = trials.time_s[0]
        low, high = bootstrap_quantiles(times, shares, drawn_items)
        theirs[4:] += (low <= true_quantiles) & (true_quantiles <= high)
        seconds = np.repeat(columns[:, :1], 2, axis=1)
        positive, means = of_ratios(seconds, columns[:, [2, 1]]), of_means(signed)
        ends = [(np.log(positive.low), np.log(positive.high)), (means.low, means.high)]
        low, high = (np.concatenate(both) for both in zip(*ends, strict=True))
        ours[:4] += (low <= true) & (true <= high)
        found = of_quantiles(times.ravel(), np.repeat(np.arange(n), repeats), shares)
        ours[4:] += (found.low <= true_quantiles) & (true_quantiles <= found.high)
    return 100 * theirs / experiments, 100 * ours / experiments


def main() -> None:
    sizes = {"experiments": (1000, 2), "resamples": (RESAMPLES, 100), "truth_items": (TRUTH_ITEMS, 2000)}
    bench = Bench("bootstrap_intervals", __doc__, sizes, markdown=True)
    chosen = bench.chosen
    bench.head(f"{chosen.experiments} experiments a cell")
    bench.say("bootstrap / taskpace, per cent\n")
    bench.say("| world | design | " + " | ".join(NAMES) + " |\n| --- | --- |" + " ---: |" * len(NAMES))
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    held: dict[str, list[float]] = {}
    jobs = [
        (world, n, repeats, chosen.experiments, chosen.resamples, chosen.truth_items)
        for world in WORLDS[:2]
        for n, repeats in DESIGNS
    ]
    with make_pool(None, quick=bench.quick) as pool:
        for (world, n, repeats, *_), (theirs, ours) in zip(jobs, pool.imap(cell, jobs), strict=True):
            cells = " | ".join(f"{a:.1f} / {b:.1f}" for a, b in zip(theirs, ours, strict=True))
            bench.say(f"| {world.name} | n = {n}{f' x {repeats}' if repeats > 1 else ''} | {cells} |")
            for name, by_bootstrap, by_taskpace in zip(NAMES, theirs, ours, strict=True):
                held.setdefault(f"{world.name}, {name}: bootstrap", []).append(by_bootstrap)
                held.setdefault(f"{world.name}, {name}: taskpace", []).append(by_taskpace)
    for name, shares in held.items():
        bench.figure(name, shares, "%")
    bench.finish()


if __name__ == "__main__":
    main()
