import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

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

CONFIGS = {
    "DDP": {"distributed_type": "MULTI_CPU", "num_processes": 2},
    "FSDP": {"distributed_type": "FSDP", "num_processes": 2, "fsdp_config": {"fsdp_version": 2}},
}


def config(tmp_path: Path, kind: str, **changes: Any) -> LaunchConfig:
    path = tmp_path / f"{kind}.yaml"
    path.write_text(json.dumps({**CONFIGS[kind], **changes}))  # JSON is YAML
    return read_launch_config(path)


def losses(record: AdapterRecord) -> list[float | None]:
    return [loss for epoch in record.epochs for loss in (epoch.train_loss, epoch.validation_loss)]


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "method"), [("DDP", "lora"), ("FSDP", "full")])
def test_two_processes_reach_the_losses_of_one(
    model: HuggingFaceModel, view: TrainingView, recipe: TuningRecipe, tmp_path: Path, kind: str, method: str
) -> None:
    recipe = replace(recipe, method=method, max_epochs=2, learning_rate=0.01, batch_size=5)
    alone = train_adapter(model, view, recipe, tmp_path / "alone")
    events: list[TrainingEvent] = []
    both = train_adapter(model, view, recipe, tmp_path / "both", launch=config(tmp_path, kind), on_event=events.append)
    assert losses(both) == pytest.approx(losses(alone), abs=1e-3)
    assert (both.n_processes, both.build_usage.input_tokens) == (2, alone.build_usage.input_tokens)
    assert [len(event.epochs) for event in events if event.epochs] == [1, 2]
