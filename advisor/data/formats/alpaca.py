"""Instructions with outputs: Alpaca, prompts with completions, and inputs with expected outputs (DeepEval)."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from advisor.data.dataset import Dataset
from advisor.data.formats.conversations import ASSISTANT, USER, Turn, add_conversation
from advisor.data.formats.format import Format, Imported, each, kept_fields
from advisor.data.formats.rows import SourceRow
from advisor.data.prompt import reference_text

_PAIRS = (("instruction", "output"), ("prompt", "completion"), ("input", "expected_output"))


def _pair(value: Mapping[str, Any]) -> tuple[str, str] | None:
    return next((pair for pair in _PAIRS if all(name in value for name in pair)), None)


def _read(row: SourceRow, out: Imported) -> None:
    asked, said = _pair(row.value) or _PAIRS[0]
    for name in (asked, said):
        if not isinstance(row.value.get(name), str):
            out.wrong(row, f'"{name}" must be text')
            return
    question = row.value[asked]
    if asked == "instruction" and isinstance(row.value.get("input"), str) and row.value["input"].strip():
        question = f"{question}\n\n{row.value['input']}"
    turns = [Turn("", "")] * 0
    for past in row.value.get("history") or ():
        if not isinstance(past, list) or len(past) != 2 or not all(isinstance(one, str) for one in past):
            out.wrong(row, '"history" must be a list of pairs of texts')
            return
        turns += [Turn(USER, past[0]), Turn(ASSISTANT, past[1])]
    if isinstance(row.value.get("system"), str):
        turns.insert(0, Turn("system", row.value["system"]))
    if not row.value[said].strip():
        out.leave_out(row, f'its "{said}" is empty')
        return
    add_conversation(row, [*turns, Turn(USER, question), Turn(ASSISTANT, row.value[said])], out)


def _write(dataset: Dataset, folder: Path) -> None:
    rows = []
    for index, example in enumerate(dataset.examples):
        row: dict[str, object] = {
            "instruction": example.question, "input": "", "output": reference_text(example),
            "system": dataset.card.instruction,
        }  # fmt: skip
        row["metadata"] = kept_fields(dataset, index, also=("answers", "document_ids", "history"))
        rows.append(row)
    (folder / "alpaca.json").write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


ALPACA = Format(
    "alpaca",
    "Alpaca instructions or the like",
    "instruction and input, prompt, or input is the question, output, completion or expected_output its answer",
    lambda value: _pair(value) is not None,
    each(_read),
    _write,
)
