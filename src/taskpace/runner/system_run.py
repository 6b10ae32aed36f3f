"""One system's share of a run: its worker is opened, given part after part, and replaced when it crashes."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence

import msgspec

from taskpace import engines
from taskpace.engines.base import EngineSpec
from taskpace.experiment.plan import Cell, PlannedSystem, Trial
from taskpace.records import Failure
from taskpace.runner.ahead import MOST_AHEAD, Ahead
from taskpace.runner.events import (
    CellGivenUp,
    CellStarted,
    SystemGivenUp,
    WorkerDied,
    WorkerOpening,
    WorkerReady,
    WorkerStarting,
)
from taskpace.runner.jobs import make_jobs, make_warm_ups
from taskpace.runner.session import InFlight, Part, Session, anchor_id, never_sent
from taskpace.runner.withheld import Withheld
from taskpace.runner.worker_process import NodeDiedError, WorkerDiedError, WorkerHandle, launch_workers
from taskpace.telemetry import ClientMetrics, joined
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

_DEATHS_IN_A_ROW = 3
"""A worker that crashes this often without finishing a trial in between is not started again."""
_POLL_S = 0.2
_NOT_IN_A_FILE_NAME = r"[^\w.-]+"
_GATHER_S = 0.02
"""Under load records are put on disk together: each commit waits for the disk, and costs the client its processor. So
does whoever is woken for each request."""
_BATCH_GATHER_S = 0.002
"""The records of a static batch come at once, and the next batch waits for them."""
_OPEN_LIMIT_S = 1800.0
_CLOSE_LIMIT_S = 30.0


class _UnusableError(Exception):
    """The engine could not be opened, or is out of reach; trying again would end the same way."""


class StoppedError(Exception):
    """A stop was asked for while nothing was in flight."""


class SystemRun:
    """Carries out one system's parts of a run.

    Its worker is started when there is something to do; one that crashes costs its trials in flight, which are recorded
    as errors, and is started again for the rest.

    Args:
        system: of the session's plan.
        session: which it has a share of.
        launch: starts its worker; null: the session does, as many as the experiment's ``processes``.
    """

    def __init__(
        self, system: PlannedSystem, session: Session, launch: Callable[[], WorkerHandle] | None = None
    ) -> None:
        self._system = system
        self._session = session
        self._cells = [cell for cell in session.plan.cells if cell.system is system]
        self._worker: WorkerHandle | None = None
        self._worker_number: int | None = None
        self._launch = launch or self._launch_here
        self._in_flight: dict[tuple[str, int], InFlight] = {}
        """By trial and attempt."""
        self._too_large: dict[str, tuple[int, str]] = {}
        """By task: the static batch that ran out of memory, and what it said."""
        self._deadly: set[str] = set()
        """Warm-ups that a worker crashed on; they are not tried again."""
        self._started: set[str] = set()
        """Cells that were begun in this session."""
        self._warm: set[str] = set()
        """Cells that the worker has warmed up for."""
        self._segments: dict[tuple[str, int | None], ClientMetrics] = {}
        """By cell and node: how the client fared in the worker's parts so far. Joined as they come: in turns a part is
        one trial, and a list of them would grow until the run ends."""
        self._deaths = 0
        """In a row, without a trial that was finished in between."""
        self._given_up = False
        """No more of its trials are carried out."""
        self._refused: set[str] = set()
        """Cells that were ended because the server refused them."""
        self._withheld = Withheld()

    @property
    def seen_through(self) -> bool:
        """False: given up with trials left, as a whole or in a cell."""
        return not ((self._given_up or self._refused) and any(map(self._session.left, self._cells)))

    def open_if_needed(self) -> None:
        """Have the engine ready, if there is anything to do."""
        if not self._session.stop.requested and any(map(self._session.left, self._cells)):
            self._guarded(lambda: None)

    def carry_out(self, part: Part) -> None:
        """See that every trial of a part has a record, if the system can be used and the run is not stopped."""
        while (trials := self._unasked(part)) and not self._session.stop.requested:
            if self._given_up or part.cell.id in self._refused:
                return
            self._guarded(lambda: self._run_part(part, trials))

    def _unasked(self, part: Part) -> Sequence[Trial]:
        """The trials of a part that are neither recorded nor refused in this session."""
        undone = self._session.undone(part)
        if part.cell.id not in self._withheld.cells():
            return undone
        return tuple(trial for trial in undone if not self._withheld.holds(part, trial))

    def close(self) -> None:
        """Give the engine back."""
        if (worker := self._worker) is None:
            return
        try:
            worker.send(Close())
            while not isinstance(self._receive(_CLOSE_LIMIT_S, "closing")[-1], Closed):
                pass
        except WorkerDiedError as death:
            self._bury(death)
        finally:
            self.end()

    def _guarded(self, do: Callable[[], None]) -> None:
        """Do something with an open engine, and see to a worker that crashes and to an engine that cannot be used."""
        try:
            if self._worker is None:
                self._open()
            do()
        except _UnusableError as exc:
            self._give_up(str(exc))
        except StoppedError:
            self.end()
        except WorkerDiedError as death:
            self._bury(death)
            self.end()
            self._deaths += not isinstance(death, NodeDiedError)
            if self._deaths == _DEATHS_IN_A_ROW:
                self._give_up(f"its worker crashed {self._deaths} times in a row; the last time {death}")

    def end(self) -> None:
        """End the worker at once, whatever it does."""
        for cell_id in self._withheld.cells():
            # Nothing has shown yet that they count.
            self._session.keep(self._withheld.refused(cell_id, self._session.number), self._worker_number)
        self._keep_segments({cell_id for cell_id, _ in self._segments})
        self._warm.clear()
        self._worker_number = None
        if self._worker is not None:
            self._worker.end()
            self._worker = None

    def _open(self) -> None:
        system, session = self._system.spec, self._session
        self._worker = worker = self._launch()
        session.tell(WorkerStarting(system=system.name, model=system.model))
        log = f"{session.store.path}.{re.sub(_NOT_IN_A_FILE_NAME, '-', system.name)}.log"
        spec = EngineSpec(
            engine=system.engine,
            model=self._system.path,
            options=system.options,
            slots=max(cell.scenario.concurrency for cell in self._cells),
            log=log,
        )
        worker.send(Open(spec=spec))
        while isinstance(said := self._receive(_OPEN_LIMIT_S, "loading", stop_at_once=True)[-1], Opening):
            session.tell(WorkerOpening(system=system.name, text=said.text))
        match said:
            case Opened() as opened:
                self._worker_number = session.store.add_worker(
                    session.number, system.name, opened.load_ns, opened.info, opened.calibration
                )
                session.tell(WorkerReady(system=system.name, load_s=opened.load_ns / 1e9, info=opened.info))
            case OpenFailed() as failed:
                session.store.add_worker_death(session.number, None, system.name, failed.failure.message)
                raise _UnusableError(failed.failure.message)
            case other:
                raise AssertionError(other)

    def _launch_here(self) -> WorkerHandle:
        remote = engines.entry(self._system.spec.engine).remote
        return launch_workers(self._session.launch, self._session.plan.experiment.processes if remote else 1)

    # -- one part --------------------------------------------------------------------------------------------------

    def _run_part(self, part: Part, trials: Sequence[Trial]) -> None:
        cell = part.cell
        if cell.id not in self._started:
            self._started.add(cell.id)
            left = self._session.left(cell)
            self._session.tell(
                CellStarted(system=self._system.name, task=cell.task.name, scenario=cell.scenario.name, left=left)
            )
        if why := self._does_not_fit(cell):
            self._pass_over(part, trials, why)
            return
        session = self._session
        first = cell.id not in self._warm
        warm_ups = make_warm_ups(session.plan, cell, session.attempts, self._deadly) if first else []
        worker = self._worker_of_it()
        # Where one trial follows the other, the part itself is small.
        load = worker.takes_more and not cell.scenario.one_at_a_time
        most = MOST_AHEAD + cell.scenario.concurrency if load else None
        timeout_s = session.plan.experiment.timeout_s
        ahead = Ahead(warm_ups, self._jobs(part, trials), most=most, timeout_s=timeout_s)
        worker.send(self._message(part, ahead, first=first))
        ended = self._collect(part, ahead)
        self._warm.add(cell.id)
        self._end_part(part, ended)

    def _jobs(self, part: Part, trials: Sequence[Trial]) -> Iterator[tuple[Job, Trial]]:
        """Each with its trial, made when it is taken."""
        session = self._session
        if not part.anchor:
            yield from make_jobs(session.plan, part.cell, trials, session.attempts)
            return
        for job, trial in make_jobs(session.plan, part.cell, trials, {}):
            anchor = anchor_id(trial, session.number)
            attempt = session.attempts.get(anchor, 0) + 1
            yield msgspec.structs.replace(job, trial_id=anchor, attempt=attempt), trial

    def _worker_of_it(self) -> WorkerHandle:
        assert self._worker is not None, "opened before"  # noqa: S101 - see _guarded
        return self._worker

    def _message(self, part: Part, ahead: Ahead, *, first: bool) -> RunCell:
        experiment, cell = self._session.plan.experiment, part.cell
        return RunCell(
            cell=cell.id,
            concurrency=cell.scenario.concurrency,
            one_at_a_time=cell.scenario.one_at_a_time,
            batch=cell.scenario.batch,
            timeout_s=experiment.timeout_s,
            retries=experiment.retries,
            energy=experiment.energy,
            rest_before=first,
            rest_after=part.last,
            jobs=ahead.take_first(),
            more=ahead.more,
        )

    def _collect(self, part: Part, ahead: Ahead) -> CellEnded:
        """Keep what the worker sends until the part has ended."""
        scenario = part.cell.scenario
        gather_s = 0.0 if scenario.one_at_a_time else _GATHER_S
        if (scenario.batch or 1) > 1:
            gather_s = _BATCH_GATHER_S
        while True:
            messages = self._receive(ahead.silence_s, "a trial", gather_s=gather_s)
            for message in messages:
                if isinstance(message, Dispatched):
                    job, trial = ahead.dispatched(message)
                    job = msgspec.structs.replace(job, attempt=message.attempt)
                    self._in_flight[job.trial_id, job.attempt] = InFlight(part, job, trial)
            while (following := ahead.following()) is not None:
                self._worker_of_it().send(following)
            finished = [message for message in messages if isinstance(message, Finished)]
            self._keep(finished)
            for each in finished:
                ahead.recorded(each.record)
            if finished:
                self._deaths = 0
            if scenario.one_at_a_time:
                for _ in finished:
                    self._worker_of_it().send(Stored())
            if ended := next((message for message in messages if isinstance(message, CellEnded)), None):
                # What a stop has kept from being sent has no record, and is still to be done.
                self._in_flight.clear()
                return ended

    def _end_part(self, part: Part, ended: CellEnded) -> None:
        """Note how the client fared, and why the part ended early if it did."""
        cell = part.cell
        for client in (ended.client, *ended.others):
            key = cell.id, client.node
            before = self._segments.get(key)
            self._segments[key] = client if before is None else joined([before, client])
        if part.last:
            self._keep_segments({cell.id})
        if ended.refused is not None:
            self._end_cell(cell, ended.refused)
        elif part.last:
            self._session.keep(self._withheld.settled(cell.id), self._worker_number)
        if ended.unreachable is not None:
            raise _UnusableError(f"the server is out of reach: {ended.unreachable}")
        if ended.out_of_memory is not None:
            batch = cell.scenario.batch or 1
            self._too_large[cell.task.name] = (batch, ended.out_of_memory)
            why = f"batch={batch} does not fit: {ended.out_of_memory}"
            self._pass_over(part, self._session.undone(part), why)

    def _end_cell(self, cell: Cell, why: str) -> None:
        """Leave the rest of a cell that is refused for later; of the whole system if it has never had an answer."""
        self._session.keep(self._withheld.refused(cell.id, self._session.number), self._worker_number)
        if not self._withheld.answered:
            raise _UnusableError(f"the server refuses what it is asked: {why}")
        self._refused.add(cell.id)
        self._session.given_up.add(cell.id)
        self._session.tell(
            CellGivenUp(
                system=self._system.name,
                task=cell.task.name,
                scenario=cell.scenario.name,
                reason=why,
                left=self._session.left(cell),
            )
        )

    def _keep_segments(self, cells: Collection[str]) -> None:
        for key in [key for key in self._segments if key[0] in cells]:
            segment = self._segments.pop(key)
            if self._worker_number is not None:
                self._session.store.add_segment(self._worker_number, key[0], segment)

    def _does_not_fit(self, cell: Cell) -> str | None:
        """Why a static batch is not tried: one as large, or smaller, of the same task ran out of memory."""
        if cell.scenario.batch is None or cell.task.name not in self._too_large:
            return None
        least, why = self._too_large[cell.task.name]
        return None if cell.scenario.batch < least else f"batch={least} does not fit: {why}"

    def _pass_over(self, part: Part, trials: Sequence[Trial], why: str) -> None:
        """Record trials as errors that were not tried: issued is recorded, also where it makes no sense to go on."""
        failure = Failure(kind="not-tried", message=why)
        records = [(InFlight(part, job, trial), never_sent(job, failure)) for job, trial in self._jobs(part, trials)]
        self._session.keep(records, self._worker_number)

    # -- records and deaths ----------------------------------------------------------------------------------------

    def _keep(self, finished: Sequence[Finished]) -> None:
        keys = [(message.record.trial_id, message.record.attempt) for message in finished]
        records = [(self._in_flight[key], message) for key, message in zip(keys, finished, strict=True)]
        self._session.keep(self._withheld.pass_on(records), self._worker_number)
        for key in keys:
            del self._in_flight[key]

    def _bury(self, death: WorkerDiedError) -> None:
        """Record what a dead worker had in flight as errors."""
        reason = str(death)
        lost = {key: flown for key, flown in self._in_flight.items() if death.lost is None or key in death.lost}
        session = self._session
        session.store.add_worker_death(session.number, self._worker_number, self._system.name, reason)
        for _, job, trial in lost.values():
            self._keep([never_sent(job, Failure(kind=death.kind, message=reason))])
            if trial is None:
                self._deadly.add(job.trial_id)
        # What a stop has kept from being sent has no record, and is still to be done.
        self._in_flight.clear()
        session.tell(WorkerDied(system=self._system.name, reason=reason, lost=len(lost)))

    def _give_up(self, reason: str) -> None:
        self.end()
        left = sum(map(self._session.left, self._cells))
        self._session.tell(SystemGivenUp(system=self._system.name, reason=reason, left=left))
        self._session.given_up.update(cell.id for cell in self._cells)
        self._given_up = True

    def _receive(
        self, limit_s: float, doing: str, *, gather_s: float = 0.0, stop_at_once: bool = False
    ) -> list[FromWorker]:
        """The next messages, at least one; passes a stop request on; ends a worker that says nothing for too long."""
        worker = self._worker_of_it()
        told = False
        waited_s = 0.0
        while waited_s < limit_s:
            if self._session.stop.requested and stop_at_once:
                raise StoppedError
            if self._session.stop.requested and not told:
                worker.send(Stop())
                told = True
            if messages := worker.receive(_POLL_S, gather_s):
                return messages
            waited_s += _POLL_S
        worker.end()
        raise WorkerDiedError(f"the worker said nothing for {limit_s:g} s while {doing} and was ended")
