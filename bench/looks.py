"""What until.py and until_items.py share: how log ratios scatter, and looking at many experiments after every item."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import combinations

import msgspec
import numpy as np

from harness import Bench
from taskpace.analysis.stats import anytime
from taskpace.analysis.stats.claims import log_ratios
from taskpace.analysis.stats.intervals import Floats

ITEMS = 660
BATCH = 50
"""Experiments at a time: more would not fit the processor's cache."""
SIZES = {"experiments": (2000, BATCH)}
SYSTEMS = (2, 4, 6)


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
        return item + rng.normal(0, each, shape)


SCATTERS = (
    Scatter("sigma 0.3", 0.3),
    Scatter("sigma 0.6", 0.6),
    Scatter("sigma 1.0", 1.0),
    Scatter("heavy tail, sigma 0.6", 0.6, "heavy"),
)


def scatters(bench: Bench) -> tuple[Scatter, ...]:
    """All of them; in the quick form one."""
    return SCATTERS[1:2] if bench.quick else SCATTERS


def one_batch(logs: Floats, cut: Floats | None = None) -> tuple[Floats, Floats, Floats]:
    """Two-sided log p of every pair after each item, whose way it points (1: the first), and whether it is on most.

    ``logs``: (systems, experiments, items), of what was recorded. Results are (items, experiments, pairs).
    """
    systems, experiments, items = logs.shape
    pairs = list(combinations(range(systems), 2))
    flat = (systems * experiments, items, 1)
    indices = [(a * experiments + i, b * experiments + i) for i in range(experiments) for a, b in pairs]
    flags = np.zeros(flat, dtype=bool) if cut is None else cut.reshape(flat) > 0
    ratios = log_ratios(np.exp(logs).reshape(flat), flags, indices)
    a, b = anytime.running(ratios.low), anytime.running(-ratios.high)
    shape = (items, experiments, len(pairs))
    log_p = np.minimum(0.0, np.log(2) + np.minimum(a.log_p, b.log_p)).reshape(shape)
    way = np.where(a.log_p < b.log_p, 1, -1).reshape(shape)
    on_most = np.where(a.log_p < b.log_p, a.on_most, b.on_most).reshape(shape)
    return log_p, way, on_most


def look_wins_up() -> None:
    """From here on take the evidence of so many wins from a table: millions of looks repeat the same few.

    The table is the product's own function at every number of wins of every number of items.
    """
    wins, n = np.meshgrid(np.arange(ITEMS + 1.0), np.arange(ITEMS + 1.0), indexing="ij")
    table = anytime.log_e_most(np.minimum(wins, n), n)
    anytime.log_e_most = lambda wins, n: table[wins.astype(np.intp), n.astype(np.intp)]


def carry_out(name: str, doc: str | None, parts: Mapping[str, Callable[[Bench], None]]) -> None:
    """Print the parts of a benchmark of looks, or the one that ``--only`` names."""
    bench = Bench(name, doc, SIZES, {"--only": {"choices": list(parts)}}, markdown=True)
    look_wins_up()
    bench.head(f"{bench.chosen.experiments} experiments of up to {ITEMS} items a cell")
    bench.print_parts({part: partial(show, bench) for part, show in parts.items()})
    bench.finish()
