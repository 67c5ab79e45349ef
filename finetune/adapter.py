"""A trained adapter on disk: peft's two files, and a record of where it came from."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from advisor.results.answer import BuildUsage
from finetune.errors import TrainingError
from finetune.progress import EpochResult
from finetune.recipe import TuningRecipe
from finetune.rows import RowReport
from lm.files import damaged_files, staged_directory

RECORD = "adapter.json"
WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"


@dataclass(frozen=True, slots=True)
class AdapterRecord:
    """All that decided an adapter, and what training it cost.

    Attributes:
        key: Hash of base, recipe, rows and library versions: equal keys, equal training.
        base_weights_sha256: Of the base model's weight files.
        precision: What training computed in, "float32" or "bfloat16"; None for adapters of versions that did not tell.
        learning_rate: Peak rate, also where the recipe left it to the model's width.
        dataset_hash: Content hash of the training view: card, documents, train and validation split.
        train_rows_hash: Of all rows trained on, those of `text_rows` included.
        text_rows: Texts that were read beside the questions; None where there were none.
        best_epoch: The epoch whose weights were kept.
        stopped_early: Whether patience ran out before `max_epochs`.
        build_usage: `input_tokens` are those of the training rows times epochs; validation is not counted, as hosted
            tuning does not bill it.
        file_sha256: Of the adapter's other files, in records of versions that sealed no folders.
        n_parameters: Of base and adapter together; None in records of versions that did not tell, as the next two.
        peak_memory_bytes: While it trained, as `finetune.memory` takes it.
        n_bytes: Of the adapter's other files together.
        n_processes: That trained it together; `peak_memory_bytes` is of the first of them.
    """

    key: str
    base_model: str
    base_fingerprint: str
    base_weights_sha256: str
    recipe: TuningRecipe
    learning_rate: float
    n_trainable_parameters: int
    dataset_hash: str
    train_rows_hash: str
    validation_rows_hash: str
    train_rows: RowReport
    validation_rows: RowReport
    epochs: tuple[EpochResult, ...]
    best_epoch: int
    stopped_early: bool
    build_usage: BuildUsage
    library_versions: Mapping[str, str]
    file_sha256: Mapping[str, str] = field(default_factory=dict)
    text_rows: RowReport | None = None
    precision: str | None = None
    n_parameters: int | None = None
    peak_memory_bytes: int | None = None
    n_bytes: int | None = None
    n_processes: int = 1


def save_adapter(directory: Path, write: Callable[[Path], None], record: AdapterRecord) -> AdapterRecord:
    """Write what was trained and its record; `directory` appears whole or not at all.

    Args:
        write: Fills a folder with what was trained.
    Returns:
        The record with the size of the files.
    """
    with staged_directory(directory, sealed=True) as staged:
        write(staged)
        n_bytes = sum(path.stat().st_size for path in staged.iterdir())
        record = replace(record, n_bytes=n_bytes)
        _write_json(staged / RECORD, asdict(record))
    return record


def write_adapter(folder: Path, weights: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """The two files of an adapter that plain peft can load.

    Args:
        weights: Tensors by peft's names.
        config: peft's adapter configuration.
    """
    from safetensors.torch import save_file

    save_file(dict(weights), folder / WEIGHTS, metadata={"format": "pt"})
    _write_json(folder / CONFIG, dict(config))


def load_adapter_record(directory: Path) -> AdapterRecord:
    """The record of an adapter whose files are as they were written.

    Raises:
        TrainingError: names the adapter and what is missing or damaged.
    """
    try:
        data = json.loads((directory / RECORD).read_text(encoding="utf-8"))
        record = _record(data)
    except FileNotFoundError as error:
        raise TrainingError(f"{directory} is no adapter of ours: it has no {RECORD}") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"the adapter {directory} is damaged: {RECORD} cannot be read ({error})") from error
    if damaged := damaged_files(directory, record.file_sha256):
        raise TrainingError(
            f"the adapter {directory} is damaged: {', '.join(damaged)} missing or unlike its recorded hash"
        )
    return record


def _record(data: dict[str, Any]) -> AdapterRecord:
    targets = data["recipe"]["target_modules"]
    return AdapterRecord(
        **data
        | {
            "recipe": TuningRecipe(
                **data["recipe"] | {"target_modules": targets if isinstance(targets, str) else ",".join(targets)}
            ),
            "train_rows": _row_report(data["train_rows"]),
            "validation_rows": _row_report(data["validation_rows"]),
            "text_rows": _row_report(data["text_rows"]) if data.get("text_rows") else None,
            "epochs": tuple(EpochResult(**epoch) for epoch in data["epochs"]),
            "build_usage": BuildUsage(**data["build_usage"]),
        }
    )


def _row_report(data: dict[str, Any]) -> RowReport:
    return RowReport(**data | {"too_long_ids": tuple(data["too_long_ids"])})


def _write_json(path: Path, data: dict[str, Any]) -> None:
    path.write_text(json.dumps(data, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
