from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import get_peft_model
from torch import nn
from transformers import AutoModelForCausalLM

from finetune.fused_lora import fuse_lora
from finetune.methods import METHODS
from finetune.recipe import TuningRecipe

IDS = torch.tensor([[1, 3, 8, 9, 10, 12, 18, 2, 4], [1, 3, 9, 9, 11, 12, 19, 2, 4]])
N_LAYERS = 2 * 7


def adapted(folder: Path, recipe: TuningRecipe, dtype: torch.dtype = torch.float32) -> Any:
    torch.manual_seed(0)
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(folder, dtype=dtype), METHODS[recipe.method](recipe))
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(weight, std=0.3)
    return model


def logits_and_gradients(model: Any) -> dict[str, torch.Tensor]:
    logits = model(input_ids=IDS).logits
    logits.square().mean().backward()
    return {"logits": logits} | {name: w.grad for name, w in model.named_parameters() if w.grad is not None}


@pytest.mark.parametrize("method", ["lora", "rslora", "pissa", "olora"])
def test_a_fused_layer_computes_what_the_plain_one_does(base_folder: Path, recipe: TuningRecipe, method: str) -> None:
    recipe = replace(recipe, method=method)
    expected = logits_and_gradients(adapted(base_folder, recipe))
    model = adapted(base_folder, recipe)
    assert fuse_lora(model, None) == N_LAYERS
    found = logits_and_gradients(model)
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-4, atol=1e-5)


def test_a_layer_with_a_bias_and_inputs_without_a_gradient_is_fused(recipe: TuningRecipe) -> None:
    def gradients(change: Callable[[Any], object]) -> list[torch.Tensor]:
        torch.manual_seed(0)
        model = get_peft_model(nn.Sequential(nn.Linear(6, 5)), replace_task(METHODS["lora"](recipe)))
        nn.init.normal_(model.base_model.model[0].lora_B["default"].weight)
        change(model)
        model(torch.randn(3, 6)).square().sum().backward()
        return [weight.grad for weight in model.parameters() if weight.grad is not None]

    def fuse(model: Any) -> None:
        assert fuse_lora(model, None) == 1

    for mine, theirs in zip(gradients(fuse), gradients(lambda model: None), strict=True):
        torch.testing.assert_close(mine, theirs)


def replace_task(config: Any) -> Any:
    config.task_type, config.target_modules = None, ["0"]
    return config


@pytest.mark.parametrize("changes", [{"method": "dora"}, {"lora_dropout": 0.1}], ids=str)
def test_layers_of_another_formula_stay_as_they_are(
    base_folder: Path, recipe: TuningRecipe, changes: dict[str, Any]
) -> None:
    assert fuse_lora(adapted(base_folder, replace(recipe, **changes)), None) == 0


def test_weights_that_would_have_to_be_cast_stay_with_peft(base_folder: Path, recipe: TuningRecipe) -> None:
    assert fuse_lora(adapted(base_folder, recipe), torch.bfloat16) == 0
    assert fuse_lora(adapted(base_folder, recipe, torch.bfloat16), torch.bfloat16) == N_LAYERS
