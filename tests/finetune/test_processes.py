import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from finetune.processes import ALONE

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("zero_stage", "shares_weights"),
    [(0, True), *(pytest.param(*case, marks=pytest.mark.chaos) for case in [(1, False), (2, False), (3, True)])],
)
def test_each_of_two_processes_holds_half_and_both_train_as_one(zero_stage: int, shares_weights: bool) -> None:
    if zero_stage:
        pytest.importorskip("deepspeed", reason="needs tuning-fork[deepspeed]")
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    command += ["--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0"]
    command += ["-m", "tests.finetune.sharding_process", str(zero_stage)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "DS_ACCELERATOR": "cpu"}
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    half = pytest.approx(0.5, abs=0.08)  # of an odd number of rows
    held = {"share_of_moments": half, "share_of_weights": half if shares_weights else 1}
    trained = dict.fromkeys(("as_alone", "norm_as_alone", "changed", "goes_on"), True)
    assert told == 2 * [{"world": 2, "sum": 3.0, **held, **trained}]


def test_one_process_keeps_its_model_as_it_is() -> None:
    model = torch.nn.Linear(2, 2)
    assert ALONE.distributed(model, torch.device("cpu")) is model
    assert ALONE.sum(1.0, 2.0) == (1.0, 2.0)
