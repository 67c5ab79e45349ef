"""A training job for Azure Machine Learning: its YAML, and the folder of code it uploads."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from service.handover.trl import REQUIREMENTS, SCRIPT, recipe_notes, write_recipe
from service.handover.weights import MODEL_FOLDER

if TYPE_CHECKING:
    from service.handover.winner import Winner

JOB_FILE = "job.yml"
_IMAGE = "mcr.microsoft.com/azureml/openmpi4.1.0-cuda12.4-cudnn9-ubuntu22.04:latest"


def write_azure_ml(winner: "Winner", folder: Path) -> str:
    """`job.yml`, `conda.yml` and `code/`: TRL's script with recipe, rows and base model."""
    from lm.local.standalone import write_standalone

    code = folder / "code"
    code.mkdir()
    write_recipe(winner, code)
    write_standalone(winner.base, code / MODEL_FOLDER, ())
    for name, content in ((JOB_FILE, job(winner)), ("conda.yml", conda())):
        (folder / name).write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return f"""## Train

Put the name of your compute cluster into `{JOB_FILE}` (`compute`), then

```bash
az extension add --name ml
az ml job create --file {JOB_FILE} --resource-group GROUP --workspace-name WORKSPACE --stream
az ml job download --name JOB --output-name adapter --resource-group GROUP --workspace-name WORKSPACE
```

{recipe_notes(winner)} The job was checked against the schema of `azure-ai-ml` and not run on Azure.
"""


def job(winner: "Winner") -> dict[str, Any]:
    """A command job (azuremlschemas.azureedge.net/latest/commandJob.schema.json)."""
    return {
        "$schema": "https://azuremlschemas.azureedge.net/latest/commandJob.schema.json",
        "type": "command",
        "display_name": winner.name,
        "experiment_name": winner.dataset.card.name,
        "description": f"Trains the adapter of {winner.arm}, comparison {winner.comparison.id}.",
        "code": "./code",
        "command": f"python {SCRIPT.name} adapter && cp -r adapter/. ${{{{outputs.adapter}}}}",
        "outputs": {"adapter": {"type": "uri_folder", "mode": "rw_mount"}},
        "environment": {"image": _IMAGE, "conda_file": "./conda.yml"},
        "compute": "azureml:gpu-cluster",
        "resources": {"instance_count": 1},
    }


def conda() -> dict[str, Any]:
    """The environment, with the versions that are installed here."""
    packages: list[Any] = ["python=3.11", "pip", {"pip": list(REQUIREMENTS)}]
    return {"name": "tuning", "channels": ["conda-forge"], "dependencies": packages}
