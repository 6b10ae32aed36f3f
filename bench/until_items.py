"""Asking until the ranking is settled: how many items does it take?

Simulated experiments, looked at after every item by the product's own functions, against a fixed 660 items and against
the smallest fixed number of items that settles as often. How often anything false is claimed of systems that are equal:
until.py.

    python bench/until_items.py               # everything, 2,000 experiments a cell: about 12 minutes on one core
    python bench/until_items.py --experiments 200 --only six
"""

from __future__ import annotations

from itertools import combinations

import msgspec
import numpy as np

from harness import Bench
from looks import BATCH, ITEMS, SYSTEMS, Scatter, carry_out, one_batch, scatters
from taskpace.analysis.stats.anytime import mean_sequence
from taskpace.analysis.stats.claims import log_ratios, one_sided
from taskpace.analysis.stats.intervals import Flags, Floats
from taskpace.analysis.stats.sequential import decided
from taskpace.analysis.stats.significance import ALPHA

RATIOS = (1.05, 1.1, 1.3, 2.0)
CUT = (0.1, 0.3)
FIXED = (10, 15, 20, 30, 40, 60, 80, 100, 130, 160, 200, 250, 300, 350, 400, 450, 500, 550, 600, 660)
FIRST = 165
"""Items that are looked at first: where all pairs are settled by then, the rest is not drawn upon."""
LEAST_POWER = 10
"""Per cent of experiments that must be settled before a fixed size of that power means anything."""


class Asked(msgspec.Struct, frozen=True):
    """Of many experiments: items a system is asked, on average over systems and experiments."""

    settled: float
    """Per cent of experiments that were settled by 660 items."""
    items: float
    """Mean over the systems, which rest when they are decided."""
    rounds: float
    """Until the last pair is settled."""
    winner: float
    """Until the first is known: all pairs of the quickest."""
    false: float
    """Per cent of experiments in which a pair was settled wrongly: the wrong way round, or as equivalent."""


def asked(
    scatter: Scatter,
    steps: Floats,
    rng: np.random.Generator,
    experiments: int,
    *,
    margin: float | None = None,
    share: float = 0.0,
) -> Asked:
    """``steps``: (systems,) or (experiments, systems), logarithms of the systems' times. ``share``: of all answers, cut
    by one limit for all systems.
    """
    systems = steps.shape[-1]
    pairs = list(combinations(range(systems), 2))
    items, rounds, winner, done, wrong = [], [], [], 0, 0
    for batch in range(experiments // BATCH):
        own = steps if steps.ndim == 1 else steps[batch * BATCH : (batch + 1) * BATCH]
        logs, cut = _drawn(scatter, own, rng, BATCH, share)
        settled, way = _settled(logs[..., :FIRST], cut[..., :FIRST], margin)
        if not settled[-1].all():
            settled, way = _settled(logs, cut, margin)
        first = np.where(settled.any(axis=0), settled.argmax(axis=0), len(settled) - 1)  # (experiments, pairs)
        of_system = np.stack(
            [
                first[:, [index for index, pair in enumerate(pairs) if system in pair]].max(axis=1) + 1
                for system in range(systems)
            ]
        )
        truth = np.stack([np.broadcast_to(own[..., b] - own[..., a], BATCH) for a, b in pairs], axis=-1)
        told = np.take_along_axis(way, first[None], axis=0)[0]
        false = np.where(told == 0, np.abs(truth) >= np.log1p(margin or 0), told != np.sign(truth))
        wrong += int((settled[-1] & false).any(axis=-1).sum())
        quickest = (own if own.ndim == 1 else own.T).argmin(axis=0)
        items += of_system.mean(axis=0).tolist()
        rounds += of_system.max(axis=0).tolist()
        winner += of_system[quickest, np.arange(BATCH)].tolist()
        done += int(settled[-1].all(axis=-1).sum())
    count = len(items)
    return Asked(100 * done / count, *(float(np.mean(each)) for each in (items, rounds, winner)), 100 * wrong / count)


def _drawn(
    scatter: Scatter, steps: Floats, rng: np.random.Generator, experiments: int, share: float
) -> tuple[Floats, Flags]:
    """Recorded log times and which are cut: (systems, experiments, items)."""
    systems = steps.shape[-1]
    logs = scatter.log_times(rng, systems, experiments * ITEMS, 1).reshape(systems, experiments, ITEMS)
    logs = logs + (steps[:, None, None] if steps.ndim == 1 else steps.T[:, :, None])
    limit = float(np.quantile(logs, 1 - share)) if share else np.inf
    return np.minimum(logs, limit), logs > limit


def _settled(logs: Floats, cut: Flags, margin: float | None) -> tuple[Flags, Floats]:
    """Which pairs are settled by each item, and which way (0: equivalent); (items, experiments, pairs)."""
    pairs = list(combinations(range(len(logs)), 2))
    log_p, way, _ = one_batch(logs, cut.astype(np.float64) if cut.any() else None)
    settled = decided(log_p, shared=margin is not None)
    way = np.where(settled, way, 0)
    if margin is not None:
        for index, (a, b) in enumerate(pairs):
            found = mean_sequence((logs[b] - logs[a]).T, 2 * ALPHA / len(pairs))
            settled[..., index] |= np.maximum(-found.low, found.high) <= np.log1p(margin)
    return settled, way


def fixed_size(
    scatter: Scatter, steps: Floats, rng: np.random.Generator, experiments: int, *, power: float, share: float = 0.0
) -> str:
    """The smallest of some fixed numbers of items with which Holm and the test for a fixed number (Student's t; where
    answers are cut, the sign test) settle all pairs as often; ``–`` where next to nothing is settled.
    """
    if power < LEAST_POWER:
        return "–"
    systems = len(steps)
    logs, cut = _drawn(scatter, steps, rng, experiments, share)
    flat = (systems * experiments, ITEMS, 1)
    pairs = list(combinations(range(systems), 2))
    indices = [(a * experiments + i, b * experiments + i) for i in range(experiments) for a, b in pairs]
    ratios = log_ratios(np.exp(logs).reshape(flat), cut.reshape(flat), indices)
    for n in FIXED:
        p = 2 * np.minimum(one_sided(ratios.low[:n])[0], one_sided(-ratios.high[:n])[0])
        with np.errstate(divide="ignore"):
            log_p = np.log(np.minimum(1.0, p)).reshape(1, experiments, len(pairs))
        if 100 * decided(log_p, shared=False).all(axis=-1).mean() >= power:
            return str(n)
    return f"over {ITEMS}"


def print_items(bench: Bench) -> None:
    """Items until neighbours that differ by a ratio are in order."""
    bench.say("\n| scatter | systems | ratio | settled | wrongly | items asked of a system | rounds "
              "| fixed size of that power | of 660 |")  # fmt: skip
    bench.say("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    clear, wild, false = [], [], []
    sized = min(10 * BATCH, bench.chosen.experiments)
    for number, scatter in enumerate(scatters(bench)):
        for systems in SYSTEMS[:1] if bench.quick else SYSTEMS:
            for ratio in RATIOS:
                rng = np.random.default_rng((number, systems, round(100 * ratio)))
                steps = np.log(ratio) * np.arange(systems)
                found = asked(scatter, steps, rng, bench.chosen.experiments)
                size = fixed_size(scatter, steps, rng, sized, power=found.settled)
                bench.say(
                    f"| {scatter.name} | {systems} | {ratio:g} | {found.settled:.0f} % | {found.false:.1f} % "
                    f"| {found.items:.0f} | {found.rounds:.0f} | {size} | 1 in {ITEMS / found.items:.1f} |"
                )
                false.append(found.false)
                if ratio >= 1.3 and scatter.kind == "normal":
                    (clear if scatter.sigma <= 0.6 else wild).append(found.items)
    bench.figure("until decided: most items where neighbours differ by 30 % or more, sigma to 0.6",
                 max(clear), at_most=ITEMS / 5)  # fmt: skip
    bench.figure("until decided: items where neighbours differ by 30 % or more, sigma 1", wild)
    bench.figure("until decided: settled wrongly", false, "%")


def print_cut(bench: Bench) -> None:
    """Print the items needed where one limit cuts a share of all answers."""
    columns = SYSTEMS[:1] if bench.quick else SYSTEMS
    bench.say("\n| scatter | cut | ratio | " + " | ".join(f"{systems} systems" for systems in columns)
              + " | wrongly | fixed size of that power, 2 systems |")  # fmt: skip
    bench.say("| --- | ---: | ---: |" + " ---: |" * (len(columns) + 2))
    worst, sized = [], min(10 * BATCH, bench.chosen.experiments)
    for number, scatter in enumerate(scatters(bench)):
        for share in CUT[:1] if bench.quick else CUT:
            for ratio in RATIOS:
                rng = np.random.default_rng((number, round(100 * share), round(100 * ratio), 1))
                found = [
                    asked(scatter, np.log(ratio) * np.arange(systems), rng, bench.chosen.experiments, share=share)
                    for systems in columns
                ]
                size = fixed_size(
                    scatter, np.log(ratio) * np.arange(2), rng, sized, power=found[0].settled, share=share
                )  # fmt: skip
                told = " | ".join(f"{each.items:.0f}, {each.settled:.0f} %" for each in found)
                worst.append(max(each.false for each in found))
                bench.say(f"| {scatter.name} | {100 * share:.0f} % | {ratio:g} | {told} | {worst[-1]:.1f} % | {size} |")
    bench.say("\nEach cell: items asked of a system, and how often all pairs were settled by 660.")
    bench.figure("until decided: settled wrongly, cut answers", worst, "%")


def print_six(bench: Bench) -> None:
    """Six systems of random speed: with a margin, and until the winner is known."""
    bench.say("\n| scatter | margin | settled | wrongly | items asked of a system | of 660 "
              "| until the winner is known | of 660 |")  # fmt: skip
    bench.say("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    experiments = bench.chosen.experiments
    held, winner = [], []
    for number, scatter in enumerate(scatters(bench)):
        for margin in (None, 0.05, 0.1, 0.2):
            rng = np.random.default_rng((number, 6, round(100 * (margin or 0))))
            steps = np.sort(rng.normal(0, 0.5, (experiments, 6)), axis=1)
            found = asked(scatter, steps, rng, experiments, margin=margin)
            bench.say(
                f"| {scatter.name} | {'none' if margin is None else f'{100 * margin:.0f} %'} | {found.settled:.0f} % "
                f"| {found.false:.1f} % | {found.items:.0f} | 1 in {ITEMS / found.items:.1f} "
                f"| {found.winner:.0f} | 1 in {ITEMS / found.winner:.1f} |"
            )
            if scatter.sigma <= 0.6 and scatter.kind == "normal":
                winner += [found.winner] if margin in (None, 0.2) else []
                held += [found.items] if margin == 0.2 else []
    bench.figure("until decided: most items, six systems of random speed, margin 20 %, sigma to 0.6", max(held))
    bench.figure("until decided: most items until the winner of six is known, sigma to 0.6",
                 max(winner), at_most=ITEMS / 3)  # fmt: skip


def main() -> None:
    parts = {"items": print_items, "cut": print_cut, "six": print_six}
    carry_out("until_items", __doc__, parts)


if __name__ == "__main__":
    main()
