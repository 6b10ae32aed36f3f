"""Who is asked what when: systems take turns, item by item or in blocks, in an order drawn again for each round. Pure.

The machine's drift then meets both sides of every pair, and no system always follows the same other one. Sources: Abedi
and Brecht (2017), "Conducting repeatable experiments in highly variable cloud computing environments" (randomised
multiple interleaved trials); google-benchmark's random interleaving.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from taskpace.experiment.plan import Cell, Plan, Trial, content_id
from taskpace.experiment.scenario import Scenario

BLOCK = 5
"""Items of a block, where systems cannot be open at once."""
_RAMPS = 5
"""Times the number in flight: so many trials of a block make its begin and end, where fewer are in flight, a fifth."""


class Round(msgspec.Struct, frozen=True):
    """Some items, asked of every system of a table."""

    begin: int
    """Of the trials in ``asking_order``: the index of the first and of the one after the last."""
    end: int
    cells: tuple[Cell, ...]
    """In the order that was drawn."""


def tables(plan: Plan) -> list[tuple[Cell, ...]]:
    """The cells of each task in each scenario, which are compared with each other; in the experiment's order."""
    found: dict[tuple[str, str], list[Cell]] = {}
    for cell in plan.cells:
        found.setdefault((cell.task.name, cell.scenario.name), []).append(cell)
    return [tuple(cells) for cells in found.values()]


def asking_order(plan: Plan, cell: Cell) -> Sequence[Trial]:
    """A cell's trials in the order in which they are asked: the plan's, or for static batches by length if wanted.

    The trials of one index are of the same item and repeat in every cell of a table.
    """
    trials = plan.trials(cell)
    if cell.scenario.batch is not None and plan.experiment.batch_order == "length":
        return tuple(sorted(trials, key=lambda trial: sum(map(len, trial.item.prompts))))
    return trials


def round_size(scenario: Scenario, *, together: bool) -> int | None:
    """How many trials a system carries out in succession; null: all, as arrivals at a rate are one process.

    Args:
        scenario: how requests are issued.
        together: all systems are open at once; else each is opened again for its part of a round.
    """
    if scenario.rate is not None:
        return None
    if scenario.batch is not None:
        return scenario.batch if together else scenario.batch * BLOCK
    if scenario.concurrency > 1:
        return scenario.concurrency * _RAMPS
    return 1 if together else BLOCK


def rounds(plan: Plan, table: Sequence[Cell], size: int | None, begins: Iterable[int] | None = None) -> Iterator[Round]:
    """The rounds of a table, each with an order of its own, drawn from the experiment's seed when it is its turn.

    Args:
        plan: of which the table is a part.
        table: the cells of one task in one scenario.
        size: trials of a cell in a round; null: all.
        begins: where those rounds begin that are wanted; null: all rounds in order.
    """
    trials = asking_order(plan, table[0])
    for begin in range(0, len(trials), size or len(trials)) if begins is None else begins:
        first = trials[begin]
        seed = content_id(
            "order",
            plan.experiment.seed,
            table[0].task.name,
            table[0].scenario.name,
            first.item.id,
            first.repeat,
        )
        cells = list(table)
        random.Random(seed).shuffle(cells)  # noqa: S311 - a design, not a secret
        yield Round(begin, min(begin + (size or len(trials)), len(trials)), tuple(cells))
