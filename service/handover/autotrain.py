"""A configuration for Hugging Face AutoTrain Advanced, whose last release is 0.8.36."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from service.handover.training_rows import TRAIN_FILE, write_chats
from service.handover.trl import recipe_notes, sft_settings

if TYPE_CHECKING:
    from service.handover.winner import Winner

CONFIG = "autotrain.yml"


def write_autotrain(winner: "Winner", folder: Path) -> str:
    """`autotrain.yml` and `data/`."""
    data = folder / "data"
    data.mkdir()
    rows = write_chats(winner, data)
    has_validation = any(split == "validation" and found for split, found in rows.items())
    content = configuration(winner, has_validation=has_validation)
    (folder / CONFIG).write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return f"""## Train

AutoTrain Advanced is no longer developed and pins old libraries, so give it an environment of its own:

```bash
python -m venv autotrain && autotrain/bin/pip install autotrain-advanced
autotrain/bin/autotrain --config {CONFIG}
```

The adapter is written to `{winner.name}/`. The loss is taken over the whole chat there, over the answer alone with us.
{recipe_notes(winner)} The keys were checked against those that AutoTrain documents; it was not run.
Rows are in `data/{TRAIN_FILE}`, column `messages`.
"""


def configuration(winner: "Winner", *, has_validation: bool) -> dict[str, Any]:
    """The configuration (huggingface.co/docs/autotrain/config; parameters of `llm-sft`)."""
    recipe, sft = winner.recipe, sft_settings(winner)
    return {
        "task": "llm-sft",
        "base_model": winner.hub_name or "ORG/NAME",
        "project_name": winner.name,
        "log": "tensorboard",
        "backend": "local",
        "data": {
            "path": "data",
            "train_split": "train",
            "valid_split": "validation" if has_validation else None,
            "chat_template": "tokenizer",
            "column_mapping": {"text_column": "messages"},
        },
        "params": {
            "block_size": sft["max_length"],
            "model_max_length": sft["max_length"],
            "epochs": recipe.max_epochs,
            "batch_size": sft["per_device_train_batch_size"],
            "lr": winner.learning_rate,
            "warmup_ratio": recipe.warmup_fraction,
            "scheduler": recipe.schedule,
            "weight_decay": recipe.weight_decay,
            "max_grad_norm": recipe.max_grad_norm,
            "gradient_accumulation": recipe.gradient_accumulation,
            "optimizer": "adamw_torch",
            "seed": recipe.seed,
            "peft": True,
            "quantization": None,
            "lora_r": recipe.r,
            "lora_alpha": recipe.lora_alpha,
            "lora_dropout": recipe.lora_dropout,
            "target_modules": recipe.target_modules,
            "merge_adapter": False,
            "padding": "right",
            "mixed_precision": "bf16",
        },
    }
