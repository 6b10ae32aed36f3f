"""One time that ``taskpace run`` works on a run file: what is recorded, what is left, and who is told of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, Self

from taskpace.engines.base import EngineInfo
from taskpace.experiment.plan import Cell, Plan, Trial, content_id, count_remaining, remaining
from taskpace.experiment.until import Seen
from taskpace.machine import host
from taskpace.records import CUT, LATE_NS, LATE_SHARE, Failure, Grade, Record
from taskpace.runner.events import Event, RunEnded, RunStarted, TrialFinished
from taskpace.runner.worker_process import WorkerHandle
from taskpace.store import queries
from taskpace.store.rows import Kept, now
from taskpace.store.store import Store
from taskpace.tasks import score
from taskpace.telemetry import Calibration, ClientMetrics
from taskpace.version import __version__
from taskpace.worker.messages import Finished, Job


class StopRequest(Protocol):
    """Whether somebody has asked the run to stop."""

    @property
    def requested(self) -> bool: ...


class Never:
    """It will not be asked."""

    requested = False


class Part(NamedTuple):
    """What a system does in one turn: trials of one cell."""

    cell: Cell
    trials: Sequence[Trial]
    """In the order in which they are asked."""
    round: int | None = None
    """Counts from 1 in the table; null: the systems do not take turns."""
    place: int | None = None
    """Of the system in that round, from 1."""
    anchor: bool = False
    """Asked again beside a system that was added later."""
    last: bool = True
    """Of its cell, in this session."""


class InFlight(NamedTuple):
    """A job that a worker has, and where its record belongs."""

    part: Part
    job: Job
    trial: Trial | None
    """Null: a warm-up."""


class Records(Protocol):
    """Where what was observed goes: the run file, or, on a node of a cluster, the way to it."""

    @property
    def path(self) -> Path:
        """Beside which an engine may write a log."""
        ...

    def add_worker(self, session: int, system: str, load_ns: int, info: EngineInfo, calibration: Calibration) -> int:
        """Note a worker whose engine is ready; returns its number."""
        ...

    def add_worker_death(self, session: int, worker: int | None, system: str, reason: str) -> None:
        """Note a worker that ended without being asked to."""
        ...

    def add_segment(self, worker: int, cell_id: str, client: ClientMetrics) -> None:
        """Note how the client fared over an unbroken segment of a cell."""
        ...

    def add_all(self, records: Iterable[Kept], cell_id: str, worker: int | None) -> None:
        """Keep records of one cell."""
        ...


class Session:
    """What all systems of a run share while it is carried out.

    Args:
        plan: what is to be done.
        store: for what is observed.
        number: of the session in the run file.
        on_event: hears of everything.
        stop: whether to end.
        launch: starts a worker.
    """

    def __init__(
        self,
        plan: Plan,
        store: Records,
        *,
        number: int,
        on_event: Callable[[Event], None],
        stop: StopRequest,
        launch: Callable[[], WorkerHandle],
    ) -> None:
        self.plan = plan
        self.store = store
        self.number = number
        self.tell = on_event
        self.stop = stop
        self.launch = launch
        # These are kept up with what comes in: to ask the file again costs all of it each time.
        self.attempts: dict[str, int] = {}
        """By trial or warm-up: its last attempt."""
        self.recorded: set[str] = set()
        """Those whose last attempt was final."""
        self.seen: dict[str, Seen] = {}
        """What is known of each recorded trial, likewise; empty where nothing is decided by it."""
        self.given_up: set[str] = set()
        """Cells that get no more trials in this session, though some are left."""
        self._resting: frozenset[str] = frozenset()

    @classmethod
    def begin(
        cls,
        plan: Plan,
        store: Store,
        *,
        on_event: Callable[[Event], None],
        stop: StopRequest,
        launch: Callable[[], WorkerHandle],
    ) -> Self:
        """A session on a run file that is open for writing; what is recorded in it counts as done."""
        number = store.begin_session(host.describe(), __version__)
        session = cls(plan, store, number=number, on_event=on_event, stop=stop, launch=launch)
        for trial_id, attempt, final in queries.last_attempts(store):
            session.attempts[trial_id] = attempt
            if final:
                session.recorded.add(trial_id)
        if plan.experiment.until is not None:
            session.seen = _all_seen(store)
        session.tell(session._started())
        return session

    def undone(self, part: Part) -> Sequence[Trial]:
        """The trials of a part that are still to be done."""
        if part.anchor:
            return tuple(trial for trial in part.trials if anchor_id(trial, self.number) not in self.recorded)
        return remaining(part.trials, self.recorded)

    def left(self, cell: Cell) -> int:
        """How many trials of a cell are to be asked and are still to be done."""
        return 0 if cell.id in self._resting else self._undone(cell)

    def rest(self, table: Iterable[Cell], resting: Iterable[Cell]) -> None:
        """Note which cells of a table are asked no more, as all is settled that they are needed for."""
        self._resting = self._resting - {cell.id for cell in table} | {cell.id for cell in resting}

    def _undone(self, cell: Cell) -> int:
        return count_remaining(self.plan.trials(cell), self.recorded)

    def keep(self, records: Sequence[tuple[InFlight, Finished]], worker: int | None) -> None:
        """Grade what has finished and put it on disk. A warm-up is kept and counts nowhere.

        Args:
            records: of one cell.
            worker: its number in the run file; null: it crashed before it was ready.
        """
        if not records:
            return
        kept = [_kept(flown, message.record) for flown, message in records]
        self.store.add_all(kept, records[0][0].part.cell.id, worker)
        for (flown, _), (record, grade, *_) in zip(records, kept, strict=True):
            self.attempts[record.trial_id] = record.attempt
            if not record.final:
                continue
            self.recorded.add(record.trial_id)
            if grade is not None and not flown.part.anchor:
                if self.plan.experiment.until is not None:
                    self.seen[record.trial_id] = _seen(_task_ns(record), grade.outcome, record.loop_lag_ns)
                self.tell(_finished(record, grade, flown))

    def end(self, given_up: Sequence[str]) -> RunEnded:
        """Say how far the run has come."""
        ended = RunEnded(
            path=str(self.store.path),
            planned=self.plan.trial_count,
            done=sum(count - self._undone(cell) for cell, count in self._counts()),
            spared=sum(self._undone(cell) - self.left(cell) for cell in self.plan.cells),
            interrupted=self.stop.requested,
            given_up=tuple(given_up),
        )
        self.tell(ended)
        return ended

    def _started(self) -> RunStarted:
        cells = [
            (cell.system.name, cell.task.name, cell.scenario.name, count, count - self._undone(cell))
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


def anchor_id(trial: Trial, session: int) -> str:
    """Under which a trial is recorded that is asked again in a later session."""
    return content_id("anchor", trial.id, session)


def _kept(flown: InFlight, record: Record) -> Kept:
    part, _, trial = flown
    if trial is None:
        return Kept(record, None)
    grade = score(part.cell.task.spec, trial.item.spec, record)
    return Kept(record, grade, part.round, part.place, trial.id if part.anchor else None)


def never_sent(job: Job, failure: Failure) -> Finished:
    """What is recorded of a job that only has a reason."""
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


def _finished(record: Record, grade: Grade, flown: InFlight) -> TrialFinished:
    cell, task_ns = flown.part.cell, _task_ns(record)
    usages = [turn.usage.output_tokens for turn in record.turns]
    return TrialFinished(
        trial_id=record.trial_id,
        system=cell.system.name,
        task=cell.task.name,
        scenario=cell.scenario.name,
        item_id="" if flown.trial is None else flown.trial.item.id,
        outcome=grade.outcome,
        task_time_s=None if task_ns is None else task_ns / 1e9,
        output_tokens=None if None in usages or not usages else sum(count or 0 for count in usages),
        detail=record.failure.message if record.failure else None,
    )


def _task_ns(record: Record) -> int | None:
    return sum(turn.end_ns for turn in record.turns) if record.turns else None


def _seen(task_ns: int | None, outcome: str, loop_lag_ns: int | None) -> Seen:
    late = task_ns is not None and (loop_lag_ns or 0) >= LATE_NS and (loop_lag_ns or 0) > LATE_SHARE * task_ns
    return Seen(None if task_ns is None else task_ns / 1e9, outcome in CUT, outcome == "correct", late)


def _all_seen(store: Store) -> dict[str, Seen]:
    return {trial_id: _seen(*row) for trial_id, row in queries.seen(store).items()}
