import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from advisor.data.dataset import TrainingView
from finetune.adapter import AdapterRecord
from finetune.errors import TrainingError
from finetune.launch import LaunchConfig, read_launch_config
from finetune.progress import TrainingEvent
from finetune.recipe import TuningRecipe
from finetune.tuned_model import train_adapter
from lm.errors import ConfigError
from lm.local.huggingface import HuggingFaceModel

DDP = {"distributed_type": "MULTI_CPU", "num_processes": 2}
FSDP = {"distributed_type": "FSDP", "num_processes": 2, "fsdp_config": {"fsdp_version": 2}}


def zero(stage: int) -> dict[str, Any]:
    return {"distributed_type": "DEEPSPEED", "num_processes": 2, "deepspeed_config": {"zero_stage": stage}}


ZERO_CASES = [(zero(1), "lora"), (zero(2), "full"), (zero(3), "lora"), (zero(3), "full")]


def needs(config: dict[str, Any]) -> None:
    if config["distributed_type"] == "DEEPSPEED":
        pytest.importorskip("deepspeed", reason="needs tuning-fork[deepspeed]")


def read(tmp_path: Path, content: dict[str, Any]) -> LaunchConfig:
    path = tmp_path / "accelerate.yaml"
    path.write_text(json.dumps(content))  # JSON is YAML
    return read_launch_config(path)


def losses(record: AdapterRecord) -> list[float | None]:
    return [loss for epoch in record.epochs for loss in (epoch.train_loss, epoch.validation_loss)]


def rank_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get("RANK")
    except psutil.NoSuchProcess:  # it only looked something up for the others
        return None


def kill_second_rank(event: TrainingEvent) -> None:
    if event.epoch == 2:
        ranks = [child for child in psutil.Process().children(recursive=True) if rank_of(child) == "1"]
        assert len(ranks) == 1
        ranks[0].kill()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "method"),
    [(FSDP, "full"), *(pytest.param(*case, marks=pytest.mark.chaos) for case in [(DDP, "lora"), *ZERO_CASES])],
)
def test_two_processes_reach_the_losses_of_one(
    model: HuggingFaceModel, view: TrainingView, recipe: TuningRecipe, tmp_path: Path, config: Any, method: str
) -> None:
    needs(config)
    recipe = replace(recipe, method=method, max_epochs=2, learning_rate=0.01, batch_size=5)
    alone = train_adapter(model, view, recipe, tmp_path / "alone")
    events: list[TrainingEvent] = []
    both = train_adapter(model, view, recipe, tmp_path / "both", launch=read(tmp_path, config), on_event=events.append)
    assert losses(both) == pytest.approx(losses(alone), abs=1e-3)
    assert (both.n_processes, both.build_usage.input_tokens) == (2, alone.build_usage.input_tokens)
    assert [len(event.epochs) for event in events if event.epochs] == [1, 2]


@pytest.mark.chaos
@pytest.mark.parametrize(("config", "method"), [(DDP, "lora"), (FSDP, "full"), *ZERO_CASES])
def test_a_killed_process_ends_all_and_the_same_call_goes_on(
    model: HuggingFaceModel, view: TrainingView, recipe: TuningRecipe, tmp_path: Path, config: Any, method: str
) -> None:
    needs(config)
    recipe = replace(recipe, method=method, max_epochs=3, learning_rate=0.01, batch_size=5)
    alone = train_adapter(model, view, recipe, tmp_path / "alone")
    launch, out = read(tmp_path, config), tmp_path / "both"
    with pytest.raises(TrainingError, match=r"ended before its time.*the same command goes on"):
        train_adapter(model, view, recipe, out, launch=launch, on_event=kill_second_rank)
    assert not out.exists()
    events: list[TrainingEvent] = []
    both = train_adapter(model, view, recipe, out, launch=launch, on_event=events.append)
    assert events[0].epoch > 1
    assert losses(both) == pytest.approx(losses(alone), abs=1e-3)


def test_weights_in_4_bits_are_not_shared_out(
    model: HuggingFaceModel, view: TrainingView, recipe: TuningRecipe, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match="weights in 4 bits cannot be shared out; choose method lora"):
        train_adapter(model, view, replace(recipe, method="qlora"), tmp_path / "out", launch=read(tmp_path, FSDP))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"num_processes": 2, "distributed_type": "DEEPSPEED"}, "names no zero_stage in deepspeed_config"),
        (zero(4), "has zero_stage 4; give 0, 1, 2 or 3"),
        (
            {
                **DDP,
                "distributed_type": "DEEPSPEED",
                "deepspeed_config": {"zero_stage": 2, "offload_optimizer_device": "cpu"},
            },
            "has offload_optimizer_device cpu, which training does not use",
        ),
        ({"num_processes": 2, "distributed_type": "XLA"}, "has distributed_type XLA; give one of"),
        ({"num_processes": 2, "distributed_type": "FSDP"}, "FSDP version 1; set fsdp_version to 2"),
        ({"num_processes": 3, "num_machines": 2, "distributed_type": "MULTI_GPU"}, "3 processes on 2 machines"),
        ({"distributed_type": "NO"}, "cannot be read .* write it with `accelerate config"),
    ],
)
def test_a_configuration_that_would_do_something_else_is_refused(
    tmp_path: Path, content: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        read(tmp_path, content)


def test_several_machines_meet_at_the_address_of_the_first(tmp_path: Path) -> None:
    machines = {"num_machines": 2, "machine_rank": 1, "main_process_ip": "10.0.0.1", "main_process_port": 29500}
    config = read(tmp_path, {**FSDP, **machines, "num_processes": 8})
    assert config.shares
    assert config.arguments[:4] == ("--nproc-per-node", "4", "--nnodes", "2")
    assert config.arguments[4:] == ("--node-rank", "1", "--master-addr", "10.0.0.1", "--master-port", "29500")
