"""What runs on the nodes: building a stage, and an actor that holds the arms of a comparison and answers for them."""

import os
import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, Protocol

import ray

from advisor.data.dataset import Dataset, Example
from advisor.results.answer import Answer, Pipeline
from lm.completion import Completion, GenerationConfig, Messages
from lm.errors import ConfigError
from lm.files import write_whole
from lm.language_model import LanguageModel
from lm.weights.gguf_cache import cache_folder
from service.jobs.job_process import NICENESS
from service.jobs.ray_engine.cluster import refuse_release, this_release
from service.jobs.ray_engine.desk import RemoteDesk
from service.json_log import EVERYTHING, log_as_json
from service.run.arm import Arm, Composition, answer_block, named
from service.run.composition.carried_stages import carry_stage
from service.run.progress import Progress
from service.run.settings import ComparisonSettings
from service.safety.endpoint_guard import guard_process
from service.store.data_directory import DataDirectory
from service.store.stages.build_alone import build_alone
from service.store.stages.recorded_stages import Training
from service.telemetry import switch_off_telemetry


class BuildingComposition(Composition, Protocol):
    """A composition that can build one stage by itself."""

    def build_stage(self, dataset: Dataset, training: Training | None) -> None:
        """The adapter of a training, or the index where none is given."""
        ...


ArmName = tuple[str, int | None]
"""An arm and its training seed, if it has several."""

ComposeOnNode = Callable[[ComparisonSettings, DataDirectory, RemoteDesk], BuildingComposition]


@dataclass(frozen=True)
class WorkOrder:
    """What every worker of a comparison is told.

    Attributes:
        release: Of the driver (`cluster.this_release`).
        tunings: What the driver's data directory notes of models tuned at providers, by paths below it.
    """

    comparison_id: str
    settings: ComparisonSettings
    dataset: Dataset
    release: Mapping[str, str]
    compose: ComposeOnNode
    desk: Any
    tunings: Mapping[str, str]


@dataclass(frozen=True)
class ModelFacts:
    """A model on a node, as far as its driver knows it.

    Attributes:
        base: Spec of the model itself, or of the one that it was tuned from.
    """

    base: str
    name: str
    fingerprint: str
    context_tokens: int
    dtype_name: str


@dataclass(frozen=True)
class PromptFacts:
    """A prompt builder on a node, as far as its driver knows it."""

    instruction: str
    fingerprint: str


def compose_on_node(settings: ComparisonSettings, directory: DataDirectory, desk: RemoteDesk) -> BuildingComposition:
    """Arms of real models, whose indexes and adapters come from the desk or are brought there."""
    from service.run.composition import LocalComposition
    from service.run.composition.stages import BuiltStages

    stages = BuiltStages(directory, desk.tell, partial(carry_stage, desk))
    return LocalComposition(settings, directory, desk.tell, stages=stages)


def build_stage(order: WorkOrder, training: Training | None) -> None:
    """A task: build the adapter of a training, or the index where none is given, unless its home has it."""
    composition = _composed(order, "index" if training is None else "tune")
    try:
        composition.build_stage(order.dataset, training)
    finally:
        composition.close()


class Answerer:
    """An actor: holds the models of a comparison, with its index and adapters, and answers for its arms."""

    def open(self, order: WorkOrder) -> None:
        """Load the first model."""
        self._dataset = order.dataset
        self._settings = order.settings
        self._composition = _composed(order, "answer")
        self._arms: dict[str, Arm] = {}
        _ = self._composition.model

    def model(self, spec: str) -> ModelFacts:
        """One of the models that arms start from."""
        return _facts(self._composition.model_of(spec), spec)

    def arm(self, arm_id: str) -> tuple[Arm, list[str]]:
        """An arm without what cannot be carried, and the stages that arms rest on so far, by their paths."""
        arm = self._arm(arm_id)
        base = self._settings.model_of(self._settings.arm(arm_id))
        root = node_directory().root
        below = [marker.relative_to(root).as_posix() for marker in self._composition.stage_markers]
        return replace(
            _described(arm, base), other_seeds=tuple(_described(one, base) for one in arm.other_seeds)
        ), below

    def answer(
        self, asked: ArmName, generation: GenerationConfig, fingerprint: str, examples: Sequence[Example]
    ) -> tuple[list[Answer], float]:
        """Answers of an arm to a block, and the seconds they took.

        Args:
            generation: As is asked for, which may be freer than the arm's own.
            fingerprint: Of the arm's pipeline with this generation, as the driver knows it.
        """
        arm = self._trained(asked)
        pipeline = replace(arm.pipeline, generation=generation)
        if pipeline.fingerprint != fingerprint:
            raise ConfigError(
                f"the node {_node()} of the Ray cluster builds the arm {named(arm)} otherwise than another node does: "
                "its kind of device or number type differs; give the nodes of one kind a resource of their own and ask "
                "for it, e.g. `--ray-resources answer=big:1`"
            )
        return answer_block(pipeline, named(arm), examples)

    def generate(self, asked: ArmName | str, prompts: Sequence[Messages], config: GenerationConfig) -> list[Completion]:
        """Completions of an arm's model, or of a base by its spec."""
        model = self._composition.model_of(asked) if isinstance(asked, str) else self._trained(asked).pipeline.model
        return model.generate(prompts, config)

    def count_tokens(self, base: str, prompt: Messages) -> int:
        """Tokens of a prompt as a base model sees it."""
        return self._composition.model_of(base).count_tokens(prompt)

    def _arm(self, arm_id: str) -> Arm:
        if arm_id not in self._arms:
            self._arms[arm_id] = self._composition.arm(arm_id, self._dataset)
        return self._arms[arm_id]

    def _trained(self, asked: ArmName) -> Arm:
        arm_id, seed = asked
        arm = self._arm(arm_id)
        return next(one for one in (arm, *arm.other_seeds) if one.training_seed == seed)


def _composed(order: WorkOrder, stage: str) -> BuildingComposition:
    refuse_release(this_release(), order.release, _node())
    _prepare_process(order.comparison_id)
    desk = RemoteDesk(order.desk)
    desk.tell(Progress(stage, "", 0, 1, f"begins on {_node()}"))
    for below, text in order.tunings.items():
        write_whole(node_directory().below(below), text)
    return order.compose(order.settings, node_directory(), desk)


@cache
def _prepare_process(comparison_id: str) -> None:
    switch_off_telemetry()
    os.nice(NICENESS)
    log_as_json(EVERYTHING, {"comparison_id": comparison_id})
    # Callers of the service named the models.
    guard_process()


@cache
def node_directory() -> DataDirectory:
    """A directory of this process alone below the cache folder; what processes that were killed left is removed."""
    parent = DataDirectory(cache_folder() / "ray")
    processes = parent.root / "processes"
    with build_alone(parent, processes, lambda: None):
        for folder in processes.glob("*"):
            with suppress(ConfigError, OSError), DataDirectory(folder).lock():
                shutil.rmtree(folder)
        directory = DataDirectory(processes / secrets.token_hex(8))
        _held.enter_context(directory.lock())
    return directory


_held = ExitStack()
"""Locks that this process keeps until it ends."""


def _described(arm: Arm, base: str) -> Arm:
    pipeline = arm.pipeline
    model: Any = _facts(pipeline.model, base)
    builder: Any = PromptFacts(pipeline.prompt_builder.instruction, pipeline.prompt_builder.fingerprint)
    described = Pipeline(pipeline.arm, model, builder, pipeline.generation, pipeline.build_usage)
    return replace(arm, pipeline=described, other_seeds=())


def _facts(model: LanguageModel, base: str) -> ModelFacts:
    return ModelFacts(base, model.name, model.fingerprint, model.context_tokens, getattr(model, "dtype_name", ""))


def _node() -> str:
    return str(ray.util.get_node_ip_address())
