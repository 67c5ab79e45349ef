"""Several adapters over one model of ONNX Runtime, switched while it runs."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from lm.errors import ConfigError
from service.handover.onnx import CHECK, GENAI, OLIVE, write_expected
from service.handover.weights import MODEL_FOLDER, PEFT_FILES

if TYPE_CHECKING:
    from service.handover.winner import Winner

ADAPTERS_FOLDER = "adapters"


def write_multi_adapter_onnx(winner: "Winner", folder: Path) -> str:
    """The base in `model/`, every adapter of the comparison, `convert.sh`, and what each adapter answers.

    Raises:
        ConfigError: the comparison has one adapter alone.
    """
    from lm.local.standalone import write_standalone

    first = winner.adapter
    adapters = {"first": first} | {name: path for name, path in winner.adapters.items() if path != first}
    if len(adapters) < 2:
        raise ConfigError(
            f"the comparison {winner.comparison.id} trained one adapter, and there is nothing to switch to; compare "
            "fine-tuned and raft, or add --training-seeds 2"
        )
    write_standalone(winner.base, folder / MODEL_FOLDER, ())
    for name, source in adapters.items():
        copied = folder / ADAPTERS_FOLDER / name
        copied.mkdir(parents=True)
        for file in PEFT_FILES:
            shutil.copyfile(source / file, copied / file)
        write_expected(winner, folder, adapter=source, name=f"expected-{name}.jsonl")
    others = [name for name in adapters if name != "first"]
    (folder / "convert.sh").write_text(convert_script(others), encoding="utf-8")
    checks = "\n".join(" ".join(["python", *check_arguments(name)]) for name in adapters)
    return f"""## Convert and check

```bash
pip install {GENAI} {OLIVE} torch transformers peft
sh convert.sh
{checks}
```

`onnx-lora/` is one model whose adapter is an input: `generator.set_active_adapter(adapters, NAME)` switches it (see
`{CHECK.name}`). The first adapter is `{winner.arm}`'s; the others are {", ".join(others)}. Each check tells how
many of the prompts get what the adapter answered here.
"""


def convert_script(others: list[str]) -> str:
    """The model with the first adapter, taken apart, and the other adapters taken out of conversions of their own.

    Olive's `convert-adapters` names tensors as peft does, and not as the builder's model names its inputs.
    """
    lines = ["#!/bin/sh", "set -e", *_conversion("first", "onnx", "onnx-lora")]
    for name in others:
        whole, parts = f"onnx-{name}", f"onnx-lora-{name}"
        lines += [
            *_conversion(name, whole, parts),
            f"mv {parts}/adapter_weights.onnx_adapter {adapter_file(name)}",
            f"rm -r {whole} {parts}",
        ]
    return "\n".join([*lines, ""])


def _conversion(name: str, whole: str, parts: str) -> list[str]:
    return [
        f"python -m onnxruntime_genai.models.builder -i {MODEL_FOLDER} -o {whole} -p fp32 -e cpu -c .cache"
        f" --extra_options adapter_path={ADAPTERS_FOLDER}/{name}",
        f"olive generate-adapter -m {whole} -o {parts} --disable_telemetry",
    ]


def check_arguments(name: str) -> list[str]:
    """The check of one adapter."""
    return [CHECK.name, "onnx-lora", adapter_file(name), f"expected-{name}.jsonl"]


def adapter_file(name: str) -> str:
    """Where the conversion writes an adapter."""
    return "onnx-lora/adapter_weights.onnx_adapter" if name == "first" else f"{ADAPTERS_FOLDER}/{name}.onnx_adapter"
