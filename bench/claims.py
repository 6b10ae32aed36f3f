"""How often is a claim about two systems false, when answers are cut or the machine drifts, and how often is it made?

Simulated experiments in which no system is quicker than another, judged by the product's own functions, beside what
else could be done with cut answers: leaving them out, or taking them for what was recorded.

    python bench/claims.py                     # everything, 2,000 experiments a cell: 15 minutes on 2 cores
    python bench/claims.py --experiments 200 --only drift
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from harness import Bench
from taskpace.analysis.stats.claims import log_ratios
from taskpace.analysis.stats.estimates import quantiles
from taskpace.analysis.stats.intervals import Flags, Floats
from taskpace.analysis.stats.per_correct import Spent, few_correct, none_against_some
from taskpace.analysis.table.comparison import Comparison, adjusted, compared_by_item
from worlds import WORLDS, Cut, World, draw_cut

ITEMS = 60
BATCH = 100
"""Experiments at a time, at most."""
SIZES = {"experiments": (2000, 5)}
SHARES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.45)
ERRORS = (0.01, 0.02, 0.05, 0.1)
TODAY = 0.02
"""Cut answers of a system up to which it used to be ranked, by what was recorded."""
RATIO = 1.3
"""True ratio of task times where power is measured."""

Family = list[Comparison]


def families(values: Floats, cut: Flags) -> list[Family]:
    """Every two systems of each experiment, compared and adjusted: (systems, experiments, items) to one family each."""
    systems, experiments, items = values.shape
    flat = (systems * experiments, items, 1)
    pairs = list(combinations(range(systems), 2))
    # System j of experiment i is number j * experiments + i.
    indices = [(a * experiments + i, b * experiments + i) for i in range(experiments) for a, b in pairs]
    found = compared_by_item(log_ratios(values.reshape(flat), cut.reshape(flat), indices))
    k = len(pairs)
    return [adjusted(found[start : start + k], [True] * k) for start in range(0, len(found), k)]


def is_false(found: Comparison, pair: tuple[int, int], cut: Cut) -> bool:
    """Whether a claim is made, and is not true. Every claim is, but that the first system takes longer: on average
    where its cut answers are endless, and in any way where it also takes longer.
    """
    if found.lower is None:
        return False
    about_first = pair[0] == 0 and cut.sides != "both" and found.lower == "b"
    true = cut.sides == "slower" or (cut.beyond == "endless" and found.basis == "mean" and cut.share > 0)
    return not (about_first and true)


def false_claims(world: World, cut: Cut, systems: int, experiments: int, seed: int) -> tuple[float, float, float]:
    """Share of experiments with a false claim: the product's, with cut answers left out, and as recorded."""
    rng = np.random.default_rng((seed, systems))
    pairs = list(combinations(range(systems), 2))
    wrong = np.zeros(3)
    batch = min(BATCH, experiments)
    for _ in range(experiments // batch):
        drawn = draw_cut(world, rng, cut, systems=systems, experiments=batch, items=ITEMS)
        flags = drawn.cut > 0
        none = np.zeros_like(flags)
        dropped = np.where(flags, np.nan, drawn.recorded_s)
        for method, made in enumerate(
            (families(drawn.recorded_s, flags), families(dropped, none), families(drawn.recorded_s, none))
        ):
            wrong[method] += sum(
                any(is_false(found, pair, cut) for found, pair in zip(family, pairs, strict=True)) for family in made
            )
    product, left_out, recorded = 100 * wrong / (experiments // batch * batch)
    return float(product), float(left_out), float(recorded)


def cells() -> list[Cut]:
    """Every kind of cut answers."""
    limits = [
        Cut(beyond, share, sides)
        for beyond in ("just beyond", "endless")
        for sides in ("faster", "slower", "both")
        for share in SHARES
    ]
    return limits + [Cut("failed", share, sides) for sides in ("faster", "both") for share in ERRORS]


def print_cut(bench: Bench, systems: int) -> None:
    """False claims for each kind of cut answers: the greatest over the worlds."""
    bench.say(
        "\n| cut answers | on | share | claims | left out | as recorded |\n| --- | --- | ---: | ---: | ---: | ---: |"
    )
    worst: list[float] = []
    for number, cut in enumerate(cells()):
        if bench.quick and cut.share not in (0.1, 0.45):
            continue
        experiments = bench.chosen.experiments
        found = [false_claims(world, cut, systems, experiments, 100 * number + w) for w, world in enumerate(WORLDS)]
        product, left_out, recorded = (max(each) for each in zip(*found, strict=True))
        worst += [each[0] for each in found]
        bench.say(
            f"| {cut.beyond} | {cut.sides} | {100 * cut.share:.0f} % | {product:.1f} % | {left_out:.1f} % "
            f"| {recorded:.1f} % |"
        )
    bench.figure(f"false claims with cut answers, {systems} systems", worst, "%")


def print_power(bench: Bench) -> None:
    """How often the quicker of two systems, by a factor of 1.3, is called so."""
    bench.say("\n| world | cut on | share | claims | on average | today |\n| --- | --- | ---: | ---: | ---: | ---: |")
    batch = min(BATCH, bench.chosen.experiments)
    experiments = bench.chosen.experiments // batch * batch
    for number, world in enumerate(WORLDS):
        for sides in ("faster", "both"):
            for share in SHARES:
                rng = np.random.default_rng((number, int(100 * share), 7))
                made = mean = today = 0
                for _ in range(experiments // batch):
                    drawn = draw_cut(
                        world,
                        rng,
                        Cut("just beyond", share, sides),
                        systems=2,
                        experiments=batch,
                        items=ITEMS,
                        ratio=RATIO,
                    )
                    flags = drawn.cut > 0
                    found = [family[0] for family in families(drawn.recorded_s, flags)]
                    made += sum(each.lower == "a" for each in found)
                    mean += sum(each.lower == "a" and each.basis == "mean" for each in found)
                    ranked = (drawn.cut.mean(axis=2) <= TODAY).all(axis=0)
                    before = families(drawn.recorded_s, np.zeros_like(flags))
                    today += sum(bool(valid) and one[0].lower == "a" for one, valid in zip(before, ranked, strict=True))
                shares = [100 * count / experiments for count in (made, mean, today)]
                bench.say(
                    f"| {world.name} | {sides} | {100 * share:.0f} % | "
                    + " | ".join(f"{each:.0f} %" for each in shares)
                    + " |"
                )
                if sides == "faster" and share in (0.0, 0.1):
                    bench.figure(f"power, {world.name}, {100 * share:.0f} % cut", shares[0], "%")


def print_drift(bench: Bench) -> None:
    """False claims when the machine slows down or warms up while systems take turns, or come one after the other."""
    bench.say(
        "\n| world | systems | drift | in turns | blocks of 5 | one after the other |"
        "\n| --- | ---: | ---: | ---: | ---: | ---: |"
    )
    batch = min(BATCH, bench.chosen.experiments)
    experiments = bench.chosen.experiments // batch * batch
    held: dict[str, list[float]] = {"in turns": [], "blocks of 5": [], "one after the other": []}
    for number, world in enumerate(WORLDS):
        for systems in (2, 5):
            for drift in (0.1, 0.3):
                rng = np.random.default_rng((number, systems, int(100 * drift)))
                wrong = dict.fromkeys(held, 0)
                for _ in range(experiments // batch):
                    logs = world.log_times(rng, systems, batch * ITEMS, 1).reshape(systems, batch, ITEMS)
                    for way in held:
                        slower = np.log1p(drift) * _when(rng, way, systems, batch)
                        made = families(np.exp(logs + slower), np.zeros(logs.shape, dtype=bool))
                        wrong[way] += sum(any(found.lower for found in family) for family in made)
                shares = {way: 100 * count / experiments for way, count in wrong.items()}
                for way, share in shares.items():
                    held[way].append(share)
                told = " | ".join(f"{share:.1f} %" for share in shares.values())
                bench.say(f"| {world.name} | {systems} | {100 * drift:.0f} % | {told} |")
    for way, shares_of in held.items():
        bench.figure(f"false claims under drift, {way}", shares_of, "%")


def _when(rng: np.random.Generator, way: str, systems: int, experiments: int) -> Floats:
    """When each trial comes, from 0 at the beginning of the run to 1 at its end: (systems, experiments, items)."""
    total = systems * ITEMS
    if way == "one after the other":
        first = np.arange(systems)[:, None, None] * ITEMS + np.arange(ITEMS)
        return np.broadcast_to(first / (total - 1), (systems, experiments, ITEMS))
    size = 1 if way == "in turns" else 5
    blocks = -(-ITEMS // size)
    places = rng.permuted(np.broadcast_to(np.arange(systems)[:, None, None], (systems, experiments, blocks)), axis=0)
    item = np.arange(ITEMS)
    block, within = item // size, item % size
    return (block * size * systems + places[:, :, block] * size + within) / (total - 1)


def print_per_correct(bench: Bench) -> None:
    """Few correct answers or none, items that take long being answered wrong more often."""
    bench.say("\n| n | share correct | interval holds | false claims |\n| ---: | ---: | ---: | ---: |")
    experiments = bench.chosen.experiments
    world = WORLDS[0]
    covered, wrong_claims = [], []
    for n in (20, 60):
        for share in (0.02, 0.05, 0.1):
            rng = np.random.default_rng((n, int(100 * share)))
            logs = world.log_times(rng, 2, n * experiments, 1).reshape(2, experiments, n)
            hard = np.exp(-0.5 * (logs - logs.mean()))
            correct = (rng.random(logs.shape) < share * hard / hard.mean()).astype(np.float64)
            seconds = np.exp(logs)
            truth = seconds.mean() / correct.mean()
            asked = np.ones(n)
            held = counted = wrong = 0
            for i in range(experiments):
                if correct[0, i].sum() < 10:
                    found = few_correct(seconds[0, i], correct[0, i], asked)
                    low = found.value if found.bound else found.low
                    counted += 1
                    held += (low or 0.0) <= truth <= (np.inf if found.high is None else found.high)
                sides = [Spent(seconds[s, i], correct[s, i], asked) for s in (0, 1)]
                hits = [side.all_right for side in sides]
                if min(hits) == 0 < max(hits):
                    none = int(hits[1] == 0)
                    wrong += none_against_some(sides[none], sides[1 - none]) <= 0.05
            covered.append(100 * held / counted)
            wrong_claims.append(100 * wrong / experiments)
            bench.say(f"| {n} | {100 * share:.0f} % | {covered[-1]:.1f} % | {wrong_claims[-1]:.1f} % |")
    bench.figure("few correct: interval holds", covered, "%")
    bench.figure("none correct: false claims", wrong_claims, "%")


def print_medians(bench: Bench) -> None:
    """Does the interval of a median hold the truth, when its upper end is open where answers were cut?"""
    bench.say("\n| world | " + " | ".join(f"{100 * share:.0f} % cut" for share in SHARES) + " |")
    bench.say("| --- |" + " ---: |" * len(SHARES))
    experiments = bench.chosen.experiments
    held = []
    for number, world in enumerate(WORLDS):
        true = float(np.exp(np.median(world.log_times(np.random.default_rng(5), 1, 1_000_000, 1))))
        shares = []
        for share in SHARES:
            rng = np.random.default_rng((number, int(100 * share), 9))
            cut = Cut("just beyond", share, "faster")
            drawn = draw_cut(world, rng, cut, systems=1, experiments=experiments, items=ITEMS)
            hits = 0
            for times, flags in zip(drawn.recorded_s[0], drawn.cut[0], strict=True):
                (found,) = quantiles(times, np.arange(ITEMS), (0.5,), flags > 0)
                hits += (found.low or 0.0) <= true <= (np.inf if found.high is None else found.high)
            shares.append(100 * hits / experiments)
        held += shares
        bench.say(f"| {world.name} | " + " | ".join(f"{share:.1f}" for share in shares) + " |")
    bench.figure("median with cut answers: interval holds", held, "%")


def main() -> None:
    parts = {
        "two systems": lambda: print_cut(bench, 2),
        "five systems": lambda: print_cut(bench, 5),
        "power": lambda: print_power(bench),
        "drift": lambda: print_drift(bench),
        "per correct": lambda: print_per_correct(bench),
        "medians": lambda: print_medians(bench),
    }
    bench = Bench("claims", __doc__, SIZES, {"--only": {"choices": list(parts)}}, markdown=True)
    bench.head(f"{bench.chosen.experiments} experiments of {ITEMS} items a cell")
    bench.print_parts(parts)
    bench.finish()


if __name__ == "__main__":
    main()
