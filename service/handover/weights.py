"""Adapter and merged weights in Hugging Face's form: what most other targets start from."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from service.handover.winner import Winner

MODEL_FOLDER = "model"
ADAPTER_FOLDER = "adapter"
PEFT_FILES = ("adapter_config.json", "adapter_model.safetensors")


def write_peft(winner: "Winner", folder: Path) -> str:
    """The adapter as peft saves it."""
    copy_adapter(winner, folder / ADAPTER_FOLDER)
    return f"""## Use

```python
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

base = AutoModelForCausalLM.from_pretrained({winner.base_name!r}, dtype={winner.base.dtype_name!r})
model = PeftModel.from_pretrained(base, {ADAPTER_FOLDER!r}).eval()
```

The adapter belongs to the base model whose weight files have the SHA-256 (over names and contents)
`{winner.base.weights_sha256}`. Its files are byte for byte those that were measured.
"""


def write_merged(winner: "Winner", folder: Path) -> str:
    """Base and adapter as one model."""
    merged = write_model(winner, folder)
    return f"""## Use

```python
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained({MODEL_FOLDER!r})
model = AutoModelForCausalLM.from_pretrained({MODEL_FOLDER!r}, dtype={winner.written_dtype!r}).eval()
```

{merged}
"""


def write_model(winner: "Winner", folder: Path) -> str:
    """The arm's model in `model/`, its adapter merged if it has one; what was checked, in a sentence."""
    from lm.local.standalone import write_standalone

    written = write_standalone(winner.model, folder / MODEL_FOLDER, winner.probes())
    what = "base and adapter merged" if winner.is_tuned else "the base model"
    rounding = ""
    if written.dtype != winner.base.dtype_name:
        rounding = f" It was measured in {winner.base.dtype_name}; merged weights rounded to that answer otherwise."
    return (
        f"`{MODEL_FOLDER}/` is {what}, in {written.dtype}. Loaded again, its logits differ from before by at most "
        f"{written.max_logit_difference:.1e} on {written.n_prompts} prompts.{rounding}"
    )


def copy_adapter(winner: "Winner", folder: Path) -> None:
    """peft's two files, without our record of the training."""
    source = winner.adapter
    folder.mkdir()
    for name in PEFT_FILES:
        shutil.copyfile(source / name, folder / name)
