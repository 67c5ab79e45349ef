"""Reaching a Ray cluster, refusing one that runs another release, and waiting for what it computes.

Run as a program with an address, it checks that cluster and says what is wrong with it: a process that is connected
dies with the head of its cluster, which the service must not.
"""

import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from lm.errors import ConfigError, TuningForkError
from lm.registry import parse_spec
from service.jobs.job import OutageError
from service.jobs.ray_engine.ray_settings import RaySettings
from service.store.stages.stage_key import code_digest, library_versions
from service.telemetry import switch_off_telemetry

LOST = (
    ray.exceptions.RayActorError,
    ray.exceptions.WorkerCrashedError,
    ray.exceptions.NodeDiedError,
    ray.exceptions.ObjectLostError,
    ray.exceptions.OutOfMemoryError,
)
"""What is raised where a process or node ended, or with it what it had made."""

NAMESPACE = "tuning-fork"
LOOK_INTERVAL_S = 0.5
CONNECT_S = 120.0
"""How long a head may be away before a job gives up for now; it is started again later."""

GONE_S = 10.0
"""Ray itself ends a process whose cluster is silent for a minute. Sooner, and in order, is better."""

CHECK_S = 60.0
_LOOK_S = 2.0


class ClusterError(TuningForkError):
    """Processes on the cluster end again and again."""


class Cluster:
    """The connection of one process to a cluster."""

    def __init__(self, settings: RaySettings, look: Callable[[], None] = lambda: None) -> None:
        """Not connected yet.

        Args:
            look: Called again and again while something is waited for; what it raises ends the waiting.
        """
        self._settings = settings
        self._look = look
        self._answered_at = 0.0
        self._looked_at = 0.0
        self._nodes: dict[str, Mapping[str, float]] = {}

    def connect(self) -> None:
        """Be connected afterwards; a head that is away is waited for.

        Raises:
            ConfigError: the cluster is of another release.
            OutageError: the head did not come.
        """
        if ray.is_initialized():
            return
        gives_up_at = time.monotonic() + CONNECT_S
        while not _is_listening(self._settings.address):
            if time.monotonic() > gives_up_at:
                raise OutageError(f"no Ray cluster is at {self._settings.address}")
            self.pause()
        connect(self._settings.address)
        refuse_other_releases()

    def leave(self) -> None:
        """End all that is there for this process; without a head, for which Ray would wait, it ends by itself."""
        if _is_listening(self._settings.address):
            ray.shutdown()

    def pause(self) -> None:
        """A moment, unless something else is to be done."""
        self._look()
        time.sleep(LOOK_INTERVAL_S)

    def wait(self, pending: Sequence[Any], on_look: Callable[[], None]) -> list[Any]:
        """Those of the references that are there; at least one.

        Raises:
            OutageError: the head of the cluster is gone.
        """
        self._answered_at = time.monotonic()
        while True:
            done, _ = ray.wait(list(pending), timeout=LOOK_INTERVAL_S, num_returns=1)
            self._look()
            on_look()
            if done:
                return list(done)
            self._check_head()

    def nodes(self) -> Mapping[str, Mapping[str, float]]:
        """What each node has in all; as it was last, while the head is away, for which Ray would wait."""
        if _is_listening(self._settings.address):
            self._nodes = {node["NodeID"]: node["Resources"] for node in ray.nodes() if node["Alive"]}
        return self._nodes

    def n_fitting(self, options: Mapping[str, Any]) -> dict[str, int]:
        """How many tasks with these `resources` each node has room for when nothing else runs; none left out."""
        wanted = {**options["resources"], "CPU": options["num_cpus"], "GPU": options["num_gpus"]}
        # One that asks for nothing is taken to need a core.
        asked = {name: n for name, n in wanted.items() if n} or {"CPU": 1}
        fitting = {i: int(min(has.get(name, 0) / n for name, n in asked.items())) for i, has in self.nodes().items()}
        return {node: n for node, n in fitting.items() if n}

    def resources(self, stage: str, model: str) -> dict[str, Any]:
        """What a task asks of its node, as options of Ray: one core; for a local model a GPU, where nodes have any."""
        wanted = self._settings.resources.get(stage)
        if wanted is None:
            is_local = stage != "index" and parse_spec(model)[0] != "openai"
            has_gpu = is_local and any("GPU" in node for node in self.nodes().values())
            wanted = {"CPU": 1, "GPU": 1} if has_gpu else {"CPU": 1}
        return {
            "num_cpus": wanted.get("CPU", 0),
            "num_gpus": wanted.get("GPU", 0),
            "resources": {name: n for name, n in wanted.items() if name not in ("CPU", "GPU") and n},
        }

    def _check_head(self) -> None:
        now = time.monotonic()
        if now - self._looked_at < _LOOK_S:
            return
        self._looked_at = now
        if _is_listening(self._settings.address):
            self._answered_at = now
        elif now - self._answered_at > GONE_S:
            raise OutageError(f"the head of the Ray cluster at {self._settings.address} is gone")


def connect(address: str) -> None:
    """Join a cluster from one of its nodes.

    Raises:
        ConfigError: it runs another Ray or Python, or this machine is none of its nodes.
        OutageError: it went away meanwhile.
    """
    switch_off_telemetry()
    # The handlers of this process stay.
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        ray.init(address=address, namespace=NAMESPACE, configure_logging=False)
    except RuntimeError as error:
        raise ConfigError(
            f"the Ray cluster at {address} does not fit: {' '.join(str(error).split())} Install there what runs here "
            f"({_install()}), and start Ray on its nodes again"
        ) from error
    except (ConnectionError, ValueError, OSError) as error:
        raise OutageError(f"the Ray cluster at {address} cannot be joined from this machine: {error}") from error
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def this_release() -> dict[str, str]:
    """Versions of all that can change a result, and a digest of our own code."""
    code = code_digest("lm", "advisor", "rag", "finetune", "service")[:12]
    return library_versions() | {"ray": version("ray"), "code": code}


def refuse_release(there: Mapping[str, str], here: Mapping[str, str], node: str) -> None:
    """Refuse a node whose release is not that of the driver.

    Raises:
        ConfigError: names the node, what differs, and what to install.
    """
    named = {"code": "code of Tuning Fork", "tuning-fork": "Tuning Fork"}
    differing = [
        f"{named.get(name, name)} {there.get(name, 'missing')} in place of {here[name]}"
        for name in here
        if there.get(name) != here[name]
    ]
    if differing:
        raise ConfigError(
            f"the node {node} of the Ray cluster runs another release: {', '.join(differing)}; install there what runs "
            f"here ({_install()}), and start Ray on it again"
        )


def refuse_other_releases() -> None:
    """Look at every node.

    Raises:
        ConfigError: one runs another release, or has no Tuning Fork.
    """
    here = this_release()
    asking = {}
    for node in ray.nodes():
        if node["Alive"]:
            pinned = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            task = ray.remote(this_release).options(num_cpus=0, scheduling_strategy=pinned, max_retries=0)
            asking[task.remote()] = node["NodeManagerAddress"]
    done, _ = ray.wait(list(asking), num_returns=len(asking), timeout=CHECK_S)
    for reference in done:
        try:
            there = ray.get(reference)
        except ray.exceptions.RayTaskError as error:
            if not isinstance(error.cause, ImportError):
                raise
            there = {}
        except ray.exceptions.RayError:
            # A node that goes away is asked nothing.
            continue
        refuse_release(there, here, asking[reference])


def own_error(error: Exception) -> Exception:
    """What a failure on the cluster means here: an error of ours as it was raised, anything of Ray's an outage."""
    if isinstance(error, ray.exceptions.RayTaskError):
        cause = error.cause
        return cause if isinstance(cause, TuningForkError) else error
    return OutageError(f"{type(error).__name__} on the Ray cluster: {str(error).splitlines()[0]}")


def crashed(what: str, n_times: int, error: Exception) -> ClusterError:
    """Why something is given up that ended with its process again and again."""
    return ClusterError(
        f"the process on the Ray cluster that had {what} was ended {n_times} times, last: {str(error).splitlines()[0]} "
        "See whether memory is short on the nodes, then resume the comparison"
    )


def _is_listening(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with suppress(OSError), socket.create_connection((host, int(port)), timeout=2.0):
        return True
    return False


def _install() -> str:
    return f"`pip install -c constraints.txt 'tuning-fork[ray]=={version('tuning-fork')}'` with its constraints.txt"


def main() -> None:
    """Check the cluster at an address; what is wrong is told on standard output, with exit code 2."""
    address = sys.argv[1]
    try:
        if not _is_listening(address):
            raise ConfigError(
                f"no Ray cluster is at {address}; start one there with `ray start --head --disable-usage-stats`, or "
                "give its --ray-address"
            )
        connect(address)
        refuse_other_releases()
    except (TuningForkError, OutageError) as error:
        sys.stdout.write(f"{error}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
