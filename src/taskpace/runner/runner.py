"""The main path: a plan, a worker for each system, records into the store, events to whoever watches."""

from __future__ import annotations

from collections.abc import Callable

from taskpace.experiment.plan import Plan
from taskpace.runner.events import Event, RunEnded
from taskpace.runner.session import Never, Session, StopRequest
from taskpace.runner.system_run import SystemRun
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

    Systems run one after another, each in a worker of its own; a worker that dies costs its trials in flight, which
    are recorded as errors, and is started again for the rest.
    """
    session = Session(plan, store, on_event=on_event, stop=stop or Never(), launch=launch)
    given_up: list[str] = []
    for system in plan.systems:
        if session.stop.requested:
            break
        if not SystemRun(system, session).run():
            given_up.append(system.name)
    return session.end(given_up)
