from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import AutoModelForCausalLM

from lm.local.fused_lora import fuse_lora, unfuse_lora

IDS = torch.tensor([[1, 3, 8, 9, 10, 12, 18, 2, 4], [1, 3, 9, 9, 11, 12, 19, 2, 4]])
METHODS: dict[str, dict[str, Any]] = {
    "lora": {},
    "rslora": {"use_rslora": True},
    "pissa": {"init_lora_weights": "pissa"},
    "olora": {"init_lora_weights": "olora"},
    "dora": {"use_dora": True},
    "dropout": {"lora_dropout": 0.5},
}


def adapted(folder: Path, method: str, dtype: torch.dtype = torch.float32) -> Any:
    torch.manual_seed(0)
    config = LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=8, target_modules="all-linear", **METHODS[method])
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(folder, dtype=dtype), config)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(weight, std=0.3)
    return model


def n_layers(model: Any) -> int:
    return sum(name.endswith("lora_A") for name, _ in model.named_modules())


def logits_and_gradients(model: Any) -> dict[str, torch.Tensor]:
    logits = model(input_ids=IDS).logits
    logits.square().mean().backward()
    return {"logits": logits} | {name: w.grad for name, w in model.named_parameters() if w.grad is not None}


@pytest.mark.parametrize("method", ["lora", "rslora", "pissa", "olora"])
def test_a_fused_layer_computes_what_the_plain_one_does(tiny_model_folder: Path, method: str) -> None:
    expected = logits_and_gradients(adapted(tiny_model_folder, method))
    model = adapted(tiny_model_folder, method)
    assert fuse_lora(model) == n_layers(model) > 0
    found = logits_and_gradients(model)
    with torch.inference_mode():
        torch.testing.assert_close(model(input_ids=IDS).logits, expected["logits"], rtol=1e-4, atol=1e-5)
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-4, atol=1e-5)


def test_a_layer_with_a_bias_and_inputs_without_a_gradient_is_fused() -> None:
    def gradients(change: Callable[[Any], object]) -> list[torch.Tensor]:
        torch.manual_seed(0)
        model = get_peft_model(nn.Sequential(nn.Linear(6, 5)), LoraConfig(target_modules=["0"]))
        nn.init.normal_(model.base_model.model[0].lora_B["default"].weight)
        change(model)
        model(torch.randn(3, 6)).square().sum().backward()
        return [weight.grad for weight in model.parameters() if weight.grad is not None]

    def fuse(model: Any) -> None:
        assert fuse_lora(model) == 1

    for mine, theirs in zip(gradients(fuse), gradients(lambda model: None), strict=True):
        torch.testing.assert_close(mine, theirs)


def test_layers_of_another_formula_stay_as_they_are(tiny_model_folder: Path) -> None:
    assert fuse_lora(adapted(tiny_model_folder, "dora")) == 0


def test_a_layer_fused_before_training_drops_in_training_alone(tiny_model_folder: Path) -> None:
    model = adapted(tiny_model_folder, "dropout").eval()
    expected = model(input_ids=IDS).logits
    assert fuse_lora(model) > 0
    torch.testing.assert_close(model(input_ids=IDS).logits, expected, rtol=1e-4, atol=1e-5)
    model.train()
    assert not torch.allclose(model(input_ids=IDS).logits, expected, rtol=1e-4, atol=1e-5)


def test_weights_that_would_have_to_be_cast_stay_with_peft(tiny_model_folder: Path) -> None:
    assert fuse_lora(adapted(tiny_model_folder, "lora"), torch.bfloat16) == 0
    assert fuse_lora(adapted(tiny_model_folder, "lora", torch.bfloat16), torch.bfloat16) > 0


def test_a_layer_that_is_fused_no_more_follows_peft(tiny_model_folder: Path) -> None:
    model = adapted(tiny_model_folder, "lora")
    fuse_lora(model)
    unfuse_lora(model)
    assert not any("forward" in vars(module) for module in model.modules())
