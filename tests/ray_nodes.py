"""A cluster of Ray on this machine, in a process of its own: ``python tests/ray_nodes.py NODES``.

It prints the address, then reads lines from standard input: ``kill NUMBER`` ends a node as a power cut would; the end
of the input ends it all.
"""

from __future__ import annotations

import os
import sys


def main(nodes: int) -> None:
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_enable_metrics_collection": "0"}
    from ray.cluster_utils import Cluster

    least = {"object_store_memory": 80 * 1024 * 1024, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0} | least)
    try:
        there = [cluster.add_node(num_cpus=1, wait=False, **least) for _ in range(nodes)]
        cluster.wait_for_nodes()
        print(cluster.address, flush=True)
        for line in sys.stdin:
            _, number = line.split()
            cluster.remove_node(there[int(number)], allow_graceful=False)
            print("killed", flush=True)
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main(int(sys.argv[1]))
