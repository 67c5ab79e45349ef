"""A model for vLLM: merged, and beside it the adapter over its base."""

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lm.completion import chat_rows
from lm.constraint import OneOf
from service.handover.weights import ADAPTER_FOLDER, MODEL_FOLDER, copy_adapter, write_model

if TYPE_CHECKING:
    from service.handover.winner import Winner

RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""Values that --max-lora-rank takes (docs.vllm.ai, engine arguments)."""


def write_vllm(winner: "Winner", folder: Path) -> str:
    """`serve.sh` for the merged model, `serve-adapter.sh` for several adapters over one base, `request.json`."""
    merged = write_model(winner, folder)
    (folder / "serve.sh").write_text(_script(serve_command(winner)), encoding="utf-8")
    (folder / "request.json").write_text(
        json.dumps(request(winner), indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    return f"""## Serve

```bash
pip install vllm
bash serve.sh
curl http://localhost:8000/v1/chat/completions -H 'Content-Type: application/json' -d @request.json
```

{merged} {_adapter(winner, folder)}
"""


def serve_command(winner: "Winner") -> list[str]:
    """The merged model under the winner's name."""
    return [
        "vllm",
        "serve",
        f"./{MODEL_FOLDER}",
        "--served-model-name",
        winner.name,
        *_common(winner, winner.written_dtype),
    ]


def serve_adapter_command(winner: "Winner") -> list[str]:
    """The adapter over its base; further `NAME=FOLDER` after --lora-modules add others."""
    limit = next((one for one in RANKS if one >= winner.adapter_config["r"]), RANKS[-1])
    lora = ["--enable-lora", "--max-lora-rank", str(limit), "--lora-modules", f"{winner.name}=./{ADAPTER_FOLDER}"]
    return ["vllm", "serve", winner.base_name, *_common(winner, winner.base.dtype_name), *lora]


def request(winner: "Winner") -> dict[str, Any]:
    """A body for /v1/chat/completions that asks as the arm was measured."""
    generation = winner.pipeline.generation
    body: dict[str, Any] = {
        "model": winner.name,
        "messages": chat_rows(winner.probes()[0]),
        "temperature": 0,
        "max_tokens": generation.max_output_tokens,
    }
    if isinstance(generation.constraint, OneOf):
        body["structured_outputs"] = {"choice": list(generation.constraint.choices)}
    elif generation.constraint is not None:
        body["structured_outputs"] = {"json": json.loads(generation.constraint.schema)}
    return body


def _common(winner: "Winner", dtype: str) -> list[str]:
    # vLLM would take sampling settings from the model's folder otherwise.
    return [
        "--dtype", dtype, "--max-model-len", str(winner.base.context_tokens),
        "--generation-config", "vllm", "--seed", str(winner.pipeline.generation.seed),
    ]  # fmt: skip


def _adapter(winner: "Winner", folder: Path) -> str:
    if not winner.is_tuned:
        return ""
    if winner.adapter_config.get("use_dora") or winner.adapter_config["peft_type"] != "LORA":
        return "vLLM loads adapters of plain LoRA alone, so only the merged model is here."
    copy_adapter(winner, folder / ADAPTER_FOLDER)
    (folder / "serve-adapter.sh").write_text(_script(serve_adapter_command(winner)), encoding="utf-8")
    return (
        f"`serve-adapter.sh` serves the adapter over the base model `{winner.base_name}`, which must be there; further "
        "`NAME=FOLDER` after `--lora-modules` add others."
    )


def _script(command: list[str]) -> str:
    return f"#!/bin/sh\nexec {shlex.join(command)}\n"
