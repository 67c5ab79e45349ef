"""What a built arm is, what it is asked, and what builds arms and lets them answer."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from advisor.arms import ARM_KINDS, ArmSpec
from advisor.data.dataset import Dataset, Example
from advisor.money.prices import priced_name
from advisor.results.answer import Answer, BuildUsage, Pipeline
from advisor.results.answer_file import GivenAnswers
from advisor.results.comparison import ArmRole, AuditFinding, TuningSummary
from lm.embedding import Embedder
from lm.errors import LanguageModelError
from lm.language_model import LanguageModel
from service.run.progress import OnProgress, answers_label
from service.run.settings import ComparisonSettings
from service.store.data_directory import DataDirectory


@dataclass(frozen=True, slots=True)
class IndexFacts:
    """An index as far as audit and cost go.

    Attributes:
        documents_hash: `advisor.data.dataset.hash_documents` of what it was built from.
        n_bytes: On disk.
    """

    documents_hash: str
    n_bytes: int


@dataclass(frozen=True)
class Arm:
    """A built arm.

    Attributes:
        given: Its answers, where they were given elsewhere and nobody is asked.
        spec: As it was asked for; None where its id is its kind.
        label: How it is made, for people.
        retrieves: Whether retrieval metrics are defined for it. tuned: Whether its weights saw training questions.
        generates: Whether a language model writes its answers.
        read_documents: Whether tuning read the documents as well.
        device: "cpu" or "cuda" where we run its model, None for a hosted one.
        index_usage: The part of the build that indexing took, for arms that both retrieve and are tuned.
        index: What is read, for arms that search an index.
        training_curve: Losses by epoch, for tuned arms.
        validation_loss: Of the adapter, at the epoch that was kept; None without one or without validation questions.
        training_seed: Seed of the adapter that is deployed, where there are several.
        other_seeds: The same arm of the other training seeds.
        findings: What building it brought to light.
        tuning: How it was trained, for tuned arms.
    """

    pipeline: Pipeline
    role: ArmRole
    label: str
    retrieves: bool = False
    tuned: bool = False
    generates: bool = True
    read_documents: bool = False
    device: str | None = None
    index_usage: BuildUsage = BuildUsage()
    index: IndexFacts | None = None
    training_curve: tuple[Mapping[str, float | int | None], ...] = ()
    validation_loss: float | None = None
    training_seed: int | None = None
    other_seeds: tuple["Arm", ...] = ()
    findings: tuple[AuditFinding, ...] = ()
    tuning: TuningSummary | None = None
    given: GivenAnswers | None = None
    spec: ArmSpec | None = None

    @property
    def id(self) -> str:
        """By which it is known."""
        return self.pipeline.arm

    @property
    def kind(self) -> str:
        """Its row in the table of arms, or the reference it is."""
        return self.spec.kind if self.spec is not None else self.id

    @property
    def outside(self) -> bool:
        """Whether it was trained or is answered elsewhere."""
        return self.spec is not None and self.spec.kind in ARM_KINDS and self.spec.row.outside

    @property
    def priced_as(self) -> str:
        """The name in a price list of what answers; of a service that which somebody named."""
        if self.outside and not self.generates and self.spec is not None:
            return priced_name(self.spec.model)
        return priced_name(self.pipeline.model.name)

    @property
    def base(self) -> LanguageModel:
        """The language model that it starts from: of a tuned one that before tuning."""
        base: LanguageModel = getattr(self.pipeline.model, "base", self.pipeline.model)
        return base


def trained_with_seeds(trained: Mapping[int, Arm]) -> Arm:
    """One arm of several trainings: deployed is the adapter with the lowest validation loss, whatever it scores.

    Without validation questions it is the first. Building the arm took all the trainings; an index was built once.

    Args:
        trained: The same arm by training seed.
    """
    seeds, arms = list(trained), list(trained.values())
    losses = [float("inf") if arm.validation_loss is None else arm.validation_loss for arm in arms]
    best = losses.index(min(losses))
    others = [i for i in range(len(arms)) if i != best]
    build = arms[best].pipeline.build_usage
    for i in others:
        build = build + minus_index(arms[i])
    return replace(
        arms[best],
        pipeline=replace(arms[best].pipeline, build_usage=build),
        training_seed=seeds[best],
        other_seeds=tuple(replace(arms[i], training_seed=seeds[i]) for i in others),
        findings=tuple(dict.fromkeys(finding for arm in arms for finding in arm.findings)),
    )


def minus_index(arm: Arm) -> BuildUsage:
    """What building an arm took without its index: documents change at another pace than adapters."""
    whole, index = arm.pipeline.build_usage, arm.index_usage
    return replace(
        whole,
        wall_s=whole.wall_s - index.wall_s,
        device_s=whole.device_s - index.device_s,
        input_tokens=whole.input_tokens - index.input_tokens,
        embedding_tokens=whole.embedding_tokens - index.embedding_tokens,
    )


def named(arm: Arm) -> str:
    """The arm, with its training seed where there are several."""
    return answers_label(arm.id, arm.training_seed)


@dataclass(frozen=True)
class Block:
    """Questions that an arm is asked at once, and the stage its answers belong to."""

    arm: Arm
    examples: Sequence[Example]
    stage: str = ""


@dataclass(frozen=True)
class AnsweredBlock:
    """A block with its answers, in the order of its questions, and the seconds that giving them took."""

    block: Block
    answers: Sequence[Answer]
    wall_s: float


def answer_block(pipeline: Pipeline, name: str, examples: Sequence[Example]) -> tuple[list[Answer], float]:
    """Answers of an arm's pipeline, and the seconds they took.

    Raises:
        LanguageModelError: names the arm and the questions.
    """
    started = time.perf_counter()
    try:
        answers = pipeline.answer([example.asked for example in examples])
    except LanguageModelError as error:
        asked = f"{examples[0].id} to {examples[-1].id}" if len(examples) > 1 else examples[0].id
        raise LanguageModelError(f"{error} (arm {name}, questions {asked})") from error
    return answers, time.perf_counter() - started


def answer_in_turn(blocks: Iterable[Block]) -> Iterator[AnsweredBlock]:
    """Each block answered in this process before the next is drawn."""
    for block in blocks:
        if block.arm.given is not None:
            answers = [block.arm.given.answers[example.id] for example in block.examples]
            yield AnsweredBlock(block, answers, sum(answer.usage.latency_s for answer in answers))
            continue
        yield AnsweredBlock(block, *answer_block(block.arm.pipeline, named(block.arm), block.examples))


class Composition(Protocol):
    """What knows how arms are built; `service.run.composition` in earnest, a fake in tests."""

    def arms(self, dataset: Dataset) -> Iterator[Arm]:
        """Each arm as it is built, candidates first."""
        ...

    def arm(self, arm_id: str, dataset: Dataset) -> Arm:
        """One arm by its id, or by its kind where the comparison has none of that id."""
        ...

    def answered(self, blocks: Iterable[Block]) -> Iterator[AnsweredBlock]:
        """Each block with its answers, as they come."""
        ...

    def close(self) -> None:
        """Let go of what the arms hold open; called once, after the last answer."""
        ...

    @property
    def stage_markers(self) -> Sequence[Path]:
        """Of each index and adapter that arms were built with so far: the file that says it is whole."""
        ...

    @property
    def model(self) -> LanguageModel:
        """The first of the models that arms start from: of most comparisons the only one."""
        ...

    def model_of(self, spec: str) -> LanguageModel:
        """One of the models that arms start from, as the settings name it."""
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
