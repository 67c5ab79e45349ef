"""Indexes and adapters whose home is on another machine: taken from there, or built here and brought there."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from advisor.data.dataset import Dataset
from advisor.results.answer import BuildUsage
from finetune.adapter import AdapterRecord
from lm.embedding import Embedder
from rag.chunk import Chunking
from rag.index import Index
from service.run.composition.stages import BuiltStages, TrainingRun
from service.run.progress import OnProgress, Progress
from service.store.data_directory import DataDirectory
from service.store.stages.build_alone import WAIT_S
from service.store.stages.packed_folder import pack, unpack

if TYPE_CHECKING:
    from lm.local.huggingface import HuggingFaceModel


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


class CarriedStages:
    """Builds in a directory of this machine what the home does not have.

    Args:
        directory: Of this process alone: nobody else may open an index in it.
    """

    def __init__(self, directory: DataDirectory, home: StageHome, on_progress: OnProgress) -> None:
        self._directory = directory
        self._home = home
        self._on_progress = on_progress
        self._built = BuiltStages(directory, on_progress)

    def index(self, dataset: Dataset, chunking: Chunking, embedder: Embedder, folder: Path) -> tuple[Index, BuildUsage]:
        """The open index of the documents."""
        waiting = Progress("index", "", 0, len(dataset.documents), "another comparison builds this index")
        with self.carried(folder, waiting):
            return self._built.index(dataset, chunking, embedder, folder)

    def adapter(self, run: TrainingRun, base: "HuggingFaceModel", folder: Path) -> AdapterRecord:
        """The record of the adapter in the folder."""
        waiting = Progress("tune", run.label, 0, 1, "another comparison trains this adapter")
        with self.carried(folder, waiting):
            return self._built.adapter(run, base, folder)

    @contextmanager
    def carried(self, folder: Path, waiting: Progress) -> Iterator[None]:
        """While the context lasts the folder is there, or to be built; what is built goes home at its end.

        Args:
            waiting: Told again and again while another comparison builds it.
        """
        below = folder.relative_to(self._directory.root).as_posix()
        while (claim := self._home.claim(below)).turn is Turn.WAIT:
            self._on_progress(waiting)
            time.sleep(WAIT_S)
        if claim.turn is Turn.TAKE:
            unpack(claim.packed, folder)
        yield
        if claim.turn is Turn.BUILD:
            self._home.deliver(below, pack(folder))
