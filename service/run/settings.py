"""What a comparison was asked to be: everything a user can set, validated once."""

from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from advisor.arms import ARM_KINDS, CANDIDATES, DEFAULT_PIPELINES
from advisor.data.dataset import Task
from advisor.decision.constraints import Constraints
from advisor.money.cost import Traffic
from advisor.results.answer_values import AnswerValues
from lm.errors import ConfigError
from lm.registry import gguf_path
from lm.weights.embedded_model import EMBEDDED_MODEL
from service.store.bundled_datasets import BUNDLED_DATASETS
from service.store.stages.recorded_stages import Training

DEFAULT_EPOCHS = 3
"""Passes of tuning over labels, records, or passages to read: the embedded model learns them in two or three."""
FACT_EPOCHS = 6
"""Passes over questions that are answered from memory, each asked in few wordings."""


class TuneOn(StrEnum):
    """What tuning reads."""

    QUESTIONS = "questions"
    QUESTIONS_AND_DOCUMENTS = "questions+documents"


class Constrain(StrEnum):
    """Whether answers are held to the data set's labels or schema while they are decoded."""

    AUTO = "auto"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class ComparisonSettings:
    """One comparison.

    Attributes:
        dataset: Name of a bundled data set, or a folder.
        task: For folders without a card.
        model: A spec of `lm.registry`.
        pipelines: Candidate arms, in report order.
        limit: At most so many test questions, drawn over the slices; None takes all.
        train_limit: At most so many training questions, drawn by group; None takes all.
        top_k: Retrieved passages.
        chunk_tokens: Longest chunk, in the embedder's tokens; overlap_tokens: shared by neighbours.
        n_shots: Worked examples of the few-shot arms.
        max_epochs: Most passes of tuning; None takes `DEFAULT_EPOCHS`, or `FACT_EPOCHS` for answers from memory.
        tune_on: Whether tuned arms also read the documents, as plain text.
        raft_gold_share: Share of the training questions of the raft arm whose prompt holds the passage that answers.
        training_seeds: How often tuned arms are trained, with the seeds from `seed` on.
        race: Ask in blocks, and stop asking an arm once it is surely worse than another.
        batch_size: Most questions a forward pass, the same for all arms.
        constrain: Whether all arms answer within the data set's labels or schema, where it has either.
        margin: Smallest difference that matters, in score units.
        coverage: Share of production questions whose fact training covers.
        judge: A model spec for judge-based metrics, or None.
        prices: A price file, or None for the one that ships.
        adapter_slowdown: How many times longer a tuned arm takes, as measured here with its adapter beside the
            weights, than with the adapter merged into them.
        constraints: What an arm must fulfil to be shipped at all.
        values: What answers are worth, or None to compare arms by score.
        prior: A file of answers to the questionnaire, to set beside the evidence, or None.
        valid_days: How long the decision may be relied on unchecked.
    """

    dataset: str
    task: Task | None = None
    model: str = EMBEDDED_MODEL
    pipelines: tuple[str, ...] = DEFAULT_PIPELINES
    seed: int = 0
    limit: int | None = None
    train_limit: int | None = None
    embedder: str = "minilm"
    top_k: int = 3
    chunk_tokens: int = 128
    overlap_tokens: int = 0
    n_shots: int = 6
    method: str = "lora"
    max_epochs: int | None = None
    tune_on: TuneOn = TuneOn.QUESTIONS
    raft_gold_share: float = 0.8
    training_seeds: int = 1
    race: bool = False
    batch_size: int = 64
    constrain: Constrain = Constrain.AUTO
    margin: float = 0.02
    coverage: float = 0.5
    judge: str | None = None
    prices: Path | None = None
    traffic: Traffic = Traffic()
    adapter_slowdown: float = 1.0
    constraints: Constraints = Constraints()
    values: AnswerValues | None = None
    prior: Path | None = None
    valid_days: int = 90
    trust_remote_code: bool = False

    def __post_init__(self) -> None:
        unknown = [name for name in self.pipelines if name not in CANDIDATES]
        if unknown or not self.pipelines:
            what = f"the pipeline {unknown[0]!r} is unknown" if unknown else "no pipeline was chosen"
            raise ConfigError(f"{what}; choose from {', '.join(CANDIDATES)} (several separated by commas)")
        if len(set(self.pipelines)) != len(self.pipelines):
            raise ConfigError(f"a pipeline is named twice in {', '.join(self.pipelines)}; name each once")
        for name in ("limit", "train_limit", "max_epochs"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} is {value}; give a whole number of at least 1, or leave it out")
        for name in ("top_k", "chunk_tokens", "batch_size", "training_seeds"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; give a whole number of at least 1")
        if self.n_shots < 1:
            raise ConfigError(f"n_shots is {self.n_shots}; give at least 1, or leave the few-shot arm out")
        if not 0 <= self.overlap_tokens < self.chunk_tokens:
            raise ConfigError(
                f"overlap_tokens is {self.overlap_tokens}; "
                f"it must be at least 0 and below chunk_tokens ({self.chunk_tokens})"
            )
        if not 0 <= self.seed < 2**32:
            raise ConfigError(f"seed is {self.seed}; give a whole number from 0 to {2**32 - 1}")
        if self.seed + self.training_seeds > 2**32:
            raise ConfigError(f"training_seeds is {self.training_seeds}; from seed {self.seed} on there are fewer")
        if self.race and self.training_seeds > 1:
            raise ConfigError(
                "a race compares adapters as they were trained and cannot judge training seeds; choose one of race and "
                f"training_seeds ({self.training_seeds})"
            )
        if self.race and self.values is not None:
            raise ConfigError(
                "a race compares arms by score, and the declared worth of answers needs net values; leave one of both "
                "out"
            )
        if not 0 <= self.margin < 1:
            raise ConfigError(f"margin is {self.margin}; give a difference in score units, at least 0 and below 1")
        if not 1 <= self.valid_days <= 3650:
            raise ConfigError(f"valid_days is {self.valid_days}; give a whole number of days from 1 to 3650")
        if not 0 <= self.coverage <= 1:
            raise ConfigError(f"coverage is {self.coverage}; give a share between 0 and 1")
        if not 0 <= self.raft_gold_share <= 1:
            raise ConfigError(f"raft_gold_share is {self.raft_gold_share}; give a share between 0 and 1")
        if not 1 <= self.adapter_slowdown < float("inf"):
            raise ConfigError(f"adapter_slowdown is {self.adapter_slowdown}; give a factor of at least 1")

    @property
    def dataset_folder(self) -> Path:
        """The folder the data set is in: a bundled one by name, otherwise a path."""
        bundled = BUNDLED_DATASETS / self.dataset
        is_name = "/" not in self.dataset and self.dataset not in (".", "..")
        return bundled if is_name and bundled.is_dir() else Path(self.dataset).expanduser()

    @property
    def seeds(self) -> range:
        """The training seeds."""
        return range(self.seed, self.seed + self.training_seeds)

    @property
    def trainings(self) -> tuple[Training, ...]:
        """The adapters that its arms need, in the order in which they are trained."""
        on = dict.fromkeys(ARM_KINDS[kind].trains_on for kind in self.pipelines if ARM_KINDS[kind].tuned)
        return tuple((name, seed) for name in on for seed in self.seeds)

    def resolved(self) -> "ComparisonSettings":
        """The same with absolute paths, so that it can be opened again from any folder."""
        folder = self.dataset_folder
        is_bundled = folder.parent == BUNDLED_DATASETS
        return replace(
            self,
            dataset=self.dataset if is_bundled else str(folder.resolve()),
            model=_resolved_spec(self.model),
            embedder=_resolved_spec(self.embedder),
            judge=_resolved_spec(self.judge) if self.judge else None,
            prices=self.prices.expanduser().resolve() if self.prices else None,
            prior=self.prior.expanduser().resolve() if self.prior else None,
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values, from which `from_json` makes equal settings."""
        raw = asdict(self)
        raw["pipelines"] = list(self.pipelines)
        raw["prices"] = str(self.prices) if self.prices else None
        raw["prior"] = str(self.prior) if self.prior else None
        return raw

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> "ComparisonSettings":
        """Settings from what `to_json` gave; other keys are passed over."""
        known = {name: raw[name] for name in cls.__dataclass_fields__ if name in raw}
        known["pipelines"] = tuple(known["pipelines"])
        known["task"] = Task(known["task"]) if known.get("task") else None
        known["tune_on"] = TuneOn(known.get("tune_on", TuneOn.QUESTIONS))
        # Comparisons of before answers could be constrained decoded freely.
        known["constrain"] = Constrain(known.get("constrain", Constrain.OFF))
        known["prices"] = Path(known["prices"]) if known.get("prices") else None
        known["prior"] = Path(known["prior"]) if known.get("prior") else None
        known["traffic"] = Traffic(**known["traffic"])
        known["constraints"] = Constraints(**known.get("constraints", {}))
        known["values"] = AnswerValues(**known["values"]) if known.get("values") else None
        return cls(**known)


def _resolved_spec(spec: str) -> str:
    """A model's or embedder's name; where it names a folder or a GGUF file, its absolute path."""
    if (gguf := gguf_path(spec)) is not None:
        # Not where a link leads: the hub keeps its files under names without an ending.
        return f"gguf:{gguf.absolute()}"
    path = Path(spec.removeprefix("hf:")).expanduser()
    is_local = spec.startswith("hf:") or ":" not in spec
    return f"hf:{path.resolve()}" if is_local and path.is_dir() else spec
