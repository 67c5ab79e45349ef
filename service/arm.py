"""What a built arm is, and what builds arms."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from advisor.answer import BuildUsage, Pipeline
from advisor.comparison import ArmRole, AuditFinding
from advisor.dataset import Dataset
from lm.embedding import Embedder
from lm.language_model import LanguageModel
from service.data_directory import DataDirectory
from service.progress import OnProgress
from service.settings import ComparisonSettings


@dataclass(frozen=True, slots=True)
class IndexFacts:
    """An index as far as audit and cost go.

    Attributes:
        documents_hash: `advisor.dataset.hash_documents` of what it was built from.
        n_bytes: On disk.
    """

    documents_hash: str
    n_bytes: int


@dataclass(frozen=True)
class Arm:
    """A built arm.

    Attributes:
        label: How it is made, for people.
        retrieves: Whether retrieval metrics are defined for it. tuned: Whether its weights saw training questions.
        read_documents: Whether tuning read the documents as well.
        device: "cpu" or "cuda" where we run its model, None for a hosted one.
        index_usage: The part of the build that indexing took, for arms that both retrieve and are tuned.
        index: What is read, for arms that search an index.
        training_curve: Losses by epoch, for tuned arms.
        findings: What building it brought to light.
    """

    pipeline: Pipeline
    role: ArmRole
    label: str
    retrieves: bool = False
    tuned: bool = False
    read_documents: bool = False
    device: str | None = None
    index_usage: BuildUsage = BuildUsage()
    index: IndexFacts | None = None
    training_curve: tuple[Mapping[str, float | int | None], ...] = ()
    findings: tuple[AuditFinding, ...] = ()


class Composition(Protocol):
    """What knows how arms are built; `service.composition` in earnest, a fake in tests."""

    def arms(self, dataset: Dataset) -> Iterator[Arm]:
        """Each arm as it is built, candidates first."""
        ...

    def arm(self, kind: str, dataset: Dataset) -> Arm:
        """One arm by its name."""
        ...

    def close(self) -> None:
        """Let go of what the arms hold open; called once, after the last answer."""
        ...

    @property
    def model(self) -> LanguageModel:
        """The model all arms start from."""
        ...

    @property
    def embedder(self) -> Embedder:
        """For retrieval and for semantic similarity."""
        ...

    @property
    def judge(self) -> LanguageModel | None:
        """For judge-based metrics, if one is configured."""
        ...


Compose = Callable[[ComparisonSettings, DataDirectory, OnProgress], Composition]
