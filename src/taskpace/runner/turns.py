"""What is carried out when: the parts of a run, in turns, in blocks, or one system after the other."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from taskpace.experiment.plan import Cell, Trial, remaining
from taskpace.experiment.rounds import asking_order, round_size, rounds, tables
from taskpace.experiment.until import Decide
from taskpace.runner.session import Part, Session
from taskpace.runner.settling import Number, until_settled
from taskpace.store import queries
from taskpace.store.store import Store

ANCHORS = 10
"""Trials of an older system that are asked again beside a system that is added to a run."""


def one_after_the_other(session: Session) -> Iterator[Part]:
    """Each system's cells as wholes."""
    plan = session.plan
    for system in plan.systems:
        for cell in plan.cells:
            if cell.system is system and (left := _left(session, cell)):
                yield Part(cell, left)


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
        parts = _table_parts(session, table, rounds_so_far, together=together)
        yield from _mark_last(parts) if together else parts


def _left(session: Session, cell: Cell) -> tuple[Trial, ...]:
    return remaining(asking_order(session.plan, cell), session.recorded)


def _table_parts(session: Session, table: Sequence[Cell], known: _Rounds, *, together: bool) -> list[Part]:
    size = round_size(table[0].scenario, together=together)
    if size is None or len(table) == 1:
        (whole,) = rounds(session.plan, table, None)
        return [Part(cell, left) for cell in whole.cells if (left := _left(session, cell))]
    order = {cell.id: asking_order(session.plan, cell) for cell in table}
    again = known.anchors(table, order)
    begun: list[Part] = []
    fresh: list[Part] = []
    number = known.next_number(order)
    for each in rounds(session.plan, table, size):
        parts = []
        of_round = known.number([order[cell.id][each.begin : each.end] for cell in table])
        for place, cell in enumerate(each.cells, 1):
            asked = order[cell.id][each.begin : each.end]
            if left := remaining(asked, session.recorded):
                parts.append(Part(cell, left, of_round or number, place))
            elif anchored := tuple(trial for trial in asked if trial.id in again.get(cell.id, ())):
                parts.append(Part(cell, anchored, of_round or number, place, anchor=True))
        if any(not part.anchor for part in parts):
            (fresh if of_round is None else begun).extend(parts)
            number += of_round is None
    return begun + fresh


def _mark_last(parts: list[Part]) -> list[Part]:
    last = {part.cell.id: index for index, part in enumerate(parts)}
    return [part._replace(last=last[part.cell.id] == index) for index, part in enumerate(parts)]


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

    def next_number(self, order: dict[str, tuple[Trial, ...]]) -> int:
        """Greater than that of every round of these cells so far."""
        found = (self._origins.get(trial.id) for trials in order.values() for trial in trials)
        return 1 + max((origin.round or 0 for origin in found if origin is not None), default=0)

    def counter(self, order: dict[str, tuple[Trial, ...]]) -> Number:
        """Numbers one round of these cells after the other: those that were begun as then, others after all of them."""
        fresh = itertools.count(self.next_number(order))
        return lambda trials: self.number(trials) or next(fresh)

    def anchors(self, table: Sequence[Cell], order: dict[str, tuple[Trial, ...]]) -> dict[str, set[str]]:
        """By cell: trials to ask again, as a system that is new has shared no session with it, and will not enough."""
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
