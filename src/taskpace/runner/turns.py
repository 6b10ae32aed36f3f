"""What is carried out when: the parts of a run, in turns, in blocks, or one system after the other."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from taskpace.experiment.plan import Cell, Trial, remaining
from taskpace.experiment.rounds import asking_order, round_size, rounds, tables
from taskpace.experiment.until import Decide
from taskpace.runner.session import Part, Session
from taskpace.runner.settling import Number, until_settled
from taskpace.store import queries
from taskpace.store.store import Store

ANCHORS = 10
"""Trials of an older system that are asked again beside a system that is added to a run."""
_MOST_AT_ONCE = 1000
"""Trials of a part where one follows the other: what is made and sent before the first of them is bounded."""

Order = Mapping[str, Sequence[Trial]]
"""The trials of each cell, by its id, in the order in which they are asked."""


def one_after_the_other(session: Session) -> Iterator[Part]:
    """Each system's cells, one after the other."""
    plan = session.plan
    for system in plan.systems:
        for cell in plan.cells:
            if cell.system is system:
                yield from _whole(session, cell)


def in_turns(session: Session, store: Store, *, together: bool, decide: Decide | None = None) -> Iterator[Part]:
    """Round after round of each table, those that were begun first.

    Args:
        session: whose plan is carried out.
        store: what earlier sessions have recorded.
        together: all systems are open at once; else their parts are larger.
        decide: ends a table when its ranking is settled, or all when a gate has failed; null: all items are asked.
    """
    rounds_so_far = _Rounds(session, store)
    over = False
    for table in tables(session.plan):
        size = round_size(table[0].scenario, together=together)
        if decide is not None and size is not None:
            order = {cell.id: asking_order(session.plan, cell) for cell in table}
            number = rounds_so_far.counter(order)
            if over:
                session.rest(table, table)
            else:
                over = yield from until_settled(session, decide, table, size=size, number=number)
            continue
        yield from _table_parts(session, table, rounds_so_far, together=together)


def _whole(session: Session, cell: Cell) -> Iterator[Part]:
    """What is left of a cell in succession.

    A load is one part, for between two of them fewer would be in flight; else nothing is, and what a worker is given at
    once is bounded.
    """
    left = remaining(asking_order(session.plan, cell), session.recorded)
    batch = cell.scenario.batch or 1
    size = max(1, _MOST_AT_ONCE // batch) * batch if cell.scenario.one_at_a_time else max(1, len(left))
    for begin in range(0, len(left), size):
        # What is whole stays as it is: the trials of a large plan are made when they are asked for.
        trials = left if size >= len(left) else left[begin : begin + size]
        yield Part(cell, trials, last=begin + size >= len(left))


def _table_parts(session: Session, table: Sequence[Cell], known: _Rounds, *, together: bool) -> Iterator[Part]:
    """A table's parts: those of rounds that were begun, then the others, each made when it is its turn."""
    size = round_size(table[0].scenario, together=together)
    if size is None or len(table) == 1:
        (whole,) = rounds(session.plan, table, None)
        for cell in whole.cells:
            yield from _whole(session, cell)
        return
    order = {cell.id: asking_order(session.plan, cell) for cell in table}
    again, begun, fresh = (
        known.anchors(table, order),
        known.begun(order, size),
        itertools.count(known.next_number(order)),
    )
    begins = range(0, len(order[table[0].id]), size)

    def asked(begin: int) -> dict[str, _Asked]:
        """What a round still asks, by cell; nothing where it would be anchors alone."""
        found = {}
        for cell_id, trials in order.items():
            of_round = trials[begin : begin + size]
            if left := remaining(of_round, session.recorded):
                found[cell_id] = _Asked(left, anchor=False)
            elif anchored := tuple(trial for trial in of_round if trial.id in again.get(cell_id, ())):
                found[cell_id] = _Asked(anchored, anchor=True)
        return {} if all(each.anchor for each in found.values()) else found

    unbegun = (begin for begin in reversed(begins) if begin not in begun)
    last = _last(order, itertools.chain(unbegun, reversed(begun)), asked) if together else {}
    in_order = itertools.chain(begun, (begin for begin in begins if begin not in begun))
    for each in rounds(session.plan, table, size, in_order):
        if not (of_cells := asked(each.begin)):
            continue
        number = begun.get(each.begin) or next(fresh)
        for place, cell in enumerate(each.cells, 1):
            if of_cell := of_cells.get(cell.id):
                ends = not together or last[cell.id] == each.begin
                yield Part(cell, of_cell.trials, number, place, anchor=of_cell.anchor, last=ends)


class _Asked(NamedTuple):
    """What a round still asks of one cell."""

    trials: Sequence[Trial]
    anchor: bool
    """They are asked again."""


def _last(cells: Iterable[str], begins: Iterable[int], asked: Callable[[int], Iterable[str]]) -> dict[str, int]:
    """Where the round begins that is a cell's last, by cell; ``begins``: of all rounds, the last one first."""
    found: dict[str, int] = {}
    missing = set(cells)
    for begin in begins:
        if here := missing.intersection(asked(begin)):
            found |= dict.fromkeys(here, begin)
            missing -= here
        if not missing:
            break
    return found


class _Rounds:
    """What earlier sessions have done of the rounds."""

    def __init__(self, session: Session, store: Store) -> None:
        self._recorded = session.recorded
        self._origins = queries.origins(store)
        self._anchored: dict[str, set[str]] = {}
        """Trial -> its anchors."""
        for anchor, trial in queries.anchors(store).items():
            self._anchored.setdefault(trial, set()).add(anchor)

    def number(self, trials: Sequence[Sequence[Trial]]) -> int | None:
        """Of a round that was begun; null: none of its trials has been carried out in turns."""
        found = (self._origins.get(trial.id) for cell in trials for trial in cell)
        return next((origin.round for origin in found if origin is not None and origin.round is not None), None)

    def begun(self, order: Order, size: int) -> dict[int, int]:
        """The rounds that were begun: where each begins, and its number."""
        found = {}
        for begin in range(0, max(map(len, order.values())), size) if self._origins else ():
            number = self.number([trials[begin : begin + size] for trials in order.values()])
            if number is not None:
                found[begin] = number
        return found

    def next_number(self, order: Order) -> int:
        """Greater than that of every round of these cells so far."""
        if not self._origins:
            return 1
        found = (self._origins.get(trial.id) for trials in order.values() for trial in trials)
        return 1 + max((origin.round or 0 for origin in found if origin is not None), default=0)

    def counter(self, order: Order) -> Number:
        """Numbers one round of these cells after the other: those that were begun as then, others after all of them."""
        fresh = itertools.count(self.next_number(order))
        return lambda trials: self.number(trials) or next(fresh)

    def anchors(self, table: Sequence[Cell], order: Order) -> dict[str, set[str]]:
        """By cell: trials to ask again, as a system that is new has shared no session with it, and will not enough."""
        if not self._origins:
            return {}
        sessions = {cell.id: self._sessions(order[cell.id]) for cell in table}
        again: dict[str, set[str]] = {}
        for new in table:
            undone = [index for index, trial in enumerate(order[new.id]) if trial.id not in self._recorded]
            for old in table:
                if not undone or not sessions[old.id] or sessions[old.id] & sessions[new.id]:
                    continue
                trials = order[old.id]
                shared = sum(trials[index].id not in self._recorded for index in undone)
                asked = sum(len(self._anchored.get(trial.id, ())) for trial in trials)
                able = [trials[index].id for index in undone if trials[index].id in self._recorded]
                again.setdefault(old.id, set()).update(able[: max(0, ANCHORS - shared - asked)])
        return again

    def _sessions(self, trials: Sequence[Trial]) -> set[int]:
        found = (self._origins.get(trial.id) for trial in trials)
        return {origin.session for origin in found if origin is not None and origin.session is not None}
