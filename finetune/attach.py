"""The model that training gets: the base from its files, with what a method trains of it."""

import warnings
from pathlib import Path
from typing import Any

import torch

from finetune.errors import TrainingError
from finetune.memory import free_memory_bytes
from finetune.methods import METHODS, Method
from finetune.recipe import TuningRecipe
from finetune.train import autocast_dtype
from lm.errors import MissingDependencyError

BYTES_A_WEIGHT = 16
"""Of full tuning: a float32 weight, its gradient, and AdamW's two moments."""


def attach(folder: Path, model_class: Any, recipe: TuningRecipe, device: torch.device, name: str) -> Any:
    """A fresh copy of the base from its files, with a new adapter, or with all weights to be trained.

    Weights that are trained are float32: what one step changes is often less than bfloat16 can tell.

    Args:
        model_class: Of transformers, to load the files with.
        name: What errors call the base.
    Raises:
        TrainingError: the method does not fit the model.
        MissingDependencyError: the method needs a package that is not installed.
    """
    from peft import get_peft_model

    method = METHODS[recipe.method]
    dtype = autocast_dtype(recipe, device) or torch.float32
    if method.configure is None:
        dtype = torch.float32
    base = _load(folder, model_class, method, dtype, device, name)
    if recipe.gradient_checkpointing and not base.supports_gradient_checkpointing:
        raise TrainingError(f"{name!r} cannot recompute activations; set gradient_checkpointing to false")
    if recipe.gradient_checkpointing:
        base.activation_checkpointing_enable()
    torch.manual_seed(recipe.seed)
    if method.configure is None:
        return base.requires_grad_(True)
    with warnings.catch_warnings():
        # peft 0.21 asks transformers 5.23 by the property's old name.
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        try:
            return get_peft_model(base, method.configure(recipe))
        except ValueError as error:
            raise TrainingError(
                f"method {recipe.method!r} cannot be attached to {name!r} with target_modules "
                f"{recipe.target_modules!r}: {error}"
            ) from error


def full_tuning_needs(n_parameters: int) -> str:
    """Memory and disk that full tuning takes, for people."""
    return (
        f"all {n_parameters:,} weights are trained: about {BYTES_A_WEIGHT * n_parameters / 1e9:.1f} GB of memory "
        f"beside activations, and {4 * n_parameters / 1e9:.1f} GB on disk"
    )


def refuse_too_large(n_parameters: int, recipe: TuningRecipe, device: torch.device, name: str) -> None:
    """Refuse full tuning where its weights and what the optimiser keeps of them do not fit.

    Raises:
        TrainingError: with what is needed and what is free.
    """
    free = free_memory_bytes(device)
    if METHODS[recipe.method].configure is None and free is not None and free < BYTES_A_WEIGHT * n_parameters:
        raise TrainingError(
            f"full tuning of {name!r} does not fit on {device}, where {free / 1e9:.1f} GB are free: "
            f"{full_tuning_needs(n_parameters)}; choose method lora or qlora, or a smaller model"
        )


def _load(folder: Path, model_class: Any, method: Method, dtype: torch.dtype, device: torch.device, name: str) -> Any:
    if not method.quantises:
        return model_class.from_pretrained(folder, dtype=dtype, use_safetensors=True).to(device)
    Linear4bit = four_bit_layer()  # noqa: N806
    from transformers import BitsAndBytesConfig

    config = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
    )
    try:
        base = model_class.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, quantization_config=config, device_map={"": device}
        )
    except (ValueError, RuntimeError) as error:
        raise TrainingError(
            f"{name!r} cannot be held in 4 bits on {device}: {error}; choose method lora, which needs no quantised base"
        ) from error
    layers = [module for module in base.modules() if isinstance(module, Linear4bit)]
    if not layers:
        raise TrainingError(f"{name!r} has no linear layer that can be held in 4 bits; choose method lora")
    for layer in layers:
        # On the CPU bitsandbytes repacks a layer when it is first evaluated, and then it gives no gradient any more.
        layer.support_avx512bf16_for_cpu = False
    return base


def four_bit_layer() -> Any:
    """The class of a linear layer in 4 bits.

    Raises:
        MissingDependencyError: bitsandbytes is not installed.
    """
    try:
        from bitsandbytes.nn import Linear4bit
    except ImportError as error:
        raise MissingDependencyError(
            "method qlora needs a package that is not installed: pip install 'tuning-fork[qlora]'; or choose lora"
        ) from error
    return Linear4bit
