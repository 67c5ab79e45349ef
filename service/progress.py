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
    """

    stage: str
    arm: str
    done: int
    total: int
    detail: str = ""


OnProgress = Callable[[Progress], None]


def silent(_: Progress) -> None:
    """For callers who do not watch."""
