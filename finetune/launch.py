"""Training in several processes, as a configuration of `accelerate` says; and what each of them does."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from finetune.attach import attach
from finetune.errors import DivergedError, TrainingError
from finetune.methods import METHODS
from finetune.processes import Processes
from finetune.progress import EpochResult, TrainingEvent
from finetune.recipe import TuningRecipe
from finetune.rows import TrainingRow
from finetune.train import OnEvent, train
from lm.errors import ConfigError
from lm.files import make_folder

_EVENT = "training-event "
_KINDS = ("NO", "MULTI_CPU", "MULTI_GPU", "FSDP", "DEEPSPEED")
"""Of accelerate's `distributed_type`."""


@dataclass(frozen=True, slots=True)
class LaunchConfig:
    """What of accelerate's configuration decides a training.

    Attributes:
        shares: Whether processes hold parts of what is trained; otherwise each holds all.
        zero_stage: Of DeepSpeed; 0 without it.
        arguments: Of `torch.distributed.run`.
    """

    n_processes: int
    shares: bool
    zero_stage: int
    arguments: tuple[str, ...]


def read_launch_config(path: Path) -> LaunchConfig:
    """The file that `accelerate config` writes.

    Raises:
        ConfigError: it cannot be read, or asks for what training does not do.
    """
    import yaml

    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        kind, n_machines = str(raw.get("distributed_type", "NO")), int(raw.get("num_machines", 1))
        n_processes = int(raw["num_processes"])
    except (OSError, ValueError, KeyError, AttributeError, TypeError, yaml.YAMLError) as error:
        raise ConfigError(
            f"launch_config {path} cannot be read ({error}); write it with `accelerate config --config_file {path}`"
        ) from error
    if kind not in _KINDS:
        raise ConfigError(f"launch_config {path} has distributed_type {kind}; give one of {', '.join(_KINDS)}")
    if kind == "FSDP" and int((raw.get("fsdp_config") or {}).get("fsdp_version", 1)) != 2:
        raise ConfigError(f"launch_config {path} asks for FSDP version 1; set fsdp_version to 2")
    zero_stage = _zero_stage(path, raw.get("deepspeed_config") or {}) if kind == "DEEPSPEED" else 0
    if n_processes % n_machines:
        raise ConfigError(f"launch_config {path} has {n_processes} processes on {n_machines} machines; give a multiple")
    arguments = ["--nproc-per-node", str(n_processes // n_machines), "--nnodes", str(n_machines)]
    if n_machines == 1:
        arguments += ["--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0"]
    else:
        arguments += ["--node-rank", str(raw.get("machine_rank", 0)), "--master-addr", str(raw["main_process_ip"])]
        arguments += ["--master-port", str(raw["main_process_port"])]
    return LaunchConfig(n_processes, kind == "FSDP" or zero_stage > 0, zero_stage, tuple(arguments))


def _zero_stage(path: Path, config: dict[str, Any]) -> int:
    """What a `deepspeed_config` shares out; whatever else would change the training is refused."""
    try:
        stage = int(config["zero_stage"])
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"launch_config {path} names no zero_stage in deepspeed_config; give 0, 1, 2 or 3") from error
    if stage not in range(4):
        raise ConfigError(f"launch_config {path} has zero_stage {stage}; give 0, 1, 2 or 3")
    for key in ("offload_optimizer_device", "offload_param_device"):
        if config.get(key, "none") != "none":
            raise ConfigError(
                f"launch_config {path} has {key} {config[key]}, which training does not use; set it to none"
            )
    return stage


def train_launched(
    config: LaunchConfig, base: Path, device: torch.device, name: str, on_event: OnEvent | None, **job: Any
) -> None:
    """Train in processes of their own; what they reach is in the checkpoint directory.

    Args:
        base: Folder of the model that each process loads.
        name: What errors call it.
        on_event: As for `finetune.train.train`; what it raises ends the processes.
        job: The other arguments of `train`.
    Raises:
        TrainingError: a process ended before its time, with what it said last; the same call goes on from the last
            whole epoch.
    """
    if config.shares and METHODS[job["recipe"].method].quantises:
        raise TrainingError(
            "weights in 4 bits cannot be shared out; choose method lora, or a launch_config without FSDP and DeepSpeed"
        )
    make_folder(job["checkpoint_dir"])
    with tempfile.TemporaryDirectory(dir=job["checkpoint_dir"]) as folder:
        path = Path(folder).resolve() / "job.json"
        shared = {"shares": config.shares, "zero_stage": config.zero_stage}
        path.write_text(json.dumps({"base": str(base), "device": device.type, "name": name, **shared, **_plain(job)}))
        command = [sys.executable, "-m", "torch.distributed.run", *config.arguments, "-m", "finetune.launch", str(path)]
        with (
            (Path(folder) / "stderr").open("w+") as said,
            subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
                start_new_session=True,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            ) as process,
        ):
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    if line.startswith(_EVENT) and on_event is not None:
                        on_event(_read_event(line.removeprefix(_EVENT)))
                code = process.wait()
            except BaseException:
                process.kill()
                process.stdin.close()  # the processes of torchrun are in sessions of their own; see _end_with_caller
                process.stdout.read()  # all hold it until they are gone
                raise
            said.seek(0)
            if code:
                raise _failure(said.read())


def main() -> None:
    """One process of a training. Argument: the file that `train_launched` wrote."""
    threading.Thread(target=_end_with_caller, daemon=True).start()
    job = json.loads(Path(sys.argv[1]).read_text())
    local_rank = int(os.environ["LOCAL_RANK"])
    device = torch.device("cuda", local_rank) if job.pop("device") == "cuda" else torch.device("cpu")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    processes = Processes.join(device, shares=job.pop("shares"), zero_stage=job.pop("zero_stage"))
    from transformers import AutoModelForCausalLM

    recipe = TuningRecipe(**job.pop("recipe"))
    base, name = Path(job.pop("base")), job.pop("name")
    rows, validation_rows = ([_row(*row) for row in job.pop(part)] for part in ("rows", "validation_rows"))
    try:
        train(
            attach(base, AutoModelForCausalLM, recipe, device, name),
            rows,
            validation_rows,
            recipe,
            **job | {"special_ids": frozenset(job["special_ids"]), "checkpoint_dir": Path(job["checkpoint_dir"])},
            on_event=_tell if processes.rank == 0 else None,
            processes=processes,
        )
    except TrainingError as error:
        sys.stderr.write(f"{type(error).__name__}{_FAILED}{error}\n")
        raise SystemExit(1) from None
    finally:
        torch.distributed.destroy_process_group()


_FAILED = " of the training: "


def _end_with_caller() -> None:
    """End this process when the one that called for the training is gone, be it killed: two would train the same."""
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.kill(os.getpid(), signal.SIGKILL)


def _plain(job: dict[str, Any]) -> dict[str, Any]:
    return job | {
        "rows": [_fields(row) for row in job["rows"]],
        "validation_rows": [_fields(row) for row in job["validation_rows"]],
        "recipe": asdict(job["recipe"]),
        "special_ids": sorted(job["special_ids"]),
        "checkpoint_dir": str(job["checkpoint_dir"].resolve()),
    }


def _fields(row: TrainingRow) -> tuple[str, Sequence[int], int]:
    return row.example_id, row.token_ids, row.n_prompt_tokens


def _row(example_id: str, token_ids: list[int], n_prompt_tokens: int) -> TrainingRow:
    return TrainingRow(example_id, tuple(token_ids), n_prompt_tokens)


def _tell(event: TrainingEvent) -> None:
    sys.stdout.write(f"{_EVENT}{json.dumps(asdict(event))}\n")
    sys.stdout.flush()


def _read_event(text: str) -> TrainingEvent:
    raw = json.loads(text)
    return TrainingEvent(**raw | {"epochs": tuple(EpochResult(**epoch) for epoch in raw["epochs"])})


def _failure(said: str) -> TrainingError:
    """What the processes said, short: that the training fails, or that one of them ended."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    for error in (DivergedError, TrainingError):
        for line in lines:
            if line.startswith(prefix := f"{error.__name__}{_FAILED}"):
                return error(line.removeprefix(prefix))
    errors = [line for line in lines if "Error" in line or "Signal" in line]
    reason = (errors or lines or ["it said nothing"])[-1][:500]
    return TrainingError(
        f"a process of the training ended before its time: {reason}; the same command goes on from the last whole epoch"
    )


if __name__ == "__main__":
    main()
