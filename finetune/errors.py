"""Errors of tuning; the whole tree is drawn in `lm.errors`."""

from lm.errors import TuningForkError


class TrainingError(TuningForkError):
    """Tuning cannot start, diverged or left something damaged; the message says what to change."""


class DivergedError(TrainingError):
    """The loss or its gradient was no longer finite: this recipe cannot be trained, another may."""
