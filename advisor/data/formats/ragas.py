"""Test sets of ragas: `user_input`, `reference`, `reference_contexts`, in any kind of table."""

import ast
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from advisor.data.dataset import Dataset
from advisor.data.files import write_rows
from advisor.data.formats.conversations import ASSISTANT, USER, Turn, add_conversation
from advisor.data.formats.format import Format, Imported, each, kept_fields
from advisor.data.formats.rows import SourceRow
from advisor.data.prompt import reference_text

_SPEAKERS = {"human": USER, "user": USER, "ai": ASSISTANT, "assistant": ASSISTANT}


def _read(row: SourceRow, out: Imported) -> None:
    reference = row.value.get("reference")
    if reference is None or (isinstance(reference, str) and not reference.strip()):
        out.leave_out(row, "it has no reference")
        return
    contexts = _texts(row.value.get("reference_contexts"))
    if contexts is None:
        out.wrong(row, '"reference_contexts" must be a list of texts')
        return
    cited = [one for text in contexts if (one := out.add_document(row, text))]
    asked = row.value["user_input"]
    if not isinstance(asked, list):
        out.add_question(row, asked, [reference], document_ids=cited)
        return
    turns = [
        Turn(_SPEAKERS.get(str(one.get("type", one.get("role"))), ""), str(one.get("content", "")))
        for one in asked
        if isinstance(one, Mapping)
    ]
    # Some end with the answer of the system that was tested.
    while turns and turns[-1].role != USER:
        turns.pop()
    add_conversation(row, [*turns, Turn(ASSISTANT, str(reference))], out)
    if out.questions and cited:
        out.questions[-1]["document_ids"] = cited


def _texts(value: object) -> Sequence[object] | None:
    """A list, or one as tables write it: JSON, or the list of Python that pandas writes."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return ()
    if isinstance(value, list):
        return value
    if isinstance(value, str):
        for read in (json.loads, ast.literal_eval):
            try:
                found: Any = read(value)
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue
            if isinstance(found, list):
                return found
    return None


def _write(dataset: Dataset, folder: Path) -> None:
    texts = {document.id: document.text for document in dataset.documents}
    rows: list[dict[str, object]] = []
    for index, example in enumerate(dataset.examples):
        kept = kept_fields(dataset, index, also=("answers", "document_ids", "history"))
        rows.append(
            {
                "user_input": example.question,
                "reference": reference_text(example),
                "reference_contexts": [texts[one] for one in example.document_ids if one in texts],
                "metadata": kept,
            }
        )
    write_rows(folder / "testset.jsonl", rows)


RAGAS = Format(
    "ragas",
    "a test set of ragas",
    "user_input is the question, reference its answer, reference_contexts the documents",
    lambda value: "user_input" in value,
    each(_read),
    _write,
)
