"""A model as a folder that any program of the field loads: weights with the adapter merged, config, tokenizer."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lm.completion import Messages
from lm.local.huggingface import AdaptedModel, HuggingFaceModel


@dataclass(frozen=True, slots=True)
class Written:
    """What was written, beside what it was made of.

    Attributes:
        dtype: Of the stored weights, and of the comparison.
        max_logit_difference: Largest difference of any logit after any token of the prompts, before merging and as
            loaded from the new folder; 0 without an adapter.
        n_prompts: Prompts it was compared on.
    """

    dtype: str
    max_logit_difference: float
    n_prompts: int


def write_standalone(model: HuggingFaceModel | AdaptedModel, folder: Path, prompts: Sequence[Messages]) -> Written:
    """Write weights (safetensors), config, end tokens and tokenizer with its chat template; read them back, compare.

    Merged weights are stored in float32, whatever the model computed in: bfloat16 keeps a weight to 1 part in 256, and
    what an adapter adds is often less. The caller's model is not touched: its files are loaded once more.

    Args:
        folder: A new folder.
        prompts: What the two are compared on.
    """
    base = model.base if isinstance(model, AdaptedModel) else model
    dtype = torch.float32 if isinstance(model, AdaptedModel) else base.module.dtype
    module = _load(base, base.folder, dtype)
    if isinstance(model, AdaptedModel):
        module = _with_adapter(module, model.adapter_dir)
    ids = [torch.tensor([base.encode(prompt)], device=base.device) for prompt in prompts]
    before = _logits(module, ids)
    if isinstance(model, AdaptedModel):
        module = module.merge_and_unload()
    module.generation_config = base.module.generation_config
    module.save_pretrained(folder)
    base.tokenizer.save_pretrained(folder)
    del module
    after = _logits(_load(base, folder, dtype), ids)
    differences = [(b - a).abs().max().item() for b, a in zip(before, after, strict=True)]
    return Written(str(dtype).removeprefix("torch."), max(differences, default=0.0), len(ids))


def _load(base: HuggingFaceModel, folder: Path, dtype: torch.dtype) -> Any:
    kind = type(base.module)
    return kind.from_pretrained(folder, dtype=dtype, use_safetensors=True).to(base.device).eval()


def _with_adapter(module: Any, adapter: Path) -> Any:
    from peft import PeftModel

    with warnings.catch_warnings():
        # peft's warnings are about its own use of transformers.
        warnings.simplefilter("ignore")
        return PeftModel.from_pretrained(module, adapter, autocast_adapter_dtype=False).eval()


@torch.inference_mode()
def _logits(module: Any, ids: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """In float32 and on the CPU, (1, n_tokens, vocabulary) a prompt."""
    return [module(input_ids=one).logits.float().cpu() for one in ids]
