"""How much interactive querying may take."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServingLimits:
    """Bounds of what is held in memory and of what may wait.

    Attributes:
        n_comparisons: Comparisons whose arms stay loaded; the one asked longest ago goes first.
        batch_questions: Most questions of one forward pass; a comparison measured with smaller batches keeps its own.
        queued_questions: Questions that may wait for one model, whoever asked them.
        window_s: How long a question waits for others that could share its batch.
        timeout_s: How long a caller waits for all answers of a request.
        n_remote_threads: Batches of one hosted model that are under way at the same time.
    """

    n_comparisons: int = 4
    batch_questions: int = 16
    queued_questions: int = 256
    window_s: float = 0.002
    timeout_s: float = 120.0
    n_remote_threads: int = 4
