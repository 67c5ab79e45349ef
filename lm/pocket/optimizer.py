"""Muon for matrices, AdamW for embeddings, norms and convolutions, with 32-bit master weights for a 16-bit model."""

from typing import Any

import torch
from torch import Tensor, nn


def newton_schulz(gradients: Tensor, steps: int = 5) -> Tensor:
    """Nearest semi-orthogonal matrices, roughly, of a batch (n, rows, columns): Jordan et al. 2024, "Muon"."""
    x = gradients.to(torch.bfloat16)
    tall = x.size(-2) > x.size(-1)
    if tall:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        a = x @ x.mT
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    out: Tensor = (x.mT if tall else x).float()
    return out


class MuonAdamW:
    """Updates `model` in place; weights are kept in float32 and written back in the model's dtype.

    Args:
        model: the model; matrices that are not embeddings get Muon.
        muon_rate: step of Muon, scaled by the root of rows/columns where there are more rows.
        adam_rate: step of AdamW for norms and other vectors is a third of it.
        embedding_scale: the embeddings' part of `adam_rate`; small when they start from meanings.
    """

    def __init__(
        self, model: nn.Module, *, muon_rate: float = 0.02, adam_rate: float = 0.004, embedding_scale: float = 0.1
    ) -> None:
        self.muon_rate, self.adam_rate, self.embedding_scale = muon_rate, adam_rate, embedding_scale
        self.weight_decay = 0.01
        self.n_steps = 0
        by_shape: dict[tuple[int, ...], list[nn.Parameter]] = {}
        self._plain: list[tuple[nn.Parameter, float]] = []
        for name, parameter in model.named_parameters():
            is_embedding = "embed" in name or "lm_head" in name
            if parameter.ndim == 2 and not is_embedding:
                by_shape.setdefault(tuple(parameter.shape), []).append(parameter)
            else:
                self._plain.append((parameter, embedding_scale if is_embedding else 0.3))
        self._groups = list(by_shape.values())
        self._matrices = [torch.stack([p.detach().float() for p in group]) for group in self._groups]
        self._momenta = [torch.zeros_like(stacked) for stacked in self._matrices]
        self._vectors = [p.detach().float().clone() for p, _ in self._plain]
        self._first = [torch.zeros_like(v) for v in self._vectors]
        self._second = [torch.zeros_like(v) for v in self._vectors]

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """One update with all rates multiplied by `rate`; clears the gradients."""
        self.n_steps += 1
        for group, weights, momentum in zip(self._groups, self._matrices, self._momenta, strict=True):
            gradient = torch.stack([_gradient(p) for p in group])
            momentum.lerp_(gradient, 0.05)
            update = newton_schulz(gradient.lerp(momentum, 0.95))
            size = max(1.0, weights.size(-2) / weights.size(-1)) ** 0.5
            weights.mul_(1 - self.muon_rate * rate * self.weight_decay).add_(
                update, alpha=-self.muon_rate * rate * size
            )
            for parameter, weight in zip(group, weights, strict=True):
                parameter.copy_(weight)
                parameter.grad = None
        for (parameter, scale), weight, first, second in zip(
            self._plain, self._vectors, self._first, self._second, strict=True
        ):
            gradient = _gradient(parameter)
            first.lerp_(gradient, 0.1)
            second.lerp_(gradient * gradient, 0.05)
            size = (second / (1 - 0.95**self.n_steps)).sqrt().add_(1e-10)
            weight.addcdiv_(first / (1 - 0.9**self.n_steps), size, value=-self.adam_rate * rate * scale)
            parameter.copy_(weight)
            parameter.grad = None

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to go on."""
        return {"n_steps": self.n_steps, "tensors": self._tensors()}

    @torch.no_grad()
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave, the model's weights included."""
        self.n_steps = state["n_steps"]
        for mine, saved in zip(self._tensors(), state["tensors"], strict=True):
            mine.copy_(saved)
        for group, weights in zip(self._groups, self._matrices, strict=True):
            for parameter, weight in zip(group, weights, strict=True):
                parameter.copy_(weight)
        for (parameter, _), weight in zip(self._plain, self._vectors, strict=True):
            parameter.copy_(weight)

    def _tensors(self) -> list[Tensor]:
        return [*self._matrices, *self._momenta, *self._vectors, *self._first, *self._second]


def _gradient(parameter: nn.Parameter) -> Tensor:
    return torch.zeros_like(parameter).float() if parameter.grad is None else parameter.grad.float()
