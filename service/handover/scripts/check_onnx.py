"""Compares a model of ONNX Runtime GenAI with the measured one: `python check_onnx.py FOLDER [ADAPTER [EXPECTED]]`."""

import json
import sys
from pathlib import Path
from typing import Any

import onnxruntime_genai as og
from tokenizers import Tokenizer

HERE = Path(__file__).parent


def main(folder: str, adapter: str = "", expected: str = "expected.jsonl") -> None:
    """Print how many prompts get the expected answer.

    Args:
        adapter: An `.onnx_adapter` file to switch on, if any.
        expected: Prompts as token ids, with answers.
    """
    model = og.Model(folder)
    # The model's own, as ONNX Runtime's writes broken characters in another way.
    tokenizer = Tokenizer.from_file(str(Path(folder) / "tokenizer.json"))
    adapters = og.Adapters(model) if adapter else None
    if adapters is not None:
        adapters.load(adapter, "adapter")
    rows = [json.loads(line) for line in (HERE / expected).read_text(encoding="utf-8").splitlines()]
    n_equal = sum(answer(model, tokenizer, adapters, row) == row["answer"] for row in rows)
    sys.stdout.write(f"{n_equal} of {len(rows)} prompts get the same answer\n")


def answer(model: Any, tokenizer: Any, adapters: Any, row: dict[str, Any]) -> str:
    """Greedy decoding of one prompt."""
    params = og.GeneratorParams(model)
    params.set_search_options(
        do_sample=False, max_length=len(row["prompt"]) + row["max_tokens"], past_present_share_buffer=adapters is None
    )
    generator = og.Generator(model, params)
    if adapters is not None:
        generator.set_active_adapter(adapters, "adapter")
    generator.append_tokens(row["prompt"])
    while not generator.is_done():
        generator.generate_next_token()
    written = generator.get_sequence(0)[len(row["prompt"]) :]
    return str(tokenizer.decode([int(token) for token in written], skip_special_tokens=True)).strip()


if __name__ == "__main__":
    main(*sys.argv[1:])
