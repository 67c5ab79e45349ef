"""Arms of finished comparisons where their models are: opened, asked, closed. `arms_process` is a process for them."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from advisor.results.answer import Answer, Pipeline
from lm.completion import GenerationConfig
from lm.errors import TuningForkError
from service.run.progress import silent
from service.serving.endpoint_failure import endpoint_failure
from service.serving.errors import ArmGoneError
from service.serving.limits import ServingLimits
from service.serving.model_trial import ModelTrial, ask_model
from service.serving.opened import OpenArm, OpenedComparison, Servable
from service.serving.parts import LoadEmbedder, LoadModel, SharedParts, TakenParts
from service.store.data_directory import DataDirectory
from service.store.stages.recorded_stages import read_stages


@dataclass(frozen=True, slots=True)
class ArmFacts:
    """What is told of an arm that was opened.

    Attributes:
        generation: As it was measured, without its constraint, which stays with the arm.
        device, hosted_model, embedder, priced_as: As of an `OpenArm`.
    """

    generation: GenerationConfig
    device: str | None
    hosted_model: str | None
    embedder: str
    priced_as: str


class Arms:
    """Arms in this process. One thread at a time opens and closes; any may ask.

    Args:
        load_model: The registered models if not given, as with `load_embedder`.

    Attributes:
        is_gone: Whether their process ended; it is ours.
    """

    is_gone = False

    def __init__(
        self,
        directory: DataDirectory,
        limits: ServingLimits,
        *,
        load_model: LoadModel | None = None,
        load_embedder: LoadEmbedder | None = None,
    ) -> None:
        self._directory = directory
        self._parts = SharedParts(limits, load_model=load_model, load_embedder=load_embedder)
        self._comparisons: dict[str, OpenedComparison] = {}
        self._arms: dict[tuple[str, str], OpenArm] = {}

    def open(self, servable: Servable, kind: str) -> ArmFacts:
        """Load an arm of that id.

        Raises:
            NoSuchPipelineError: the comparison has none.
            NotServableError: what it is built of is gone or has changed.
            EndpointFailedError: a hosted embedder fails.
        """
        with _failing_endpoint_named(None):
            if servable.id not in self._comparisons:
                self._comparisons[servable.id] = self._opened(servable)
            arm = self._arms[servable.id, kind] = self._comparisons[servable.id].open_arm(kind)
        generation = replace(arm.pipeline.generation, constraint=None)
        return ArmFacts(generation, arm.device, arm.hosted_model, arm.embedder, arm.priced_as)

    def answer(
        self, comparison_id: str, kind: str, generation: GenerationConfig, questions: Sequence[str]
    ) -> list[Answer]:
        """One answer a question, in order.

        Raises:
            ArmGoneError: the arm is not open.
            EndpointFailedError: a hosted model or embedder is down; EndpointTimeoutError: late.
            LanguageModelError: a question cannot be answered.
        """
        pipeline, hosted_model = self._asked(comparison_id, kind, generation)
        with _failing_endpoint_named(hosted_model):
            return pipeline.answer(questions)

    def stream(
        self, comparison_id: str, kind: str, generation: GenerationConfig, question: str
    ) -> Generator[str, None, Answer]:
        """Pieces of one answer as they are generated, which the generator returns whole. Raises as `answer`."""
        pipeline, hosted_model = self._asked(comparison_id, kind, generation)
        with _failing_endpoint_named(hosted_model):
            return (yield from pipeline.stream(question))

    def close(self, comparison_id: str) -> None:
        """Release what the arms of a comparison hold; nobody asks them any more."""
        for key in [key for key in self._arms if key[0] == comparison_id]:
            del self._arms[key]
        if (opened := self._comparisons.pop(comparison_id, None)) is not None:
            opened.close()

    def end(self) -> None:
        """Release everything."""
        for comparison_id in list(self._comparisons):
            self.close(comparison_id)

    def hand_over(self, servable: Servable, kind: str, target: str, folder: Path) -> str:
        """Write an arm for another tool; the name of what was written in the folder.

        Raises:
            As `open`; ConfigError: it does not fit the target.
        """
        from service.handover.hand_over import hand_over
        from service.handover.winner import Winner, adapters_of
        from service.run.workflow import load_limited_dataset

        self.open(servable, kind)
        adapters = adapters_of(servable.report, servable.settings, kind, self._directory)
        dataset = load_limited_dataset(servable.settings)
        pipeline = self._arms[servable.id, kind].pipeline
        winner = Winner(servable.report, servable.settings, dataset, pipeline, adapters)
        name = f"{winner.name}-{target}"
        hand_over(winner, target, folder / name)
        return name

    def try_model(self, spec: str) -> ModelTrial:
        """Load a model and put the fixed question to it; raises as `ask_model`."""
        return ask_model(spec)

    def _asked(self, comparison_id: str, kind: str, generation: GenerationConfig) -> tuple[Pipeline, str | None]:
        if (arm := self._arms.get((comparison_id, kind))) is None:
            raise ArmGoneError(f"{kind} of {comparison_id} was let go of meanwhile; ask again")
        generation = replace(generation, constraint=arm.pipeline.generation.constraint)
        return replace(arm.pipeline, generation=generation), arm.hosted_model

    def _opened(self, servable: Servable) -> OpenedComparison:
        from service.run.composition import LocalComposition
        from service.run.finished.base_model import is_measured_model
        from service.serving.opened_stages import OpenedStages

        parts = TakenParts(self._parts, servable.settings)
        recorded = read_stages(servable.report.id, self._directory, servable.settings.trainings)

        def is_as_measured(model: str) -> bool:
            return recorded is not None and is_measured_model(servable.settings, servable.model_identity, model)

        composition = LocalComposition(
            servable.settings, self._directory, silent, recorded, parts=parts, stages=OpenedStages(self._directory)
        )
        return OpenedComparison(servable, composition, parts.give_back, is_as_measured)


@contextmanager
def _failing_endpoint_named(hosted_model: str | None) -> Iterator[None]:
    """Tells what another machine's model did wrong from what is wrong here or with a question."""
    try:
        yield
    except TuningForkError as error:
        if (failure := endpoint_failure(error, hosted_model)) is not None:
            raise failure from error
        raise
