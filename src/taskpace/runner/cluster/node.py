"""A node's part of a run: carries blocks out as one machine does, and sends the driver all that it observes.

The systems' workers, their turns and their crashes are the affair of ``SystemRun``, as on one machine. What is
different is where records go: ``_Records`` stands in for the run file.
"""

from __future__ import annotations

import pickle
import queue
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

from taskpace import models
from taskpace.engines.base import EngineInfo
from taskpace.errors import TaskpaceError
from taskpace.experiment.plan import Plan, PlannedSystem
from taskpace.experiment.prepare import check_engines
from taskpace.machine import host
from taskpace.machine.clock import RealClock
from taskpace.runner.cluster.generators import Generators
from taskpace.runner.cluster.messages import (
    Asked,
    Block,
    BlockDone,
    Closed,
    Failed,
    Orders,
    Ready,
    RecordsAdded,
    Said,
    SegmentAdded,
    Stamped,
    Told,
    Unfit,
    WorkerAdded,
    WorkerLost,
    decode_orders,
    encode,
)
from taskpace.runner.events import Event
from taskpace.runner.runner import close_others
from taskpace.runner.session import Part, Session
from taskpace.runner.system_run import SystemRun
from taskpace.runner.together import why_not_together
from taskpace.runner.worker_process import WorkerHandle, WorkerProcess, launch_workers
from taskpace.store.rows import Kept
from taskpace.telemetry import Calibration, ClientMetrics
from taskpace.text.safe_text import one_line
from taskpace.worker.messages import Dispatched, FromWorker, RunCell, ToWorker

_MOST_UNTOLD = 20_000
"""Messages that wait for the driver; a node that has more waits for it, between two trials."""


class Setup(NamedTuple):
    """What a node needs to know before the first block."""

    plan: Plan
    base: str
    """Folder that relative paths start from."""
    fetch: bool
    """Whether models may be downloaded."""


class Node:
    """Carries out blocks in a thread of its own, and has load generators for the driver, which is always answered.

    Args:
        setup: a pickled ``Setup``, in which what is one object stays one.
        launch: starts a worker.
    """

    def __init__(self, setup: bytes, launch: Callable[[], WorkerHandle] = WorkerProcess) -> None:
        self._setup = setup
        self._launch = launch
        self._outbox = _Outbox()
        self._blocks: queue.SimpleQueue[tuple[Orders, Block] | None] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._generators: Generators | None = None
        """Null until it is ready."""
        self._thread = threading.Thread(target=self._work, name="taskpace-node", daemon=True)
        self._thread.start()

    def exchange(self, data: bytes) -> bytes:
        """Take orders, wait for something to tell, and tell all of it."""
        received_ns = RealClock.now_ns()
        orders = decode_orders(data)
        if orders.stop:
            self._stop.set()
        for block in orders.blocks:
            self._blocks.put((orders, block))
        for each in orders.for_generators:
            assert self._generators is not None  # noqa: S101 - the driver has heard that it is ready
            self._generators.take(each)
        if orders.close:
            self._blocks.put(None)
        said = self._outbox.take(orders.wait_s, orders.gather_s)
        if orders.stamped:
            said.append(Stamped(received_ns, RealClock.now_ns()))
        return encode(said)

    @property
    def requested(self) -> bool:
        """Whether the run has been asked to stop: a node is its session's ``StopRequest``."""
        return self._stop.is_set()

    def _work(self) -> None:
        try:
            setup: Setup = pickle.loads(self._setup)  # noqa: S301 - of the driver, whose program this is
            self._carry_out_blocks(_found_here(setup))
        except TaskpaceError as exc:
            self._outbox.put(Unfit(str(exc)))
        except BaseException as exc:  # noqa: BLE001 - the driver gives the rest to another node, and says why
            self._outbox.put(Failed(f"{type(exc).__name__}: {exc}"))

    def _carry_out_blocks(self, plan: Plan) -> None:
        processes = plan.experiment.processes
        self._generators = Generators(lambda: launch_workers(self._launch, processes), self._outbox.put)
        self._outbox.put(Ready(host.describe(), why_not_together(plan)))
        runs: dict[str, SystemRun] = {}
        session: Session | None = None
        with tempfile.TemporaryDirectory(prefix="taskpace-node-") as folder:
            records = _Records(Path(folder) / "node", self._outbox)
            try:
                while (given := self._blocks.get()) is not None:
                    orders, block = given
                    if session is None:
                        session = Session(
                            plan,
                            records,
                            number=orders.session,
                            on_event=self._tell,
                            stop=self,
                            launch=lambda: _Watched(self._launch(), self._outbox),
                        )
                        runs = {system.name: SystemRun(system, session) for system in plan.systems}
                    session.attempts.update(block.attempts)
                    parts = _parts(plan, block)
                    for name in {part.cell.system.name for part in parts} if orders.together else ():
                        runs[name].open_if_needed()
                    for part in parts:
                        if self.requested:
                            break
                        if not orders.together:
                            close_others(runs, part)
                        runs[part.cell.system.name].carry_out(part)
                    self._outbox.put(BlockDone(block.number))
                for run in runs.values():
                    run.close()
            finally:
                for run in runs.values():
                    run.end()
                self._generators.end()
        self._outbox.put(Closed())

    def _tell(self, event: Event) -> None:
        self._outbox.put(Told(event))


class _Outbox:
    """What the driver has not been told yet."""

    def __init__(self) -> None:
        self._said: list[Said] = []
        self._changed = threading.Condition()

    def put(self, said: Said) -> None:
        with self._changed:
            self._changed.wait_for(lambda: len(self._said) < _MOST_UNTOLD)
            self._said.append(said)
            self._changed.notify_all()

    def take(self, wait_s: float, gather_s: float) -> list[Said]:
        with self._changed:
            self._changed.wait_for(lambda: self._said, wait_s)
            urgent = not self._said or any(isinstance(each, BlockDone | Closed) for each in self._said)
        if not urgent:
            time.sleep(gather_s)
        with self._changed:
            said, self._said = self._said, []
            self._changed.notify_all()
        return said


class _Records:
    """The way to the run file: ``runner.session.Records``."""

    def __init__(self, path: Path, outbox: _Outbox) -> None:
        self.path = path
        self._outbox = outbox
        self._workers = 0

    def add_worker(self, session: int, system: str, load_ns: int, info: EngineInfo, calibration: Calibration) -> int:
        del session  # the driver knows it
        self._workers += 1
        self._outbox.put(WorkerAdded(self._workers, system, load_ns, info, calibration))
        return self._workers

    def add_worker_death(self, session: int, worker: int | None, system: str, reason: str) -> None:
        del session
        self._outbox.put(WorkerLost(worker, system, reason))

    def add_segment(self, worker: int, cell_id: str, client: ClientMetrics) -> None:
        self._outbox.put(SegmentAdded(worker, cell_id, client))

    def add_all(self, records: Iterable[Kept], cell_id: str, worker: int | None) -> None:
        self._outbox.put(RecordsAdded(cell_id, worker, tuple(records)))


class _Watched:
    """A worker whose trials in flight the driver knows."""

    takes_more = False  # a block is small, and all of it has to be known

    def __init__(self, worker: WorkerHandle, outbox: _Outbox) -> None:
        self._worker = worker
        self._outbox = outbox
        self._measured: set[str] = set()
        """Trials of the cell under way, without its warm-ups."""

    def send(self, message: ToWorker) -> None:
        if isinstance(message, RunCell):
            self._measured = {job.trial_id for job in message.jobs if job.phase == "measured"}
        self._worker.send(message)

    def receive(self, timeout_s: float, gather_s: float = 0.0) -> list[FromWorker]:
        messages = self._worker.receive(timeout_s, gather_s)
        for message in messages:
            if isinstance(message, Dispatched) and message.trial_id in self._measured:
                self._outbox.put(Asked(message.trial_id, message.attempt))
        return messages

    def end(self) -> None:
        self._worker.end()


def _parts(plan: Plan, block: Block) -> list[Part]:
    """The parts of a block. The last one of each cell is marked: how the client fared is told for each block."""
    last = {turn.cell: index for index, turn in enumerate(block.turns)}
    parts = []
    for index, turn in enumerate(block.turns):
        cell = plan.cells[turn.cell]
        of_cell = plan.trials(cell)
        trials = tuple(of_cell[at] for at in turn.trials)
        parts.append(Part(cell, trials, turn.round, turn.place, anchor=turn.anchor, last=last[turn.cell] == index))
    return parts


def _found_here(setup: Setup) -> Plan:
    """The plan with its models as they lie on this node.

    Raises:
        TaskpaceError: a library or a file is missing, or is another one than on the driver's machine.
    """
    plan = setup.plan
    check_engines(plan.experiment)
    systems = {system.name: _system_here(system, setup) for system in plan.systems}
    cells = tuple(msgspec.structs.replace(cell, system=systems[cell.system.name]) for cell in plan.cells)
    return msgspec.structs.replace(plan, systems=tuple(systems.values()), cells=cells)


def _system_here(system: PlannedSystem, setup: Setup) -> PlannedSystem:
    reference = system.spec.model
    missing = f'system "{system.name}": there is no {one_line(system.path, 300)} on it: copy it there'
    if system.sha256 is not None:
        base = Path(setup.base)
        if models.is_path(reference) and not models.is_cached(reference, base):
            raise TaskpaceError(missing)
        try:
            found = models.resolve(reference, base, fetch=setup.fetch)
        except TaskpaceError as exc:
            raise type(exc)(f'system "{system.name}": {exc}') from None
        if found.sha256 != system.sha256:
            raise TaskpaceError(
                f'system "{system.name}": {found.path} is not the file that the driver has: copy it from there'
            )
        return msgspec.structs.replace(system, path=found.path)
    if Path(system.path).is_absolute() and not Path(system.path).exists():
        raise TaskpaceError(missing)
    return system
