"""The root of every error a user can meet.

TuningForkError
├── ConfigError                 a setting, option or file of settings is wrong
├── MissingDependencyError      an optional package is not installed
├── LanguageModelError          a model cannot be loaded, reached or run     (lm)
├── DatasetError                documents or questions are unfit             (advisor)
├── EvaluationError             scores or statistics cannot be computed      (advisor)
├── IndexingError               an index cannot be built or opened           (rag)
└── TrainingError               tuning cannot start, diverged or was damaged (finetune)

A message says what failed, in which file, line or id, and what to do. Only these errors are shown without a traceback:
anything else is a defect of ours.
"""

from enum import Enum, auto
from typing import ClassVar


class ErrorKind(Enum):
    """What whoever meets an error can do about it."""

    INVALID = auto()
    """Correct what was given."""
    NOT_FOUND = auto()
    """Name something that exists."""
    FORBIDDEN = auto()
    """Choose what is allowed, or ask who may allow it."""
    CONFLICT = auto()
    """Change the state of what was named, or wait for it."""
    TOO_MANY = auto()
    """Try again when there is less to do."""
    UNAVAILABLE = auto()
    """Try again later."""
    UPSTREAM_FAILED = auto()
    """See to the hosted model."""
    UPSTREAM_TIMED_OUT = auto()
    """See to the hosted model, or try again."""


class TuningForkError(Exception):
    """Something the user can fix; its text is fit to be shown as it is.

    Attributes:
        kind: What can be done about it.
        title: In few words, the same for all of a class.
        retry_after_s: When to try again, where that may help.
    """

    kind: ClassVar[ErrorKind] = ErrorKind.INVALID
    title: ClassVar[str] = "Cannot be done"
    retry_after_s: float | None = None


class ConfigError(TuningForkError):
    """A setting, option or settings file is wrong."""

    title = "Invalid settings"


class MissingDependencyError(TuningForkError):
    """An optional package is needed and absent; the message names the install command."""


class LanguageModelError(TuningForkError):
    """A language model cannot be loaded, reached or run."""
