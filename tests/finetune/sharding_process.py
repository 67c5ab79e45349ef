"""One of two processes that share out a training; tells what it holds of it. Argument: ZeRO's stage, 0 for FSDP."""

import json
import sys

import torch
from torch import Tensor, distributed, nn
from torch.distributed.tensor import DTensor

from finetune.processes import ALONE, Processes
from finetune.recipe import TuningRecipe
from finetune.stepping import DeepSpeedStepping, Stepping, TorchStepping, stepping

CPU = torch.device("cpu")


class Block(nn.Linear):
    """What FSDP shares out one by one; an odd number of weights, which no two processes can halve."""


class Model(nn.Sequential):
    """As transformers names its layers."""

    _no_split_modules = ("Block",)


def main() -> None:
    stage = int(sys.argv[1])
    processes = Processes.join(CPU, shares=True, zero_stage=stage)
    shared, alone = _steps(processes), _steps(ALONE)
    start = shared.weights()
    inputs = torch.randn(2, 2, 7, generator=torch.Generator().manual_seed(1))  # (rank, pass, features)
    for _ in range(2):
        for number, row in enumerate(inputs[processes.rank], 1):
            shared.backward(2 * shared.model(row[None]).square().sum(), is_last=number == 2)
        for row in inputs.flatten(0, 1):
            alone.backward(alone.model(row[None]).square().sum(), is_last=False)
        norms = shared.step(0.01), alone.step(0.01)
    reached, moments = shared.weights(), shared.moments()
    told = {
        "world": processes.world,
        "share_of_moments": round(_held(shared) / sum(value.numel() for value in start.values()), 2),
        "share_of_weights": round(_held_weights(shared) / sum(value.numel() for value in start.values()), 2),
        "as_alone": _alike(reached, alone.weights()) and _alike(moments, alone.moments()),
        "norm_as_alone": torch.allclose(norms[0].float(), norms[1], rtol=1e-4),
        "changed": not _alike(start, reached),
        "goes_on": _goes_on(processes, reached, moments),
        "sum": processes.sum(processes.rank + 1.0)[0],
    }
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()
    distributed.destroy_process_group()


def _steps(processes: Processes) -> Stepping:
    torch.manual_seed(0)
    model = Model(*(Block(7, 7) for _ in range(4)))
    return stepping(model, TuningRecipe(weight_decay=0.1, max_grad_norm=0.5), processes, CPU, None)


def _goes_on(processes: Processes, weights: dict[str, Tensor], moments: dict[str, Tensor]) -> bool:
    """Whether a fresh training takes up both, and makes of them what one process makes."""
    reached = []
    for steps in (_steps(processes), _steps(ALONE)):
        steps.set_weights(weights)
        steps.set_moments(moments)
        if not (_alike(steps.weights(), weights) and _alike(steps.moments(), moments)):
            return False
        steps.backward(steps.model(torch.ones(1, 7)).square().sum(), is_last=True)
        steps.step(0.01)
        reached.append(steps.weights() | steps.moments())
    return _alike(*reached)


def _held(steps: Stepping) -> int:
    if isinstance(steps, DeepSpeedStepping):
        return sum(state["exp_avg"].numel() for state in steps._states().values())
    assert isinstance(steps, TorchStepping)
    return sum(_local(state["exp_avg"]).numel() for state in steps._optimizer.state.values())


def _held_weights(steps: Stepping) -> int:
    assert isinstance(steps, DeepSpeedStepping | TorchStepping)
    return sum(getattr(weight, "ds_tensor", _local(weight)).numel() for weight in steps._weights.values())


def _local(tensor: Tensor) -> Tensor:
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def _alike(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return all(torch.allclose(first[name], second[name], rtol=1e-4, atol=1e-6) for name in first | second)


if __name__ == "__main__":
    main()
