"""The forward and backward pass of a LoRA layer in nine matrix products, without the copies peft makes between them."""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


def fuse_lora(model: Any, autocast_dtype: torch.dtype | None = None) -> int:
    """Let each plain LoRA layer compute itself so with its active adapter; the numbers stay, up to rounding.

    Layers with a bias of the adapter or another formula (DoRA) stay as peft has them, and so do those whose base
    weights have to be cast. Dropout is left to peft while it trains.

    Returns:
        How many layers were changed.
    """
    from peft.tuners.lora.layer import Linear

    n_fused = 0
    for module in model.modules():
        if type(module) is Linear and _is_plain(module):
            weight = module.base_layer.weight
            if autocast_dtype in (None, weight.dtype):
                module.forward = partial(_forward, module, module.active_adapters[0])
                n_fused += 1
    return n_fused


def unfuse_lora(model: Any) -> None:
    """Let every layer be as peft has it again."""
    for module in model.modules():
        if isinstance(vars(module).get("forward"), partial):
            del module.forward


def _is_plain(layer: Any) -> bool:
    return (
        type(layer.base_layer) is nn.Linear
        and len(layer.active_adapters) == 1
        and not (
            layer.merged or layer.disable_adapters or layer.lora_variant or layer.lora_bias[layer.active_adapters[0]]
        )
    )


def _forward(layer: Any, adapter: str, x: Tensor) -> Tensor:
    if layer.training and not isinstance(layer.lora_dropout[adapter], nn.Identity):
        dropped: Tensor = type(layer).forward(layer, x)
        return dropped
    base = layer.base_layer
    a, b, scale = layer.lora_A[adapter].weight, layer.lora_B[adapter].weight, layer.scaling[adapter]
    if not torch.is_grad_enabled():
        flat, a, b = _matching(x, base.weight, a, b)
        return _product(flat, base.weight, base.bias, flat @ a.t(), b, scale).view(*x.shape[:-1], -1)
    out: Tensor = _LoraProduct.apply(x, base.weight, base.bias, a, b, scale)  # type: ignore[no-untyped-call]
    return out


def _matching(x: Tensor, weight: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(..., in) to (n, in), and all in the dtype of the base weight."""
    return x.reshape(-1, x.shape[-1]).to(weight.dtype), a.to(weight.dtype), b.to(weight.dtype)


def _product(flat: Tensor, weight: Tensor, bias: Tensor | None, low: Tensor, b: Tensor, scale: float) -> Tensor:
    return nn.functional.linear(flat, weight, bias).addmm_(low, b.t(), alpha=scale)


class _LoraProduct(torch.autograd.Function):
    """x W^T + bias + scale (x A^T) B^T."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, a: Tensor, b: Tensor, scale: float) -> Tensor:
        """(..., in), (out, in), (out,), (r, in), (out, r) to (..., out)."""
        flat, a, b = _matching(x, weight, a, b)
        low = flat @ a.t()  # (n, r)
        out = _product(flat, weight, bias, low, b, scale)
        ctx.save_for_backward(flat, weight, a, b, low)
        ctx.scale, ctx.x_shape, ctx.x_dtype = scale, x.shape, x.dtype
        return out.view(*x.shape[:-1], -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of x and of the two low-rank weights, these in float32."""
        flat, weight, a, b, low = ctx.saved_tensors
        grad = grad.reshape(-1, grad.shape[-1])  # (n, out)
        of_low = (grad @ b).mul_(ctx.scale)  # (n, r)
        of_x = None
        if ctx.needs_input_grad[0]:
            of_x = (grad @ weight).addmm_(of_low, a).view(ctx.x_shape).to(ctx.x_dtype)
        of_a = (of_low.t() @ flat).float()
        of_b = (grad.t() @ low).float().mul_(ctx.scale)
        return of_x, None, None, of_a, of_b, None
