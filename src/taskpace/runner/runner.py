"""The main path: a plan, a worker for each system, records into the store, events to whoever watches."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Protocol

import msgspec

from taskpace import engines
from taskpace.engines.base import EngineSpec
from taskpace.experiment.plan import Cell, Plan, PlannedSystem, Trial, remaining
from taskpace.machine import host
from taskpace.records import Failure, Grade, Record
from taskpace.runner.events import (
    CellStarted,
    Event,
    RunEnded,
    RunStarted,
    SystemGivenUp,
    TrialFinished,
    WorkerDied,
    WorkerOpening,
    WorkerReady,
    WorkerStarting,
)
from taskpace.runner.jobs import make_jobs, make_warm_ups
from taskpace.runner.worker_group import WorkerGroup
from taskpace.runner.worker_process import WorkerDiedError, WorkerHandle, WorkerProcess
from taskpace.store.store import Store, now
from taskpace.tasks import score
from taskpace.version import __version__
from taskpace.worker.messages import (
    CellEnded,
    Close,
    Closed,
    Dispatched,
    Finished,
    FromWorker,
    Job,
    Open,
    Opened,
    OpenFailed,
    Opening,
    RunCell,
    Stop,
    Stored,
)
from taskpace.worker.retries import LONGEST_S

_DEATHS_IN_A_ROW = 3
"""A worker that dies this often without finishing a trial in between is not started again."""
_POLL_S = 0.2
_NOT_IN_A_FILE_NAME = r"[^\w.-]+"
_SILENCE_GRACE_S = 60.0
"""Beyond a trial's time limit: what an engine may take to notice that it was cancelled (a long prompt, say)."""
_GATHER_S = 0.002
"""Under load records are put on disk together: each commit waits for the disk, and costs the client its processor."""
_OPEN_LIMIT_S = 1800.0
_CLOSE_LIMIT_S = 30.0


class StopRequest(Protocol):
    """Whether somebody has asked the run to stop."""

    @property
    def requested(self) -> bool: ...


class Never:
    """Nobody will ask."""

    requested = False


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
    stop = stop or Never()
    recorded = store.recorded()
    on_event(_started(plan, store, recorded))
    session = store.begin_session(host.describe(), __version__)
    given_up: list[str] = []
    for system in plan.systems:
        if stop.requested:
            break
        turn = _SystemTurn(plan, system, store, recorded, session=session, on_event=on_event, stop=stop, launch=launch)
        if not turn.run():
            given_up.append(system.name)
    done = sum(trial.id in recorded for cell in plan.cells for trial in plan.trials(cell))
    ended = RunEnded(
        path=str(store.path),
        planned=plan.trial_count,
        done=done,
        interrupted=stop.requested,
        given_up=tuple(given_up),
    )
    on_event(ended)
    return ended


def _started(plan: Plan, store: Store, recorded: dict[str, int]) -> RunStarted:
    cells = []
    for cell in plan.cells:
        trials = list(plan.trials(cell))
        done = sum(trial.id in recorded for trial in trials)
        cells.append((cell.system.name, cell.task.name, cell.scenario.name, len(trials), done))
    return RunStarted(
        path=str(store.path),
        planned=sum(cell[3] for cell in cells),
        done=sum(cell[4] for cell in cells),
        cells=tuple(cells),
    )


class _UnusableError(Exception):
    """The engine could not be opened, or is out of reach; trying again would end the same way."""


class _StoppedError(Exception):
    """A stop was asked for while nothing was in flight."""


class _SystemTurn:
    """One system's part of a run."""

    def __init__(
        self,
        plan: Plan,
        system: PlannedSystem,
        store: Store,
        recorded: dict[str, int],
        *,
        session: int,
        on_event: Callable[[Event], None],
        stop: StopRequest,
        launch: Callable[[], WorkerHandle],
    ) -> None:
        self._plan = plan
        self._system = system
        self._name = system.name
        self._cells = [cell for cell in plan.cells if cell.system is system]
        self._store = store
        self._recorded = recorded
        """The run's, kept up with what comes in: to ask the file again costs all of it each time."""
        self._session = session
        self._on_event = on_event
        self._stop = stop
        self._launch = launch
        self._worker_number: int | None = None
        remote = engines.entry(system.spec.engine).remote
        self._processes = plan.experiment.processes if remote else 1
        self._in_flight: dict[tuple[str, int], tuple[Cell, Job, Trial | None]] = {}
        """By trial and attempt."""
        self._too_large: dict[str, tuple[int, str]] = {}
        """By task: the static batch that ran out of memory, and what it said."""
        self._deadly: set[str] = set()
        """Warm-ups that a worker died of; they are not tried again."""
        self._finished_since_death = 0

    def run(self) -> bool:
        """Returns whether the system was seen through (or stopped on request), not given up."""
        deaths = 0
        while (left := self._left()) and not self._stop.requested:
            self._finished_since_death = 0
            worker = WorkerGroup(self._launch, self._processes) if self._processes > 1 else self._launch()
            try:
                self._serve(worker, left)
            except _UnusableError as exc:
                return self._give_up(str(exc))
            except _StoppedError:
                return True
            except WorkerDiedError as death:
                self._bury(str(death))
                deaths = 1 if self._finished_since_death else deaths + 1
                if deaths == _DEATHS_IN_A_ROW:
                    return self._give_up(f"its worker died {deaths} times in a row; the last time {death}")
            finally:
                worker.end()
        return True

    def _left(self) -> list[tuple[Cell, tuple[Trial, ...]]]:
        cells = [(cell, remaining(self._plan, cell, self._recorded)) for cell in self._cells]
        return [(cell, trials) for cell, trials in cells if trials]

    def _serve(self, worker: WorkerHandle, left: list[tuple[Cell, tuple[Trial, ...]]]) -> None:
        """Open the engine, run the cells, close."""
        self._worker_number = None
        self._open(worker)
        for cell, trials in left:
            if self._stop.requested:
                break
            self._run_cell(worker, cell, trials)
        worker.send(Close())
        while not isinstance(self._receive(worker, _CLOSE_LIMIT_S, "closing")[-1], Closed):
            pass

    def _open(self, worker: WorkerHandle) -> None:
        system = self._system.spec
        self._on_event(WorkerStarting(system=self._name, model=system.model))
        slots = max(cell.scenario.concurrency for cell in self._cells)
        log = f"{self._store.path}.{re.sub(_NOT_IN_A_FILE_NAME, '-', self._name)}.log"
        worker.send(
            Open(
                spec=EngineSpec(
                    engine=system.engine,
                    model=self._system.path,
                    options=system.options,
                    slots=slots,
                    log=log,
                )
            )
        )
        while isinstance(said := self._receive(worker, _OPEN_LIMIT_S, "loading", stop_at_once=True)[-1], Opening):
            self._on_event(WorkerOpening(system=self._name, text=said.text))
        match said:
            case Opened() as opened:
                self._worker_number = self._store.add_worker(
                    self._session, self._name, opened.load_ns, opened.info, opened.calibration
                )
                self._on_event(WorkerReady(system=self._name, load_s=opened.load_ns / 1e9, info=opened.info))
            case OpenFailed() as failed:
                self._store.add_worker_death(self._session, None, self._name, failed.failure.message)
                raise _UnusableError(failed.failure.message)
            case other:
                raise AssertionError(other)

    def _run_cell(self, worker: WorkerHandle, cell: Cell, trials: tuple[Trial, ...]) -> None:
        self._on_event(
            CellStarted(system=self._name, task=cell.task.name, scenario=cell.scenario.name, left=len(trials))
        )
        if why := self._does_not_fit(cell):
            self._pass_over(cell, trials, why)
            return
        planned = {trial.id: trial for trial in trials}
        warm_ups = make_warm_ups(self._plan, cell, self._recorded, self._deadly)
        jobs = {job.trial_id: job for job in (*warm_ups, *make_jobs(self._plan, cell, trials))}
        timeout_s = self._plan.experiment.timeout_s
        worker.send(
            RunCell(
                concurrency=cell.scenario.concurrency,
                one_at_a_time=cell.scenario.one_at_a_time,
                batch=cell.scenario.batch,
                timeout_s=timeout_s,
                retries=self._plan.experiment.retries,
                energy=self._plan.experiment.energy,
                jobs=tuple(jobs.values()),
            )
        )
        silence_s = longest_silence_s(list(jobs.values()), timeout_s)
        # The records of a static batch come together, and should wait for the disk once.
        together = not cell.scenario.one_at_a_time or (cell.scenario.batch or 1) > 1
        gather_s = _GATHER_S if together else 0.0
        ended: CellEnded | None = None
        while ended is None:
            messages = self._receive(worker, silence_s, "a trial", gather_s=gather_s)
            for message in messages:
                if isinstance(message, Dispatched):
                    job = msgspec.structs.replace(jobs[message.trial_id], attempt=message.attempt)
                    self._in_flight[job.trial_id, job.attempt] = (cell, job, planned.get(job.trial_id))
            finished = [message for message in messages if isinstance(message, Finished)]
            self._keep(finished, cell)
            self._finished_since_death += len(finished)
            if cell.scenario.one_at_a_time:
                for _ in finished:
                    worker.send(Stored())
            ended = next((message for message in messages if isinstance(message, CellEnded)), None)
        if self._worker_number is not None:
            self._store.add_segment(self._worker_number, cell.id, ended.client)
        if ended.unreachable is not None:
            raise _UnusableError(f"the server is out of reach: {ended.unreachable}")
        if ended.out_of_memory is not None:
            batch = cell.scenario.batch or 1
            self._too_large[cell.task.name] = (batch, ended.out_of_memory)
            self._pass_over(
                cell, remaining(self._plan, cell, self._recorded), f"batch={batch} does not fit: {ended.out_of_memory}"
            )

    def _does_not_fit(self, cell: Cell) -> str | None:
        """Why a static batch is not tried: one as large, or smaller, of the same task ran out of memory."""
        least, why = self._too_large.get(cell.task.name, (None, ""))
        if least is None or cell.scenario.batch is None or cell.scenario.batch < least:
            return None
        return f"batch={least} does not fit: {why}"

    def _pass_over(self, cell: Cell, trials: tuple[Trial, ...], why: str) -> None:
        """Record trials as errors that were not tried: issued is recorded, also where it makes no sense to go on."""
        failure = Failure(kind="not-tried", message=why)
        jobs = [msgspec.structs.replace(job, due_ns=None) for job in make_jobs(self._plan, cell, trials)]
        planned = {trial.id: trial for trial in trials}
        for job in jobs:
            self._in_flight[job.trial_id, job.attempt] = (cell, job, planned[job.trial_id])
        self._keep([Finished(record=_never_sent(job, failure)) for job in jobs], cell)

    def _keep(self, finished: list[Finished], cell: Cell) -> None:
        """Score what was in flight and put it on disk. A warm-up (no trial) is kept and counts nowhere."""
        graded: list[tuple[Record, Grade | None]] = []
        for record in (message.record for message in finished):
            _, _, trial = self._in_flight[record.trial_id, record.attempt]
            graded.append((record, score(cell.task.spec, trial.item.spec, record) if trial else None))
        if graded:
            self._store.add_all(graded, cell.id, self._worker_number)
        for message, (record, grade) in zip(finished, graded, strict=True):
            del self._in_flight[record.trial_id, record.attempt]
            self._recorded[record.trial_id] = record.attempt
            if grade is not None and message.final:
                self._on_event(self._finished(record, grade, cell))

    def _finished(self, record: Record, grade: Grade, cell: Cell) -> TrialFinished:
        usages = [turn.usage.output_tokens for turn in record.turns]
        return TrialFinished(
            trial_id=record.trial_id,
            system=self._name,
            task=cell.task.name,
            scenario=cell.scenario.name,
            outcome=grade.outcome,
            task_time_s=sum(turn.end_ns for turn in record.turns) / 1e9 if record.turns else None,
            output_tokens=None if None in usages or not usages else sum(count or 0 for count in usages),
            detail=record.failure.message if record.failure else None,
        )

    def _receive(
        self, worker: WorkerHandle, limit_s: float, doing: str, *, gather_s: float = 0.0, stop_at_once: bool = False
    ) -> list[FromWorker]:
        """The next messages, at least one; passes a stop request on; ends a worker that says nothing for too long."""
        told = False
        waited_s = 0.0
        while waited_s < limit_s:
            if self._stop.requested and stop_at_once:
                raise _StoppedError
            if self._stop.requested and not told:
                worker.send(Stop())
                told = True
            if messages := worker.receive(_POLL_S, gather_s):
                return messages
            waited_s += _POLL_S
        worker.end()
        raise WorkerDiedError(f"the worker said nothing for {limit_s:g} s while {doing} and was ended")

    def _bury(self, reason: str) -> None:
        """Record what a dead worker had in flight as errors."""
        lost = list(self._in_flight.values())
        self._store.add_worker_death(self._session, self._worker_number, self._name, reason)
        for cell, job, trial in lost:
            self._keep([Finished(record=_never_sent(job, Failure(kind="worker-died", message=reason)))], cell)
            if trial is None:
                self._deadly.add(job.trial_id)
        self._on_event(WorkerDied(system=self._name, reason=reason, lost=len(lost)))

    def _give_up(self, reason: str) -> bool:
        left = sum(len(trials) for _, trials in self._left())
        self._on_event(SystemGivenUp(system=self._name, reason=reason, left=left))
        return left == 0


def longest_silence_s(jobs: Sequence[Job], timeout_s: float) -> float:
    """After how many seconds without a word a worker is taken for stuck: longer than any of these jobs may take."""
    due_s = [0.0, *(job.due_ns / 1e9 for job in jobs if job.due_ns is not None)]
    longest_gap_s = max((b - a for a, b in pairwise(due_s)), default=0.0)
    think_s = max((job.think_ns * (len(job.prompts) - 1) / 1e9 for job in jobs), default=0.0)
    return timeout_s + think_s + LONGEST_S + _SILENCE_GRACE_S + longest_gap_s


def _never_sent(job: Job, failure: Failure) -> Record:
    """A record of a job that nothing is known of but why."""
    return Record(
        trial_id=job.trial_id,
        attempt=job.attempt,
        phase=job.phase,
        started_at=now(),
        turns=(),
        failure=failure,
        loop_lag_ns=None,
    )
