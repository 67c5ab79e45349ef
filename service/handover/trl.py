"""The recipe for Hugging Face TRL: a script, its settings, and the rows."""

import json
import shutil
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from advisor.data.dataset import Split
from service.handover.training_rows import TRAIN_FILE, VALIDATION_FILE, write_prompts_and_completions
from service.handover.weights import MODEL_FOLDER

if TYPE_CHECKING:
    from service.handover.winner import Winner

SCRIPT = Path(__file__).parent / "scripts" / "train_trl.py"
RECIPE = "recipe.json"
_SCHEDULES = {"cosine": "cosine", "linear": "linear", "constant": "constant_with_warmup"}


def write_trl(winner: "Winner", folder: Path) -> str:
    """Everything that `python train_trl.py` reads, the base model with it."""
    write_recipe(winner, folder)
    from lm.local.standalone import write_standalone

    write_standalone(winner.base, folder / MODEL_FOLDER, ())
    return f"""## Train

```bash
pip install {" ".join(REQUIREMENTS)}
python {SCRIPT.name}
```

Base model: `{MODEL_FOLDER}/`, as it was measured. The adapter is written to `adapter/`, in peft's form.

{recipe_notes(winner)}
"""


def write_recipe(winner: "Winner", folder: Path) -> None:
    """The script, `recipe.json` and the rows; the base model is looked for in `model/`, else by its name."""
    rows = write_prompts_and_completions(winner, folder)
    files = {"train": TRAIN_FILE, "validation": VALIDATION_FILE}
    recipe = {
        "model": MODEL_FOLDER,
        "base": winner.base_name,
        "files": {str(split): files[split] for split in (Split.TRAIN, Split.VALIDATION) if rows[split]},
        "patience": winner.recipe.patience,
        "lora": lora_settings(winner),
        "sft": sft_settings(winner),
    }
    (folder / RECIPE).write_text(json.dumps(recipe, indent=2) + "\n", encoding="utf-8")
    shutil.copyfile(SCRIPT, folder / SCRIPT.name)


def lora_settings(winner: "Winner") -> dict[str, Any]:
    """Keywords of peft's LoraConfig."""
    recipe = winner.recipe
    start = {"pissa": "pissa", "olora": "olora"}.get(recipe.method, True)
    return {
        "r": recipe.r,
        "lora_alpha": recipe.lora_alpha,
        "lora_dropout": recipe.lora_dropout,
        "target_modules": "all-linear" if recipe.target_modules == "all-linear" else recipe.target_modules.split(","),
        "use_rslora": recipe.method == "rslora",
        "use_dora": recipe.method == "dora",
        "init_lora_weights": start,
    }


def sft_settings(winner: "Winner") -> dict[str, Any]:
    """Keywords of TRL's SFTConfig."""
    recipe = winner.recipe
    return {
        "num_train_epochs": recipe.max_epochs,
        "learning_rate": winner.learning_rate,
        "lr_scheduler_type": _SCHEDULES[recipe.schedule],
        "warmup_steps": recipe.warmup_fraction,
        "weight_decay": recipe.weight_decay,
        "per_device_train_batch_size": recipe.batch_size // recipe.gradient_accumulation,
        "per_device_eval_batch_size": recipe.batch_size,
        "gradient_accumulation_steps": recipe.gradient_accumulation,
        "gradient_checkpointing": recipe.gradient_checkpointing,
        "max_grad_norm": recipe.max_grad_norm,
        "max_length": min(recipe.max_length, winner.base.context_tokens),
        "label_smoothing_factor": 0.1 if recipe.loss == "label-smoothing" else 0.0,
        "completion_only_loss": True,
        "packing": False,
        "logging_steps": 10,
        "seed": recipe.seed,
    }


def recipe_notes(winner: "Winner") -> str:
    """Where another trainer cannot do what ours did."""
    recipe = winner.recipe
    notes = ["The best epoch is chosen by validation loss; ours was chosen by the probability of whole answers."]
    if recipe.prompt_dropout:
        notes.append(f"Ours left out {recipe.prompt_dropout:.0%} of a question's words in each epoch; here none are.")
    if recipe.loss not in ("cross-entropy", "label-smoothing"):
        notes.append(f"Ours minimised the loss {recipe.loss!r}; here it is cross-entropy.")
    if recipe.method in ("qlora", "ia3", "vera", "full"):
        notes.append(f"Ours was tuned by the method {recipe.method!r}; here it is LoRA of rank {recipe.r}.")
    if recipe.method in ("pissa", "olora"):
        notes.append(
            f"With {recipe.method} the adapter that is saved belongs to base weights which it has changed; convert it "
            "(peft: `path_initial_model_for_weight_conversion`) before it is used elsewhere."
        )
    return " ".join(notes)


def pinned(*names: str) -> tuple[str, ...]:
    """Packages for pip, at the versions that are installed here; a build's own mark (`+cpu`) fits no other machine."""
    found = []
    for name in names:
        with suppress(PackageNotFoundError):
            name += "==" + version(name).partition("+")[0]
        found.append(name)
    return tuple(found)


REQUIREMENTS = pinned("torch", "transformers", "peft", "trl", "accelerate", "datasets", "safetensors")
"""What the script imports, as it was tried where it is installed here."""
