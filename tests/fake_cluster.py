"""A cluster in the process of a test: nodes are threads that end when they are told to."""

from __future__ import annotations

import contextlib
import queue
import random
import threading
import time

import msgspec
from tests.in_process import InProcess

from taskpace.runner.cluster.messages import (
    ForGenerator,
    OfGenerator,
    Said,
    Stamped,
    decode_orders,
    decode_said,
    encode,
)
from taskpace.runner.cluster.node import Node
from taskpace.runner.cluster.protocol import Link, Member, NodeLostError
from taskpace.worker.messages import Close, Finished, FromWorker, Open, RunCell, Stop, ToWorker

_ONE_AT_A_TIME = threading.RLock()


class OfOneNode(InProcess):
    """A worker in this process, one at a time, as they share what is patched."""

    def __init__(self) -> None:
        super().__init__()
        self._open = False

    def _carry_out(self, message):
        if isinstance(message, Open | Close):
            self._open = isinstance(message, Open)
        with _ONE_AT_A_TIME:
            super()._carry_out(message)

    def end(self) -> None:
        if self._open:
            self._carry_out(Close())


class FakeLink:
    """A node of a ``FakeCluster``."""

    def __init__(self, cluster: FakeCluster, member: Member, setup: bytes) -> None:
        self._cluster = cluster
        self.member = member
        self.node = Node(setup, launch=OfOneNode)
        self.dying = False
        self.order = b""

    def ask(self, data: bytes) -> None:
        self.order = data
        self._cluster.asked.append(self)

    def end(self) -> None:
        if self in self._cluster.asked:
            self._cluster.asked.remove(self)
        self.node._stop.set()
        self.node._blocks.put(None)
        self.node._thread.join()

    def answer(self, chance: random.Random, deaths: float) -> bytes | NodeLostError:
        if self.dying:
            return NodeLostError("the machine is gone")
        orders = msgspec.structs.replace(decode_orders(self.order), wait_s=0.002, gather_s=0.0)
        data = self.node.exchange(encode(orders))
        said = decode_said(data)
        if said and chance.random() < deaths and len(self._cluster.there) > 1:
            # Whatever it has told, the last of it is never heard.
            self.dying = True
            if chance.random() < 0.5:
                self._cluster.there.remove(self.member)
            return encode(said[: chance.randrange(len(said))])
        return data


class FakeCluster:
    """``nodes`` machines; one of them ends with a chance of ``deaths`` at each answer; the last one never does."""

    def __init__(self, nodes: int, *, deaths: float = 0.0, seed: int = 0) -> None:
        self.there = [Member(f"machine-{number}", f"10.0.0.{number}") for number in range(1, nodes + 1)]
        self.asked: list[FakeLink] = []
        self.started = 0
        self._deaths = deaths
        self._chance = random.Random(seed)

    def members(self) -> list[Member]:
        return list(self.there)

    def listed(self) -> bool:
        return True

    def start(self, member: Member, setup: bytes) -> Link:
        self.started += 1
        return FakeLink(self, member, setup)

    def answers(self, timeout_s: float) -> list[tuple[Link, bytes | NodeLostError]]:
        del timeout_s
        asked, self.asked = self.asked, []
        return [(link, link.answer(self._chance, self._deaths)) for link in asked]


class InThread(InProcess):
    """A worker in a thread of this process: it says what it says as it comes, and can be stopped."""

    def __init__(self) -> None:
        super().__init__()
        self._open = self._stopped = False
        self._messages: queue.SimpleQueue[ToWorker | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def send(self, message, urgent=None):
        if urgent is not None:
            super().send(message, urgent)
        elif isinstance(message, Stop):
            self._stopped = True
        else:
            self._messages.put(message)

    def receive(self, timeout_s: float, gather_s: float = 0.0) -> list[FromWorker]:
        del gather_s
        deadline = time.monotonic() + timeout_s
        while not self._said and time.monotonic() < deadline:
            time.sleep(0.002)
        said = self._said[:]
        del self._said[: len(said)]
        return said

    def stopping(self) -> bool:
        return self._stopped

    def end(self) -> None:
        self._stopped = True
        self._messages.put(None)
        self._thread.join()

    def _serve(self) -> None:
        while (message := self._messages.get()) is not None:
            self._do(message)
        if self._open:
            self._do(Close())

    def _do(self, message: ToWorker) -> None:
        if isinstance(message, Open | Close):
            self._open = isinstance(message, Open)
            with _ONE_AT_A_TIME:
                self._carry_out(message)
        else:
            self._carry_out(message)


class ClockedLink:
    """A node that answers in a thread of its own, with a clock that is ``ahead_ns`` of the driver's."""

    def __init__(self, cluster: ClockedCluster, setup: bytes, ahead_ns: int) -> None:
        self.dying = False
        self._cluster = cluster
        self._ahead_ns = ahead_ns
        self._node = Node(setup, launch=InThread)
        self._asked: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._answer, daemon=True)
        self._thread.start()

    def ask(self, data: bytes) -> None:
        self._asked.put(data)

    def end(self) -> None:
        self._asked.put(None)
        self._thread.join()
        self._node._stop.set()
        self._node._blocks.put(None)
        self._node._thread.join()

    def _answer(self) -> None:
        while (data := self._asked.get()) is not None:
            orders = decode_orders(data)
            there = tuple(ForGenerator(each.generator, self._sent(each.message)) for each in orders.for_generators)
            said = decode_said(self._node.exchange(encode(msgspec.structs.replace(orders, for_generators=there))))
            answer = encode([self._said(each) for each in said])
            # Whatever it has told, the last of it is never heard.
            self._cluster.answered.put((self, NodeLostError("the machine is gone") if self.dying else answer))

    def _sent(self, message: ToWorker | None) -> ToWorker | None:
        if isinstance(message, RunCell) and message.start_ns is not None:
            return msgspec.structs.replace(message, start_ns=message.start_ns - self._ahead_ns)
        return message

    def _said(self, said: Said) -> Said:
        ahead_ns = self._ahead_ns
        match said:
            case Stamped(received_ns, answered_ns):
                return Stamped(received_ns + ahead_ns, answered_ns + ahead_ns)
            case OfGenerator(number, Finished(record=record)):
                turns = [
                    msgspec.structs.replace(each, dispatch_ns=each.dispatch_ns + ahead_ns) for each in record.turns
                ]
                machine_ns = None if record.machine_ns is None else record.machine_ns + ahead_ns
                record = msgspec.structs.replace(record, turns=tuple(turns), machine_ns=machine_ns)
                return OfGenerator(number, Finished(record=record))
            case _:
                return said


class ClockedCluster:
    """Machines whose clocks are so far ahead of the driver's; all are this machine, as their address says."""

    def __init__(self, *ahead_ns: int) -> None:
        self.there = [Member(f"machine-{number}", "127.0.0.1") for number in range(1, len(ahead_ns) + 1)]
        self.links: list[ClockedLink] = []
        self.gone: Member | None = None
        """Still listed, until a node is started on it, which ends at once."""
        self.answered: queue.SimpleQueue[tuple[Link, bytes | NodeLostError]] = queue.SimpleQueue()
        self._ahead_ns = dict(zip((member.id for member in self.there), ahead_ns, strict=True))

    def members(self) -> list[Member]:
        return list(self.there)

    def listed(self) -> bool:
        return True

    def start(self, member: Member, setup: bytes) -> Link:
        self.links.append(ClockedLink(self, setup, self._ahead_ns[member.id]))
        if member == self.gone:
            self.links[-1].dying = True
            self.there.remove(member)
        return self.links[-1]

    def answers(self, timeout_s: float) -> list[tuple[Link, bytes | NodeLostError]]:
        found = []
        with contextlib.suppress(queue.Empty):
            found.append(self.answered.get(timeout=timeout_s))
            while True:
                found.append(self.answered.get_nowait())
        return found
