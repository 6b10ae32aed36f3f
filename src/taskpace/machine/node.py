"""A machine of a cluster, as a session of the run file has it."""

from __future__ import annotations

import re

import msgspec

from taskpace.machine.host import Host
from taskpace.telemetry import ClockOffset


class NodeHost(Host, frozen=True, kw_only=True):
    """The machine and the software of a session that was a node's."""

    node: int
    """Its number. Each time that it is started is a session of its own."""
    clock: ClockOffset | None = None
    """Of its monotonic clock to the driver's, when it was ready to share a load. Null: it carried blocks out, whose
    times never leave a machine."""


def node_of(host: str) -> int | None:
    """The number of the node whose session's host (JSON) this is; null: of none."""
    node = msgspec.json.decode(host).get("node")
    return node if isinstance(node, int) and 0 < node < 2**53 else None


def lost_node(node: int) -> str:
    """Why trials and workers ended that were on a node that was lost; without its machine's name, as it is kept."""
    return f"node {node} ended meanwhile"


def of_lost_node(reason: str) -> bool:
    """Whether that is why, of one node or of several."""
    return re.fullmatch(r"node \d+ ended meanwhile(; node \d+ ended meanwhile)*", reason) is not None
