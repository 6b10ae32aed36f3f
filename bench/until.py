"""Asking until the ranking is settled: how often is anything false ever claimed, and how many items does it take?

Simulated experiments, looked at after every item by the product's own functions, against a fixed 660 items and against
the smallest fixed number of items that settles as often.

    python bench/until.py                     # everything, 2,000 experiments a cell: about 15 minutes on one core
    python bench/until.py --experiments 200 --only error
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import msgspec
import numpy as np

from harness import Bench
from taskpace.analysis.forecast import decided
from taskpace.analysis.stats.anytime import mean_sequence, median_ends, per_correct, reach, running
from taskpace.analysis.stats.claims import log_ratios, one_sided
from taskpace.analysis.stats.intervals import Floats, of_quantiles, of_ratios, share_interval
from taskpace.analysis.stats.significance import ALPHA
from worlds import Cut, World, draw_cut

ITEMS = 660
BATCH = 50
SIZES = {"experiments": (2000, BATCH)}
RATIOS = (1.05, 1.1, 1.3, 2.0)
SYSTEMS = (2, 4, 6)
FIXED = (10, 15, 20, 30, 40, 60, 80, 100, 130, 160, 200, 250, 300, 350, 400, 450, 500, 550, 600, 660)


class Scatter(msgspec.Struct, frozen=True):
    """How far the log ratio of two systems scatters from item to item; the item's own length cancels."""

    name: str
    sigma: float
    kind: str = "normal"

    def log_times(self, rng: np.random.Generator, systems: int, items: int, repeats: int) -> Floats:
        """(systems, items, repeats); the systems' own shares of a log ratio have this sigma together."""
        shape, each = (systems, items, repeats), self.sigma / np.sqrt(2)
        item = rng.normal(0, each, (1, items, 1))
        if self.kind == "heavy":
            return item + each * rng.standard_t(3, shape) / np.sqrt(3)
        if self.kind == "skewed":
            return item + each * (rng.exponential(1, shape) - 1)
        return item + rng.normal(0, each, shape)


SCATTERS = (
    Scatter("sigma 0.3", 0.3),
    Scatter("sigma 0.6", 0.6),
    Scatter("sigma 1.0", 1.0),
    Scatter("heavy tail, sigma 0.6", 0.6, "heavy"),
)
CUTS = (
    Cut("just beyond", 0.0, "both"),
    Cut("just beyond", 0.1, "faster"),
    Cut("just beyond", 0.3, "both"),
    Cut("endless", 0.02, "faster"),
    Cut("endless", 0.3, "faster"),
)


def one_batch(logs: Floats, cut: Floats | None = None) -> tuple[Floats, Floats, Floats]:
    """Two-sided log p of every pair after each item, whose way it speaks (1: the first), and whether it is on most.

    ``logs``: (systems, experiments, items), of what was recorded. Results are (items, experiments, pairs).
    """
    systems, experiments, items = logs.shape
    pairs = list(combinations(range(systems), 2))
    flat = (systems * experiments, items, 1)
    indices = [(a * experiments + i, b * experiments + i) for i in range(experiments) for a, b in pairs]
    flags = np.zeros(flat, dtype=bool) if cut is None else cut.reshape(flat) > 0
    ratios = log_ratios(np.exp(logs).reshape(flat), flags, indices)
    a, b = running(ratios.low), running(-ratios.high)
    shape = (items, experiments, len(pairs))
    log_p = np.minimum(0.0, np.log(2) + np.minimum(a.log_p, b.log_p)).reshape(shape)
    way = np.where(a.log_p < b.log_p, 1, -1).reshape(shape)
    on_most = np.where(a.log_p < b.log_p, a.on_most, b.on_most).reshape(shape)
    return log_p, way, on_most


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
    return scatter  # type: ignore[return-value]


def scatters(bench: Bench) -> tuple[Scatter, ...]:
    """All of them; in the quick form one."""
    return SCATTERS[1:2] if bench.quick else SCATTERS


def print_error(bench: Bench) -> None:
    """False claims ever made, of systems that are equal, or of which some are."""
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
    bench.say("\nhalf: four systems, of which every second takes 1.3 times as long.")
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
            for share in (0.0, 0.1):
                if share and margin < 0.2:
                    continue
                rng = np.random.default_rng((number, round(100 * margin), round(100 * share)))
                false = [_equivalent(
 bench, scatter, rng, systems=systems, margin=margin, share=share, step=np.log1p(margin)
 )[0]
                         for systems in (2, 4)]  # fmt: skip
                found, after = _equivalent(bench, scatter, rng, systems=2, margin=margin, share=share, step=0.0)
                worst += false
                bench.say(
                    f"| {scatter.name} | {100 * share:.0f} % | {100 * margin:.0f} % "
                    f"| {false[0]:.1f} % | {false[1]:.1f} % | {found:.0f} % | {after:.0f} |"
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
) -> tuple[float, float]:
    """Per cent of experiments in which neighbours that differ by ``step`` are ever equivalent, and the mean items."""
    pairs = len(list(combinations(range(systems), 2)))
    experiments = min(bench.chosen.experiments, 100 if share else bench.chosen.experiments)
    hits, after = 0, []
    for _ in range(experiments // BATCH):
        drawn = draw_cut(
            _as_world(scatter), rng, Cut("just beyond", share, "both"), systems=systems, experiments=BATCH, items=ITEMS
        )
        logs = np.log(drawn.recorded_s) + step * np.arange(systems)[:, None, None]
        ever = np.zeros(BATCH, dtype=bool)
        for a in range(systems - 1):
            ratios = (logs[a + 1] - logs[a]).T
            if share:
                first = _first_by_median(ratios, drawn.cut[a].T > 0, drawn.cut[a + 1].T > 0, margin, 2 * ALPHA / pairs)
            else:
                found = mean_sequence(ratios, 2 * ALPHA / pairs)
                within = np.maximum(-found.low, found.high) <= np.log1p(margin)
                first = np.where(within.any(axis=0), within.argmax(axis=0) + 1, ITEMS + 1)
            ever |= first <= ITEMS
            after += np.minimum(first, ITEMS).tolist()
        hits += int(ever.sum())
    return 100 * hits / (experiments // BATCH * BATCH), float(np.mean(after))


def _first_by_median(ratios: Floats, cut_a: Floats, cut_b: Floats, margin: float, error: float) -> Floats:
    """After which item the median is within the margin, looked at every tenth; (experiments,)."""
    low, high = np.where(cut_a, -np.inf, ratios), np.where(cut_b, np.inf, ratios)
    first = np.full(ratios.shape[1], ITEMS + 1)
    for experiment in range(ratios.shape[1]):
        for n in range(50, ITEMS + 1, 10):
            ends = median_ends(low[:n, experiment], high[:n, experiment], error)
            if max(-ends[0], ends[1]) <= np.log1p(margin):
                first[experiment] = n
                break
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


def print_rows(bench: Bench) -> None:
    """Intervals of one system: how often does one of them ever miss the truth, looked at every tenth item?"""
    looks = range(10, 401, 10)
    experiments = min(bench.chosen.experiments, 400)
    rng = np.random.default_rng(23)
    missed: dict[str, float] = {}

    def count(name: str, ends: Callable[[int, int], tuple[float, float]], truth: float) -> None:
        wrong = sum(
            any(not low <= truth <= high for low, high in (ends(experiment, n) for n in looks))
            for experiment in range(experiments)
        )
        missed[name] = 100 * wrong / experiments

    for share in (0.5, 0.9):
        hits = (rng.random((experiments, 400)) < share).astype(np.float64)

        def correct(i: int, n: int, hits: Floats = hits) -> tuple[float, float]:
            return share_interval(hits[i, :n], np.ones(n), reach)[1:]

        count(f"accuracy, {100 * share:.0f} %", correct, share)
    for sigma in (0.5, 1.0):
        seconds = np.exp(rng.normal(0, sigma, (experiments, 400)))

        def median(i: int, n: int, seconds: Floats = seconds) -> tuple[float, float]:
            found = of_quantiles(seconds[i, :n], np.arange(n), (0.5,), reach=reach)
            return float(np.nan_to_num(found.low[0], nan=-np.inf)), float(np.nan_to_num(found.high[0], nan=np.inf))

        def mean(i: int, n: int, seconds: Floats = seconds) -> tuple[float, float]:
            found = of_ratios(seconds[i, :n, None], np.ones((n, 1)), reach)
            return float(found.low[0]), float(found.high[0])

        count(f"median task time, sigma {sigma:g}", median, 1.0)
        count(f"mean task time, sigma {sigma:g}", mean, float(np.exp(sigma**2 / 2)))
    bench.say("\n| interval | ever wrong |\n| --- | ---: |")
    for name, wrong in missed.items():
        bench.say(f"| {name} | {wrong:.1f} % |")
    bench.figure("until decided: intervals of one system that are ever wrong", list(missed.values()), "%")


# ---- items -----------------------------------------------------------------------------------------------------------


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


def asked(
    scatter: Scatter, steps: Floats, rng: np.random.Generator, experiments: int, margin: float | None = None
) -> Asked:
    """``steps``: (systems,) or (experiments, systems), logarithms of the systems' times."""
    systems = steps.shape[-1]
    pairs = list(combinations(range(systems), 2))
    items, rounds, winner, done = [], [], [], 0
    for batch in range(experiments // BATCH):
        logs = scatter.log_times(rng, systems, BATCH * ITEMS, 1).reshape(systems, BATCH, ITEMS)
        own = steps if steps.ndim == 1 else steps[batch * BATCH : (batch + 1) * BATCH]
        logs = logs + (own[:, None, None] if own.ndim == 1 else own.T[:, :, None])
        log_p, _, _ = one_batch(logs)
        settled = decided(log_p, shared=margin is not None)
        if margin is not None:
            for index, (a, b) in enumerate(pairs):
                found = mean_sequence((logs[b] - logs[a]).T, 2 * ALPHA / len(pairs))
                settled[..., index] |= np.maximum(-found.low, found.high) <= np.log1p(margin)
        first = np.where(settled.any(axis=0), settled.argmax(axis=0) + 1, ITEMS)  # (experiments, pairs)
        of_system = np.stack(
            [
                first[:, [index for index, pair in enumerate(pairs) if system in pair]].max(axis=1)
                for system in range(systems)
            ]
        )
        quickest = (own if own.ndim == 1 else own.T).argmin(axis=0)
        items += of_system.mean(axis=0).tolist()
        rounds += of_system.max(axis=0).tolist()
        winner += of_system[quickest, np.arange(BATCH)].tolist()
        done += int(settled[-1].all(axis=-1).sum())
    return Asked(100 * done / len(items), float(np.mean(items)), float(np.mean(rounds)), float(np.mean(winner)))


def fixed_size(scatter: Scatter, steps: Floats, rng: np.random.Generator, experiments: int, power: float) -> int:
    """The smallest of some fixed numbers of items with which Holm and Student's t settle all pairs as often."""
    systems = len(steps)
    pairs = list(combinations(range(systems), 2))
    logs = scatter.log_times(rng, systems, experiments * ITEMS, 1).reshape(systems, experiments, ITEMS)
    logs = logs + steps[:, None, None]
    for n in FIXED:
        p = [
            2 * np.minimum(one_sided(values)[0], one_sided(-values)[0])
            for values in ((logs[b, :, :n] - logs[a, :, :n]).T for a, b in pairs)
        ]
        with np.errstate(divide="ignore"):
            settled = decided(np.log(np.minimum(1.0, np.stack(p).T)), shared=False)
        if 100 * settled.all(axis=-1).mean() >= power:
            return n
    return ITEMS


def print_items(bench: Bench) -> None:
    """Items until neighbours that differ by a ratio are in order."""
    bench.say("\n| scatter | systems | ratio | settled | items asked of a system | rounds | fixed size of that power "
              "| of 660 |")  # fmt: skip
    bench.say("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    clear = []
    experiments = max(BATCH, bench.chosen.experiments // 4 // BATCH * BATCH)
    for number, scatter in enumerate(scatters(bench)):
        for systems in SYSTEMS[:1] if bench.quick else SYSTEMS:
            for ratio in RATIOS:
                rng = np.random.default_rng((number, systems, round(100 * ratio)))
                steps = np.log(ratio) * np.arange(systems)
                found = asked(scatter, steps, rng, experiments)
                size = fixed_size(scatter, steps, rng, 4 * BATCH, found.settled)
                bench.say(
                    f"| {scatter.name} | {systems} | {ratio:g} | {found.settled:.0f} % | {found.items:.0f} "
                    f"| {found.rounds:.0f} | {size} | 1 in {ITEMS / found.items:.1f} |"
                )
                if ratio >= 1.3 and scatter.sigma <= 0.6 and scatter.kind == "normal":
                    clear.append(found.items)
    bench.figure("until decided: items where neighbours differ by 30 % or more, sigma to 0.6", clear, at_most=132)


def print_six(bench: Bench) -> None:
    """Six systems of random speed: with a margin, and until the winner is known."""
    bench.say("\n| scatter | margin | settled | items asked of a system | of 660 | until the winner is known |")
    bench.say("| --- | ---: | ---: | ---: | ---: | ---: |")
    experiments = max(BATCH, bench.chosen.experiments // 4 // BATCH * BATCH)
    held = []
    for number, scatter in enumerate(scatters(bench)):
        for margin in (None, 0.05, 0.1, 0.2):
            rng = np.random.default_rng((number, 6, round(100 * (margin or 0))))
            steps = np.sort(rng.normal(0, 0.5, (experiments, 6)), axis=1)
            found = asked(scatter, steps, rng, experiments, margin)
            bench.say(
                f"| {scatter.name} | {'none' if margin is None else f'{100 * margin:.0f} %'} | {found.settled:.0f} % "
                f"| {found.items:.0f} | 1 in {ITEMS / found.items:.1f} | {found.winner:.0f} |"
            )
            if margin == 0.2 and scatter.sigma <= 0.6 and scatter.kind == "normal":
                held.append(found.items)
    bench.figure("until decided: items, six systems of random speed, margin 20 %, sigma to 0.6", held, at_most=220)


def main() -> None:
    parts = {
        "error": lambda: print_error(bench),
        "skewed": lambda: print_worlds_that_break_it(bench),
        "equivalent": lambda: print_equivalent(bench),
        "per correct": lambda: print_per_correct(bench),
        "rows": lambda: print_rows(bench),
        "items": lambda: print_items(bench),
        "six": lambda: print_six(bench),
    }
    bench = Bench("until", __doc__, SIZES, {"--only": {"choices": list(parts)}}, markdown=True)
    bench.head(f"{bench.chosen.experiments} experiments of up to {ITEMS} items a cell")
    bench.print_parts(parts)
    bench.finish()


if __name__ == "__main__":
    main()
