"""What a running comparison tells those who watch it."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a stage stands.

    Attributes:
        stage: "index", "tune", "answer", "latency", "score" or "report".
        arm: The arm it is for, "" where it serves all.
        done: Of `total` units (questions, training steps, documents).
        detail: A figure worth watching, e.g. the loss.
        score: Mean of the first metric over the answers so far, where it needs no model.
        key: Name of the stage whose results are in the database.
    """

    stage: str
    arm: str
    done: int
    total: int
    detail: str = ""
    score: float | None = None
    key: str = ""


OnProgress = Callable[[Progress], None]


def silent(_: Progress) -> None:
    """For callers who do not watch."""
