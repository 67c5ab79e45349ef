"""What a running comparison tells those who watch it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

EMBEDDED_TOKENS = "embedded_tokens"


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a stage stands.

    Attributes:
        stage: "sweep", "questions", "index", "tune", "answer", "form", "latency", "score" or "report".
        arm: The arm it is for, "" where it serves all.
        done: Of `total` units (questions, training steps, documents).
        detail: A figure worth watching, e.g. the loss.
        score: Mean of the first metric over the answers so far, where it needs no model.
        key: Name of the stage whose results are in the database.
        values: Of training: "epoch", "train_loss" and, at the end of an epoch, "validation_loss". While an index is
            built: `EMBEDDED_TOKENS`, those since the last time.
    """

    stage: str
    arm: str
    done: int
    total: int
    detail: str = ""
    score: float | None = None
    key: str = ""
    values: Mapping[str, float | None] = field(default_factory=dict)

    @property
    def is_milestone(self) -> bool:
        """Whether an epoch of training ended with this."""
        return self.values.get("validation_loss") is not None


def answers_label(kind: str, seed: int | None) -> str:
    """What answers are told as: the arm, with its training seed where there are several."""
    return kind if seed is None else f"{kind} (seed {seed})"


OnProgress = Callable[[Progress], None]


def silent(_: Progress) -> None:
    """For callers who do not watch."""
