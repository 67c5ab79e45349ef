"""How an adapter is trained: every setting in one place, with the reason for its default in docs/fine-tuning.md."""

import json
import math
from dataclasses import asdict, dataclass
from typing import Any

from finetune.losses import DEFAULT_LOSS, LOSSES
from finetune.methods import METHODS
from lm.errors import ConfigError
from lm.files import sha256

SCHEDULES = ("cosine", "linear", "constant")
PRECISIONS = ("auto", "float32", "bfloat16")


@dataclass(frozen=True, slots=True)
class TuningRecipe:
    """Settings of one training run.

    Attributes:
        method: A name in `finetune.methods.METHODS`.
        r: Rank of the adapter.
        lora_alpha: The update is scaled by lora_alpha / r (rslora: by lora_alpha / sqrt(r)).
        lora_dropout: Share of the adapter's inputs dropped in training.
        prompt_dropout: Share of each prompt's words (tokens but the special ones) left out, others in every epoch, so
            that an answer hangs on no single wording. Only for questions answered from memory: where the answer is
            copied from the prompt it would teach making things up.
        target_modules: "all-linear" (all but the output layer) or names of modules.
        learning_rate: Peak rate of AdamW; None takes `scaled_learning_rate` of the model's width.
        schedule: What follows the warm-up: "cosine" or "linear" decay to zero at `max_epochs`, or "constant".
        warmup_fraction: Share of all steps in which the rate rises linearly from zero.
        weight_decay: Of AdamW, on adapter weights.
        batch_size: Rows an optimiser step.
        gradient_accumulation: Forward passes a step is split into; saves memory and does not change the result.
        max_epochs: Passes over the training rows.
        patience: Epochs without a better validation loss before training stops.
        max_grad_norm: Gradients are scaled down to this norm.
        seed: Decides initial weights, order of rows and dropout.
        precision: Of matrix products; the adapter itself stays in float32. "auto" is bfloat16 where the device
            multiplies in it natively and float32 elsewhere.
        loss: A name in `finetune.losses.LOSSES`: what is minimised on answer tokens.
        gradient_checkpointing: Recompute activations in the backward pass: less memory, about a third more time.
        max_length: Longest row in tokens; longer ones are left out and counted. The model's context also bounds it.
    """

    method: str = "lora"
    r: int = 16
    lora_alpha: int = 32
    lora_dropout: float = 0.0
    prompt_dropout: float = 0.0
    target_modules: str | tuple[str, ...] = "all-linear"
    learning_rate: float | None = None
    schedule: str = "cosine"
    warmup_fraction: float = 0.1
    weight_decay: float = 0.0
    batch_size: int = 8
    gradient_accumulation: int = 1
    max_epochs: int = 3
    patience: int = 2
    max_grad_norm: float = 1.0
    seed: int = 0
    precision: str = "auto"
    gradient_checkpointing: bool = False
    max_length: int = 2048
    loss: str = DEFAULT_LOSS

    def __post_init__(self) -> None:
        """Refuse settings that cannot train.

        Raises:
            ConfigError: names the field, its value and what is allowed.
        """
        _require_one_of("method", self.method, tuple(METHODS))
        _require_one_of("loss", self.loss, tuple(LOSSES))
        _require_one_of("schedule", self.schedule, SCHEDULES)
        _require_one_of("precision", self.precision, PRECISIONS)
        for field in ("r", "lora_alpha", "batch_size", "gradient_accumulation", "max_epochs", "patience"):
            _require(field, getattr(self, field), "a whole number of at least 1", _is_count(getattr(self, field), 1))
        _require("max_length", self.max_length, "a whole number of at least 2", _is_count(self.max_length, 2))
        _require("seed", self.seed, "a whole number from 0 to 2**32 - 1", _is_count(self.seed, 0) and self.seed < 2**32)
        rate = self.learning_rate
        _require("learning_rate", rate, "above 0 and below 1, or none", rate is None or _is_within(rate, 0, 1) and rate)
        _require("lora_dropout", self.lora_dropout, "from 0 to below 1", _is_within(self.lora_dropout, 0, 1))
        _require("prompt_dropout", self.prompt_dropout, "from 0 to below 1", _is_within(self.prompt_dropout, 0, 1))
        _require("warmup_fraction", self.warmup_fraction, "from 0 to below 1", _is_within(self.warmup_fraction, 0, 1))
        _require("weight_decay", self.weight_decay, "from 0 to below 1", _is_within(self.weight_decay, 0, 1))
        norm = self.max_grad_norm
        _require("max_grad_norm", norm, "a number above 0", _is_within(norm, 0, math.inf) and norm)
        targets = self.target_modules
        names = isinstance(targets, tuple) and targets and all(isinstance(name, str) and name for name in targets)
        _require("target_modules", targets, '"all-linear" or names of modules', targets == "all-linear" or names)
        splits = self.batch_size % self.gradient_accumulation == 0
        _require(
            "gradient_accumulation", self.gradient_accumulation, f"a divisor of batch_size {self.batch_size}", splits
        )

    @property
    def hash(self) -> str:
        """SHA-256 of all settings; the default loss is left out, as recipes had none before there were others."""
        settings = asdict(self)
        if self.loss == DEFAULT_LOSS:
            del settings["loss"]
        return sha256(json.dumps(settings, sort_keys=True))


def scaled_learning_rate(hidden_size: int) -> float:
    """The peak rate that suits LoRA on a model of this width: 5e-4 * (2000 / hidden_size) ** 0.781.

    Source:
        Schulman et al. 2025, "LoRA Without Regret", the fit over Llama models; nearly independent of the rank.
    """
    return float(5e-4 * (2000 / hidden_size) ** 0.781)


def _require_one_of(field: str, value: object, allowed: tuple[str, ...]) -> None:
    _require(field, value, "one of " + ", ".join(allowed), value in allowed)


def _require(field: str, value: object, allowed: str, holds: object) -> None:
    if not holds:
        raise ConfigError(f"tuning recipe: {field} is {value!r} and must be {allowed}")


def _is_count(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_within(value: Any, low: float, below: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value < below
