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


class TuningForkError(Exception):
    """Something the user can mend; its text is fit to be shown as it is."""


class ConfigError(TuningForkError):
    """A setting, option or settings file is wrong."""


class MissingDependencyError(TuningForkError):
    """An optional package is needed and absent; the message names the install command."""


class LanguageModelError(TuningForkError):
    """A language model cannot be loaded, reached or run."""
