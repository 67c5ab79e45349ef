"""The processes that train one model together: gradients are averaged (DDP), or more is shared out (FSDP 2, ZeRO)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import distributed as dist


@dataclass(frozen=True, slots=True)
class Processes:
    """Who trains, and which of them this one is.

    Attributes:
        shares: Whether each holds a part of the weights, or of what the optimiser keeps; otherwise each holds all.
        zero_stage: What DeepSpeed shares out (1 moments, 2 gradients too, 3 weights too); 0 where torch does it alone.
    """

    rank: int = 0
    world: int = 1
    shares: bool = False
    zero_stage: int = 0

    @classmethod
    def join(cls, device: torch.device, *, shares: bool, zero_stage: int) -> "Processes":
        """Meet the others that torchrun, or `accelerate launch`, started."""
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        return cls(dist.get_rank(), dist.get_world_size(), shares, zero_stage)

    def distributed(self, model: Any, device: torch.device) -> Any:
        """The model to call in training; parameters keep their names in `model`."""
        if self.world == 1:
            return model
        if not self.shares:
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
