"""Export: a dataset as files of another tool, which `import_data` reads back as the same dataset."""

import json
from pathlib import Path

from advisor.data.dataset import Dataset
from advisor.data.files import CARD_FILE, DOCUMENTS_FILE, write_rows
from advisor.data.formats.table import FORMATS
from advisor.errors import DatasetError

_SCHEMA_FILE = "schema.json"


def export_dataset(dataset: Dataset, name: str, folder: Path) -> Path:
    """Write a dataset in the format of that name below a new folder, its card beside it.

    Returns:
        The folder.
    Raises:
        DatasetError: there is no such format, it has no place for what the dataset holds, or the folder is not empty.
    """
    if name not in FORMATS:
        raise DatasetError(f"there is no format {name!r}; known are {', '.join(FORMATS)}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DatasetError(f"{folder} exists and is not empty; choose another folder, nothing was written")
    form = FORMATS[name]
    folder.mkdir(parents=True, exist_ok=True)
    form.write(dataset, folder)
    if not form.holds_documents and dataset.documents:
        documents: list[dict[str, object]] = [
            {"id": one.id, "title": one.title, "text": one.text, "metadata": dict(one.metadata)}
            for one in dataset.documents
        ]
        write_rows(folder / DOCUMENTS_FILE, documents)
    card = dataset.card
    values: dict[str, object] = {
        "name": card.name, "task": str(card.task), "language": card.language, "licence": card.licence,
        "description": card.description or card.name, "metrics": list(card.metrics), "instruction": card.instruction,
        "max_output_tokens": card.max_output_tokens,
    }  # fmt: skip
    if card.schema is not None:
        values["schema"] = _SCHEMA_FILE
        (folder / _SCHEMA_FILE).write_text(json.dumps(card.schema, ensure_ascii=False, indent=1), encoding="utf-8")
    text = "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in values.items())
    (folder / CARD_FILE).write_text(text, encoding="utf-8")
    return folder
