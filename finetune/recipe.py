"""How an adapter is trained: every setting in one place, with the reason for its default in docs/fine-tuning.md."""

import json
from dataclasses import asdict, dataclass
from typing import Annotated

from finetune.losses import DEFAULT_LOSS, LOSSES
from finetune.methods import METHODS
from lm.errors import ConfigError
from lm.files import sha256
from lm.setting import Setting, check_settings

METHOD = Setting("Tuning method.", choices=tuple(METHODS), group="Recipe")


@dataclass(frozen=True, slots=True)
class TuningOptions:
    """What a user may set of one training run, besides method, epochs and seed."""

    r: Annotated[int, Setting("Rank of the adapter.", ge=1, le=4096, option="--lora-r")] = 16
    # The update is scaled by lora_alpha / r; rslora: by lora_alpha / sqrt(r).
    lora_alpha: Annotated[int, Setting("Scale of the adapter; divided by its rank.", ge=1, le=65536)] = 32
    lora_dropout: Annotated[float, Setting("Share of the adapter's inputs dropped in training.", ge=0, lt=1)] = 0.0
    # Others in every epoch, so that an answer hangs on no single wording. Only for questions answered from memory:
    # where the answer is copied from the prompt it would teach making things up.
    prompt_dropout: Annotated[
        float | None,
        Setting(
            "Share of a question's words left out in training.", ge=0, lt=1, unset="0; 0.3 for answers from memory"
        ),
    ] = None
    target_modules: Annotated[
        str,
        Setting(
            "Layers to tune: all-linear (all except the output layer), or comma-separated module names.",
            pattern=r"[\w.-]{1,100}(,[\w.-]{1,100}){0,99}",
        ),
    ] = "all-linear"
    learning_rate: Annotated[
        float | None, Setting("Peak learning rate of AdamW.", gt=0, lt=1, unset="by the model's width")
    ] = None
    schedule: Annotated[
        str,
        Setting(
            "Learning rate after the warm-up: decay to zero at the last epoch, or constant.",
            choices=("cosine", "linear", "constant"),
        ),
    ] = "cosine"
    warmup_fraction: Annotated[
        float, Setting("Share of all steps in which the learning rate rises from zero.", ge=0, lt=1)
    ] = 0.1
    weight_decay: Annotated[float, Setting("Weight decay of AdamW.", ge=0, lt=1)] = 0.0
    batch_size: Annotated[
        int, Setting("Training rows per optimiser step.", ge=1, le=4096, option="--tuning-batch-size")
    ] = 8
    # Saves memory and does not change the result.
    gradient_accumulation: Annotated[
        int, Setting("Forward passes that a step is split into, to save memory.", ge=1, le=4096)
    ] = 1
    patience: Annotated[
        int, Setting("Epochs without a better validation score before training stops.", ge=1, le=1000)
    ] = 2
    max_grad_norm: Annotated[float, Setting("Maximum gradient norm.", gt=0, le=1e15)] = 1.0
    # The adapter itself stays in float32. "auto" is bfloat16 where the device multiplies in it natively.
    precision: Annotated[
        str, Setting("Precision of matrix products in training.", choices=("auto", "float32", "bfloat16"))
    ] = "auto"
    gradient_checkpointing: Annotated[
        bool, Setting("Recompute activations in training: less memory, about a third more time.")
    ] = False
    loss: Annotated[
        str,
        Setting(
            "Loss on answer tokens: cross-entropy, label-smoothing, focal, or one of an installed package.",
            pattern=r"[\w.-]{1,100}",
        ),
    ] = DEFAULT_LOSS
    # Longer rows are left out and counted. The model's context also bounds it.
    max_length: Annotated[int, Setting("Longest training row, in tokens.", ge=2, le=1_000_000)] = 2048

    def __post_init__(self) -> None:
        """Refuse settings that cannot train.

        Raises:
            ConfigError: names the field, its value and what is allowed.
        """
        check_settings(self)
        if self.loss not in LOSSES:
            raise ConfigError(f"loss is {self.loss!r}; give one of {', '.join(LOSSES)}")
        if self.batch_size % self.gradient_accumulation:
            raise ConfigError(
                f"gradient_accumulation is {self.gradient_accumulation}; give a divisor of batch_size {self.batch_size}"
            )


@dataclass(frozen=True, slots=True)
class TuningRecipe(TuningOptions):
    """Settings of one training run.

    Attributes:
        max_epochs: Passes over the training rows.
        seed: Decides initial weights, order of rows and dropout.
    """

    prompt_dropout: Annotated[float, Setting("Share of a question's words left out in training.", ge=0, lt=1)] = 0.0
    method: Annotated[str, METHOD] = "lora"
    max_epochs: Annotated[int, Setting("Passes over the training rows.", ge=1)] = 3
    seed: Annotated[int, Setting("Decides initial weights, order of rows and dropout.", ge=0, lt=2**32)] = 0

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
