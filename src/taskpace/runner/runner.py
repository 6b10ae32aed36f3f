"""The main path: a plan, a worker for each system, records into the store, events to whoever watches."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping

from taskpace.experiment.experiment import Order
from taskpace.experiment.plan import Plan
from taskpace.experiment.until import Decide, Until
from taskpace.runner.events import Event, OrderChanged, RunEnded
from taskpace.runner.session import Never, Part, Session, StopRequest
from taskpace.runner.system_run import SystemRun
from taskpace.runner.together import why_not_together
from taskpace.runner.turns import in_turns, one_after_the_other
from taskpace.runner.worker_process import WorkerHandle, WorkerProcess
from taskpace.store.store import Store


def run_plan(
    plan: Plan,
    store: Store,
    *,
    on_event: Callable[[Event], None] = lambda _event: None,
    stop: StopRequest | None = None,
    launch: Callable[[], WorkerHandle] = WorkerProcess,
    decider: Callable[[Until], Decide] | None = None,
) -> RunEnded:
    """Carry out every trial of ``plan`` that ``store`` has no record of.

    A plan whose experiment says ``until`` needs a ``decider``, and each of its tasks ends when that has no pair of
    systems, or condition of a gate, open any more.

    The systems take turns, each in a worker of its own, unless the experiment's order says otherwise or they cannot be
    open at once.
    """
    until = plan.experiment.until
    decide = decider(until) if decider is not None and until is not None else None
    session = Session.begin(plan, store, on_event=on_event, stop=stop or Never(), launch=launch)
    runs = {system.name: SystemRun(system, session) for system in plan.systems}
    order = order_of(session)
    carry_out(session, runs, parts_in(order, session, store, decide), order)
    return session.end(given_up(runs))


def order_of(session: Session) -> Order:
    """In which the systems follow each other: as wanted, where there are several and all can be open at once."""
    if len(session.plan.systems) == 1:
        # One system alone takes its turns where each round may be the last.
        return "sequential" if session.plan.experiment.until is None else "turns"
    wanted = session.plan.experiment.order
    if wanted == "turns" and (reason := why_not_together(session.plan)):
        session.tell(OrderChanged(reason=reason))
        return "blocks"
    return wanted


def parts_in(order: Order, session: Session, store: Store, decide: Decide | None = None) -> Iterator[Part]:
    """All that is left of a session's plan, part after part; ``decide``: see ``runner.turns.in_turns``."""
    if order == "sequential":
        return one_after_the_other(session)
    return in_turns(session, store, together=order == "turns", decide=decide)


def carry_out(session: Session, runs: Mapping[str, SystemRun], parts: Iterator[Part], order: Order) -> None:
    """Have each part carried out by its system, until there are none left or a stop is asked for; then close all."""
    try:
        # What is settled already shows before the first part.
        first = next(parts, None)
        if order == "turns" and first is not None:
            for run in runs.values():
                run.open_if_needed()
        for part in itertools.chain(() if first is None else (first,), parts):
            if session.stop.requested:
                break
            if order != "turns":
                close_others(runs, part)
            runs[part.cell.system.name].carry_out(part)
    except BaseException:
        for run in runs.values():
            run.end()
        raise
    for run in runs.values():
        run.close()


def given_up(runs: Mapping[str, SystemRun]) -> list[str]:
    """The systems that have trials left."""
    return [name for name, run in runs.items() if not run.seen_through]


def close_others(runs: Mapping[str, SystemRun], part: Part) -> None:
    """Where systems cannot be open at once: close all but the one that has its turn."""
    for name, run in runs.items():
        if name != part.cell.system.name:
            run.close()
