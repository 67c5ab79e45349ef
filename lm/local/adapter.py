"""The files that tuning left, an adapter or all weights, checked before any library opens them."""

import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lm.errors import LanguageModelError
from lm.files import hash_files
from lm.weights.model_files import PICKLE_SUFFIXES, find_weight_files, read_tensor_shapes, told_below

_QUANTISED = re.compile(r"(-unsloth)?-(bnb-)?[48]bit$|-(gptq|awq)(-int[48])?$")
_CHANGES_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")
KINDS = ("LORA", "IA3", "VERA")
CONFIG = "adapter_config.json"
RECORD = "adapter.json"


@dataclass(frozen=True)
class AdapterFiles:
    """A folder with an adapter as peft writes it, or a whole model, and, if we trained it, `adapter.json`.

    Attributes:
        config: What peft, or transformers, wrote.
        record: What Tuning Fork wrote beside it; `base_weights_sha256` there names the base it was trained on.
    """

    folder: Path
    config: dict[str, Any]
    record: dict[str, Any]

    @property
    def is_whole_model(self) -> bool:
        """Whether it holds all weights of a model; otherwise an adapter."""
        return "peft_type" not in self.config

    @property
    def fits_beside_others(self) -> bool:
        """Whether it can be attached to a base that other adapters share."""
        return self.config.get("peft_type") == "LORA"

    @property
    def weights(self) -> Path:
        """The one weight file."""
        return self.folder / ("model.safetensors" if self.is_whole_model else "adapter_model.safetensors")

    @cached_property
    def sha256(self) -> str:
        """Hash of weights and config."""
        return hash_files([self.weights, self.folder / ("config.json" if self.is_whole_model else CONFIG)])

    @property
    def base(self) -> str:
        """The base model's name or path as the trainer saw it; may be empty."""
        return str(self.config.get("base_model_name_or_path") or "")

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each adapter tensor by its name in the base model, peft's prefix removed."""
        shapes = read_tensor_shapes(self.weights)
        return {name.removeprefix("base_model.model."): shape for name, shape in shapes.items()}


def read_adapter(folder: str | Path) -> AdapterFiles:
    """The files of an adapter that is safe to attach, or of a model that full tuning left.

    Raises:
        LanguageModelError: a file is missing or damaged, the weights are pickled, it is of a kind that is not known, or
            attaching it would change the base model's own weights.
    """
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise LanguageModelError(f"the adapter folder {path} does not exist; give the folder a training run wrote")
    record_path = path / RECORD
    record = _read_json(record_path) if record_path.is_file() else {}
    if record and (path / "model.safetensors").is_file():
        return AdapterFiles(path, _read_json(path / "config.json"), record)
    weights = path / "adapter_model.safetensors"
    if not weights.is_file():
        pickled = sorted(file.name for file in path.iterdir() if file.suffix in PICKLE_SUFFIXES)
        if pickled:
            raise LanguageModelError(
                f"the adapter {path} has only pickled weights ({pickled[0]}), which can run code when loaded and are "
                "refused; save it again with safetensors"
            )
        raise LanguageModelError(
            f"the adapter {path} holds no adapter_model.safetensors; {told_below(path) or 'train or copy it again'}"
        )
    config = _read_json(path / CONFIG)
    adapter = AdapterFiles(path, config, record)
    if config.get("peft_type") not in KINDS:
        raise LanguageModelError(
            f"the adapter {path} is of type {config.get('peft_type')}; supported are {', '.join(KINDS)}"
        )
    start = str(config.get("init_lora_weights", True)).lower()
    if start.startswith(_CHANGES_BASE):
        raise LanguageModelError(
            f"the adapter {path} was saved relative to base weights changed by {start!r}, so attaching it would change "
            "the base model's answers too; save it converted to plain LoRA "
            "(peft: `path_initial_model_for_weight_conversion`)"
        )
    return adapter


def check_fits_base(adapter: AdapterFiles, module: Any, base_name: str, base_weights_sha256: str) -> None:
    """Refuse an adapter that was trained for another base model.

    The hash our own training records is decisive. An adapter from elsewhere is checked by the base's hub id, when both
    are known by one, by the weights, when both are folders here, and by the layers and shapes it holds.

    Raises:
        LanguageModelError: it does not belong to this base.
    """
    trained_on = adapter.record.get("base_weights_sha256")
    if trained_on is None and adapter.base and Path(adapter.base).is_dir() and Path(base_name).is_dir():
        trained_on = hash_files(find_weight_files(Path(adapter.base)))
    if trained_on is not None and trained_on != base_weights_sha256:
        raise LanguageModelError(
            f"the adapter {adapter.folder} was trained on other base weights (sha256 {str(trained_on)[:12]}…) than "
            f"{base_name!r} has ({base_weights_sha256[:12]}…); load the base it was trained on, or train it again"
        )
    both_known = _is_hub_id(adapter.base) and _is_hub_id(base_name)
    if trained_on is None and both_known and _model_name(adapter.base) != _model_name(base_name):
        raise LanguageModelError(
            f"the adapter {adapter.folder} was trained on {adapter.base!r}, not on {base_name!r}; load that base"
        )
    for name, shape in adapter.shapes.items():
        if (reason := _misfit(name, shape, module)) is not None:
            raise LanguageModelError(
                f"the adapter {adapter.folder} does not fit the base {base_name!r}: {reason}; it was trained on "
                f"{adapter.base or 'another model'!r}"
            )


def _misfit(name: str, shape: tuple[int, ...], module: Any) -> str | None:
    layer_name, found, part = name.partition(".lora_")
    if not found:
        return None
    try:
        layer = module.get_submodule(layer_name)
    except AttributeError:
        return f"there is no layer {layer_name}"
    if part == "A.weight" and hasattr(layer, "in_features") and shape[-1] != layer.in_features:
        return f"{layer_name} takes {layer.in_features} inputs, the adapter's {shape[-1]}"
    if part == "B.weight" and hasattr(layer, "out_features") and shape[0] != layer.out_features:
        return f"{layer_name} gives {layer.out_features} outputs, the adapter's {shape[0]}"
    return None


def _model_name(hub_id: str) -> str:
    """The name without whose copy it is: Unsloth trains on its own, quantised ones (`unsloth/NAME-bnb-4bit`)."""
    return _QUANTISED.sub("", hub_id.rpartition("/")[2].lower())


def _is_hub_id(name: str) -> bool:
    return name.count("/") == 1 and not name.startswith((".", "/", "~")) and not Path(name).exists()


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LanguageModelError(f"{path} is missing or no valid JSON; train or copy the adapter again") from error
    if not isinstance(value, dict):
        raise LanguageModelError(f"{path} holds no JSON object; train or copy the adapter again")
    return value
