"""A run of Microsoft Olive that trains the adapter, merges it and converts the model for ONNX Runtime."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from advisor.data.dataset import Split
from service.handover.onnx import GENAI, OLIVE
from service.handover.training_rows import TRAIN_FILE, VALIDATION_FILE, write_chats
from service.handover.trl import lora_settings, recipe_notes, sft_settings
from service.handover.weights import MODEL_FOLDER

if TYPE_CHECKING:
    from service.handover.winner import Winner

CONFIG = "olive.json"
_ARGUMENTS = (
    "num_train_epochs", "learning_rate", "lr_scheduler_type", "warmup_steps", "weight_decay", "max_grad_norm",
    "per_device_train_batch_size", "per_device_eval_batch_size", "gradient_accumulation_steps",
    "gradient_checkpointing", "seed",
)  # fmt: skip


def write_olive(winner: "Winner", folder: Path) -> str:
    """`olive.json`, the rows, and the base model in `model/`."""
    from lm.local.standalone import write_standalone

    rows = write_chats(winner, folder)
    write_standalone(winner.base, folder / MODEL_FOLDER, ())
    config = run_config(winner, has_validation=bool(rows[Split.VALIDATION]))
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    return f"""## Train and convert

```bash
pip install {OLIVE} {GENAI} onnxruntime torch transformers peft accelerate datasets
olive run --config {CONFIG} --disable_telemetry
```

The model is written to `olive-out/`, for ONNX Runtime GenAI. Olive takes the loss over the whole chat, ours is taken
over the answer alone; it keeps the last epoch. {recipe_notes(winner)}
"""


def run_config(winner: "Winner", *, has_validation: bool) -> dict[str, Any]:
    """A workflow of three passes: LoRA, MergeAdapterWeights, ModelBuilder."""
    lora, sft = lora_settings(winner), sft_settings(winner)
    tuning = {
        "type": "LoRA",
        "r": lora["r"],
        "alpha": lora["lora_alpha"],
        "lora_dropout": lora["lora_dropout"],
        "torch_dtype": "float32",
        "train_data_config": "train_data",
        "training_args": {
            **{name: sft[name] for name in _ARGUMENTS},
            "eval_strategy": "epoch" if has_validation else "no",
            "report_to": "none",
        },
    }
    if lora["target_modules"] != "all-linear":
        tuning["target_modules"] = lora["target_modules"]
    if has_validation:
        tuning["eval_data_config"] = "validation_data"
    data = {"train_data": TRAIN_FILE} | ({"validation_data": VALIDATION_FILE} if has_validation else {})
    return {
        "input_model": {"type": "HfModel", "model_path": MODEL_FOLDER},
        "systems": {
            "here": {
                "type": "LocalSystem",
                "accelerators": [{"device": "cpu", "execution_providers": ["CPUExecutionProvider"]}],
            }
        },
        "data_configs": [_data(name, file, sft["max_length"]) for name, file in data.items()],
        "passes": {
            "tune": tuning,
            "merge": {"type": "MergeAdapterWeights"},
            "convert": {"type": "ModelBuilder", "precision": "fp32"},
        },
        "host": "here",
        "target": "here",
        "output_dir": "olive-out",
        "cache_dir": ".cache",
        "no_artifacts": True,
    }


def _data(name: str, file: str, max_length: int) -> dict[str, Any]:
    return {
        "name": name,
        "type": "HuggingfaceContainer",
        "load_dataset_config": {"data_name": "json", "data_files": file, "split": "train"},
        "pre_process_data_config": {
            "chat_template": True,
            "message_col": "messages",
            "strategy": "line-by-line",
            "max_seq_len": max_length,
            "pad_to_max_len": False,
            "add_special_tokens": False,
        },
    }
