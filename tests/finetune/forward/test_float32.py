from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from finetune.forward.float32 import computed_in_float32
from lm.local.huggingface import load_huggingface_model

IDS = torch.tensor([[1, 3, 8, 9, 10, 12, 18, 2, 4]])


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_narrow_weights_are_computed_with_in_float32(base_folder: Path, dtype: str) -> None:
    narrow = load_huggingface_model(base_folder, device="cpu", dtype=dtype).module
    kept = {name: weight.clone() for name, weight in narrow.state_dict().items()}
    wide = load_huggingface_model(base_folder, device="cpu", dtype="float32").module
    wide.load_state_dict({name: weight.float() for name, weight in kept.items()})
    with torch.no_grad():
        rounded = narrow(input_ids=IDS).logits
        with computed_in_float32(narrow):
            logits = narrow(input_ids=IDS).logits
        assert torch.equal(narrow(input_ids=IDS).logits, rounded)
        torch.testing.assert_close(logits, wide(input_ids=IDS).logits, rtol=0, atol=1e-6)
    assert all(torch.equal(weight, kept[name]) for name, weight in narrow.state_dict().items())


def test_a_failed_forward_pass_leaves_the_weights_narrow() -> None:
    class Failing(nn.Linear):
        def forward(self, x: Any) -> Any:
            assert self.weight.dtype == torch.float32
            raise RuntimeError("no")

    model = nn.Sequential(nn.Linear(2, 2), Failing(2, 2)).to(torch.bfloat16)
    with computed_in_float32(model), pytest.raises(RuntimeError, match="no"):
        model(torch.zeros(1, 2))
    assert {weight.dtype for weight in model.parameters()} == {torch.bfloat16}
