"""Several nodes of a Ray cluster on this machine, which share no folder that the product uses, and can be killed."""

import random
import signal
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from service.jobs.ray_engine.ray_settings import RaySettings
from service.telemetry import switch_off_telemetry


class RayNodes:
    """A head that computes nothing, and nodes with a core each; of all of them the address outlives the head."""

    def __init__(self, root: Path, n_nodes: int, environment: Mapping[str, str]) -> None:
        self.root = root
        self._environment = environment
        self._n_nodes = n_nodes
        self._n_started = 0
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self.start()

    @property
    def address(self) -> str:
        address: str = self._cluster.address
        return address

    @property
    def options(self) -> list[str]:
        """Of a driver."""
        return RaySettings(self.address).options

    def start(self) -> None:
        """All nodes anew."""
        from ray.cluster_utils import Cluster

        switch_off_telemetry()
        self._cluster: Any = Cluster(
            initialize_head=True,
            head_node_args={"num_cpus": 0, "gcs_server_port": self._port, "include_dashboard": False},
        )
        self._nodes: list[Any] = []
        for _ in range(self._n_nodes):
            self.add_node()

    def add_node(self, environment: Mapping[str, str] | None = None, **options: Any) -> Any:
        """Another node with a core, and a cache folder of its own by which it is known."""
        self._n_started += 1
        own = {"TUNING_FORK_CACHE": str(self.root / f"node-{self._n_started}")}
        own |= self._environment | (environment or {})
        self._nodes.append(self._cluster.add_node(**{"num_cpus": 1} | options, env_vars=own))
        return self._nodes[-1]

    def remove_node(self, node: Any) -> None:
        """kill -9 of a node with all its processes."""
        self._nodes.remove(node)
        self._cluster.remove_node(node, allow_graceful=False)

    def replace_node(self, lot: random.Random) -> None:
        """kill -9 of some node; another one comes."""
        self.remove_node(lot.choice(self._nodes))
        self.add_node()

    def kill_head(self) -> None:
        """kill -9 of the head; what is left of the cluster goes with it."""
        self._cluster.head_node.kill_all_processes(check_alive=False, allow_graceful=False)
        self.stop()

    def stop(self) -> None:
        with suppress(Exception):
            self._cluster.shutdown()


@contextmanager
def ray_nodes(root: Path, n_nodes: int, environment: Mapping[str, str] | None = None) -> Iterator[RayNodes]:
    """A running cluster, gone afterwards; `environment` is that of its processes."""
    # Ray takes over SIGTERM of the process that starts a node, which here runs other tests too.
    handler = signal.getsignal(signal.SIGTERM)
    nodes = RayNodes(root, n_nodes, environment or {})
    try:
        yield nodes
    finally:
        nodes.stop()
        signal.signal(signal.SIGTERM, handler)
