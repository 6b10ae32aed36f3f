"""Asking until the ranking is settled: intervals of one system, and regression on what is known of an item beforehand.

Simulated experiments, looked at by the product's own functions.

    python bench/until_intervals.py           # everything, 2,000 experiments a cell: about 2 minutes on one core
    python bench/until_intervals.py --experiments 200 --only rows
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from harness import Bench
from looks import ITEMS, carry_out
from taskpace.analysis.stats.anytime import FIRST_MEAN, log_e_mean, reach, running
from taskpace.analysis.stats.intervals import Floats, of_means, of_ratios
from taskpace.analysis.stats.quantiles import of_quantiles
from taskpace.analysis.stats.shares import share_interval
from taskpace.analysis.stats.significance import ALPHA

ROW_LOOKS = range(10, ITEMS + 1, 10)
KNOWN_AT = (100, 400)
FEW = 400
"""Experiments at most for an interval that is found one experiment at a time."""


def print_rows(bench: Bench) -> None:
    """Intervals of one system: how often does one of them ever miss the truth, looked at every tenth item?"""
    experiments = bench.chosen.experiments
    rng = np.random.default_rng(23)
    bench.say("\n| interval | ever wrong | " + " | ".join(f"upper end known at {n}" for n in KNOWN_AT) + " |")
    bench.say("| --- | ---: |" + " ---: |" * len(KNOWN_AT))
    missed = []

    def count(name: str, ends: Callable[[int], tuple[Floats, Floats]], truth: float) -> None:
        wrong, known = np.zeros(1, dtype=bool), []
        for n in ROW_LOOKS:
            low, high = ends(n)
            wrong = wrong | (low > truth) | (high < truth)  # an unknown end is not wrong
            known += [np.isfinite(high).mean()] if n in KNOWN_AT else []
        missed.append(100 * float(wrong.mean()))
        bench.say(f"| {name} | {missed[-1]:.1f} % | " + " | ".join(f"{100 * each:.0f} %" for each in known) + " |")

    for share in (0.5, 0.9):
        hits = (rng.random((ITEMS, experiments)) < share).astype(np.float64)

        def correct(n: int, hits: Floats = hits) -> tuple[Floats, Floats]:
            found = np.array([share_interval(column, np.ones(n), reach)[1:] for column in hits[:n, :FEW].T])
            return found[:, 0], found[:, 1]

        count(f"accuracy, {100 * share:.0f} %", correct, share)
    for name, logs, median, truth in _times(rng, experiments):
        seconds = np.exp(logs)

        def of_median(n: int, seconds: Floats = seconds) -> tuple[Floats, Floats]:
            found = [of_quantiles(column, np.arange(n), (0.5,), reach=reach) for column in seconds[:n, :FEW].T]
            return np.array([each.low[0] for each in found]), np.array([each.high[0] for each in found])

        def of_mean(n: int, seconds: Floats = seconds) -> tuple[Floats, Floats]:
            found = of_ratios(seconds[:n], np.ones((n, experiments)), reach)
            return found.low, found.high

        if name in ("sigma 0.5", "sigma 1"):  # without an assumption on the tail
            count(f"median task time, {name}", of_median, median)
        count(f"mean task time, {name}", of_mean, truth)
        # What takes long is answered wrong more often, half of all answers.
        chance = 1 / (1 + np.exp(logs - np.log(median)))
        right = (rng.random(logs.shape) < chance).astype(np.float64)

        def of_correct(n: int, seconds: Floats = seconds, right: Floats = right) -> tuple[Floats, Floats]:
            found = of_ratios(seconds[:n], right[:n], reach)
            return found.low, found.high

        if name.startswith("sigma"):
            count(f"time per correct answer, {name}", of_correct, 2 * truth)
        # The difference of two systems' means is skewed one way or the other, by chance.
        other = np.exp(logs[:, ::-1])

        def of_difference(n: int, seconds: Floats = seconds, other: Floats = other) -> tuple[Floats, Floats]:
            found = of_means(other[:n] - seconds[:n], reach)
            return found.low, found.high

        count(f"difference of two means, {name}", of_difference, 0.0)
    bench.figure("until decided: intervals of one system that are ever wrong", missed, "%")


def _times(rng: np.random.Generator, experiments: int) -> Iterator[tuple[str, Floats, float, float]]:
    """Name, log times (items, experiments), median and mean."""
    for sigma in (0.3, 0.5, 1.0, 1.5):
        yield f"sigma {sigma:g}", rng.normal(0, sigma, (ITEMS, experiments)), 1.0, float(np.exp(sigma**2 / 2))
    for index in (3.0, 1.5):
        logs = rng.exponential(1 / index, (ITEMS, experiments))
        yield f"Pareto, tail index {index:g}", logs, float(2 ** (1 / index)), index / (index - 1)


# ---- what is known of an item before it is asked ---------------------------------------------------------------------


def print_length(bench: Bench) -> None:
    """Regression on what is known of an item beforehand, each slope from the items before it alone.

    Of the log ratios' variance it explains a share (R^2); two systems, sigma 0.6. ``own mean``: the covariate is
    centred at the mean of the items so far, as if that were its true one: what is left of a third system's time.
    """
    bench.say(
        "\n| explained | ratio | items | with regression | saved | false claims ever | centred at its own mean: false |"
    )
    bench.say("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    experiments = bench.chosen.experiments
    false: list[float] = []
    for explained in (0.0, 0.05, 0.3):
        for ratio in (1.1, 1.3):
            rng = np.random.default_rng((round(100 * explained), round(10 * ratio)))
            known, noise = rng.normal(0, 1, (2, ITEMS, experiments))
            values = 0.6 * (np.sqrt(explained) * known + np.sqrt(1 - explained) * noise)
            plain, adjusted = (
                np.minimum(_first(each + np.log(ratio)), ITEMS).mean() for each in (values, _regressed(values, known))
            )
            false.append(100 * float((_first(_regressed(values, known)) <= ITEMS).mean()))
            centred = 100 * float((_first_centred(values, known) <= ITEMS).mean())
            bench.say(
                f"| {100 * explained:.0f} % | {ratio:g} | {plain:.0f} | {adjusted:.0f} "
                f"| {100 * (1 - adjusted / plain):.0f} % | {false[-1]:.1f} % | {centred:.1f} % |"
            )
    bench.figure("until decided: false claims ever, with regression", false, "%")


def _first(values: Floats) -> Floats:
    """After which item the mean is known not to be 0, of more than 660: never; (items, experiments)."""
    log_p = np.log(2) + np.minimum(running(values).log_p, running(-values).log_p)
    hit = log_p <= np.log(ALPHA)
    return np.where(hit.any(axis=0), hit.argmax(axis=0) + 1, ITEMS + 1)


def _regressed(values: Floats, known: Floats) -> Floats:
    """Values less what the covariate, whose mean is 0, explains by the slope of the items before; from the tenth on."""
    n = np.arange(1, len(values) + 1)[:, None]
    sums = [np.cumsum(each, axis=0) for each in (values, known, values * known, known**2)]
    with np.errstate(divide="ignore", invalid="ignore"):
        slopes = (sums[2] - sums[0] * sums[1] / n) / (sums[3] - sums[1] ** 2 / n)
    before = np.concatenate([np.zeros((1, values.shape[1])), slopes[:-1]])
    before[:10] = 0
    return values - before * known


def _first_centred(values: Floats, known: Floats) -> Floats:
    """Likewise where the covariate's mean is unknown, and that of the items so far stands in: the mean of the values
    stays as it is, and only its standard error shrinks.
    """
    n = np.arange(1.0, len(values) + 1)[FIRST_MEAN - 1 :, None]
    sums = [np.cumsum(each, axis=0)[FIRST_MEAN - 1 :] for each in (values, known, values * known, known**2, values**2)]
    both, spread = sums[2] - sums[0] * sums[1] / n, sums[3] - sums[1] ** 2 / n
    left = sums[4] - sums[0] ** 2 / n - both**2 / spread
    hit = log_e_mean(sums[0] ** 2 / n / left, n) >= -np.log(ALPHA)
    return np.where(hit.any(axis=0), hit.argmax(axis=0) + FIRST_MEAN, ITEMS + 1)


def main() -> None:
    parts = {"rows": print_rows, "length": print_length}
    carry_out("until_intervals", __doc__, parts)


if __name__ == "__main__":
    main()
