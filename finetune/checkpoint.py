"""Checkpoints: what training needs to go on as if it had never stopped. Tensors in safetensors, the rest in JSON."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from finetune.errors import TrainingError
from finetune.progress import EpochResult
from finetune.stepping import Stepping
from lm.files import damaged_files, staged_directory

MARKER = "state.json"
_RNG = "rng/"


@dataclass
class TrainingState:
    """What training has reached.

    Attributes:
        best_weights: Adapter weights after the best epoch, by parameter name, on the CPU.
        n_tokens: Tokens trained on so far, prompts included, padding not.
        seconds: Time spent in training, earlier sessions included.
    """

    epochs: list[EpochResult] = field(default_factory=list)
    best_epoch: int = 0
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    n_tokens: int = 0
    seconds: float = 0.0


def checkpoint_directory(out_dir: Path) -> Path:
    """Where the checkpoints of a training lie that will leave its adapter in `out_dir`."""
    return out_dir.with_name(f"{out_dir.name}.partial")


def discard_checkpoints(out_dir: Path) -> None:
    """Forget a training that is not gone on with, or that is finished."""
    shutil.rmtree(checkpoint_directory(out_dir), ignore_errors=True)


def save_checkpoint(
    directory: Path,
    key: str,
    state: TrainingState,
    steps: Stepping,
    device: torch.device,
    *,
    writes: bool = True,
) -> None:
    """Write the checkpoint of the epoch just ended into `directory`, then drop the older ones.

    Args:
        key: What identifies the run; a checkpoint of another key is never resumed.
        writes: Whether this process writes what all of them bring together.
    """
    current, moments = steps.weights(), steps.moments()
    if not writes:
        return
    target = directory / f"epoch-{len(state.epochs):04d}"
    with staged_directory(target, sealed=True) as staged:
        save_file(current, staged / "weights.safetensors")
        save_file(state.best_weights, staged / "best_weights.safetensors")
        save_file(moments | _rng_tensors(device), staged / "optimizer.safetensors")
        marker = {
            "key": key,
            "epochs": [asdict(epoch) for epoch in state.epochs],
            "best_epoch": state.best_epoch,
            "n_tokens": state.n_tokens,
            "seconds": state.seconds,
        }
        (staged / MARKER).write_text(json.dumps(marker, indent=2), encoding="utf-8")
    for older in directory.glob("epoch-*"):
        if older != target:
            shutil.rmtree(older)


def restore_checkpoint(directory: Path, key: str, steps: Stepping, device: torch.device) -> TrainingState | None:
    """Put the newest whole checkpoint of this key back into weights, optimiser and random generators.

    Returns:
        What had been reached; None if there is no such checkpoint (none, another key, damaged).
    """
    for source in sorted(directory.glob("epoch-*"), reverse=True):
        marker = _whole_marker(source, key)
        if marker is None:
            continue
        steps.set_weights(load_file(source / "weights.safetensors"))
        tensors = load_file(source / "optimizer.safetensors")
        steps.set_moments(tensors)
        torch.set_rng_state(tensors[_RNG + "cpu"])
        if device.type == "cuda" and _RNG + "cuda" in tensors:
            torch.cuda.set_rng_state(tensors[_RNG + "cuda"], device)
        return _state(source, marker)
    return None


def take_best_weights(directory: Path, key: str, model: Any) -> TrainingState:
    """Give a model the best weights that other processes' training left, and tell what it reached.

    Raises:
        TrainingError: it left no whole checkpoint.
    """
    for source in sorted(directory.glob("epoch-*"), reverse=True):
        if (marker := _whole_marker(source, key)) is not None:
            state = _state(source, marker)
            with torch.no_grad():
                for name, weight in model.named_parameters():
                    if name in state.best_weights:
                        weight.copy_(state.best_weights[name])
            return state
    raise TrainingError(f"the training left no whole checkpoint in {directory}; look for room on the disk, train again")


def _state(source: Path, marker: Mapping[str, Any]) -> TrainingState:
    return TrainingState(
        epochs=[EpochResult(**epoch) for epoch in marker["epochs"]],
        best_epoch=marker["best_epoch"],
        best_weights=load_file(source / "best_weights.safetensors"),
        n_tokens=marker["n_tokens"],
        seconds=marker["seconds"],
    )


def _whole_marker(source: Path, key: str) -> dict[str, Any] | None:
    try:
        marker = json.loads((source / MARKER).read_text(encoding="utf-8"))
        # Versions without seals noted hashes in the marker.
        return marker if marker["key"] == key and not damaged_files(source, marker.get("sha256")) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _rng_tensors(device: torch.device) -> dict[str, Tensor]:
    tensors = {_RNG + "cpu": torch.get_rng_state()}
    if device.type == "cuda":
        tensors[_RNG + "cuda"] = torch.cuda.get_rng_state(device)
    return tensors
