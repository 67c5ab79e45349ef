"""The arms there are: what each is called, what it needs, and what it is built with. A new arm is a row here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from advisor.data.dataset import Dataset, Split, Task
from lm.errors import ConfigError


@dataclass(frozen=True, slots=True)
class ArmKind:
    """One arm.

    Attributes:
        name: As it is asked for and reported.
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
)
"""In the order in which arms are listed to choose from."""

ARM_KINDS: Mapping[str, ArmKind] = {arm.name: arm for arm in ARMS}
CANDIDATES = tuple(ARM_KINDS)
REFERENCES = ("majority", "oracle-context")
"""They give scale and cannot win; added where the data has what they need."""
DEFAULT_ARMS = tuple(arm.name for arm in ARMS if arm.in_default)


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

    @classmethod
    def of(cls, dataset: Dataset, model: str, *, tunable: bool) -> "Circumstances":
        """Those of a dataset, limits applied, and a model."""
        return cls(dataset.card.name, dataset.card.task, bool(dataset.split(Split.TRAIN)), model, tunable)


def runnable_arms(circumstances: Circumstances) -> tuple[ArmKind, ...]:
    """The arms that can run, in the order in which they are listed to choose from."""
    return tuple(arm for arm in ARMS if not unrunnable([arm.name], circumstances))


def unrunnable(arms: Sequence[str], circumstances: Circumstances) -> str:
    """Which of the arms cannot run, why, and what to do; "" where all can."""
    wanted = [ARM_KINDS[name] for name in arms]
    for arm in wanted:
        if circumstances.task not in arm.tasks:
            return (
                f"{arm.name} is for {' and '.join(arm.tasks)} alone, and the task of the dataset "
                f"{circumstances.dataset} is {circumstances.task}; leave {arm.name} out of the arms"
            )
    tuned = [arm.name for arm in wanted if arm.tuned]
    if tuned and not circumstances.tunable:
        others = ",".join(arm.name for arm in ARMS if arm.in_default and not arm.tuned)
        return (
            f"{circumstances.model} is a hosted model and cannot be tuned here; leave {' and '.join(tuned)} out with "
            f"`--arms {others}`, or choose a local model"
        )
    taught = [arm.name for arm in wanted if arm.needs_training_questions]
    if taught and not circumstances.has_training_questions:
        others = ",".join(arm.name for arm in ARMS if arm.in_default and not arm.needs_training_questions)
        return (
            f"the dataset {circumstances.dataset} has no training questions, which {' and '.join(taught)} need; add "
            f'some with `"split": "train"`, or choose `--arms {others}`'
        )
    return ""


def refuse_unrunnable(arms: Sequence[str], circumstances: Circumstances) -> None:
    """Say which arms cannot run before anything is done.

    Raises:
        ConfigError: names the arms, why, and what to do.
    """
    if reason := unrunnable(arms, circumstances):
        raise ConfigError(reason)
