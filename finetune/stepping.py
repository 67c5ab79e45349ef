"""How losses become new weights: by torch's AdamW in this process or in several, or by DeepSpeed's engine."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn import Parameter
from torch.nn.utils import clip_grad_norm_

from finetune.processes import Processes
from finetune.recipe import TuningRecipe
from lm.errors import MissingDependencyError

_MOMENTS = ("exp_avg", "exp_avg_sq")


class Stepping(Protocol):
    """What the training loop asks of an optimiser. Where several processes train, all of them call alike."""

    @property
    def model(self) -> Any:
        """What to call for logits."""

    def backward(self, loss: Tensor, *, is_last: bool) -> None:
        """Add the gradients of one forward pass; `is_last` of those that make a step."""

    def step(self, learning_rate: float) -> Tensor:
        """Change the weights by the gradients added up, and forget these; their norm before it was bounded."""

    def weights(self) -> dict[str, Tensor]:
        """The weights in training, whole, by name; copies on the CPU."""

    def set_weights(self, values: Mapping[str, Tensor]) -> None:
        """Give the weights whole values."""

    def moments(self) -> dict[str, Tensor]:
        """What the optimiser keeps, whole, by `name of the weight/name of the moment`; copies on the CPU."""

    def set_moments(self, moments: Mapping[str, Tensor]) -> None:
        """Take up what `moments` gave."""


def stepping(
    model: Any, recipe: TuningRecipe, processes: Processes, device: torch.device, autocast: torch.dtype | None
) -> Stepping:
    """The optimiser of a training, AdamW (Loshchilov and Hutter 2019) over the weights that require a gradient.

    Args:
        autocast: What matrix products are computed in, None for float32.
    Raises:
        MissingDependencyError: DeepSpeed is asked for and not installed.
    """
    called = model if processes.zero_stage else processes.distributed(model, device)
    weights = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    fused = device.type == "cpu" and not processes.shares
    optimizer = torch.optim.AdamW(weights.values(), weight_decay=recipe.weight_decay, fused=fused)
    if not processes.zero_stage:
        return TorchStepping(called, weights, optimizer, recipe.max_grad_norm)
    return DeepSpeedStepping(
        _engine(model, optimizer, recipe.max_grad_norm, processes.zero_stage, autocast), weights, processes
    )


@dataclass(frozen=True, slots=True)
class TorchStepping:
    """Weights and moments of torch: those of one process, or DTensors that FSDP shares out."""

    model: Any
    _weights: Mapping[str, Parameter]
    _optimizer: torch.optim.Optimizer
    _max_grad_norm: float

    def backward(self, loss: Tensor, *, is_last: bool) -> None:
        """Add the gradients of one pass."""
        loss.backward()  # type: ignore[no-untyped-call]

    def step(self, learning_rate: float) -> Tensor:
        """Change the weights; the gradients' norm."""
        norm = _whole(clip_grad_norm_(self._weights.values(), self._max_grad_norm))
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate
        if norm.isfinite():
            self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return norm

    def weights(self) -> dict[str, Tensor]:
        """Whole weights, on the CPU."""
        return {name: _copy(_whole(weight.detach())) for name, weight in self._weights.items()}

    @torch.no_grad()
    def set_weights(self, values: Mapping[str, Tensor]) -> None:
        """Give the weights whole values."""
        for name, weight in self._weights.items():
            weight.copy_(_like(weight, values[name]))

    def moments(self) -> dict[str, Tensor]:
        """Whole moments, on the CPU."""
        return {
            f"{name}/{moment}": _copy(_whole(tensor.detach()))
            for name, weight in self._weights.items()
            for moment, tensor in self._optimizer.state[weight].items()
        }

    def set_moments(self, moments: Mapping[str, Tensor]) -> None:
        """Take up what `moments` gave."""
        for name, weight in self._weights.items():
            self._optimizer.state[weight] = {
                "step": moments[f"{name}/step"].clone(),
                **{moment: _like(weight, moments[f"{name}/{moment}"]) for moment in _MOMENTS},
            }


@dataclass(frozen=True, slots=True)
class DeepSpeedStepping:
    """DeepSpeed's engine, which shares out moments, gradients and weights by the stage of ZeRO (Rajbhandari et al.
    2020)."""

    model: Any
    _weights: Mapping[str, Parameter]
    _processes: Processes

    def backward(self, loss: Tensor, *, is_last: bool) -> None:
        """Add the gradients of one pass."""
        self.model.set_gradient_accumulation_boundary(is_last)
        self.model.backward(loss)

    def step(self, learning_rate: float) -> Tensor:
        """Change the weights; the gradients' norm."""
        for group in self.model.optimizer.param_groups:
            group["lr"] = learning_rate
        self.model.step()
        return torch.as_tensor(self.model.get_global_grad_norm())

    def weights(self) -> dict[str, Tensor]:
        """Whole weights, on the CPU."""
        from deepspeed.utils import safe_get_full_fp32_param

        return {name: _copy(safe_get_full_fp32_param(weight)) for name, weight in self._weights.items()}

    @torch.no_grad()
    def set_weights(self, values: Mapping[str, Tensor]) -> None:
        """Give the weights whole values."""
        from deepspeed.runtime.zero import GatheredParameters

        with GatheredParameters(list(self._weights.values()), modifier_rank=0):
            for name, weight in self._weights.items():
                weight.data.copy_(values[name])
        self.model.optimizer.refresh_fp32_params()

    def moments(self) -> dict[str, Tensor]:
        """Whole moments, on the CPU."""
        from deepspeed.utils import safe_get_full_optimizer_state

        (n_steps, *_) = (state["step"] for state in self._states().values())
        return {
            f"{name}/{moment}": _copy(value)
            for name, weight in self._weights.items()
            for moment, value in [
                ("step", n_steps),
                *((moment, safe_get_full_optimizer_state(weight, moment)) for moment in _MOMENTS),
            ]
        }

    def set_moments(self, moments: Mapping[str, Tensor]) -> None:
        """Take up what `moments` gave."""
        from deepspeed.utils import (
            safe_get_local_optimizer_state,
            safe_set_full_optimizer_state,
            safe_set_local_optimizer_state,
        )

        self._make_states()
        for name, weight in self._weights.items():
            for moment in _MOMENTS:
                value = moments[f"{name}/{moment}"].to(weight.device)
                if self._processes.zero_stage < 3:
                    safe_set_full_optimizer_state(weight, value, moment)
                    continue
                part = safe_get_local_optimizer_state(weight, moment)  # (share of the padded weight,)
                padded = value.new_zeros(part.numel() * self._processes.world)
                padded[: value.numel()] = value.flatten()
                safe_set_local_optimizer_state(
                    weight, padded.chunk(self._processes.world)[self._processes.rank], moment
                )
        n_steps = next(value for name, value in moments.items() if name.endswith("/step"))
        for state in self._states().values():
            state["step"].copy_(n_steps)

    def _make_states(self) -> None:
        """What AdamW makes in its first step, for the flat parts that this process holds."""
        zero = self.model.optimizer
        sharded = self._processes.zero_stage == 3
        for part in zero.fp32_partitioned_groups_flat if sharded else zero.single_partition_of_fp32_groups:
            self._states()[part] = {"step": torch.zeros(()), **{name: torch.zeros_like(part) for name in _MOMENTS}}
        if not sharded:
            zero._lazy_init_hp_params_optimizer_state()

    def _states(self) -> dict[Any, dict[str, Tensor]]:
        states: dict[Any, dict[str, Tensor]] = self.model.optimizer.optimizer.state
        return states


def _engine(
    model: Any, optimizer: torch.optim.Optimizer, max_grad_norm: float, stage: int, autocast: torch.dtype | None
) -> Any:
    try:
        import deepspeed
    except ImportError as error:
        raise MissingDependencyError(
            "the launch_config asks for DeepSpeed, which is not installed: pip install 'tuning-fork[deepspeed]'; or "
            "set distributed_type to FSDP and fsdp_version to 2, which shares out the same as ZeRO-3"
        ) from error
    config = {
        "train_micro_batch_size_per_gpu": 1,  # asked for; rows come from us
        "gradient_clipping": max_grad_norm,
        "zero_optimization": {"stage": stage},
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
    }
    if autocast is not None:
        config["torch_autocast"] = {"enabled": True, "dtype": str(autocast).removeprefix("torch.")}
    engine, *_ = deepspeed.initialize(model=model, optimizer=optimizer, config=config, dist_init_required=False)
    return engine


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", copy=True).contiguous()


def _whole(tensor: Tensor) -> Tensor:
    """A tensor with the parts that other processes hold; all of them ask for it at the same time."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def _like(weight: Tensor, tensor: Tensor) -> Tensor:
    """A whole tensor as the weight lies: this process's part, or all of it."""
    if isinstance(weight, DTensor):
        return distribute_tensor(tensor.to(weight.device), weight.device_mesh, weight.placements)
    return tensor.to(weight.device, copy=True)
