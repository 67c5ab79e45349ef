"""A model for llama.cpp: merged weights, the commands that make a GGUF file of them, and a grammar."""

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from lm.constraint import OneOf
from service.handover.weights import MODEL_FOLDER, write_model

if TYPE_CHECKING:
    from service.handover.winner import Winner

_TYPES = {"float32": "f32", "float16": "f16", "bfloat16": "bf16"}


def write_llama_cpp(winner: "Winner", folder: Path) -> str:
    """`model/`, `convert.sh`, `serve.sh`, and `answers.gbnf` where answers are labels."""
    merged = write_model(winner, folder)
    constraint = winner.pipeline.generation.constraint
    if isinstance(constraint, OneOf):
        (folder / "answers.gbnf").write_text(label_grammar(constraint), encoding="utf-8")
    elif constraint is not None:
        (folder / "schema.json").write_text(constraint.schema + "\n", encoding="utf-8")
    for name, command in (("convert.sh", convert_command(winner)), ("serve.sh", serve_command(winner))):
        (folder / name).write_text(f"#!/bin/sh\nexec {shlex.join(command)}\n", encoding="utf-8")
    return f"""## Convert and serve

In a checkout of github.com/ggml-org/llama.cpp, built, with its Python requirements installed:

```bash
LLAMA=path/to/llama.cpp PATH="$LLAMA/build/bin:$LLAMA:$PATH"
sh convert.sh    # model/ to {gguf_name(winner)}
sh serve.sh      # an OpenAI-compatible address at http://localhost:8080/v1
llama-quantize {gguf_name(winner)} {winner.name}-Q4_K_M.gguf Q4_K_M   # smaller; measure it again before you ship it
```

{merged}
"""


def gguf_name(winner: "Winner") -> str:
    """The file that is made."""
    return f"{winner.name}-{_TYPES[winner.written_dtype]}.gguf"


def convert_command(winner: "Winner") -> list[str]:
    """What makes a GGUF file of the merged model."""
    outtype = _TYPES[winner.written_dtype]
    return [
        "convert_hf_to_gguf.py", MODEL_FOLDER, "--outfile", gguf_name(winner), "--outtype", outtype,
    ]  # fmt: skip


def serve_command(winner: "Winner") -> list[str]:
    """What serves it as it was measured: greedy, the chat template of the model, answers in their form."""
    generation = winner.pipeline.generation
    command = [
        "llama-server", "--model", gguf_name(winner), "--alias", winner.name, "--jinja",
        "--ctx-size", str(winner.base.context_tokens), "--n-predict", str(generation.max_output_tokens),
        "--temp", "0", "--repeat-penalty", "1", "--seed", str(generation.seed),
    ]  # fmt: skip
    if isinstance(generation.constraint, OneOf):
        return [*command, "--grammar-file", "answers.gbnf"]
    if generation.constraint is not None:
        return [*command, "--json-schema-file", "schema.json"]
    return command


def label_grammar(constraint: OneOf) -> str:
    """The labels in GBNF, llama.cpp's form of grammars; its strings escape as those of JSON do."""
    return "root ::= " + " | ".join(json.dumps(choice) for choice in constraint.choices) + "\n"
