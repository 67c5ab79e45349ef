"""What training tells while it runs, and what it remembers of each epoch."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TrainingEvent:
    """Told after every optimiser step, and after every epoch with the validation loss.

    Attributes:
        epoch: From 1.
        step: Optimiser steps so far, of `n_steps` if training is not stopped early.
        train_loss: Mean per answer token in nats: of the step, or of the epoch where `validation_loss` is given.
        validation_loss: As `train_loss`, on the validation rows; None between epochs and without validation rows.
        learning_rate: Of the last step.
        seconds: Training time so far, earlier sessions of a resumed run included.
        n_tokens: Trained on in that time, prompts included, padding not.
        peak_memory_bytes: Of this session, as `finetune.memory` takes it.
        epochs: Where an epoch ended, all so far, those of earlier sessions included.
    """

    epoch: int
    step: int
    n_steps: int
    train_loss: float
    validation_loss: float | None
    learning_rate: float
    seconds: float
    n_tokens: int
    peak_memory_bytes: int
    epochs: "tuple[EpochResult, ...]" = ()


@dataclass(frozen=True, slots=True)
class EpochResult:
    """One epoch.

    Attributes:
        train_loss: Mean per answer token in nats over the epoch, measured while the weights were moving.
        validation_loss: Mean per answer token in nats at the end of the epoch; None without validation rows.
        validation_exact_match: Share of validation rows whose every answer token is the model's first choice, which
            is what greedy decoding would write; None without validation rows.
        validation_probability: Probability of an answer token, the geometric mean of a row's, averaged over validation
            rows; None without validation rows, and in records of versions that did not take it.
        peak_memory_bytes: Since training began, as `finetune.memory` takes it; None in records of versions that did
            not.
        n_tokens: Trained on since training began, prompts included, padding not; 0 in records as above.
    """

    epoch: int
    train_loss: float
    validation_loss: float | None
    validation_exact_match: float | None
    learning_rate: float
    seconds: float
    validation_probability: float | None = None
    peak_memory_bytes: int | None = None
    n_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Validation:
    """What the validation rows say of the weights as they are; see `EpochResult`."""

    loss: float
    exact_match: float
    probability: float
