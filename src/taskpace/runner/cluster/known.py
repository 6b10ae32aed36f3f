"""What the driver knows of a node."""

from __future__ import annotations

from taskpace.machine.offset import OtherClock
from taskpace.runner.cluster.blocks import Unit
from taskpace.runner.cluster.messages import ForGenerator, Ready
from taskpace.runner.cluster.protocol import Link, Member


class Silence:
    """Since when somebody does not answer, and how often that was told: each time that it has doubled.

    Times are what the driver has listened for by then, in seconds.
    """

    def __init__(self, since_s: float) -> None:
        self._since_s = since_s
        self._told = 0

    def so_far(self, now_s: float) -> float:
        """How long it is."""
        return now_s - self._since_s

    def grown(self, now_s: float, first_s: float) -> float | None:
        """How long it is, if that is to be told again (``first_s``: for the first time after so long)."""
        silent_s = self.so_far(now_s)
        if silent_s < first_s * 2**self._told:
            return None
        self._told += 1
        return silent_s

    def end(self, now_s: float) -> float | None:
        """There is an answer; returns how long it took, if it was told of as missing."""
        silent_s = self.so_far(now_s) if self._told else None
        self._since_s, self._told = now_s, 0
        return silent_s


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
        self.silence = Silence(started_s)
        # Of its share of a load.
        self.clock = OtherClock()
        self.asked_ns = 0
        """When the exchange under way was begun, on the driver's clock."""
        self.unsent: list[ForGenerator] = []

    @property
    def name(self) -> str:
        return f"node {self.number} ({self.member.address})"
