"""The processes that train one model together: gradients are averaged (DDP), or weights are shared out too (FSDP 2)."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist
from torch.distributed.tensor import DTensor, distribute_tensor

SHARD = "TUNING_FORK_SHARD"
"""Set by `finetune.launch` where weights are to be shared out."""


@dataclass(frozen=True, slots=True)
class Processes:
    """Who trains, and which of them this one is.

    Attributes:
        shards: Whether each holds a part of the weights and of what the optimiser keeps; otherwise each holds all.
    """

    rank: int = 0
    world: int = 1
    shards: bool = False

    @classmethod
    def join(cls, device: torch.device) -> "Processes":
        """Meet the others that torchrun, or `accelerate launch`, started."""
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        return cls(dist.get_rank(), dist.get_world_size(), os.environ.get(SHARD) == "1")

    def distributed(self, model: Any, device: torch.device) -> Any:
        """The model to call in training; parameters keep their names in `model`."""
        if self.world == 1:
            return model
        if not self.shards:
            from torch.nn.parallel import DistributedDataParallel

            return DistributedDataParallel(model, device_ids=[device] if device.type == "cuda" else None)
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        mesh = init_device_mesh(device.type, (self.world,))
        plain = model.get_base_model() if hasattr(model, "get_base_model") else model
        layers = set(plain._no_split_modules or ())
        for module in model.modules():
            if type(module).__name__ in layers:
                fully_shard(module, mesh=mesh)
        fully_shard(model, mesh=mesh)
        return model

    def sum(self, *numbers: float) -> Sequence[float]:
        """Each number added up over the processes."""
        if self.world == 1:
            return numbers
        device = torch.device("cuda", torch.cuda.current_device()) if dist.get_backend() == "nccl" else "cpu"
        total = torch.tensor(numbers, dtype=torch.float64, device=device)
        dist.all_reduce(total)
        return [float(number) for number in total.tolist()]


ALONE = Processes()


def whole(tensor: Tensor) -> Tensor:
    """A tensor with the parts that other processes hold; all of them ask for it at the same time."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def like(weight: Tensor, tensor: Tensor) -> Tensor:
    """A whole tensor as the weight lies: this process's part, or all of it."""
    if isinstance(weight, DTensor):
        return distribute_tensor(tensor.to(weight.device), weight.device_mesh, weight.placements)
    return tensor.to(weight.device)
