import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from finetune.processes import ALONE, SHARD, like, whole

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_each_of_two_processes_holds_half_of_the_weights() -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    command += ["--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0", "-m", "tests.finetune.sharding_process"]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {SHARD: "1", "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert told == 2 * [{"world": 2, "all_shared": True, "share": 0.5, "whole_again": True, "sum": 3.0}]


def test_one_process_keeps_its_model_as_it_is() -> None:
    model = torch.nn.Linear(2, 2)
    assert ALONE.distributed(model, torch.device("cpu")) is model
    assert ALONE.sum(1.0, 2.0) == (1.0, 2.0)
    weight = model.weight.detach()
    assert whole(weight) is weight
    assert torch.equal(like(weight, weight), weight)
