"""Which Ray cluster, and what each kind of work asks of a node. Imports no Ray."""

import json
import math
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec

from lm.errors import ConfigError, MissingDependencyError

DEFAULT_ADDRESS = "127.0.0.1:6379"
"""Where `ray start --head` listens on this machine."""

STAGES = ("index", "tune", "answer")


@dataclass(frozen=True, slots=True)
class RaySettings:
    """How a service uses a cluster.

    Attributes:
        address: `HOST:PORT` of the head.
        resources: By kind of work ("index", "tune", "answer") what one task of it asks for, e.g. `{"GPU": 1}`. What is
            not named here gets the default of `service.jobs.ray_engine.cluster`.
    """

    address: str = DEFAULT_ADDRESS
    resources: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        host, colon, port = self.address.rpartition(":")
        if not (host and colon and port.isdecimal()) or "/" in host:
            raise ConfigError(
                f"--ray-address is {self.address!r}; give HOST:PORT of the head of a Ray cluster, "
                f"e.g. {DEFAULT_ADDRESS}"
            )

    @property
    def options(self) -> list[str]:
        """The same as options of a process."""
        return ["--ray-address", self.address, "--ray-resources", json.dumps(self.resources)]


def parse_resources(given: Sequence[str]) -> dict[str, dict[str, float]]:
    """What was typed, as `STAGE=NAME:AMOUNT[,NAME:AMOUNT]`.

    Raises:
        ConfigError: something else was typed.
    """
    resources = {}
    for text in given:
        stage, _, amounts = text.partition("=")
        pairs = [part.rpartition(":") for part in amounts.split(",")]
        if stage not in STAGES or not all(name.strip() and _amount(amount) is not None for name, _, amount in pairs):
            raise ConfigError(
                f"--ray-resources is {text!r}; give a kind of work ({', '.join(STAGES)}) and what it needs, e.g. "
                "`tune=GPU:1,CPU:4` or `answer=GPU:0.5`"
            )
        resources[stage] = {name.strip(): _amount(amount) or 0.0 for name, _, amount in pairs}
    return resources


def check_cluster(settings: RaySettings) -> None:
    """Look at a cluster from a process of its own, which may die with it.

    Raises:
        MissingDependencyError: Ray is not installed.
        ConfigError: there is no cluster at the address, or it runs another release.
    """
    if find_spec("ray") is None:
        raise MissingDependencyError("--engine ray needs Ray: pip install 'tuning-fork[ray]'")
    command = [sys.executable, "-m", "service.jobs.ray_engine.cluster", settings.address]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise ConfigError(
            done.stdout.strip().rpartition("\n")[2]
            or f"the Ray cluster at {settings.address} could not be looked at; see the lines above"
        )


def _amount(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None
