"""Training as TensorBoard shows it while it runs."""

import math
from pathlib import Path
from typing import Any

from finetune.progress import TrainingEvent
from lm.errors import ConfigError, MissingDependencyError


class EventFiles:
    """The event file of one training.

    A training that is resumed writes another beside it, in which the steps since the last whole epoch come again.
    """

    def __init__(self, folder: Path) -> None:
        """Begin a file.

        Raises:
            MissingDependencyError: TensorBoard is not installed.
            ConfigError: the folder cannot be written.
        """
        try:
            from tensorboard.summary import Writer
        except ModuleNotFoundError as error:
            raise MissingDependencyError(
                "event files need a package that is not installed: pip install 'tuning-fork[tensorboard]'"
            ) from error
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._writer: Any = Writer(str(folder))
        except OSError as error:
            raise ConfigError(f"{folder} cannot be written: {error.strerror}; give another folder") from None

    def write(self, event: TrainingEvent) -> None:
        """Add what an event tells, and bring it to the disk."""
        values = {
            "train_loss" if not event.epochs else "epoch_train_loss": event.train_loss,
            "validation_loss": event.validation_loss,
            "learning_rate": event.learning_rate,
            "tokens_per_s": event.n_tokens / event.seconds if event.seconds else None,
            "peak_memory_bytes": float(event.peak_memory_bytes),
        }
        for name, value in values.items():
            if value is not None and math.isfinite(value):
                self._writer.add_scalar(f"training/{name}", value, event.step)
        self._writer.flush()

    def close(self) -> None:
        """Let go of the file."""
        self._writer.close()
