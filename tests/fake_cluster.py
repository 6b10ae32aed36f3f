"""A cluster in the process of a test: nodes are threads that end when they are told to."""

from __future__ import annotations

import random
import threading

import msgspec
from tests.in_process import InProcess

from taskpace.runner.cluster.messages import decode_orders, decode_said, encode
from taskpace.runner.cluster.node import Node
from taskpace.runner.cluster.protocol import Link, Member, NodeLostError
from taskpace.worker.messages import Close, Open

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

    def start(self, member: Member, setup: bytes) -> Link:
        self.started += 1
        return FakeLink(self, member, setup)

    def answers(self, timeout_s: float) -> list[tuple[Link, bytes | NodeLostError]]:
        del timeout_s
        asked, self.asked = self.asked, []
        return [(link, link.answer(self._chance, self._deaths)) for link in asked]
