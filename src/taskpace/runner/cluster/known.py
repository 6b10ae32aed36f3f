"""What the driver knows of a node, and what the run file does."""

from __future__ import annotations

import msgspec

from taskpace.machine.host import Host
from taskpace.runner.cluster.blocks import Unit
from taskpace.runner.cluster.messages import Ready
from taskpace.runner.cluster.protocol import Link, Member
from taskpace.store import queries


class KnownNode:
    """What the driver knows of a node."""

    def __init__(self, number: int, member: Member, link: Link) -> None:
        self.number = number
        self.member = member
        self.link = link
        self.ready: Ready | None = None
        self.session = 0
        self.workers: dict[int, int] = {}
        """The number in the run file of each of its workers."""
        self.systems: dict[int, str] = {}
        """Of which each of them is."""
        self.blocks: dict[int, list[Unit]] = {}
        """Those that it has and has not done."""
        self.in_flight: dict[str, int] = {}
        """The attempt under way, by trial."""
        self.told_to_close = False

    @property
    def name(self) -> str:
        return f"node {self.number} ({self.member.address})"


class NodeHost(Host, frozen=True, kw_only=True):
    """What a session says of its machine, where it was a node's."""

    node: int
    """Its number. Each time that it is started is a session of its own."""


def node_of(session: queries.SessionRow) -> int | None:
    """The number of the node that a session was; null: of none."""
    node = msgspec.json.decode(session.host).get("node")
    return node if isinstance(node, int) else None
