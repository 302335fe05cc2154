"""A Ray cluster of two nodes on this machine, with a core each, which ends with standard input.

Prints its address. For each line on standard input, it ends its second node at once and prints another line.
"""

from __future__ import annotations

import logging
import sys

from ray.cluster_utils import Cluster

logging.getLogger("ray").setLevel(logging.CRITICAL)
NODE = {"num_cpus": 1, "object_store_memory": 80_000_000}
cluster = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
second = cluster.add_node(**NODE)
print(cluster.address, second.all_processes["raylet"][0].process.pid, flush=True)  # noqa: T201
for _ in sys.stdin:
    cluster.remove_node(second, allow_graceful=False)
    print("removed", flush=True)  # noqa: T201
cluster.shutdown()
