"""How much of this machine's matrix rate a model's work reaches, rate and work measured in the same run."""

import time
from typing import Any

import torch

_SIZE = 2048


def gemm_rate(dtype: torch.dtype, *, n_times: int = 8) -> float:
    """Floating-point operations a second of the quickest of some square matrix products."""
    a, b = (torch.randn(_SIZE, _SIZE).to(dtype) for _ in range(2))
    best_s = float("inf")
    for _ in range(n_times):
        started = time.perf_counter()
        a @ b
        best_s = min(best_s, time.perf_counter() - started)
    return 2 * _SIZE**3 / best_s


def linear_weights(module: Any) -> int:
    """Weights of a causal model's linear layers, without its output layer and without adapters."""
    head = module.get_output_embeddings()
    layers = (layer for layer in module.modules() if isinstance(layer, torch.nn.Linear))
    adapters = {id(layer) for name, layer in module.named_modules() if ".lora_" in name}
    return sum(layer.weight.numel() for layer in layers if layer is not head and id(layer) not in adapters)


def forward_flop(module: Any, n_tokens: int, n_scored: int) -> float:
    """Of the linear layers for `n_tokens`, and of the output layer where it is applied; attention is not counted."""
    return 2.0 * linear_weights(module) * n_tokens + 2.0 * module.get_output_embeddings().weight.numel() * n_scored


@torch.inference_mode()
def prefill_share(module: Any, rate: float, *, n_rows: int = 8, n_tokens: int = 128, n_times: int = 5) -> float:
    """The share of a `gemm_rate` at which prompts are read, logits at the last position alone; the quickest of some."""
    ids = torch.randint(100, module.config.get_text_config().vocab_size - 100, (n_rows, n_tokens))
    best_s = float("inf")
    for _ in range(n_times):
        started = time.perf_counter()
        module(input_ids=ids, logits_to_keep=1, use_cache=True)
        best_s = min(best_s, time.perf_counter() - started)
    return forward_flop(module, n_rows * n_tokens, n_rows) / best_s / rate
