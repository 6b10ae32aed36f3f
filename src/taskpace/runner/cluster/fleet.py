"""The nodes of a run, whatever they do in it: started where a machine has none, heard, left out, lost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import msgspec

from taskpace.errors import ExperimentError
from taskpace.machine.node import NodeHost, node_of
from taskpace.runner.cluster.known import KnownNode, Silence
from taskpace.runner.cluster.messages import Ready, Said, decode_said
from taskpace.runner.cluster.protocol import Cluster, Link, Member, NodeLostError
from taskpace.runner.events import HeadBack, HeadSilent, NodeBack, NodeJoined, NodeLeftOut, NodeLost, NodeSilent
from taskpace.runner.session import Session
from taskpace.store import queries
from taskpace.store.store import Store
from taskpace.telemetry import ClockOffset
from taskpace.version import __version__

_LOOK_EVERY_S = 1.0
"""How often it is asked which machines there are, and which nodes are silent."""
_OTHERS_S = 30.0
"""How long the first node that is ready waits for the others; those that load models for longer join later."""
_SILENT_S, _NOT_STARTED_S, _SILENT_PER_NODE_S = 5.0, 20.0, 0.01
"""After so long it is told that a node does not answer, which does so within half a second, of many nodes later; one
that has never answered may wait for its machine's resources."""
_GONE_S = 90.0
"""After so long without an answer a node is lost if the head, which would say so sooner, does not answer either; and
without a node the run ends."""
_MOST_LISTENED_S = 1.0
"""At a time. A driver that stood still for longer has not listened meanwhile."""
_DEATHS_IN_A_ROW = 3
"""A machine whose nodes end this often without a record in between gets no more."""


class Fleet:
    """The nodes that there are, by their links.

    Args:
        session: of the driver, whose plan they carry out.
        store: the run file.
        cluster: whose machines they are on.
        setup: what a node is started with.
    """

    def __init__(self, session: Session, store: Store, cluster: Cluster, setup: bytes) -> None:
        self.nodes: dict[Link, KnownNode] = {}
        self.begun = False
        """Whether anything has been asked. Until then a node that cannot take part ends the run."""
        self._session = session
        self._store = store
        self._cluster = cluster
        self._setup = setup
        self._numbers: dict[str, int] = {}
        """By machine. Nodes of earlier sessions count as others: whether the machines are is unknown."""
        self._first_number = 1 + max((node_of(session.host) or 0 for session in queries.sessions(store)), default=0)
        self._deaths: dict[str, int] = {}
        """By machine, in a row."""
        self._left_out: set[str] = set()
        self._looked_s = -_LOOK_EVERY_S
        self._first_s: float | None = None
        """When the first node was ready."""
        self._listened_s = self._silences_s = 0.0
        """For how long the driver has listened to nodes, and when, by that, silences are looked at next."""
        self._heard_s = time.monotonic()
        """When it did so last."""
        self._head = Silence(0.0)
        """Of the head, which knows the machines there are."""
        self._last_reason = ""
        """Why the last node that was lost ended."""

    def look(self) -> list[KnownNode]:
        """Now and then: start a node on each machine that has none. Returns those, which are to be asked."""
        now_s = time.monotonic()
        if now_s - self._looked_s < _LOOK_EVERY_S:
            return []
        self._looked_s = now_s
        taken = {node.member.id for node in self.nodes.values()} | self._left_out
        members = self._members()
        if not self._cluster.listed():
            return []
        started = []
        for member in members.values():
            if member.id in taken:
                continue
            number = self._numbers.setdefault(member.id, self._first_number + len(self._numbers))
            link = self._cluster.start(member, self._setup)
            self.nodes[link] = node = KnownNode(number, member, link, self._listened_s)
            started.append(node)
        return started

    def hear(self, timeout_s: float) -> Iterator[tuple[KnownNode, list[Said] | NodeLostError]]:
        """Wait for answers, and give what nodes say, or why one is gone; a node that was removed is not heard."""
        answers = self._cluster.answers(timeout_s)
        now_s = time.monotonic()
        self._listened_s += min(now_s - self._heard_s, _MOST_LISTENED_S)
        self._heard_s = now_s
        for link, said in answers:
            if (node := self.nodes.get(link)) is None:
                continue
            if isinstance(said, NodeLostError):
                yield node, said
                continue
            self._end_silence(node)
            yield node, decode_said(said)
        self._tell_silences()
        for node in self._given_up():
            yield node, NodeLostError("it did not answer, nor did the head of the cluster")

    def check_any(self) -> None:
        """See that there is a node, or a machine that one can be started on, or a head that will soon say so.

        Raises:
            ExperimentError: there is none.
        """
        if self.nodes:
            return
        if set(self._members()) - self._left_out and (self._cluster.listed() or self._head_silent_s < _GONE_S):
            return
        if self._numbers:
            head = "" if self._cluster.listed() else ", and the head of the cluster does not answer"
            raise ExperimentError(
                f"--ray: no node is left that could go on (the last one: {self._last_reason}){head}: see `ray status`; "
                "the same command continues"
            )
        resources = {"CPU": 1.0} | self._session.plan.experiment.resources
        wanted = ", ".join(f"{name} = {amount:g}" for name, amount in resources.items())
        raise ExperimentError(f"--ray: no machine of the cluster has {wanted}: see `ray status`")

    def _members(self) -> dict[str, Member]:
        return {member.id: member for member in self._cluster.members()}

    # -- nodes that are ready --------------------------------------------------------------------------------------

    @property
    def ready(self) -> list[KnownNode]:
        """Those that have all that the plan needs."""
        return [node for node in self.nodes.values() if node.ready is not None]

    @property
    def waiting(self) -> list[KnownNode]:
        """Those that are not ready yet."""
        return [node for node in self.nodes.values() if node.ready is None]

    @property
    def assembled(self) -> bool:
        """Whether all nodes are ready, or the first of them has waited long enough for the others."""
        first_s = self._first_s
        return first_s is not None and (not self.waiting or time.monotonic() - first_s > _OTHERS_S)

    def welcome(self, node: KnownNode, ready: Ready) -> None:
        """Note that a node is ready."""
        node.ready = ready
        self._first_s = self._first_s or time.monotonic()
        address = node.member.address
        beside = next((each.number for each in self.ready if each is not node and each.member.address == address), None)
        self._session.tell(NodeJoined(node=node.number, address=address, cpu=ready.host.cpu, beside=beside))

    def enlist(self, node: KnownNode, clock: ClockOffset | None = None) -> None:
        """Begin the session of a node that is ready; ``clock``: see ``NodeHost``."""
        assert node.ready is not None  # noqa: S101 - it has said so
        facts: dict[str, Any] = msgspec.structs.asdict(node.ready.host)
        node.session = self._store.begin_session(NodeHost(**facts, node=node.number, clock=clock), __version__)

    def revived(self, node: KnownNode) -> None:
        """Note that a node has given a record: its machine is of use."""
        self._deaths.pop(node.member.id, None)

    # -- nodes that do not answer ----------------------------------------------------------------------------------

    def _tell_silences(self) -> None:
        """Tell of nodes that do not answer, after some seconds and each time that those have doubled.

        Nothing is asked of them for that: each node always has an exchange under way.
        """
        if self._listened_s < self._silences_s:
            return
        self._silences_s = self._listened_s + _LOOK_EVERY_S
        self._tell_of_head()
        for node in self.nodes.values():
            first_s = (_SILENT_S if node.answered else _NOT_STARTED_S) + _SILENT_PER_NODE_S * len(self.nodes)
            if (silent_s := node.silence.grown(self._listened_s, first_s)) is not None:
                self._session.tell(
                    NodeSilent(node=node.number, address=node.member.address, silent_s=silent_s, started=node.answered)
                )

    @property
    def _head_silent_s(self) -> float:
        return 0.0 if self._cluster.listed() else self._head.so_far(self._listened_s)

    def _given_up(self) -> list[KnownNode]:
        """Nodes that only the driver can give up, as the head does not answer."""
        if self._head_silent_s < _GONE_S:
            return []
        return [node for node in self.nodes.values() if node.silence.so_far(self._listened_s) >= _GONE_S]

    def _tell_of_head(self) -> None:
        if self._cluster.listed():
            if (silent_s := self._head.end(self._listened_s)) is not None:
                self._session.tell(HeadBack(silent_s=silent_s))
        elif (silent_s := self._head.grown(self._listened_s, _SILENT_S)) is not None:
            self._session.tell(HeadSilent(silent_s=silent_s))

    def _end_silence(self, node: KnownNode) -> None:
        if (silent_s := node.silence.end(self._listened_s)) is not None:
            self._session.tell(NodeBack(node=node.number, address=node.member.address, silent_s=silent_s))
        node.answered = True

    # -- nodes that end --------------------------------------------------------------------------------------------

    def remove(self, node: KnownNode) -> None:
        """End a node."""
        del self.nodes[node.link]
        node.link.end()

    def refuse(self, node: KnownNode, problem: str) -> bool:
        """A node cannot take part: its machine gets no other. Returns whether it is gone, as it had no work.

        Raises:
            ExperimentError: nothing has been asked yet, so that the problem can be solved first.
        """
        if not self.begun:
            raise ExperimentError(f"--ray: {node.name}: {problem}")
        self._left_out.add(node.member.id)
        if node.blocks:
            return False
        self.remove(node)
        self._session.tell(NodeLeftOut(node=node.number, address=node.member.address, reason=problem))
        return True

    def bury(self, node: KnownNode, reason: str) -> None:
        """A node has ended without being asked to."""
        self.remove(node)
        self._last_reason = reason
        deaths = self._deaths[node.member.id] = self._deaths.get(node.member.id, 0) + 1
        if deaths == _DEATHS_IN_A_ROW:
            self._left_out.add(node.member.id)

    def tell_lost(self, node: KnownNode, reason: str, lost: int) -> None:
        """Tell of a node that has ended, and of so many trials in flight.

        A cluster notices late that a machine is gone. A node that was started on it meanwhile was never ready, and is
        not told of.
        """
        if node.ready is None and node.member.id not in self._members():
            return
        self._session.tell(NodeLost(node=node.number, address=node.member.address, reason=reason, lost=lost))

    def disband(self) -> None:
        """End all nodes. Those that are started after that are waited for again."""
        for node in list(self.nodes.values()):
            self.remove(node)
        self._first_s = None
        self._looked_s = -_LOOK_EVERY_S
