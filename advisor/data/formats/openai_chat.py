"""JSON lines of chat messages, as OpenAI's fine-tuning and most trainers take them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from advisor.data.dataset import Dataset, Split
from advisor.data.files import write_rows
from advisor.data.formats.conversations import Turn, add_conversation, turns_of
from advisor.data.formats.format import Format, Imported, each, kept_fields
from advisor.data.formats.rows import SourceRow

_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}


def _read(row: SourceRow, out: Imported) -> None:
    messages = row.value["messages"]
    if not isinstance(messages, list) or not messages or not all(isinstance(one, Mapping) for one in messages):
        out.wrong(row, '"messages" must be a list of objects with role and content')
        return
    unknown = [one.get("role") for one in messages if one.get("role") not in (*_ROLES, "tool", "function")]
    if unknown:
        out.wrong(row, f"the role {unknown[0]!r} is unknown; known are {', '.join(_ROLES)} and tool")
        return
    add_conversation(row, [_turn(one) for one in messages], out)


def _turn(message: Mapping[str, Any]) -> Turn:
    role, content = message["role"], message.get("content")
    if role in ("tool", "function") or message.get("tool_calls") or message.get("function_call"):
        return Turn("", "", "it calls tools")
    if isinstance(content, list):
        if any(not isinstance(part, Mapping) or part.get("type") != "text" for part in content):
            return Turn("", "", "it holds pictures, sound or files")
        content = "".join(str(part.get("text", "")) for part in content)
    return Turn(_ROLES[role], content if isinstance(content, str) else "")


def _write(dataset: Dataset, folder: Path) -> None:
    """A file a split; several accepted answers, and what else the format has no place for, are under `metadata`."""
    rows: dict[Split, list[dict[str, object]]] = {split: [] for split in Split}
    for index, example in enumerate(dataset.examples):
        messages = [{"role": turn.role, "content": turn.text} for turn in turns_of(dataset, example)]
        kept = kept_fields(dataset, index, also=("answers", "document_ids"))
        rows[example.split].append({"messages": messages, "metadata": kept})
    for split, lines in rows.items():
        if lines:
            write_rows(folder / f"{split}.jsonl", lines)


OPENAI_CHAT = Format(
    "openai-chat",
    "chat messages",
    "the last user message is the question, the assistant's after it its answer",
    lambda value: "messages" in value,
    each(_read),
    _write,
)
