"""Rounds of a table until its ranking is settled, or a gate can say pass or fail: who is asked next depends on what the
records so far decide.

That is a function of the records in their order and of nothing else: a run that was killed goes on as if it had not
been.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence

from taskpace.experiment.plan import Cell, Trial, remaining
from taskpace.experiment.rounds import Round, asking_order, rounds
from taskpace.experiment.until import Decide, Standing
from taskpace.runner.events import PairsStand
from taskpace.runner.session import Part, Session

Number = Callable[[Sequence[Sequence[Trial]]], int]
"""Of the round in which these trials of each cell are asked."""


def until_settled(
    session: Session, decide: Decide, table: Sequence[Cell], *, size: int, number: Number
) -> Generator[Part, None, bool]:
    """Round after round, each asked of the systems that are in a pair, or in a condition, which is still open.

    A part is to be carried out before the next one is taken. A system that cannot be asked does not hold up the others.
    Returns whether nothing more is to be asked of other tables either.

    Args:
        session: whose plan is carried out.
        decide: how every two systems stand.
        table: cells of one task in one scenario.
        size: trials of a cell in a round.
        number: numbers the rounds.
    """
    order = {cell.id: asking_order(session.plan, cell) for cell in table}
    by_name = {cell.system.name: cell for cell in table}
    needed = frozenset(by_name)
    carried_out = 0
    all_rounds = list(rounds(session.plan, table, size))
    for index, each in enumerate(all_rounds):
        asked = {cell.id: order[cell.id][each.begin : each.end] for cell in table}
        of_round: int | None = None
        for place, cell in enumerate(each.cells, 1):
            left = remaining(asked[cell.id], session.recorded)
            if left and cell.system.name in needed:
                of_round = of_round or number([asked[other.id] for other in table])
                part = Part(cell, left, of_round, place, last=False)
                carried_out += 1
                yield part
        if _whole(session, order, all_rounds[index + 1 : index + 2]):
            continue  # who is needed only matters where somebody may be asked
        standing = _standing(session, decide, table, order, each.end)
        gone = {cell.system.name for cell in table if cell.id in session.given_up}
        # A baseline that is not asked again is in no table.
        needed = standing.needed(sorted(gone)) & by_name.keys()
        session.rest(table, [cell for cell in table if cell.system.name not in needed | gone])
        if carried_out or not needed:
            session.tell(_told(table[0], standing, needed))
        if standing.failed or not needed:
            return standing.failed
    return False


def _whole(session: Session, order: dict[str, Sequence[Trial]], following: Sequence[Round]) -> bool:
    """Whether there is a next round, and all of it is recorded."""
    return bool(following) and not any(
        remaining(trials[each.begin : each.end], session.recorded) for each in following for trials in order.values()
    )


def _standing(
    session: Session, decide: Decide, table: Sequence[Cell], order: dict[str, Sequence[Trial]], end: int
) -> Standing:
    seen = {cell.system.name: [session.seen.get(trial.id) for trial in order[cell.id][:end]] for cell in table}
    return decide(seen, (table[0].task.name, table[0].scenario.name))


def _told(cell: Cell, standing: Standing, needed: frozenset[str]) -> PairsStand:
    return PairsStand(
        task=cell.task.name,
        scenario=cell.scenario.name,
        items=standing.items,
        pairs=standing.pairs,
        judged=standing.judged,
        needed=tuple(sorted(needed)),
    )
