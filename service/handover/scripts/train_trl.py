"""Trains the adapter with TRL: `python train_trl.py` in this folder. Settings are in `recipe.json`."""

import json
import sys
from pathlib import Path
from typing import Any

import torch
from datasets import load_dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, EarlyStoppingCallback
from trl import SFTConfig, SFTTrainer

HERE = Path(__file__).parent


def main(out: str = "adapter") -> None:
    """Train, keep the best epoch by validation loss, and save peft's files.

    Args:
        out: Folder for the adapter, below this one.
    """
    recipe: dict[str, Any] = json.loads((HERE / "recipe.json").read_text(encoding="utf-8"))
    base = HERE / recipe["model"] if (HERE / recipe["model"]).is_dir() else recipe["model"]
    on_gpu = torch.cuda.is_available()
    files = {split: str(HERE / name) for split, name in recipe["files"].items()}
    data = load_dataset("json", data_files=files, cache_dir=str(HERE / ".cache"))
    is_watched = "validation" in data
    settings = SFTConfig(
        **recipe["sft"],
        output_dir=str(HERE / "checkpoints"),
        eval_strategy="epoch" if is_watched else "no",
        save_strategy="epoch" if is_watched else "no",
        load_best_model_at_end=is_watched,
        metric_for_best_model="eval_loss" if is_watched else None,
        save_total_limit=1,
        use_cpu=not on_gpu,
        bf16=on_gpu,
        report_to="none",
    )
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(base, dtype="float32"),
        processing_class=AutoTokenizer.from_pretrained(base),
        args=settings,
        train_dataset=data["train"],
        eval_dataset=data["validation"] if is_watched else None,
        peft_config=LoraConfig(**recipe["lora"], task_type="CAUSAL_LM"),
        callbacks=[EarlyStoppingCallback(recipe["patience"])] if is_watched else [],
    )
    trainer.train()
    # The folder beside this script is a copy of it, in the precision that was measured.
    trainer.model.peft_config["default"].base_model_name_or_path = recipe["base"]
    trainer.save_model(str(HERE / out))


if __name__ == "__main__":
    main(*sys.argv[1:])
