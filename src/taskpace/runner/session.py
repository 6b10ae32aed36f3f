"""One time that ``taskpace run`` works on a run file: what is recorded, what is left, and who is told of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from taskpace.experiment.plan import Cell, Plan, Trial, remaining
from taskpace.machine import host
from taskpace.records import Failure, Grade, Record
from taskpace.runner.events import Event, RunEnded, RunStarted, TrialFinished
from taskpace.runner.worker_process import WorkerHandle
from taskpace.store.rows import now
from taskpace.store.store import Store
from taskpace.tasks import score
from taskpace.version import __version__
from taskpace.worker.messages import Finished, Job


class StopRequest(Protocol):
    """Whether somebody has asked the run to stop."""

    @property
    def requested(self) -> bool: ...


class Never:
    """Nobody will ask."""

    requested = False


class InFlight(NamedTuple):
    """A job that a worker has, and where its record belongs."""

    cell: Cell
    job: Job
    trial: Trial | None
    """Null: a warm-up."""


class Session:
    """What all systems of a run share while it is carried out.

    Args:
        plan: what is to be done.
        store: open for writing.
        on_event: hears of everything.
        stop: whether to end.
        launch: starts a worker.
    """

    def __init__(
        self,
        plan: Plan,
        store: Store,
        *,
        on_event: Callable[[Event], None],
        stop: StopRequest,
        launch: Callable[[], WorkerHandle],
    ) -> None:
        self.plan = plan
        self.store = store
        self.tell = on_event
        self.stop = stop
        self.launch = launch
        self.recorded = store.recorded()
        """Kept up with what comes in: to ask the file again costs all of it each time."""
        self.tell(self._started())
        self.number = store.begin_session(host.describe(), __version__)

    def left(self, cell: Cell) -> tuple[Trial, ...]:
        """The trials of a cell that have no record yet, in order."""
        return remaining(self.plan, cell, self.recorded)

    def keep(self, records: Sequence[tuple[InFlight, Finished]], worker: int | None) -> None:
        """Grade what has finished and put it on disk. A warm-up is kept and counts nowhere.

        Args:
            records: of one cell.
            worker: its number in the run file; null: it died before it was ready.
        """
        if not records:
            return
        graded: list[tuple[Record, Grade | None]] = [
            (message.record, score(cell.task.spec, trial.item.spec, message.record) if trial else None)
            for (cell, _, trial), message in records
        ]
        self.store.add_all(graded, records[0][0].cell.id, worker)
        for (flown, message), (record, grade) in zip(records, graded, strict=True):
            self.recorded[record.trial_id] = record.attempt
            if grade is not None and message.final:
                self.tell(_finished(record, grade, flown.cell))

    def end(self, given_up: Sequence[str]) -> RunEnded:
        """Say how far the run has come."""
        ended = RunEnded(
            path=str(self.store.path),
            planned=self.plan.trial_count,
            done=sum(count - len(self.left(cell)) for cell, count in self._counts()),
            interrupted=self.stop.requested,
            given_up=tuple(given_up),
        )
        self.tell(ended)
        return ended

    def _started(self) -> RunStarted:
        cells = [
            (cell.system.name, cell.task.name, cell.scenario.name, count, count - len(self.left(cell)))
            for cell, count in self._counts()
        ]
        return RunStarted(
            path=str(self.store.path),
            planned=self.plan.trial_count,
            done=sum(done for *_, done in cells),
            cells=tuple(cells),
        )

    def _counts(self) -> list[tuple[Cell, int]]:
        return [(cell, len(self.plan.trials(cell))) for cell in self.plan.cells]


def never_sent(job: Job, failure: Failure) -> Finished:
    """What is recorded of a job of which nothing is known but why."""
    record = Record(
        trial_id=job.trial_id,
        attempt=job.attempt,
        phase=job.phase,
        started_at=now(),
        turns=(),
        failure=failure,
        loop_lag_ns=None,
    )
    return Finished(record=record)


def _finished(record: Record, grade: Grade, cell: Cell) -> TrialFinished:
    usages = [turn.usage.output_tokens for turn in record.turns]
    return TrialFinished(
        trial_id=record.trial_id,
        system=cell.system.name,
        task=cell.task.name,
        scenario=cell.scenario.name,
        outcome=grade.outcome,
        task_time_s=sum(turn.end_ns for turn in record.turns) / 1e9 if record.turns else None,
        output_tokens=None if None in usages or not usages else sum(count or 0 for count in usages),
        detail=record.failure.message if record.failure else None,
    )
