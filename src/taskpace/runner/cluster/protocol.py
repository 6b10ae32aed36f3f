"""What the driver needs of a cluster: which machines there are, and something that carries bytes to and fro."""

from __future__ import annotations

from typing import NamedTuple, Protocol


class NodeLostError(Exception):
    """The node is gone; the message has the reason."""


class Link(Protocol):
    """A node that has been started."""

    def ask(self, data: bytes) -> None:
        """Begin an exchange; its answer comes with ``Cluster.answers``."""
        ...

    def end(self) -> None:
        """Make sure that it is gone, with all its workers."""
        ...


class Member(NamedTuple):
    """A machine of a cluster."""

    id: str
    address: str
    """As the cluster knows it: for who runs it, and not for the run file."""


class Cluster(Protocol):
    """Many machines."""

    def members(self) -> list[Member]:
        """Those that are there now and have what a node of this run needs; as it was last known, if not ``listed``."""
        ...

    def listed(self) -> bool:
        """False: the cluster was asked for its members and has not answered yet."""
        ...

    def start(self, member: Member, setup: bytes) -> Link:
        """Start a node on a machine."""
        ...

    def answers(self, timeout_s: float) -> list[tuple[Link, bytes | NodeLostError]]:
        """Wait for answers to ``Link.ask``, and return all that there are."""
        ...
