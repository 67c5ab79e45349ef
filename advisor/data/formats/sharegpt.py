"""ShareGPT: conversations of `from` and `value`, as LLaMA-Factory, Axolotl and Unsloth take them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from advisor.data.dataset import Dataset
from advisor.data.formats.conversations import ASSISTANT, SYSTEM, USER, Turn, add_conversation, turns_of
from advisor.data.formats.format import Format, Imported, each, kept_fields
from advisor.data.formats.rows import SourceRow

_SPEAKERS = {
    "human": USER,
    "user": USER,
    "gpt": ASSISTANT,
    "assistant": ASSISTANT,
    "model": ASSISTANT,
    "system": SYSTEM,
}
_TOOLS = ("function_call", "observation", "tool")


def _read(row: SourceRow, out: Imported) -> None:
    turns = row.value["conversations"]
    if not isinstance(turns, list) or not turns or not all(isinstance(one, Mapping) for one in turns):
        out.wrong(row, '"conversations" must be a list of objects with from and value')
        return
    read = []
    for turn in turns:
        speaker = turn.get("from", turn.get("role"))
        if speaker not in _SPEAKERS and speaker not in _TOOLS:
            out.wrong(
                row, f"the speaker {speaker!r} is unknown; known are {', '.join(_SPEAKERS)}", getattr(turn, "line", 0)
            )
            return
        said: Any = turn.get("value", turn.get("content"))
        fault = "it calls tools" if speaker in _TOOLS else ""
        read.append(Turn(_SPEAKERS.get(speaker, ""), said if isinstance(said, str) else "", fault))
    if isinstance(row.value.get("system"), str):
        read.insert(0, Turn(SYSTEM, row.value["system"]))
    add_conversation(row, read, out)


def _write(dataset: Dataset, folder: Path) -> None:
    names = {SYSTEM: "system", USER: "human", ASSISTANT: "gpt"}
    rows = [
        {
            "conversations": [{"from": names[turn.role], "value": turn.text} for turn in turns_of(dataset, example)],
            "metadata": kept_fields(dataset, index, also=("answers", "document_ids")),
        }
        for index, example in enumerate(dataset.examples)
    ]
    (folder / "sharegpt.json").write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


SHAREGPT = Format(
    "sharegpt",
    "ShareGPT conversations",
    "the last human turn is the question, the last of gpt its answer",
    lambda value: "conversations" in value,
    each(_read),
    _write,
)
