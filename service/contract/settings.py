"""The settings of a comparison, declared once: command line, CI file, REST schema, page and docs are made of them.

A new setting is a field here, or in the group it belongs to.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from advisor.arms import ARMS, DEFAULT_ARMS, parse_arms
from advisor.data.dataset import Task
from advisor.decision.constraints import Constraints
from advisor.money.cost import Traffic
from advisor.money.declared import parse_declared
from advisor.results.answer_values import AnswerValues
from finetune.recipe import METHOD, TuningOptions
from lm.completion import DEFAULT_BATCH_SIZE
from lm.errors import ConfigError
from lm.setting import DeclaredSetting, Setting, check_settings, declared_settings
from lm.weights.embedded_model import EMBEDDED_MODEL
from rag.retrieval_options import BUILTIN_EMBEDDERS, PassageOrder, RetrieverKind

__all__ = [
    "BUILTIN_EMBEDDERS",
    "Constrain",
    "DeclaredSettings",
    "EFFORT",
    "EFFORTS",
    "Effort",
    "PassageOrder",
    "QuestionSettings",
    "RetrieverKind",
    "SAMPLE",
    "TuneOn",
    "resolve",
]

_retrieval = partial(Setting, group="Retrieval")
_learning = partial(Setting, group="Prompt and tuning")
_decision = partial(Setting, group="Decision")
_costs = partial(Setting, group="Costs")
_machine = partial(Setting, group="Machine")


class TuneOn(StrEnum):
    """What tuning reads."""

    QUESTIONS = "questions"
    QUESTIONS_AND_DOCUMENTS = "questions+documents"


class Constrain(StrEnum):
    """Whether answers are held to the dataset's labels or schema while they are decoded."""

    AUTO = "auto"
    OFF = "off"


class Effort(StrEnum):
    """How much is asked and trained."""

    QUICK = "quick"
    STANDARD = "standard"
    THOROUGH = "thorough"


EFFORTS: Mapping[Effort, Mapping[str, Any]] = {
    Effort.QUICK: {"limit": 100, "training_seeds": 1, "max_epochs": 2},
    Effort.STANDARD: {},
    Effort.THOROUGH: {"training_seeds": 3, "max_epochs": 10},
}
"""What each sets where it is not set itself."""
EFFORT = Setting(
    "How much is asked and trained: quick asks 100 test questions and trains for 2 epochs at most, thorough trains "
    "three times, for 10 epochs at most; what is set itself is kept.",
    choices=tuple(Effort),
    unset="standard",
)

SAMPLE: Mapping[str, Any] = {
    "dataset": "ticket-triage",
    "top_k": 2,
    "arms": (*DEFAULT_ARMS, "nearest-few-shot", "nearest-question", "classifier"),
}
"""What `make run` and the first page compare: sorting messages is what a model of this size learns in minutes."""


@dataclass(frozen=True, slots=True)
class DeclaredSettings:
    """What can be set of a comparison wherever one is asked for."""

    dataset: Annotated[str, Setting("Name of a bundled dataset, or a folder.")]
    task: Annotated[Task | None, Setting("What the answers are, for a folder without dataset.toml.")] = None
    model: Annotated[
        str, Setting("Model of the arms that name none: smollm2, hf:ID_OR_PATH, gguf:PATH, or openai:MODEL[@URL].")
    ] = EMBEDDED_MODEL
    arms: Annotated[
        tuple[str, ...],
        Setting(
            "Arms to compare, in the order of the report: each [NAME=]KIND[@MODEL], by default on the model above. "
            f"KIND is one of {', '.join(arm.usage for arm in ARMS)}."
        ),
    ] = DEFAULT_ARMS
    limit: Annotated[int | None, Setting("Maximum number of test questions.", ge=1, le=1_000_000_000, unset="all")] = (
        None
    )
    embedder: Annotated[
        str, _retrieval("Embedder that finds passages: minilm, multilingual, hf:ID_OR_PATH, or openai:MODEL[@URL].")
    ] = "minilm"
    embedding_dimensions: Annotated[
        int | None,
        _retrieval("Length of a hosted embedder's vectors, where it can cut them.", ge=8, le=65_536, unset="its own"),
    ] = None
    retriever: Annotated[
        RetrieverKind,
        _retrieval("How passages are ranked: dense (by embeddings), lexical (by shared words), or hybrid (by both)."),
    ] = RetrieverKind.DENSE
    reranker: Annotated[
        str | None,
        _retrieval("Cross-encoder that ranks the passages found anew: hf:ID_OR_PATH.", pattern=r"hf:.+", unset="none"),
    ] = None
    top_k: Annotated[int, _retrieval("Passages retrieved for a question.", ge=1, le=100)] = 3
    chunk_tokens: Annotated[
        int, _retrieval("Longest passage in tokens, as the embedder counts them.", ge=1, le=100_000)
    ] = 128
    overlap_tokens: Annotated[int, _retrieval("Tokens that neighbouring passages share.", ge=0, le=100_000)] = 0
    sweep: Annotated[
        bool,
        _retrieval(
            "Choose chunk size, overlap, number, ranking and order of passages on validation questions first; what is "
            "set here is what the choice starts from."
        ),
    ] = False
    passage_order: Annotated[
        PassageOrder, _retrieval("Order of passages in the prompt: best-first, or best-last (next to the question).")
    ] = PassageOrder.BEST_FIRST
    train_limit: Annotated[
        int | None, _learning("Maximum number of training questions.", ge=1, le=1_000_000_000, unset="all")
    ] = None
    seed: Annotated[
        int, _learning("Seed of everything random: splits, samples, tuning, resampling.", ge=0, lt=2**32)
    ] = 0
    n_shots: Annotated[
        int, _learning("Worked examples in the prompts of the few-shot arms.", ge=1, le=1000, option="--shots")
    ] = 6
    constrain: Annotated[
        Constrain,
        _learning("Whether every arm's answers are constrained to the dataset's labels or JSON schema, if any."),
    ] = Constrain.AUTO
    method: Annotated[str, METHOD] = "lora"
    max_epochs: Annotated[
        int | None, _learning("Maximum number of training epochs.", ge=1, le=1000, unset="3; 6 for answers from memory")
    ] = None
    search: Annotated[
        int | None,
        _learning(
            "Trials of a search for learning rate, rank, dropout, batch size and epochs, judged on validation.",
            ge=2,
            le=1000,
            unset="no search",
        ),
    ] = None
    tune_on: Annotated[TuneOn, _learning("What tuned arms are trained on.")] = TuneOn.QUESTIONS
    raft_gold_share: Annotated[
        float, _learning("Share of raft's training questions that get the passage which answers them.", ge=0, le=1)
    ] = 0.8
    training_seeds: Annotated[
        int,
        _learning("Trainings of each tuned arm; the spread over seeds is part of its intervals.", ge=1, le=20),
    ] = 1
    tuning: Annotated[TuningOptions, Setting("How adapters are trained.", group="Recipe")] = TuningOptions()
    race: Annotated[bool, _decision("Ask in blocks, and stop asking an arm once it is surely worse than another.")] = (
        False
    )
    margin: Annotated[float, _decision("Smallest difference that matters to you; 0.02 is two points.", ge=0, lt=1)] = (
        0.02
    )
    coverage: Annotated[
        float, _decision("Share of your users' questions whose fact the training questions cover.", ge=0, le=1)
    ] = 0.5
    judge: Annotated[
        str | None, _decision("Judge model that grades answers, for metrics that need one; named like the model.")
    ] = None
    prior: Annotated[
        Path | None, _decision("Answers to the questionnaire of `tuningfork advise`, to compare with the evidence.")
    ] = None
    valid_days: Annotated[
        int, _decision("Days until the stored decision expires; see `tuningfork recheck`.", ge=1, le=3650)
    ] = 90
    values: Annotated[AnswerValues | None, _decision("What answers are worth.")] = None
    constraints: Annotated[Constraints, Setting("What an arm must meet to be shipped.", group="Constraints")] = (
        Constraints()
    )
    prices: Annotated[Path | None, _costs("Price list.", unset="the built-in one")] = None
    max_spend_usd: Annotated[
        float | None,
        _costs(
            "USD that answers of endpoints may cost; the comparison then stops, and resumes with a higher limit.",
            gt=0,
            le=1e9,
            unset="no limit",
        ),
    ] = None
    machine: Annotated[
        str | None,
        _costs("Machine of the price list that local models are priced on.", unset="cpu or cuda, as they were run"),
    ] = None
    traffic: Annotated[Traffic, _costs("Expected production traffic.")] = Traffic()
    declared: Annotated[
        tuple[str, ...],
        _costs(
            "What nobody can measure of outside arms, separated by commas: ARM.build_usd=USD for building one anew, "
            "ARM.usd_per_question=USD.",
            unset="unknown",
        ),
    ] = ()
    adapter_slowdown: Annotated[
        float,
        _costs(
            "Slowdown of a tuned arm by its unmerged adapter, 2 is twice as long; at 1, --merge-adapter measures it.",
            ge=1,
            le=1000,
        ),
    ] = 1.0
    batch_size: Annotated[int, _machine("Questions per batch, the same for all arms.", ge=1, le=4096)] = (
        DEFAULT_BATCH_SIZE
    )
    device: Annotated[
        str | None,
        _machine(
            "Device of a local model: cpu, cuda, cuda:1, or mps.",
            pattern=r"cpu|mps|cuda(:\d{1,3})?",
            unset="a GPU if there is one",
        ),
    ] = None
    dtype: Annotated[
        str | None,
        _machine(
            "Floating-point type of a local model.", choices=("float32", "bfloat16", "float16"), unset="by the hardware"
        ),
    ] = None
    revision: Annotated[
        str | None,
        _machine("Branch, tag or commit of a hub model.", pattern=r"\w[\w./-]{0,199}", unset="the newest"),
    ] = None
    context_tokens: Annotated[
        int | None,
        _machine(
            "Context window of a hosted model, in tokens; endpoints do not report it.",
            ge=1,
            le=100_000_000,
        ),
    ] = None
    chroma: Annotated[
        str | None,
        Setting(
            "Address of a Chroma server that holds the search structure of indexes, as http://HOST:PORT.",
            pattern=r"https?://[\w.-]+(:\d{1,5})?",
            unset="files in the data directory",
            group="Machine",
            is_local=True,
        ),
    ] = None
    trust_remote_code: Annotated[bool, Setting("Run Python code that comes with a model.", is_local=True)] = False
    launch_config: Annotated[
        Path | None,
        Setting(
            "Configuration of `accelerate` by whose processes adapters are trained (DDP or FSDP 2).",
            unset="one process",
            is_local=True,
        ),
    ] = None
    tensorboard: Annotated[
        Path | None,
        Setting("Folder for event files of TensorBoard, written while adapters are trained.", is_local=True),
    ] = None

    def __post_init__(self) -> None:
        check_settings(self)
        parse_declared(self.declared, [arm.id for arm in parse_arms(self.arms) if arm.row.outside])
        if self.overlap_tokens >= self.chunk_tokens:
            raise ConfigError(
                f"overlap_tokens is {self.overlap_tokens}; "
                f"it must be at least 0 and below chunk_tokens ({self.chunk_tokens})"
            )
        if self.seed + self.training_seeds > 2**32:
            raise ConfigError(f"training_seeds is {self.training_seeds}; from seed {self.seed} on there are fewer")
        if self.race and self.training_seeds > 1:
            raise ConfigError(
                "a race compares adapters as they were trained and cannot judge training seeds; choose one of race and "
                f"training_seeds ({self.training_seeds})"
            )
        if self.race and self.values is not None:
            raise ConfigError(
                "a race compares arms by score, and declared values of answers need net values; leave out one of "
                "the two"
            )


@dataclass(frozen=True, slots=True)
class QuestionSettings:
    """What can be set where a model writes questions from documents."""

    model: Annotated[str, Setting("Model that writes: smollm2, hf:ID_OR_PATH, gguf:PATH, or openai:MODEL[@URL].")] = (
        EMBEDDED_MODEL
    )
    embedder: Annotated[
        str,
        Setting(
            "Embedder that must find a question's passage: minilm, multilingual, hf:ID_OR_PATH, or openai:MODEL[@URL]."
        ),
    ] = "minilm"
    facts: Annotated[int, Setting("Facts to ask about.", ge=1, le=100_000)] = 100
    rewordings: Annotated[int, Setting("Other wordings of each question.", ge=0, le=5)] = 1
    unanswerable: Annotated[
        float, Setting("Share of facts taken out of the documents, so that nothing answers.", ge=0, le=0.5)
    ] = 0.1
    joint: Annotated[float, Setting("Questions on two documents, as a share of facts.", ge=0, le=1)] = 0.1
    seed: Annotated[int, Setting("Seed of the order in which passages are asked about.", ge=0, lt=2**32)] = 0

    def __post_init__(self) -> None:
        check_settings(self)


def resolve(given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as they were given, with what an effort sets besides, and by the names of today.

    Raises:
        ConfigError: there is no such effort, or arms are given twice and differently.
    """
    resolved = dict(given)
    older = resolved.pop("pipelines", None)
    if older is not None and list(resolved.setdefault("arms", older)) != list(older):
        raise ConfigError("arms and pipelines name different arms; give arms alone, pipelines is its older name")
    effort = resolved.pop("effort", None)
    if effort is None:
        return resolved
    if effort not in EFFORT.choices:
        raise ConfigError(f"effort is {effort!r}; give one of {', '.join(EFFORT.choices)}")
    return {**EFFORTS[Effort(effort)], **resolved}


def resolve_typed(typed: Mapping[str, Any]) -> dict[str, Any]:
    """The same of what people type: what a group holds stands beside the others, and a list is one text with commas.

    Raises:
        ConfigError: as `resolve`.
    """
    rest = dict(typed)
    given: dict[str, Any] = {}
    for one in declared_settings(DeclaredSettings):
        if inner := {part.name: rest.pop(option_key(part)) for part in one.inner if option_key(part) in rest}:
            given[one.name] = inner
    given |= rest
    for name in {"arms", "pipelines", "declared"} & given.keys():
        given[name] = tuple(part.strip() for part in given[name].split(",") if part.strip())
    if arms := given.pop("arm", None):
        given["arms"] = (*given.get("arms", ()), *arms)
    return resolve(given)


def option_key(one: DeclaredSetting) -> str:
    """The name of a typed setting, as its option has it."""
    return one.option.removeprefix("--").replace("-", "_")
