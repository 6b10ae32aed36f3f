"""What the driver knows of a node."""

from __future__ import annotations

from taskpace.machine.offset import OtherClock
from taskpace.runner.cluster.blocks import Unit
from taskpace.runner.cluster.messages import ForGenerator, Ready
from taskpace.runner.cluster.protocol import Link, Member


class KnownNode:
    """What the driver knows of a node."""

    def __init__(self, number: int, member: Member, link: Link, started_s: float) -> None:
        self.number = number
        self.member = member
        self.link = link
        self.ready: Ready | None = None
        self.session = 0
        # Of its blocks.
        self.workers: dict[int, int] = {}
        """The number in the run file of each of its workers."""
        self.systems: dict[int, str] = {}
        """Of which each of them is."""
        self.blocks: dict[int, list[Unit]] = {}
        """Those that it has and has not done."""
        self.in_flight: dict[str, int] = {}
        """The attempt under way, by trial."""
        self.told_to_close = False
        # Of its silence.
        self.answered = False
        """Whether it ever has."""
        self.heard_s = started_s
        """When it answered last, or was started, by how long the driver had listened."""
        self.silences_told = 0
        # Of its share of a load.
        self.clock = OtherClock()
        self.asked_ns = 0
        """When the exchange under way was begun, on the driver's clock."""
        self.unsent: list[ForGenerator] = []

    @property
    def name(self) -> str:
        return f"node {self.number} ({self.member.address})"
