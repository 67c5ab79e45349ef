"""Tuning methods, one row each in `METHODS`: what of the model is trained, and how fast."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from finetune.recipe import TuningRecipe

VERA_RANKS = 16
"""VeRA's random matrices are shared and not trained, and want more ranks: 256 in the paper for the 16 of LoRA."""


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


def ia3(recipe: TuningRecipe) -> Any:
    """One trained factor for each output of a layer; it has no rank (Liu et al. 2022, arXiv:2205.05638)."""
    from peft import IA3Config

    return IA3Config(task_type="CAUSAL_LM", target_modules=_targets(recipe), feedforward_modules=[])


def vera(recipe: TuningRecipe) -> Any:
    """Random matrices for all layers, two trained vectors for each (Kopiczko et al. 2024, arXiv:2310.11454)."""
    from peft import VeraConfig

    return VeraConfig(
        task_type="CAUSAL_LM",
        r=VERA_RANKS * recipe.r,
        vera_dropout=recipe.lora_dropout,
        target_modules=_targets(recipe),
        projection_prng_key=recipe.seed,
    )


@dataclass(frozen=True, slots=True)
class Method:
    """A way of tuning.

    Attributes:
        configure: From recipe to peft's configuration; None where all weights are trained and no adapter is made.
        rate: Peak learning rate over LoRA's, where the recipe leaves it to the model's width.
        quantises: Whether the base is held in 4 bits while it is trained beside.
        has_rank: Whether rank and dropout mean something.
    """

    configure: Callable[[TuningRecipe], Any] | None
    rate: float = 1.0
    quantises: bool = False
    has_rank: bool = True


METHODS: dict[str, Method] = {
    "lora": Method(lora),
    # Dettmers et al. 2023, arXiv:2305.14314: NF4 with double quantisation; the adapter is LoRA's.
    "qlora": Method(lora, quantises=True),
    "rslora": Method(rslora),
    "dora": Method(dora),
    # Their factors start as large as the weights' own directions, so that a step at LoRA's rate moves the weights some
    # ten times as far: the embedded model then answered 12 and 0 of 100 messages right, and 45 and 38 at a tenth.
    "pissa": Method(pissa, rate=0.1),
    "olora": Method(olora, rate=0.1),
    "ia3": Method(ia3, rate=10, has_rank=False),
    "vera": Method(vera, rate=10),
    # Schulman et al. 2025: LoRA's best rate is ten times that of full tuning.
    "full": Method(None, rate=0.1, has_rank=False),
}


def _lora_config(recipe: TuningRecipe, **changes: Any) -> Any:
    from peft import LoraConfig

    return LoraConfig(
        task_type="CAUSAL_LM",
        r=recipe.r,
        lora_alpha=recipe.lora_alpha,
        lora_dropout=recipe.lora_dropout,
        target_modules=_targets(recipe),
        **changes,
    )


def _targets(recipe: TuningRecipe) -> str | list[str]:
    targets = recipe.target_modules
    return targets if targets == "all-linear" else targets.split(",")
