"""Indexes and adapters whose home is on another machine: taken from there, or built here and brought there."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from service.store.data_directory import DataDirectory
from service.store.stages.build_alone import WAIT_S
from service.store.stages.packed_folder import pack, unpack


class Turn(StrEnum):
    """What is to be done about a stage."""

    TAKE = "take"
    """It is there."""
    BUILD = "build"
    """It is yours to build and to bring."""
    WAIT = "wait"
    """Another comparison builds it; ask again."""


@dataclass(frozen=True)
class Claim:
    """The answer of a home that is asked for a stage, with the packed stage where it is there."""

    turn: Turn
    packed: bytes = b""


class StageHome(Protocol):
    """The data directory that stages belong to, reached from another machine. A stage is named by its path below."""

    def claim(self, below: str) -> Claim:
        """The stage, or whose turn it is to build it."""
        ...

    def deliver(self, below: str, packed: bytes) -> None:
        """Put a stage in its place."""
        ...


@contextmanager
def carry_stage(
    home: StageHome, directory: DataDirectory, folder: Path, on_wait: Callable[[], object]
) -> Iterator[None]:
    """While the context lasts the folder is there, or to be built; what is built goes home at its end.

    Args:
        directory: Of this process alone: nobody else may open an index in it.
        on_wait: Called again and again while another comparison builds it.
    """
    below = folder.relative_to(directory.root).as_posix()
    while (claim := home.claim(below)).turn is Turn.WAIT:
        on_wait()
        time.sleep(WAIT_S)
    if claim.turn is Turn.TAKE:
        unpack(claim.packed, folder)
    yield
    if claim.turn is Turn.BUILD:
        home.deliver(below, pack(folder))
