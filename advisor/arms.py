"""The kinds of arm there are, and what an arm of a comparison is: `[NAME=]KIND[@MODEL]`. A new kind is a row here."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from advisor.data.dataset import Dataset, Split, Task
from lm.errors import ConfigError


@dataclass(frozen=True, slots=True)
class ArmKind:
    """One kind of arm.

    Attributes:
        name: As it is asked for; the id of its arm too, where that has no name of its own.
        label: What it is, for people who choose arms.
        retrieves: Whether its prompts hold retrieved passages, so that it needs an index of the documents.
        untuned: The arm that differs from it in the tuning alone; "" for an arm that is not tuned.
        trains_on: Which adapter it takes: of the bare "questions", or of questions with passages ("raft"); "" for none.
        needs_training_questions: Whether it is built of them.
        shows_examples: Whether its prompts hold worked examples.
        embeds_questions: Whether it looks for training questions near to a question.
        generates: Whether a language model writes its answers.
        tasks: What it fits.
        in_default: Whether it is compared where no arms are named.
        source: What is given after a colon, "FILE", "URL" or "PATH"; "" for a kind that is made of the data alone.
        outside: Whether it was trained or is answered elsewhere, so that not all of it is known.
    """

    name: str
    label: str
    retrieves: bool = False
    untuned: str = ""
    trains_on: str = ""
    needs_training_questions: bool = False
    shows_examples: bool = False
    embeds_questions: bool = False
    generates: bool = True
    tasks: tuple[Task, ...] = tuple(Task)
    in_default: bool = True
    source: str = ""
    outside: bool = False

    @property
    def usage(self) -> str:
        """How it is asked for."""
        return f"{self.name}:{self.source}" if self.source else self.name

    @property
    def tuned(self) -> bool:
        """Whether training questions changed its model's weights, so that it needs a model that can be tuned here."""
        return bool(self.trains_on)


ARMS = (
    ArmKind("base", "the model with the question only"),
    ArmKind(
        "few-shot",
        "the model with worked examples in the prompt",
        needs_training_questions=True,
        shows_examples=True,
    ),
    ArmKind("rag", "retrieval-augmented generation, the model with passages found in your documents", retrieves=True),
    ArmKind(
        "fine-tuned",
        "the model trained further on your training questions",
        untuned="base",
        trains_on="questions",
        needs_training_questions=True,
    ),
    ArmKind(
        "hybrid",
        "the fine-tuned model with passages found in your documents",
        retrieves=True,
        untuned="rag",
        trains_on="questions",
        needs_training_questions=True,
    ),
    # Its adapter of its own takes half as long again to train (docs/fine-tuning.md).
    ArmKind(
        "raft",
        "retrieval-augmented fine-tuning, trained to read the right passage among wrong ones",
        retrieves=True,
        untuned="rag",
        trains_on="raft",
        needs_training_questions=True,
        in_default=False,
    ),
    ArmKind(
        "nearest-question",
        "the answer of the nearest training question, without a language model",
        needs_training_questions=True,
        embeds_questions=True,
        generates=False,
        in_default=False,
    ),
    ArmKind(
        "classifier",
        "a label by logistic regression on the embedding of the question, without a language model",
        needs_training_questions=True,
        embeds_questions=True,
        generates=False,
        tasks=(Task.CLASSIFICATION,),
        in_default=False,
    ),
    ArmKind(
        "nearest-few-shot",
        "the model with the nearest training questions as worked examples",
        needs_training_questions=True,
        shows_examples=True,
        embeds_questions=True,
        in_default=False,
    ),
    ArmKind("prompt", "the model with a prompt of your own, from a file", source="FILE", in_default=False),
    ArmKind(
        "adapter",
        "a LoRA adapter or merged model that was trained elsewhere",
        source="PATH",
        outside=True,
        in_default=False,
    ),
    ArmKind(
        "external",
        "a service of your own, asked over OpenAI's API",
        generates=False,
        source="URL",
        outside=True,
        in_default=False,
    ),
    ArmKind(
        "answers",
        "answers that were given elsewhere, from a file",
        generates=False,
        source="FILE",
        outside=True,
        in_default=False,
    ),
    ArmKind(
        "long-context",
        "the model with all documents in the prompt, or as much of them as fits",
        retrieves=True,
        in_default=False,
    ),
)
"""In the order in which arms are listed to choose from."""

ARM_KINDS: Mapping[str, ArmKind] = {arm.name: arm for arm in ARMS}
CANDIDATES = tuple(ARM_KINDS)
REFERENCES = ("majority", "oracle-context")
"""They give scale and cannot win; added where the data has what they need."""
DEFAULT_ARMS = tuple(arm.name for arm in ARMS if arm.in_default)


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_NAMED = re.compile(rf"({_NAME.pattern})=(.+)", re.DOTALL)
_RESERVED = frozenset({*REFERENCES, "recommended", "latest"})


@dataclass(frozen=True, slots=True)
class ArmSpec:
    """An arm as it is asked for.

    Attributes:
        id: By which API, aliases, files and reports know it: letters, digits, `.`, `_` and `-`. Its name, else its
            kind, with the model where that is given.
        kind: A row of the table, or a reference.
        model: Its language model; "" for that of the comparison. Of an outside service or its answers the name that it
            goes by, for requests and prices; "" where that is not known.
        source: File, folder or address, where its kind takes one.
    """

    id: str
    kind: str
    model: str = ""
    source: str = ""

    def __str__(self) -> str:
        """The text that is read as this arm again."""
        asked = self.kind + (f":{self.source}" if self.source else "") + (f"@{self.model}" if self.model else "")
        return asked if asked == self.id else f"{self.id}={asked}"

    @property
    def row(self) -> ArmKind:
        """What there is to know of its kind."""
        return ARM_KINDS[self.kind]


def parse_arm(text: str) -> ArmSpec:
    """An arm of `[NAME=]KIND[@MODEL]`, where KIND may be `KIND:SOURCE`; the first `@` ends the kind.

    Raises:
        ConfigError: there is no such kind, it takes no model or no source, or the name is not usable.
    """
    named = _NAMED.fullmatch(text.strip())
    name, rest = named.groups() if named else ("", text.strip())
    asked, at, model = rest.partition("@")
    kind, colon, source = (part.strip() for part in asked.partition(":"))
    model = model.strip()
    if kind not in ARM_KINDS or bool(colon and source) != bool(ARM_KINDS[kind].source) or (colon and not source):
        raise ConfigError(
            f"arms has {text!r}; give [NAME=]KIND[@MODEL], NAME of letters, digits, . _ and -, KIND one of "
            f"{', '.join(row.usage for row in ARMS)}"
        )
    if at and not model:
        raise ConfigError(f"arms has {text!r}, and no model after the @; give one, or leave the @ out")
    if model and not ARM_KINDS[kind].generates and not ARM_KINDS[kind].outside:
        raise ConfigError(f"arms has {text!r}, and {kind} has no language model; leave @{model} out")
    parts = [kind, _source_label(source), model_label(model)]
    arm_id = name or re.sub(r"[^A-Za-z0-9._-]+", "-", "-".join(filter(None, parts)))[:64]
    if arm_id in _RESERVED or (arm_id in ARM_KINDS and arm_id != kind):
        raise ConfigError(f"arms has {text!r}, and {arm_id} is the name of something else; choose another name")
    return ArmSpec(arm_id, kind, model, source)


def parse_arms(texts: Sequence[str]) -> tuple[ArmSpec, ...]:
    """The arms of a comparison, in order.

    Raises:
        ConfigError: one is wrong, two have the same id, or there is none.
    """
    if not texts:
        raise ConfigError(f"no arm was chosen; choose from {', '.join(CANDIDATES)}")
    arms = tuple(parse_arm(text) for text in texts)
    by_id: dict[str, str] = {}
    for arm, text in zip(arms, texts, strict=True):
        if arm.id in by_id:
            raise ConfigError(
                f"an arm is named twice: {by_id[arm.id]!r} and {text!r} are both {arm.id}; give one another name, as "
                f"in {arm.id}-2={text.partition('=')[2] or text}"
            )
        by_id[arm.id] = text
    return arms


def tuned_pairs(arms: Sequence[ArmSpec]) -> tuple[tuple[str, str], ...]:
    """The ids of each tuned arm and of the one that differs from it in the tuning alone, on the same model."""
    return tuple(
        (tuned.id, other.id)
        for tuned in arms
        for other in arms
        if tuned.row.untuned and (other.kind, other.model) == (tuned.row.untuned, tuned.model)
    )


def model_label(model: str) -> str:
    """A model's name without where it is found: `gpt-4o` of `openai:gpt-4o@http://host/v1`, `Qwen3` of `hf:a/Qwen3`."""
    scheme, colon, rest = model.partition(":")
    bare = rest.partition("@")[0] if scheme == "openai" else rest if colon else model
    return bare.rstrip("/").rpartition("/")[2] or model


def _source_label(source: str) -> str:
    """A file's or folder's name without its ending, or an address's host."""
    scheme, found, rest = source.partition("://")
    return rest.partition("/")[0] if found else PurePath(source).stem


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What decides which arms can run.

    Attributes:
        dataset, model: Their names, for messages.
        tunable: Whether the model's weights are here, so that it can be tuned.
    """

    dataset: str
    task: Task
    has_training_questions: bool
    model: str
    tunable: bool
    has_documents: bool = True

    @classmethod
    def of(cls, dataset: Dataset, model: str, *, tunable: bool) -> "Circumstances":
        """Those of a dataset, limits applied, and a model."""
        taught, documents = bool(dataset.split(Split.TRAIN)), bool(dataset.documents)
        return cls(dataset.card.name, dataset.card.task, taught, model, tunable, documents)


def runnable_arms(circumstances: Circumstances) -> tuple[ArmKind, ...]:
    """The kinds of arm that can run and need no source, in the order in which they are listed to choose from."""
    return tuple(arm for arm in ARMS if not arm.source and not unrunnable([arm.name], circumstances))


# An arm for which the first is true needs the second of the circumstances, and else this is said.
_NEEDS = (
    (
        "tuned",
        "tunable",
        "{of.model} is a hosted model and cannot be tuned here; leave {arms} out with `--arms {others}`, tune "
        "it at its provider with `tuningfork tune`, or choose a local model",
    ),
    (
        "retrieves",
        "has_documents",
        "the dataset {of.dataset} has no documents, which {arms} read; add some to documents.jsonl, or choose "
        "`--arms {others}`",
    ),
    (
        "needs_training_questions",
        "has_training_questions",
        "the dataset {of.dataset} has no training questions, which {arms} need; add some with "
        '`"split": "train"`, or choose `--arms {others}`',
    ),
)


def unrunnable(arms: Sequence[str], circumstances: Circumstances) -> str:
    """Which of the arms cannot run, why, and what to do; "" where all can.

    Args:
        arms: As they are asked for, all of the model of the circumstances.
    """
    wanted = {arm.id: arm.row for arm in map(parse_arm, arms)}
    for arm in wanted.values():
        if circumstances.task not in arm.tasks:
            return (
                f"{arm.name} is for {' and '.join(arm.tasks)} alone, and the task of the dataset "
                f"{circumstances.dataset} is {circumstances.task}; leave {arm.name} out of the arms"
            )
    for column, circumstance, told in _NEEDS:
        held = [arm_id for arm_id, arm in wanted.items() if getattr(arm, column)]
        if held and not getattr(circumstances, circumstance):
            others = ",".join(arm.name for arm in ARMS if arm.in_default and not getattr(arm, column))
            return told.format(of=circumstances, arms=" and ".join(held), others=others)
    return ""


def refuse_unrunnable(arms: Sequence[str], circumstances: Circumstances) -> None:
    """Say which arms cannot run before anything is done.

    Raises:
        ConfigError: names the arms, why, and what to do.
    """
    if reason := unrunnable(arms, circumstances):
        raise ConfigError(reason)
