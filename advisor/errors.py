"""Errors of the core; the whole tree is drawn in `lm.errors`."""

from lm.errors import TuningForkError


class DatasetError(TuningForkError):
    """Documents or questions are unfit; the message names file, line or id."""

    title = "Invalid dataset"


class UnreadableError(DatasetError):
    """A file, or a part of it, cannot be read; the message says why and what to do.

    Attributes:
        line: Where, from 1, if that is known.
    """

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


class EvaluationError(TuningForkError):
    """Scores or statistics cannot be computed from what was given."""
