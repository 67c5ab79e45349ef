"""What a comparison has on the cluster in its own name: the desk where its workers bring and take what they share."""

import logging
from collections import deque
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from lm.files import damaged_files, set_aside
from service.run.composition.carried_stages import Claim, Turn
from service.run.progress import Progress
from service.store.data_directory import DataDirectory
from service.store.stages.build_alone import build_alone
from service.store.stages.packed_folder import pack, unpack

_MAX_TOLD = 10_000
_LOG = logging.getLogger("tuning_fork.stages")


class _BuiltElsewhereError(Exception):
    """Another comparison has the turn."""


class Desk:
    """An actor on the machine of the service, over its data directory; gone with the driver."""

    def __init__(self, root: Path) -> None:
        self._directory = DataDirectory(root)
        self._turns: dict[str, ExitStack] = {}
        # Workers tell more than a driver that is away for a moment takes; of progress the latest counts.
        self._told: deque[Progress] = deque(maxlen=_MAX_TOLD)

    def claim(self, below: str) -> Claim:
        """A stage, or whose turn it is to build it; the turn of this comparison is its own until it delivers."""
        folder = self._directory.below(below)
        if folder.exists() and damaged_files(folder):
            _LOG.warning("%s is damaged; it is set aside as %s and made again", folder, set_aside(folder).name)
        if folder.exists():
            return Claim(Turn.TAKE, pack(folder))
        if below not in self._turns:
            stack = ExitStack()
            try:
                stack.enter_context(build_alone(self._directory, folder, _refuse_to_wait))
            except _BuiltElsewhereError:
                return Claim(Turn.WAIT)
            self._turns[below] = stack
            if folder.exists():
                # Built between the first look and the turn.
                self._turns.pop(below).close()
                return Claim(Turn.TAKE, pack(folder))
        return Claim(Turn.BUILD)

    def deliver(self, below: str, packed: bytes) -> None:
        """Put a stage into the data directory."""
        unpack(packed, self._directory.below(below))
        if below in self._turns:
            self._turns.pop(below).close()

    def tell(self, progress: Progress) -> None:
        """Progress of a worker."""
        self._told.append(progress)

    def told(self) -> list[Progress]:
        """What workers told since the last time."""
        told = []
        while self._told:
            told.append(self._told.popleft())
        return told


class RemoteDesk:
    """The desk from a worker: a `service.run.composition.carried_stages.StageHome`."""

    def __init__(self, desk: Any) -> None:
        self._desk = desk

    def claim(self, below: str) -> Claim:
        """The stage, or whose turn it is to build it."""
        claim: Claim = ray.get(self._desk.claim.remote(below))
        return claim

    def deliver(self, below: str, packed: bytes) -> None:
        """Put a stage in its place."""
        ray.get(self._desk.deliver.remote(below, packed))

    def tell(self, progress: Progress) -> None:
        """Progress, for which nobody waits."""
        self._desk.tell.remote(progress)


def open_desk(comparison_id: str, directory: DataDirectory) -> Any:
    """The desk of a comparison, in its name and on this machine.

    Raises:
        ValueError: there is one: another driver works on the comparison.
    """
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    options = {"name": comparison_id, "num_cpus": 0, "scheduling_strategy": here}
    return ray.remote(Desk).options(**options).remote(directory.root)


def _refuse_to_wait() -> None:
    raise _BuiltElsewhereError
