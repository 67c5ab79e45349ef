"""Manifests for KAITO, which tunes and serves models on Kubernetes."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from service.handover.training_rows import TRAIN_FILE, write_chats
from service.handover.trl import lora_settings, recipe_notes, sft_settings

if TYPE_CHECKING:
    from service.handover.winner import Winner

API = "kaito.sh/v1beta1"
REGISTRY = "REGISTRY.azurecr.io"
_INSTANCE = "Standard_NC24ads_A100_v4"


def write_kaito(winner: "Winner", folder: Path) -> str:
    """`params.yaml`, `tuning.yaml`, `inference.yaml`, and the rows as an image."""
    write_chats(winner, folder)
    # KAITO copies /data out of the image with the image's own shell.
    (folder / "Dockerfile").write_text(f"FROM busybox:stable\nCOPY {TRAIN_FILE} /data/\n", encoding="utf-8")
    manifests = (
        ("params.yaml", parameters(winner)),
        ("tuning.yaml", tuning(winner)),
        ("inference.yaml", serving(winner)),
    )
    for name, manifest in manifests:
        (folder / name).write_text(yaml.safe_dump(manifest, sort_keys=False), encoding="utf-8")
    return f"""## Tune and serve

KAITO has presets for some models only; `{preset(winner)}` must be one of them (kaito-project.github.io/kaito). Replace
`{REGISTRY}` and the secret by your own.

```bash
docker build -t {REGISTRY}/{winner.name}-rows:1 . && docker push {REGISTRY}/{winner.name}-rows:1
kubectl create secret docker-registry registry-secret --docker-server={REGISTRY} \\
  --docker-username=... --docker-password=...
kubectl apply -f params.yaml -f tuning.yaml
kubectl get workspace {winner.name}-tuning --watch
kubectl apply -f inference.yaml
```

{recipe_notes(winner)} KAITO splits off no validation rows of its own here and keeps the last epoch; `max_length` and
early stopping have no counterpart. The manifests were checked against KAITO's documented fields and not run.
"""


def preset(winner: "Winner") -> str:
    """The name of KAITO's preset: the model's name on the hub, without its owner and in lower case."""
    return (winner.hub_name or "NAME-OF-A-PRESET").rpartition("/")[2].lower()


def method(winner: "Winner") -> str:
    """What KAITO calls it: `lora` or `qlora`."""
    return "qlora" if winner.recipe.method == "qlora" else "lora"


def parameters(winner: "Winner") -> dict[str, Any]:
    """The ConfigMap of a tuning run (docs of KAITO, "Tuning": training_config)."""
    lora, sft = lora_settings(winner), sft_settings(winner)
    arguments = (
        "num_train_epochs", "learning_rate", "lr_scheduler_type", "weight_decay", "per_device_train_batch_size",
        "gradient_accumulation_steps", "max_grad_norm", "seed",
    )  # fmt: skip
    config = {
        "training_config": {
            "ModelConfig": {"torch_dtype": "bfloat16", "local_files_only": True, "device_map": "auto"},
            "LoraConfig": {k: lora[k] for k in ("r", "lora_alpha", "lora_dropout", "target_modules")},
            "TrainingArguments": {
                "output_dir": "/mnt/results",
                "save_strategy": "epoch",
                "ddp_find_unused_parameters": False,
                "warmup_ratio": winner.recipe.warmup_fraction,
                **{name: sft[name] for name in arguments},
            },
            "DataCollator": {"mlm": True},
            "DatasetConfig": {"shuffle_dataset": True, "train_test_split": 1},
        }
    }
    if method(winner) == "qlora":
        config["training_config"]["QuantizationConfig"] = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
    text = yaml.safe_dump(config, sort_keys=False)
    name = f"{winner.name}-params"
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"training_config.yaml": text}}


def tuning(winner: "Winner") -> dict[str, Any]:
    """The Workspace that trains the adapter and pushes it as an image."""
    return {
        **_workspace(winner, "tuning"),
        "tuning": {
            "preset": {"name": preset(winner)},
            "method": method(winner),
            "config": f"{winner.name}-params",
            "input": {"image": f"{REGISTRY}/{winner.name}-rows:1", "imagePullSecrets": ["registry-secret"]},
            "output": {"image": f"{REGISTRY}/{winner.name}-adapter:1", "imagePushSecret": "registry-secret"},
        },
    }


def serving(winner: "Winner") -> dict[str, Any]:
    """The Workspace that serves the adapter over the preset."""
    source = {
        "name": winner.name,
        "image": f"{REGISTRY}/{winner.name}-adapter:1",
        "imagePullSecrets": ["registry-secret"],
    }
    return {
        **_workspace(winner, "inference"),
        "inference": {
            "preset": {"name": preset(winner)},
            "adapters": [{"source": source, "strength": "1.0"}],
        },
    }


def _workspace(winner: "Winner", what: str) -> dict[str, Any]:
    return {
        "apiVersion": API,
        "kind": "Workspace",
        "metadata": {"name": f"{winner.name}-{what}"},
        "resource": {
            "instanceType": _INSTANCE,
            "labelSelector": {"matchLabels": {"apps": f"{winner.name}-{what}"}},
        },
    }
