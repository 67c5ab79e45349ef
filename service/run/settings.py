"""The settings of a comparison where it is run: its folder, what it trains, and how it is stored."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from advisor.arms import ArmSpec, model_label, parse_arms
from advisor.data.dataset import Task
from advisor.money.declared import DeclaredFigures, parse_declared
from finetune.recipe import TuningRecipe
from lm.errors import ConfigError
from lm.files import hash_files
from lm.registry import LoadOptions, gguf_path
from lm.setting import read_settings
from service.contract.settings import Constrain, DeclaredSettings, PassageOrder, RetrieverKind, TuneOn, resolve
from service.store.bundled_datasets import BUNDLED_DATASETS
from service.store.stages.recorded_stages import Training

__all__ = ["ComparisonSettings", "Constrain", "PassageOrder", "RetrieverKind", "TuneOn"]

DEFAULT_EPOCHS = 3
"""Passes of tuning over labels, records, or passages to read: the embedded model learns them in two or three."""
FACT_EPOCHS = 6
"""Passes over questions that are answered from memory, each asked in few wordings."""
QUESTION_DROPOUT = 0.3
"""Facts are asked in few wordings: without it a small model learnt the wordings, not the facts (docs/LOG.md)."""

FILES = ("prices", "prior", "launch_config", "tensorboard")
"""Settings that name a file or a folder."""


@dataclass(frozen=True, slots=True)
class ComparisonSettings(DeclaredSettings):
    """One comparison, as it is run."""

    @property
    def dataset_folder(self) -> Path:
        """The folder the dataset is in: a bundled one by name, otherwise a path."""
        bundled = BUNDLED_DATASETS / self.dataset
        is_name = "/" not in self.dataset and self.dataset not in (".", "..")
        return bundled if is_name and bundled.is_dir() else Path(self.dataset).expanduser()

    @property
    def load_options(self) -> LoadOptions:
        """How its model is loaded."""
        return LoadOptions(self.device, self.dtype, self.trust_remote_code, self.revision, self.context_tokens)

    @property
    def seeds(self) -> range:
        """The training seeds."""
        return range(self.seed, self.seed + self.training_seeds)

    @property
    def arm_specs(self) -> tuple[ArmSpec, ...]:
        """The arms, each with its id."""
        return parse_arms(self.arms)

    @property
    def arm_ids(self) -> tuple[str, ...]:
        """By which the arms are known, in the order of the report."""
        return tuple(arm.id for arm in self.arm_specs)

    def arm(self, arm_id: str) -> ArmSpec:
        """The arm of that id; an id that no arm has is the kind of one that is built besides."""
        return next((arm for arm in self.arm_specs if arm.id == arm_id), ArmSpec(arm_id, arm_id))

    def model_of(self, arm: ArmSpec) -> str:
        """The model that an arm starts from: its own, or that of the comparison; a merged one is a model itself."""
        return _own_model(arm) or self.main_model

    @property
    def models(self) -> tuple[str, ...]:
        """The models that arms start from; first that of the comparison, or where no arm uses it, of the first arm.

        None where all arms are answered elsewhere.
        """
        own = [_own_model(arm) for arm in self.arm_specs if arm.row.generates or not arm.row.outside]
        is_used = "" in own
        return tuple(dict.fromkeys([*([self.model] if is_used else []), *filter(None, own)]))

    @property
    def main_model(self) -> str:
        """The first of them; that of the settings where there is none."""
        return (*self.models, self.model)[0]

    def with_model(self, model: str) -> "ComparisonSettings":
        """The same with one of its models for that of the comparison; a revision is of the comparison's own alone."""
        return self if model == self.model else replace(self, model=model, revision=None)

    @property
    def declared_figures(self) -> Mapping[str, DeclaredFigures]:
        """What was declared of each outside arm, by its id."""
        return parse_declared(self.declared, [arm.id for arm in self.arm_specs if arm.row.outside])

    def is_tuned_at_provider(self, arm: ArmSpec) -> bool:
        """Whether an arm is of a model that only its provider can tune."""
        return arm.row.tuned and self.model_of(arm).startswith("openai:")

    @property
    def trainings(self) -> tuple[Training, ...]:
        """The adapters that its arms need, in the order in which they are trained."""
        here = [arm for arm in self.arm_specs if arm.row.tuned and not self.is_tuned_at_provider(arm)]
        on = dict.fromkeys((self.model_of(arm), arm.row.trains_on) for arm in here)
        return tuple((model, name, seed) for model, name in on for seed in self.seeds)

    def training_label(self, training: Training) -> str:
        """What a training is told as: "" where a comparison has but one of the bare questions."""
        model, trains_on, seed = training
        names = [trains_on] if trains_on != "questions" else []
        names += [model_label(model)] if len({model for model, *_ in self.trainings}) > 1 else []
        return ", ".join(names + ([f"seed {seed}"] if self.training_seeds > 1 else []))

    @staticmethod
    def learns_by_heart(task: Task, trains_on: str) -> bool:
        """Whether a training is of answers that do not stand in its prompts."""
        return task is Task.QUESTION_ANSWERING and trains_on == "questions"

    def epochs(self, task: Task, trains_on: str) -> int:
        """Most passes of one of its trainings."""
        return self.max_epochs or (FACT_EPOCHS if self.learns_by_heart(task, trains_on) else DEFAULT_EPOCHS)

    def recipe(self, task: Task, trains_on: str, seed: int) -> TuningRecipe:
        """How one of its adapters is trained.

        Args:
            trains_on: As in the table of arms.
        """
        chosen = {option.name: getattr(self.tuning, option.name) for option in fields(self.tuning)}
        if chosen["prompt_dropout"] is None:
            chosen["prompt_dropout"] = QUESTION_DROPOUT if self.learns_by_heart(task, trains_on) else 0.0
        return TuningRecipe(**chosen, method=self.method, seed=seed, max_epochs=self.epochs(task, trains_on))

    def resolved(self) -> "ComparisonSettings":
        """The same with absolute paths, so that it can be opened again from any folder."""
        folder = self.dataset_folder
        is_bundled = folder.parent == BUNDLED_DATASETS
        return replace(
            self,
            dataset=self.dataset if is_bundled else str(folder.resolve()),
            model=_resolved_spec(self.model),
            arms=tuple(str(_resolved_arm(arm)) for arm in self.arm_specs),
            embedder=_resolved_spec(self.embedder),
            reranker=_resolved_spec(self.reranker) if self.reranker else None,
            judge=_resolved_spec(self.judge) if self.judge else None,
            **{name: path.expanduser().resolve() for name in FILES if (path := getattr(self, name)) is not None},
        )

    @property
    def source_hashes(self) -> dict[str, str]:
        """SHA-256 of what arms take from files and folders, by arm; a merged model is a model and has its own.

        Raises:
            ConfigError: one is not there.
        """
        paths = {arm.id: Path(arm.source).expanduser() for arm in self.arm_specs if arm.row.source in ("FILE", "PATH")}
        hashes = {}
        for arm, path in paths.items():
            files = sorted(path.glob("adapter_*")) if path.is_dir() else [path]
            try:
                hashes[arm] = hash_files(files)
            except OSError as error:
                raise ConfigError(f"{path} of the arm {arm} cannot be read: {error.strerror}") from None
        return hashes

    def with_retrieval(self, sweep: Mapping[str, Any] | None) -> "ComparisonSettings":
        """The same with what a sweep chose, as the report of its comparison has it; None changes nothing."""
        return self if sweep is None else ComparisonSettings.from_json(self.to_json() | dict(sweep["chosen"]))

    def to_json(self) -> dict[str, Any]:
        """Plain values, from which `from_json` makes equal settings."""
        raw = asdict(self)
        raw["arms"], raw["declared"] = list(self.arms), list(self.declared)
        return raw | {name: str(raw[name]) if raw[name] is not None else None for name in FILES}

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> "ComparisonSettings":
        """Settings from what `to_json` gave; other keys are passed over."""
        # Comparisons of before answers could be constrained decoded freely.
        return read_settings(cls, resolve({"constrain": Constrain.OFF} | dict(raw)), refuse_unknown=False)


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter, and not a whole model."""
    return (folder / "adapter_config.json").is_file()


def _own_model(arm: ArmSpec) -> str:
    """The model that an arm names, or is; "" where it starts from that of the comparison, or from none."""
    if arm.kind == "adapter" and not is_adapter(Path(arm.source).expanduser()):
        return f"hf:{Path(arm.source).expanduser()}"
    return arm.model if arm.model and arm.row.generates else ""


def _resolved_arm(arm: ArmSpec) -> ArmSpec:
    model = _resolved_spec(arm.model) if arm.model and arm.row.generates else arm.model
    is_path = arm.row.source in ("FILE", "PATH")
    return replace(arm, model=model, source=str(Path(arm.source).expanduser().resolve()) if is_path else arm.source)


def _resolved_spec(spec: str) -> str:
    """A model's or embedder's name; where it names a folder or a GGUF file, its absolute path."""
    if (gguf := gguf_path(spec)) is not None:
        # Not where a link leads: the hub keeps its files under names without an ending.
        return f"gguf:{gguf.absolute()}"
    path = Path(spec.removeprefix("hf:")).expanduser()
    is_local = spec.startswith("hf:") or ":" not in spec
    return f"hf:{path.resolve()}" if is_local and path.is_dir() else spec
