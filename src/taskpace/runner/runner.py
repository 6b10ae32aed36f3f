"""The main path: a plan, a worker for each system, records into the store, events to whoever watches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from taskpace.experiment.plan import Plan
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
) -> RunEnded:
    """Carry out every trial of ``plan`` that ``store`` has no record of.

    The systems take turns, each in a worker of its own, unless the experiment's order says otherwise or they cannot be
    open at once.
    """
    session = Session(plan, store, on_event=on_event, stop=stop or Never(), launch=launch)
    runs = {system.name: SystemRun(system, session) for system in plan.systems}
    together = _together(session)
    try:
        if together:
            for run in runs.values():
                run.open_if_needed()
        for part in _parts(session, together=together):
            if session.stop.requested:
                break
            if not together:
                _close_others(runs, part)
            runs[part.cell.system.name].carry_out(part)
    except BaseException:
        for run in runs.values():
            run.abandon()
        raise
    for run in runs.values():
        run.close()
    return session.end([name for name, run in runs.items() if not run.seen_through])


def _together(session: Session) -> bool:
    """Whether all systems are open at once."""
    if session.plan.experiment.order != "turns" or len(session.plan.systems) == 1:
        return False
    if reason := why_not_together(session.plan):
        session.tell(OrderChanged(reason=reason))
    return reason is None


def _parts(session: Session, *, together: bool) -> Iterator[Part]:
    if session.plan.experiment.order == "sequential" or len(session.plan.systems) == 1:
        return one_after_the_other(session)
    return in_turns(session, together=together)


def _close_others(runs: Mapping[str, SystemRun], part: Part) -> None:
    for name, run in runs.items():
        if name != part.cell.system.name:
            run.close()
