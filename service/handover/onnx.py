"""A model for ONNX Runtime: merged weights, the commands that convert them, and answers to check the result by."""

import shutil
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from lm.completion import GenerationConfig
from service.handover.training_rows import write_json_lines
from service.handover.weights import MODEL_FOLDER, write_model

if TYPE_CHECKING:
    from service.handover.winner import Winner

CHECK = Path(__file__).parent / "scripts" / "check_onnx.py"
EXPECTED = "expected.jsonl"
GENAI, OLIVE = "onnxruntime-genai==0.14.1", "olive-ai==0.13.0"
"""Versions that were tried together."""
_SAME = {True: "all of them are equal", False: "those differ whose best two tokens were almost tied"}


def write_onnx(winner: "Winner", folder: Path) -> str:
    """`model/`, `convert.sh`, and `check_onnx.py` with the greedy tokens that it expects."""
    merged = write_model(winner, folder)
    write_expected(winner, folder)
    builder = "python -m onnxruntime_genai.models.builder"
    is_exact = winner.base.dtype_name == "float32"
    (folder / "convert.sh").write_text(
        "#!/bin/sh\nset -e\n"
        + "".join(
            f"{builder} -i {MODEL_FOLDER} -o onnx-{precision} -p {precision} -e cpu -c .cache\n"
            for precision in ("fp32", "int4")
        ),
        encoding="utf-8",
    )
    return f"""## Convert and check

```bash
pip install {GENAI} onnx onnx-ir torch transformers
sh convert.sh
python {CHECK.name} onnx-fp32
python {CHECK.name} onnx-int4
```

The check decodes greedily and tells how many of the prompts in `{EXPECTED}` get the measured model's tokens, word for
word. The model was measured in {winner.base.dtype_name}: in fp32 {_SAME[is_exact]}; in int4 many differ, and
the model must be measured anew before it is shipped. {merged}
"""


def write_expected(winner: "Winner", folder: Path, *, adapter: Path | None = None, name: str = EXPECTED) -> None:
    """Prompts as token ids, and what the measured model answers to each alone, freely and greedily.

    Args:
        adapter: Another adapter of its base, if not its own.
    """
    base = winner.base
    config = GenerationConfig(max_output_tokens=winner.pipeline.generation.max_output_tokens, batch_size=1)
    probes = winner.probes()
    if adapter is None:
        answers = winner.model.generate(probes, config)
    else:
        with closing(base.with_adapter(adapter, name)) as other:
            answers = other.generate(probes, config)
    rows = [
        {"prompt": base.encode(probe), "answer": answer.text, "max_tokens": config.max_output_tokens}
        for probe, answer in zip(probes, answers, strict=True)
    ]
    write_json_lines(folder / name, rows)
    shutil.copyfile(CHECK, folder / CHECK.name)
