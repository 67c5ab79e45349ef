"""The arms of a comparison whose work is done on a cluster: what its driver knows of them."""

import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray

from advisor.arms import Circumstances, refuse_unrunnable
from advisor.data.dataset import Dataset
from lm.completion import Completion, GenerationConfig, Messages
from lm.embedding import Embedder
from lm.language_model import LanguageModel
from service.jobs.comparison_lock import TAKING_S, OwnedElsewhereError
from service.jobs.ray_engine.answerers import Answerers
from service.jobs.ray_engine.cluster import LOST, Cluster, crashed, own_error, this_release
from service.jobs.ray_engine.desk import open_desk
from service.jobs.ray_engine.worker import ArmName, ComposeOnNode, ModelFacts, WorkOrder, build_stage
from service.run.arm import AnsweredBlock, Arm, Block, answer_in_turn
from service.run.composition import LocalComposition, arm_names
from service.run.hosted_tuning import can_be_tuned, tuning_records
from service.run.progress import OnProgress, Progress
from service.run.settings import ComparisonSettings
from service.store.data_directory import DataDirectory
from service.store.stages.recorded_stages import Training

MAX_RETRIES = 3
"""Of a stage whose node or process ended."""

_NO_ROOM = "waits for room on the Ray cluster"


class RayComposition:
    """Builds stages and answers questions on the nodes of a cluster; embedder and judge of metrics are here.

    Before the first question all indexes and adapters are built, so that no actor that waits for work holds what they
    need. Then the actors open them.
    """

    def __init__(
        self,
        comparison_id: str,
        settings: ComparisonSettings,
        directory: DataDirectory,
        on_progress: OnProgress,
        *,
        cluster: Cluster,
        compose: ComposeOnNode,
    ) -> None:
        """Open the desk of the comparison.

        Raises:
            OwnedElsewhereError: another driver has it.
        """
        cluster.connect()
        self._comparison_id = comparison_id
        self._settings = settings
        self._directory = directory
        self._on_progress = on_progress
        self._cluster = cluster
        self._compose = compose
        self._here = LocalComposition(settings, directory, on_progress)
        self._desk = self._take_name()
        self._telling = self._desk.told.remote()
        self._has_begun = False
        self._answerers: Answerers | None = None
        self._markers: dict[str, None] = {}

    @property
    def model(self) -> LanguageModel:
        """The first of the models that arms start from, which an actor holds."""
        return self.model_of(self._settings.main_model)

    def model_of(self, spec: str) -> LanguageModel:
        """One of the models that arms start from, which an actor holds."""
        answerers = self._open_answerers()
        return RemoteModel(answerers.call("model", spec), answerers, spec)

    @property
    def embedder(self) -> Embedder:
        """For semantic similarity."""
        return self._here.embedder

    @property
    def judge(self) -> LanguageModel | None:
        """For judge-based metrics, if one is configured."""
        return self._here.judge

    @property
    def stage_markers(self) -> list[Path]:
        """Of each index and adapter, in the data directory of the service."""
        return [self._directory.below(below) for below in self._markers]

    def arms(self, dataset: Dataset) -> Iterator[Arm]:
        """Each arm, after all stages are built."""
        for model in self._settings.models:
            own = [str(arm) for arm in self._settings.arm_specs if self._settings.model_of(arm) == model]
            refuse_unrunnable(own, Circumstances.of(dataset, model, tunable=can_be_tuned(self._directory, model)))
        tunings = tuning_records(self._directory)
        order = WorkOrder(
            self._comparison_id, self._settings, dataset, this_release(), self._compose, self._desk, tunings
        )
        # Each task and actor takes it from the object store.
        self._order = ray.put(order)
        if any(arm.row.retrieves for arm in self._settings.arm_specs):
            self._build("index", [None])
        self._build("tune", self._settings.trainings)
        for arm_id in arm_names(self._settings, dataset):
            yield self.arm(arm_id, dataset)

    def arm(self, arm_id: str, dataset: Dataset) -> Arm:
        """One arm by its id, as an actor tells of it."""
        if self._settings.arm(arm_id).kind == "answers":
            # The file is here, and nobody is asked.
            return self._here.arm(arm_id, dataset)
        answerers = self._open_answerers()
        arm, below = answerers.call("arm", arm_id)
        self._markers |= dict.fromkeys(below)
        others = tuple(_reached(one, answerers) for one in arm.other_seeds)
        return replace(_reached(arm, answerers), other_seeds=others)

    def answered(self, blocks: Iterable[Block]) -> Iterator[AnsweredBlock]:
        """The blocks, answered on all nodes that have room."""
        # All are drawn first: with the first of them stages are built, and each arm is told of by an actor.
        drawn = list(blocks)
        yield from answer_in_turn(block for block in drawn if block.arm.given is not None)
        if asked := [block for block in drawn if block.arm.given is None]:
            yield from self._open_answerers().answered(asked)

    def close(self) -> None:
        """Leave the cluster, which ends all that is there for this comparison."""
        self._cluster.leave()

    def _take_name(self) -> Any:
        """The desk in the comparison's name, which that of a killed driver keeps for a moment."""
        gives_up_at = time.monotonic() + TAKING_S
        while True:
            try:
                return open_desk(self._comparison_id, self._directory)
            except ValueError as error:
                if time.monotonic() > gives_up_at:
                    raise OwnedElsewhereError from error
            self._cluster.pause()

    def _open_answerers(self) -> Answerers:
        if self._answerers is None:
            resources = self._cluster.resources("answer", self._settings.model)
            self._has_begun = False
            self._answerers = Answerers(
                self._cluster, self._order, resources, lambda is_waiting: self._look("answer", is_waiting)
            )
        return self._answerers

    def _build(self, stage: str, trainings: Sequence[Training | None]) -> None:
        """Build stages at the same time, where they are not there yet."""
        resources = self._cluster.resources(stage, self._settings.model)
        task = ray.remote(build_stage).options(max_retries=MAX_RETRIES, **resources)
        pending = [task.remote(self._order, training) for training in trainings]
        self._has_begun = False
        while pending:
            for reference in self._cluster.wait(pending, lambda: self._look(stage, True)):
                pending.remove(reference)
                try:
                    ray.get(reference)
                except LOST as error:
                    raise crashed(f"the stage {stage}", MAX_RETRIES + 1, error) from error
                except ray.exceptions.RayError as error:
                    raise own_error(error) from error

    def _look(self, stage: str, is_waiting: bool) -> None:
        """Pass on what workers tell; as long as none has begun, say so."""
        if ray.wait([self._telling], timeout=0)[0]:
            try:
                told: list[Progress] = ray.get(self._telling)
            except ray.exceptions.RayError as error:
                raise own_error(error) from error
            self._telling = self._desk.told.remote()
            for progress in told:
                self._has_begun = True
                self._on_progress(progress)
        if is_waiting and not self._has_begun:
            self._on_progress(Progress(stage, "", 0, 1, _NO_ROOM))


class RemoteModel:
    """A model that actors hold: the base, or that of an arm."""

    def __init__(self, facts: ModelFacts, answerers: Answerers, asked: ArmName | str) -> None:
        self._facts = facts
        self._answerers = answerers
        self._asked = asked

    @property
    def name(self) -> str:
        """The name shown in reports."""
        return self._facts.name

    @property
    def fingerprint(self) -> str:
        """As the node computes it."""
        return self._facts.fingerprint

    @property
    def context_tokens(self) -> int:
        """How many tokens prompt and answer may have together."""
        return self._facts.context_tokens

    @property
    def dtype_name(self) -> str:
        """What it computes in, "" for a hosted one."""
        return self._facts.dtype_name

    def count_tokens(self, prompt: Messages) -> int:
        """Tokens of a prompt as the base model sees it, counted by an actor."""
        count: int = self._answerers.call("count_tokens", self._facts.base, prompt)
        return count

    def generate(self, prompts: Sequence[Messages], config: GenerationConfig) -> list[Completion]:
        """One completion a prompt, in order."""
        completions: list[Completion] = self._answerers.call("generate", self._asked, prompts, config)
        return completions

    def stream(self, prompt: Messages, config: GenerationConfig) -> Generator[str, None, Completion]:
        """The whole answer in one piece."""
        (completion,) = self.generate([prompt], config)
        yield completion.text
        return completion


class RemoteAdaptedModel(RemoteModel):
    """The model of a tuned arm, with the base that it was tuned from."""

    def __init__(self, facts: ModelFacts, answerers: Answerers, asked: ArmName | str) -> None:
        super().__init__(facts, answerers, asked)
        # Asked for now: its name is needed when the actors are gone.
        self._base = answerers.call("model", facts.base)

    @property
    def base(self) -> RemoteModel:
        """The base model."""
        return RemoteModel(self._base, self._answerers, self._facts.base)


def _reached(arm: Arm, answerers: Answerers) -> Arm:
    """An arm with a model that can be asked from here."""
    kind = RemoteAdaptedModel if arm.tuned else RemoteModel
    facts: Any = arm.pipeline.model
    model = kind(facts, answerers, (arm.id, arm.training_seed))
    return replace(arm, pipeline=replace(arm.pipeline, model=model))
