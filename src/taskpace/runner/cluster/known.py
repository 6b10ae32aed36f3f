"""What the driver knows of a node."""

from __future__ import annotations

from taskpace.runner.cluster.blocks import Unit
from taskpace.runner.cluster.messages import Ready
from taskpace.runner.cluster.protocol import Link, Member


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
