"""Simulated experiments whose truth is known: how times vary, how answers go with them, and how systems differ."""

from __future__ import annotations

import msgspec
import numpy as np
from scipy import stats

from taskpace.analysis.data.arrays import Arrays
from taskpace.analysis.stats.intervals import Floats
from taskpace.analysis.stats.split import PARTS, Side, split

SLOWER = np.array([0.0, 0.25])
"""Logarithm of the task time of two systems, and below of their TPOT."""
HURRY = np.array([0.0, -0.1])
FIVE_SLOWER = np.array([0.0, 0.05, 0.2, 0.3, 0.6])
FIVE_HURRY = np.array([0.1, -0.2, 0.0, -0.25, 0.15])
TRUTH_ITEMS = 2_000_000
LIMIT_S = 20.0
"""Of PAR-2."""
SHARES = {"median": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}


class World(msgspec.Struct, frozen=True):
    """How times vary. Of the variance of a logarithm, half belongs to the item and is shared by all systems."""

    name: str
    kind: str
    shape: float
    """Sigma of a lognormal, tail index of a Pareto."""

    def log_times(self, rng: np.random.Generator, systems: int, items: int, repeats: int) -> Floats:
        """(systems, items, repeats)."""
        if self.kind == "pareto":
            # The item's factor has the heavy tail; systems and repeats differ by a lognormal one.
            item = rng.exponential(1 / self.shape, (1, items, 1))
            own = rng.normal(0, 0.2, (systems, items, 1))
            return item + own + rng.normal(0, 0.2, (systems, items, repeats))
        item = rng.normal(0, self.shape * np.sqrt(0.5), (1, items, 1))
        own = rng.normal(0, self.shape * np.sqrt(0.3), (systems, items, 1))
        return item + own + rng.normal(0, self.shape * np.sqrt(0.2), (systems, items, repeats))


WORLDS = (
    World("lognormal, sigma 0.5", "lognormal", 0.5),
    World("lognormal, sigma 1", "lognormal", 1.0),
    World("Pareto, tail index 1.5", "pareto", 1.5),
)


def mean_time_s(world: World) -> float:
    """True mean task time of the first system. With a heavy tail simulated items do not estimate it well enough."""
    if world.kind == "pareto":
        return world.shape / (world.shape - 1) * float(np.exp(0.2**2))
    return float(np.exp(world.shape**2 / 2))


class Trials(msgspec.Struct, frozen=True):
    """Everything recorded of one experiment or many: arrays (systems, items, repeats)."""

    time_s: Floats
    wait_s: Floats
    tpot_s: Floats
    written: Floats
    correct: Floats


def draw(world: World, rng: np.random.Generator, slower: Floats, hurry: Floats, *, items: int, repeats: int) -> Trials:
    """One experiment, all systems on the same items; ``slower`` and ``hurry``, (systems,), are the logarithms of each
    system's task time and TPOT beside the first one's.
    """
    k = len(slower)
    logs = world.log_times(rng, k, items, repeats)
    time_s = np.exp(slower[:, None, None] + logs)
    wait_s = time_s * rng.uniform(0.05, 0.15, time_s.shape)
    tpot_s = 0.02 * np.exp(hurry[:, None, None] + rng.normal(0, 0.1, time_s.shape))
    per_byte = 0.25 * np.exp(0.1 * np.arange(k)[:, None, None] + rng.normal(0, 0.05, time_s.shape))
    written = (1 + (time_s - wait_s) / tpot_s) / per_byte
    # What takes long is hard: the chance of a right answer falls with the item's length.
    chance = 1 / (1 + np.exp(-(1.0 - logs.mean(axis=(0, 2), keepdims=True) + rng.normal(0, 0.5, (1, items, 1)))))
    correct = (rng.random(time_s.shape) < chance).astype(np.float64)
    return Trials(time_s=time_s, wait_s=wait_s, tpot_s=tpot_s, written=written, correct=correct)


def as_arrays(experiments: list[Trials]) -> Arrays:
    """Many experiments side by side: system j of experiment i is number i * systems + j. Their items are not the same,
    which is not asked as long as only systems of one experiment are compared.
    """
    time_s, wait_s, tpot_s, written, correct = (
        np.concatenate([getattr(trials, name) for trials in experiments]) for name in Trials.__struct_fields__
    )
    return Arrays(
        systems=tuple(str(number) for number in range(len(time_s))),
        items=tuple(str(number) for number in range(time_s.shape[1])),
        task_time_s=time_s,
        spent_s=time_s,
        wait_s=wait_s,
        written_bytes=written,
        visible_bytes=written,
        reasoning_bytes=np.zeros_like(written),
        tpot_s=tpot_s,
        output_tokens=written / 4,
        correct=correct,
        cut=np.zeros_like(time_s),
        session=np.ones_like(time_s),
        round=np.full_like(time_s, np.nan),
        untimed=np.zeros_like(time_s),
        late=np.zeros_like(time_s),
        cost_usd=costs_usd(written),
    )


def costs_usd(written: Floats) -> Floats:
    """By the token, $0.15 and $0.60 a million: a prompt of 200 tokens, and an answer of a token for every 4 bytes."""
    return (200 * 0.15 + written / 4 * 0.60) / 1e6


def side_of(trials: Trials, system: int) -> Side:
    return Side(*(values[system].ravel() for values in (trials.time_s, trials.wait_s, trials.written, trials.tpot_s)))


def _cost_ratio(trials: Trials) -> float:
    """Of the second system over the first."""
    first, second = (costs_usd(trials.written[place]).sum() / trials.correct[place].sum() for place in (0, 1))
    return float(second / first)


def truth(world: World, repeats: int, items: int) -> dict[str, float]:
    """The true value of every estimate, by formula where there is one and else from very many items."""
    rng = np.random.default_rng(7)
    trials = draw(world, rng, SLOWER, HURRY, items=items // repeats, repeats=repeats)
    time_a, correct_a = trials.time_s[0], trials.correct[0]
    parts = split(*(side_of(trials, place) for place in (0, 1))).mean(axis=0)
    mean_s = mean_time_s(world)
    whole_s = mean_s * np.expm1(SLOWER[1])
    found = {f"{name} task time": np.quantile(time_a, share) for name, share in SHARES.items()}
    found |= {
        "accuracy": correct_a.mean(),
        "mean task time": mean_s,
        "time per correct answer": mean_s / correct_a.mean(),
        "PAR-2": np.where(correct_a > 0, time_a, 2 * LIMIT_S).mean(),
        "solve curve at the median": ((correct_a > 0) & (time_a <= np.median(time_a))).mean(),
        "ratio of task times": np.exp(SLOWER[1]),
        "ratio of tokens per second": np.exp(-HURRY[1]),
        "verbosity ratio": np.exp(np.log(trials.written[1] / trials.written[0]).mean()),
        "difference in accuracy": 0.0,
        "ratio of time per correct answer": np.exp(SLOWER[1]),
        "cost per correct answer": costs_usd(trials.written[0]).mean() / correct_a.mean(),
        "ratio of cost per correct answer": _cost_ratio(trials),
        "split: whole": whole_s,
    }
    # The parts' shares of the whole are told well by the simulated items, where the whole itself is not.
    found |= {f"split: {part}": parts[place] / parts.sum() * whole_s for place, part in enumerate(PARTS)}
    found |= dict(zip(("Kendall's tau-b", "Spearman's rho"), _true_agreement(), strict=True))
    return {name: float(value) for name, value in found.items()}


def _true_agreement() -> tuple[float, float]:
    return stats.kendalltau(-FIVE_SLOWER, -FIVE_HURRY).statistic, stats.spearmanr(-FIVE_SLOWER, -FIVE_HURRY).statistic


# ---- cut answers ---------------------------------------------------------------------------------------------------


class Cut(msgspec.Struct, frozen=True):
    """Which answers are cut, in a world where no system is quicker than another: neither on average nor on most items.

    The first system has cut answers, or all have. What a cut answer would have taken:

    - ``just beyond``: its own time, and the limit lies where it cuts the share that is wanted.
    - ``endless``: for ever. So that it wins half of its items all the same, the rest of its answers are quicker.
    - ``failed``: its own time; it fails anywhere on the way, however long it is.
    """

    beyond: str
    share: float
    sides: str
    """``faster``: the first system, which looks faster by its recorded times; ``slower``: the first, which takes 15 %
    longer too; ``both``: all systems."""


class CutTimes(msgspec.Struct, frozen=True):
    """Many experiments side by side: arrays (systems, experiments, items)."""

    recorded_s: Floats
    cut: Floats
    """1 or 0."""


SLOWER_SIDE = 0.15


def draw_cut(
    world: World, rng: np.random.Generator, cut: Cut, *, systems: int, experiments: int, items: int, ratio: float = 1.0
) -> CutTimes:
    """Equal systems with cut answers; ``ratio``: by what the times of all but the first are longer."""
    shape = (systems, experiments, items)
    logs = world.log_times(rng, systems, experiments * items, 1).reshape(shape)
    affected = np.zeros(shape, dtype=bool)
    affected[: 1 if cut.sides != "both" else None] = True
    if cut.sides == "slower":
        logs[0] += SLOWER_SIDE
    if cut.beyond == "just beyond":
        limit = float(np.quantile(logs[0], 1 - cut.share)) if cut.share else np.inf
        logs[1:] += np.log(ratio)
        chosen = affected & (logs > limit)
        recorded = np.where(chosen, limit, logs)
    else:
        chosen = affected & (rng.random(shape) < cut.share)
        if cut.beyond == "failed":
            recorded = np.where(chosen, logs + np.log(rng.random(shape)), logs)
        else:
            if cut.sides == "faster":
                logs[0] -= _even(world, cut.share)
            recorded = np.where(chosen, float(logs.max()), logs)
        recorded[1:] += np.log(ratio)
    return CutTimes(recorded_s=np.exp(recorded), cut=chosen.astype(np.float64))


def _even(world: World, share: float) -> float:
    """By how much a logarithm must be smaller to win half of all items, when a ``share`` of them is lost anyhow."""
    first, second = world.log_times(np.random.default_rng(3), 2, 200_000, 1)[..., 0]
    return float(np.quantile(second - first, 0.5 / (1 - share)))
