"""Loads that several nodes put on an endpoint together: one schedule, one clock, and each trial recorded once.

A node lends the driver a worker for each system, and the driver has these as a group, as it has several processes of
its own machine (``runner.worker_group``): ``SystemRun``, the order of the parts and what is recorded are those of a run
on one machine. What is different is that each machine has a clock of its own.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

import msgspec

from taskpace.errors import ExperimentError
from taskpace.experiment.plan import Cell, Plan
from taskpace.machine.clock import RealClock
from taskpace.machine.node import lost_node
from taskpace.machine.offset import RoundTrip, over
from taskpace.records import Record
from taskpace.runner.cluster.fleet import Fleet
from taskpace.runner.cluster.known import KnownNode
from taskpace.runner.cluster.messages import (
    Failed,
    ForGenerator,
    GeneratorLost,
    OfGenerator,
    Orders,
    Ready,
    Said,
    Stamped,
    Unfit,
    encode,
)
from taskpace.runner.cluster.protocol import NodeLostError
from taskpace.runner.runner import carry_out, given_up, order_of, parts_in
from taskpace.runner.session import Session
from taskpace.runner.system_run import StoppedError, SystemRun
from taskpace.runner.worker_group import WorkerGroup
from taskpace.runner.worker_process import NodeDiedError, WorkerDiedError, WorkerHandle
from taskpace.store.store import Store
from taskpace.telemetry import ClientMetrics, ClockOffset
from taskpace.worker.messages import CellEnded, Finished, FromWorker, RunCell, ToWorker

_TICK_S = 0.2
_WAIT_S, _ANSWERS_PER_S = 0.05, 500
"""How long a node waits for something to tell, and gathers more: so long may a message wait for it. With many nodes
longer, so that the driver has so many answers a second to read at most."""
_LEAD, _LEAD_PER_JOB_NS = 10, 100_000
"""How long before its begin a part is sent to the nodes: so many waits, and the time that its jobs are under way."""
_ROUND_TRIPS = 8
"""That a node's clock rests on before it gets a share."""


class Loads:
    """Carries out the cells that have several requests in flight.

    Args:
        session: of the driver, and of these cells' records: their clock is the driver's.
        store: the run file.
        fleet: the nodes.
    """

    def __init__(self, session: Session, store: Store, fleet: Fleet) -> None:
        self._session = session
        self._store = store
        self._fleet = fleet
        self._generators: dict[int, Generator] = {}
        self._numbers = itertools.count(1)

    def run(self) -> set[str]:
        """Carry out what is left of them. Returns the systems that were given up."""
        session = self._session
        cells = [cell for cell in session.plan.cells if self._wanted(cell)]
        systems = {cell.system.name: cell.system for cell in cells}
        runs = {name: SystemRun(system, session, self._launch) for name, system in systems.items()}
        try:
            if any(map(session.left, cells)) and self._assembled():
                order = order_of(session)
                parts = (part for part in parts_in(order, session, self._store) if self._wanted(part.cell))
                carry_out(session, runs, parts, order)
        finally:
            self._fleet.disband()
        return set(given_up(runs))

    def _wanted(self, cell: Cell) -> bool:
        return not cell.scenario.one_at_a_time and cell.id not in self._session.given_up

    def _assembled(self) -> bool:
        """Wait for the nodes; false: a stop was asked for meanwhile."""
        fleet = self._fleet
        while not (fleet.assembled and all(node.session for node in fleet.ready)):
            if self._session.stop.requested:
                return False
            self._pump(_TICK_S)
        check_addresses(self._session.plan, {node.member.address for node in fleet.ready})
        fleet.begun = True
        return True

    def _launch(self) -> WorkerHandle:
        """A group with a worker on each node that is ready, or will be if there is none."""
        while not (nodes := [node for node in self._fleet.nodes.values() if node.session]):
            if self._session.stop.requested:
                raise StoppedError
            self._pump(_TICK_S)
        generators = [Generator(next(self._numbers), node) for node in nodes]
        self._generators |= {generator.number: generator for generator in generators}
        return NodeGroup(generators, self._pump, self._wait_s)

    # -- nodes -----------------------------------------------------------------------------------------------------

    @property
    def _wait_s(self) -> float:
        return max(_WAIT_S, len(self._fleet.nodes) / _ANSWERS_PER_S)

    def _pump(self, most_s: float) -> None:
        """Take what nodes say, at the latest after so long; start nodes where there are none."""
        if not self._session.stop.requested:
            for node in self._fleet.look():
                self._ask(node)
        self._fleet.check_any()
        for node, said in self._fleet.hear(most_s):
            heard_ns = RealClock.now_ns()
            if isinstance(said, NodeLostError):
                self._lose(node, str(said))
                continue
            for each in said:
                self._take(node, each, heard_ns)
                if node.link not in self._fleet.nodes:
                    break
            else:
                self._ask(node)

    def _ask(self, node: KnownNode) -> None:
        given, node.unsent = tuple(node.unsent), []
        orders = encode(Orders(for_generators=given, stamped=True, wait_s=self._wait_s, gather_s=self._wait_s))
        node.asked_ns = RealClock.now_ns()
        node.link.ask(orders)

    def _take(self, node: KnownNode, said: Said, heard_ns: int) -> None:
        match said:
            case OfGenerator(number, message):
                if isinstance(message, Finished):
                    self._fleet.revived(node)
                if number in self._generators:
                    self._generators[number].hear(message)
            case GeneratorLost(number, reason):
                if number in self._generators:
                    self._generators[number].death = WorkerDiedError(reason)
            case Stamped(received_ns, answered_ns):
                node.clock.see(RoundTrip(node.asked_ns, received_ns, answered_ns, heard_ns))
                if node.ready is not None and not node.session and node.clock.round_trips >= _ROUND_TRIPS:
                    self._fleet.enlist(node, node.clock.offset(heard_ns))
            case Ready():
                self._fleet.welcome(node, said)
            case Unfit(problem):
                self._fleet.refuse(node, problem)
            case Failed(reason):
                self._lose(node, reason)
            case _:  # of blocks, which it has none of
                raise AssertionError(said)

    def _lose(self, node: KnownNode, reason: str) -> None:
        """Its generators' trials in flight are recorded as errors by whoever has sent them."""
        self._fleet.bury(node, reason)
        for generator in self._generators.values():
            if generator.node is node:
                generator.death = NodeDiedError(lost_node(node.number))
        self._fleet.tell_lost(node, reason, lost=0)


class Generator:
    """A worker on a node, as a ``WorkerHandle`` of the driver: all that it says is on the driver's clock.

    Args:
        number: by which the node knows it.
        node: where it is.
    """

    takes_more = False

    def __init__(self, number: int, node: KnownNode) -> None:
        self.number = number
        self.node = node
        self.death: WorkerDiedError | None = None
        """Why it is gone; null: it is there."""
        self._inbox: list[FromWorker] = []
        self._clock: ClockOffset | None = None
        """The node's, as it was when the part under way was sent: all of a part is moved by one offset, so that the
        times between its arrivals are the schedule's."""

    def send(self, message: ToWorker) -> None:
        if isinstance(message, RunCell):
            self._clock = self.node.clock.offset(RealClock.now_ns())
            if message.start_ns is not None:
                message = msgspec.structs.replace(message, start_ns=message.start_ns + self._clock.offset_ns)
        self.node.unsent.append(ForGenerator(self.number, message))

    def receive(self, timeout_s: float, gather_s: float = 0.0) -> list[FromWorker]:
        """What has come by now; the group that it is in has the nodes heard."""
        del timeout_s, gather_s
        said, self._inbox = self._inbox, []
        if not said and self.death is not None:
            raise self.death
        return said

    def end(self) -> None:
        self.node.unsent.append(ForGenerator(self.number, None))

    def hear(self, message: FromWorker) -> None:
        """Take what the node passes on."""
        self._inbox.append(self._here(message))

    def _here(self, message: FromWorker) -> FromWorker:
        if self._clock is None:
            return message
        match message:
            case Finished(record=record):
                return Finished(record=moved(record, self._clock.offset_ns))
            case CellEnded(client=client):
                clock = over(self._clock, self.node.clock.offset(RealClock.now_ns()))
                client = msgspec.structs.replace(client, node=self.node.number, clock=clock)
                return msgspec.structs.replace(message, client=client)
            case _:
                return message


class NodeGroup(WorkerGroup):
    """Workers on several nodes that share one system's load.

    Args:
        workers: one on each node.
        pump: has the nodes heard, for so many seconds at most.
        wait_s: how long a message may wait for a node.
    """

    members = "nodes"
    alone = "leave --ray out"

    def __init__(self, workers: Sequence[WorkerHandle], pump: Callable[[float], None], wait_s: float) -> None:
        super().__init__(workers)
        self._pump = pump
        self._wait_s = wait_s

    def _wait(self, most_s: float) -> None:
        self._pump(most_s)

    def _lead_ns(self, jobs: int) -> int:
        return round(_LEAD * self._wait_s * 1e9) + _LEAD_PER_JOB_NS * jobs

    def _clients(self, ended: Sequence[CellEnded]) -> list[ClientMetrics]:
        return [each.client for each in ended]


def moved(record: Record, offset_ns: int) -> Record:
    """A record on another clock: that of its machine is ``offset_ns`` ahead of it. Durations stay what they are."""
    turns = tuple(msgspec.structs.replace(turn, dispatch_ns=turn.dispatch_ns - offset_ns) for turn in record.turns)
    machine_ns = None if record.machine_ns is None else record.machine_ns - offset_ns
    return msgspec.structs.replace(record, turns=turns, machine_ns=machine_ns)


def check_addresses(plan: Plan, machines: set[str]) -> None:
    """See that each endpoint is the same one for all machines, by their addresses.

    Raises:
        ExperimentError: its address is that of each machine itself.
    """
    if len({"" if _is_loopback(machine) else machine for machine in machines}) < 2:
        return
    for system in plan.systems:
        host = urlsplit(str(system.spec.options.get("url", ""))).hostname or ""
        if _is_loopback(host):
            raise ExperimentError(
                f'--ray: system "{system.name}": "{host}" is another machine on each of {len(machines)} nodes, which '
                "share one load: give the endpoint's address in their network as url"
            )


def _is_loopback(host: str) -> bool:
    return host in ("localhost", "::1") or host.startswith("127.")
