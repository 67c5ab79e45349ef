"""Errors of the core; the whole tree is drawn in `lm.errors`."""

from lm.errors import TuningForkError


class DatasetError(TuningForkError):
    """Documents or questions are unfit; the message names file, line or id."""

    title = "Invalid dataset"


class EvaluationError(TuningForkError):
    """Scores or statistics cannot be computed from what was given."""
