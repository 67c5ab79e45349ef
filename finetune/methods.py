"""Tuning methods: a name and a function from recipe to peft configuration. A new method is one line in `METHODS`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from finetune.recipe import TuningRecipe


def lora(recipe: TuningRecipe) -> Any:
    """Low-rank adaptation: W + (alpha / r) B A (Hu et al. 2021, arXiv:2106.09685)."""
    return _lora_config(recipe)


def rslora(recipe: TuningRecipe) -> Any:
    """Scaled by alpha / sqrt(r), so that high ranks keep learning (Kalajdzievski 2023, arXiv:2312.03732)."""
    return _lora_config(recipe, use_rslora=True)


def dora(recipe: TuningRecipe) -> Any:
    """Direction by LoRA, magnitude apart; slower, often better at low rank (Liu et al. 2024, arXiv:2402.09353)."""
    return _lora_config(recipe, use_dora=True)


def pissa(recipe: TuningRecipe) -> Any:
    """Starts from the principal singular vectors of the weights (Meng et al. 2024, arXiv:2404.02948)."""
    return _lora_config(recipe, init_lora_weights="pissa")


def olora(recipe: TuningRecipe) -> Any:
    """Starts from an orthonormal basis of the weights by QR (Büyükakyüz 2024, arXiv:2406.01775)."""
    return _lora_config(recipe, init_lora_weights="olora")


METHODS: dict[str, Callable[[TuningRecipe], Any]] = {
    "lora": lora,
    "rslora": rslora,
    "dora": dora,
    "pissa": pissa,
    "olora": olora,
}


def _lora_config(recipe: TuningRecipe, **changes: Any) -> Any:
    from peft import LoraConfig

    targets = recipe.target_modules
    return LoraConfig(
        task_type="CAUSAL_LM",
        r=recipe.r,
        lora_alpha=recipe.lora_alpha,
        lora_dropout=recipe.lora_dropout,
        target_modules=targets if targets == "all-linear" else targets.split(","),
        **changes,
    )
