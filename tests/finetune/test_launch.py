import json
import math
import queue
import random
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from advisor.data.dataset import TrainingView
from finetune.adapter import AdapterRecord
from finetune.checkpoint import checkpoint_directory
from finetune.errors import TrainingError
from finetune.launch import LaunchConfig, read_launch_config
from finetune.progress import TrainingEvent
from finetune.recipe import TuningRecipe
from finetune.tuned_model import train_adapter
from lm.errors import ConfigError
from lm.files import damaged_files
from lm.local.huggingface import HuggingFaceModel
from tests.chaos.workplace import processes_below

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


MOMENTS = ("while starting", "in a step", "while a checkpoint is written", "between epochs")


def rank_of(process: psutil.Process) -> str | None:
    try:
        return process.environ().get("RANK")
    except psutil.NoSuchProcess:  # it only looked something up for the others
        return None


class Kill:
    """Ends one of the two processes of a training, by chance which, when a moment of it comes."""

    def __init__(self, moment: str, lot: random.Random, checkpoints: Path) -> None:
        self.moment = moment
        self.told: queue.Queue[TrainingEvent] = queue.Queue()
        self.over = threading.Event()
        self._lot = lot
        self._checkpoints = checkpoints

    def __call__(self) -> None:
        ranks: dict[str | None, psutil.Process] = {}
        while not {"0", "1"} <= ranks.keys():
            if self.over.wait(0.01):
                return
            ranks = {rank_of(child): child for child in psutil.Process().children(recursive=True)}
        victim = ranks[self._lot.choice("01")]
        if self.moment == "while starting":
            self._event(self._lot.uniform(0, 3))
        else:
            for _ in range(self._lot.randrange(1, 9)):
                self._event()
        if self.moment == "in a step":
            self._event(self._lot.uniform(0, 0.02))
        elif self.moment == "between epochs":
            while (event := self._event()) is not None and not event.epochs:
                pass
        elif self.moment == "while a checkpoint is written":
            victim = ranks[self._lot.choice("001")]  # it is the first that writes
            while not list(self._checkpoints.glob(".epoch-*.staged")) and not self.over.is_set():
                pass
        if not self.over.is_set():
            victim.kill()

    def _event(self, wait_s: float = math.inf) -> TrainingEvent | None:
        """The next, None if there is none in that time."""
        until = time.monotonic() + wait_s
        while time.monotonic() < until and not self.over.is_set():
            with suppress(queue.Empty):
                return self.told.get(timeout=min(0.05, max(0.0, until - time.monotonic())))
        return None


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
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("config", "method", "n_kills"), [(DDP, "lora", 15), (FSDP, "full", 15), *((*case, 4) for case in ZERO_CASES)]
)
def test_processes_killed_again_and_again_end_as_one_that_was_not(
    model: HuggingFaceModel,
    view: TrainingView,
    recipe: TuningRecipe,
    tmp_path: Path,
    config: Any,
    method: str,
    n_kills: int,
) -> None:
    needs(config)
    recipe = replace(recipe, method=method, max_epochs=6, patience=6, learning_rate=0.01, batch_size=5)
    alone = train_adapter(model, view, recipe, tmp_path / "alone")
    launch, lot = read(tmp_path, config), random.Random(n_kills)
    n_killed = n_torn = n_trainings = 0
    while n_killed < n_kills:
        n_trainings += 1
        out = tmp_path / f"killed-{n_trainings}"
        checkpoints = checkpoint_directory(out)
        ended: list[int] = []
        while not out.exists():
            reached = max((int(folder.name[6:]) for folder in checkpoints.glob("epoch-*")), default=0)
            kill = Kill(MOMENTS[n_killed % len(MOMENTS)], lot, checkpoints)
            events: list[TrainingEvent] = []

            def on_event(event: TrainingEvent, events: Any = events, kill: Kill = kill) -> None:
                events.append(event)
                kill.told.put(event)

            with ThreadPoolExecutor(1) as pool:
                if n_killed < n_kills:
                    pool.submit(kill)
                try:
                    both = train_adapter(model, view, recipe, out, launch=launch, on_event=on_event)
                except TrainingError as error:
                    assert re.search("ended before its time.*the same command goes on", str(error))
                    n_killed += 1
                finally:
                    kill.over.set()
            assert not processes_below(tmp_path)
            # What was whole is not trained again, and what was half written is not read.
            assert not events or events[0].epoch == reached + 1
            ended += [event.epoch for event in events if event.epochs]
            n_torn += bool(list(checkpoints.glob(".epoch-*.staged")))
            assert not any(damaged_files(folder) for folder in checkpoints.glob("epoch-*"))
        assert ended == sorted(set(ended))
        assert losses(both) == pytest.approx(losses(alone), abs=1e-3)
        assert [epoch.epoch for epoch in both.epochs] == [epoch.epoch for epoch in alone.epochs]
        assert both.build_usage.input_tokens == alone.build_usage.input_tokens
        assert not checkpoints.exists()
    assert n_kills < 15 or (n_torn > 0 and n_trainings < n_kills)


@pytest.mark.chaos
def test_a_caller_that_stops_leaves_no_process_that_trains_on(
    model: HuggingFaceModel, view: TrainingView, recipe: TuningRecipe, tmp_path: Path
) -> None:
    def stop(event: TrainingEvent) -> None:
        raise KeyboardInterrupt

    recipe = replace(recipe, max_epochs=200, patience=200)
    with pytest.raises(KeyboardInterrupt):
        train_adapter(model, view, recipe, tmp_path / "out", launch=read(tmp_path, DDP), on_event=stop)
    assert not processes_below(tmp_path)
    assert not list(checkpoint_directory(tmp_path / "out").glob("epoch-0200"))


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
