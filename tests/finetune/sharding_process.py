"""One of two processes that share out a model's weights; tells what it holds of them."""

import json
import sys

import torch
from torch import distributed, nn
from torch.distributed.tensor import DTensor

from finetune.processes import Processes, like, whole


class Block(nn.Linear):
    """What is shared out one by one."""


class Model(nn.Sequential):
    """As transformers names its layers."""

    _no_split_modules = ("Block",)


def main() -> None:
    processes = Processes.join(torch.device("cpu"))
    torch.manual_seed(0)
    model = Model(*(Block(64, 64) for _ in range(4)))
    before = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    assert processes.distributed(model, torch.device("cpu")) is model
    shared = dict(model.named_parameters())
    local = sum(w.to_local().numel() for w in shared.values() if isinstance(w, DTensor))
    with torch.no_grad():
        again = all(torch.equal(whole(w.copy_(like(w, before[name]))), before[name]) for name, w in shared.items())
    told = {
        "world": processes.world,
        "all_shared": all(isinstance(weight, DTensor) for weight in shared.values()),
        "share": local / sum(weight.numel() for weight in before.values()),
        "whole_again": again,
        "sum": processes.sum(processes.rank + 1.0)[0],
    }
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
