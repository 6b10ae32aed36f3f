"""A cluster of Ray on this machine, in a process of its own: ``python tests/ray_nodes.py NODES``.

It prints the address, then reads lines from standard input: ``kill NUMBER`` ends a node as a power cut would, ``hold
NUMBER`` has what runs on it stand still until ``let NUMBER`` (Linux). ``kill head`` ends the head's process, ``start
head`` starts another at its address, which knows none of the nodes, and as many new nodes. The end of the input ends it
all.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any


def main(nodes: int) -> None:
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_enable_metrics_collection": "0"}
    clusters, there = [], []

    def start(**head: Any) -> str:
        from ray.cluster_utils import Cluster

        least = {"object_store_memory": 80 * 1024 * 1024, "include_dashboard": False}
        clusters.append(cluster := Cluster(initialize_head=True, head_node_args={"num_cpus": 0} | least | head))
        there.extend(cluster.add_node(num_cpus=1, wait=False, **least) for _ in range(nodes))
        cluster.wait_for_nodes()
        return str(cluster.address)

    try:
        address = start()
        print(address, flush=True)
        for line in sys.stdin:
            match line.split():
                case "kill", "head":
                    clusters[-1].head_node.kill_gcs_server()
                case "start", "head":
                    start(gcs_server_port=int(address.rpartition(":")[2]))
                case "kill", number:
                    clusters[-1].remove_node(there[int(number)], allow_graceful=False)
                case what, number:
                    _send(there[int(number)], signal.SIGSTOP if what == "hold" else signal.SIGCONT)
            print("done", flush=True)
    finally:
        for cluster in clusters:
            cluster.shutdown()


def _send(node: Any, number: int) -> None:
    """A signal to all that a node's raylet has started, actors among them."""
    (raylet,) = node.all_processes["raylet"]
    pid = raylet.process.pid
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split():
        os.kill(int(child), number)


if __name__ == "__main__":
    main(int(sys.argv[1]))
