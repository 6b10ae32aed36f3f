"""The driver's part of a run on many machines: deals blocks out, writes down what comes back, and sees nodes end.

It knows no Ray: a ``Cluster`` says which nodes there are and carries bytes.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from taskpace.experiment.plan import Plan, Trial
from taskpace.machine.node import lost_node
from taskpace.records import Failure
from taskpace.runner.cluster.blocks import Deck, units
from taskpace.runner.cluster.fleet import Fleet
from taskpace.runner.cluster.known import KnownNode
from taskpace.runner.cluster.loads import Loads
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
    Told,
    Unfit,
    WorkerAdded,
    WorkerLost,
    encode,
)
from taskpace.runner.cluster.node import Setup
from taskpace.runner.cluster.protocol import Cluster, NodeLostError
from taskpace.runner.events import (
    CellGivenUp,
    Event,
    OrderChanged,
    RunEnded,
    SystemGivenUp,
)
from taskpace.runner.jobs import make_jobs
from taskpace.runner.session import Never, Part, Session, StopRequest, never_sent
from taskpace.runner.turns import in_turns
from taskpace.runner.worker_process import WorkerProcess
from taskpace.store.rows import Kept
from taskpace.store.store import Store
from taskpace.tasks import score

_AHEAD = 2
"""Blocks that a node has, so that it need not wait for the driver between two of them."""
_TICK_S = 0.2
_WAIT_S, _GATHER_S, _ANSWERS_PER_S = 0.5, 0.02, 500
"""How long a node waits for something to tell, and gathers more; with many nodes longer, so that the driver has so many
answers a second to read at most."""


def run_on_cluster(
    plan: Plan,
    store: Store,
    cluster: Cluster,
    *,
    base: Path,
    fetch: bool = True,
    on_event: Callable[[Event], None] = lambda _event: None,
    stop: StopRequest | None = None,
) -> RunEnded:
    """Carry out every trial of ``plan`` that ``store`` has no record of, on the nodes of a cluster.

    What is asked one at a time is dealt out in blocks; then the nodes generate loads together.

    Args:
        plan: which ``blocks.check_plan`` has passed.
        store: the run file, open for writing.
        cluster: whose nodes measure.
        base: folder that relative paths of models start from, on each node.
        fetch: whether nodes may download models.
        on_event: hears of everything.
        stop: whether to end.

    Raises:
        ExperimentError: a node lacks a file or a library, or there is no node.
    """
    session = Session.begin(plan, store, on_event=on_event, stop=stop or Never(), launch=WorkerProcess)
    fleet = Fleet(session, store, cluster, pickle.dumps(Setup(plan, str(base.absolute()), fetch)))
    gone = _Driver(session, store, fleet).run() | Loads(session, store, fleet).run()
    return session.end(sorted(gone))


class _Driver:
    """Deals out what is asked one at a time.

    Args:
        session: of the driver.
        store: the run file.
        fleet: the nodes.
    """

    def __init__(self, session: Session, store: Store, fleet: Fleet) -> None:
        self._session = session
        self._store = store
        self._fleet = fleet
        self._deck: Deck | None = None
        """Null until it is known whether systems can be open at once."""
        self._together = True
        self._gone: set[str] = set()
        """Systems that were given up."""
        self._kept: list[tuple[str, int | None, Sequence[Kept]]] = []
        """Not on disk yet."""
        self._untold: list[Event] = []
        """Of records that are not on disk yet."""

    def run(self) -> set[str]:
        """Carry out what is left of it. Returns the systems that were given up."""
        session = self._session
        try:
            if any(session.left(cell) for cell in session.plan.cells if cell.scenario.one_at_a_time):
                while self._goes_on():
                    self._look()
                    for node, said in self._fleet.hear(_TICK_S):
                        self._hear(node, said)
                    self._write()
                    self._settle()
        finally:
            self._fleet.disband()
            self._write()
        return self._gone

    def _goes_on(self) -> bool:
        if self._fleet.nodes:
            return True
        if self._session.stop.requested or self._nothing_left():
            return False
        self._fleet.check_any()
        return True

    def _settle(self) -> None:
        """Begin once all nodes are ready, or have had their time; end those that are not when there is nothing left."""
        if self._session.stop.requested or (self._nothing_left() and not self._may_come_back()):
            for node in self._fleet.waiting:
                self._fleet.remove(node)
            return
        if self._deck is None and self._fleet.assembled:
            self._begin()

    # -- nodes -----------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Start a node on each machine that has none, as long as there is something for it to do."""
        if self._session.stop.requested or self._nothing_left():
            return
        for node in self._fleet.look():
            self._ask(node)

    def _nothing_left(self) -> bool:
        """Whether every round has been dealt out."""
        return self._deck is not None and not len(self._deck)

    def _ask(self, node: KnownNode) -> None:
        """Give a node more to do if it has little, and ask what has happened."""
        stop = self._session.stop.requested
        count = len(self._fleet.nodes)
        blocks: list[Block] = []
        while self._deck and node.session and not stop and len(node.blocks) < _AHEAD and len(self._deck):
            block, rounds = self._deck.deal(count, self._session.attempts, self._wanted)
            if rounds:
                node.blocks[block.number] = rounds
                blocks.append(block)
        idle = node.ready is not None and not node.blocks
        close = not node.told_to_close and idle and (stop or (self._nothing_left() and not self._may_come_back()))
        node.told_to_close |= close
        node.link.ask(
            encode(
                Orders(
                    session=node.session,
                    together=self._together,
                    blocks=tuple(blocks),
                    stop=stop,
                    close=close,
                    wait_s=max(_WAIT_S, count / _ANSWERS_PER_S),
                    gather_s=max(_GATHER_S, count / _ANSWERS_PER_S),
                )
            )
        )

    def _may_come_back(self) -> bool:
        """Whether some node still has blocks, which would be another's if it ended."""
        return any(node.blocks for node in self._fleet.nodes.values())

    def _wanted(self, part: Part) -> bool:
        return part.cell.id not in self._session.given_up

    def _hear(self, node: KnownNode, said: list[Said] | NodeLostError) -> None:
        if isinstance(said, NodeLostError):
            self._lose(node, str(said))
            return
        for each in said:
            self._take(node, each)
            if node.link not in self._fleet.nodes:
                return
        self._ask(node)

    def _take(self, node: KnownNode, said: Said) -> None:
        match said:
            case RecordsAdded(cell_id, worker, records):
                self._fleet.revived(node)
                self._keep(node, cell_id, None if worker is None else node.workers[worker], records)
            case Asked(trial_id, attempt):
                node.in_flight[trial_id] = attempt
            case BlockDone(number):
                del node.blocks[number]
                node.in_flight.clear()
            case Told(event):
                self._take_event(event)
            case WorkerAdded(number, system, load_ns, info, calibration):
                node.systems[number] = system
                node.workers[number] = self._store.add_worker(node.session, system, load_ns, info, calibration)
            case WorkerLost(worker, system, reason):
                self._store.add_worker_death(node.session, node.workers.get(worker or 0), system, reason)
            case SegmentAdded(worker, cell_id, client):
                self._store.add_segment(node.workers[worker], cell_id, client)
            case Ready():
                self._take_ready(node, said)
            case Unfit(problem):
                self._refuse(node, problem)
            case Failed(reason):
                self._lose(node, reason)
            case Closed():
                self._fleet.remove(node)
            case _:  # of load generators, which it has none of
                raise AssertionError(said)

    def _take_ready(self, node: KnownNode, ready: Ready) -> None:
        if self._deck is not None and self._together and ready.apart is not None:
            self._refuse(node, f"its systems cannot be open at once, as on the other nodes: {ready.apart}")
            return
        self._fleet.welcome(node, ready)
        if self._deck is not None:
            self._fleet.enlist(node)

    def _begin(self) -> None:
        """With the nodes that are ready it is known how systems follow each other, and so what the rounds are."""
        self._fleet.begun = True
        ready = self._fleet.ready
        apart = [node.ready.apart for node in ready if node.ready and node.ready.apart]
        in_turns_wanted = self._session.plan.experiment.order == "turns"
        self._together = in_turns_wanted and not apart
        if in_turns_wanted and apart:
            self._session.tell(OrderChanged(reason=apart[0]))
        parts = in_turns(self._session, self._store, together=self._together)
        self._deck = Deck(self._session.plan, units(part for part in parts if part.cell.scenario.one_at_a_time))
        # From its next orders on each of them gets blocks.
        for node in ready:
            self._fleet.enlist(node)

    def _refuse(self, node: KnownNode, problem: str) -> None:
        if not self._fleet.refuse(node, problem):
            self._lose(node, problem)

    # -- what comes in ---------------------------------------------------------------------------------------------

    def _keep(self, node: KnownNode, cell_id: str, worker: int | None, records: Sequence[Kept]) -> None:
        session = self._session
        records = [self._numbered(kept) for kept in records]
        self._kept.append((cell_id, worker, records))
        for record, *_ in records:
            session.attempts[record.trial_id] = record.attempt
            node.in_flight.pop(record.trial_id, None)
            if record.final:
                session.recorded.add(record.trial_id)

    def _numbered(self, kept: Kept) -> Kept:
        """A warm-up's record with an attempt of its own: each node warms up with the same trials."""
        record = kept.record
        if record.phase != "warm-up":
            return kept
        attempt = self._session.attempts.get(record.trial_id, 0) + 1
        return kept._replace(record=msgspec.structs.replace(record, attempt=attempt))

    def _take_event(self, event: Event) -> None:
        session = self._session
        match event:
            case SystemGivenUp(system=system):
                if system in self._gone:
                    return
                self._gone.add(system)
                session.given_up.update(cell.id for cell in session.plan.cells if cell.system.name == system)
            case CellGivenUp(system=system, task=task, scenario=scenario):
                names = (system, task, scenario)
                cells = [
                    cell
                    for cell in session.plan.cells
                    if (cell.system.name, cell.task.name, cell.scenario.name) == names
                ]
                if all(cell.id in session.given_up for cell in cells):
                    return
                session.given_up.update(cell.id for cell in cells)
                self._gone.add(system)
            case _:
                pass
        self._untold.append(event)

    def _write(self) -> None:
        """Put what has come in on disk, in one transaction, and tell of it."""
        if self._kept:
            kept, self._kept = self._kept, []
            self._store.add_many(kept)
        untold, self._untold = self._untold, []
        for event in untold:
            self._session.tell(event)

    # -- nodes that end --------------------------------------------------------------------------------------------

    def _lose(self, node: KnownNode, reason: str) -> None:
        """Record what a node had in flight as errors, and give the rest of its blocks to the others."""
        session = self._session
        self._fleet.bury(node, reason)
        lost = list(self._in_flight(node))
        failure = Failure(kind="node-lost", message=lost_node(node.number))
        numbers = {system: node.workers[number] for number, system in node.systems.items()}
        for part, trial in lost:
            attempt = node.in_flight[trial.id]
            ((job, _),) = make_jobs(session.plan, part.cell, (trial,), {trial.id: attempt - 1})
            record = never_sent(job, failure).record
            kept = Kept(record, score(part.cell.task.spec, trial.item.spec, record), part.round, part.place)
            self._keep(node, part.cell.id, numbers.get(part.cell.system.name), [kept])
        left = [unit for rounds in node.blocks.values() for unit in rounds]
        if self._deck is not None:
            self._deck.give_back(left, session.recorded)
        self._fleet.tell_lost(node, reason, len(lost))

    def _in_flight(self, node: KnownNode) -> Iterator[tuple[Part, Trial]]:
        for rounds in node.blocks.values():
            for unit in rounds:
                for part in unit:
                    for trial in part.trials:
                        if not part.anchor and trial.id in node.in_flight:
                            yield part, trial
