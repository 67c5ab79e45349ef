"""A small folder of real text in the format that training reads."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

_PLACES = ("Ardmore", "Benfleet", "Calder Mill", "Dunwich", "Eastry", "Fenwick")


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    with gzip.open(path, "wt", encoding="utf-8") as lines:
        lines.writelines(json.dumps(row) + "\n" for row in rows)


@pytest.fixture(scope="session")
def text_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """General paragraphs and question-answering rows about six invented places."""
    folder = tmp_path_factory.mktemp("text")
    paragraphs, rows = [], []
    for i, place in enumerate(_PLACES):
        text = (
            f"{place} is a village with a stone bridge. It was founded in {1700 + i} by settlers from Norway. "
            f"The mill was painted white and restored by Anders Holm. The river market has been visited by many people."
        )
        paragraphs.append({"title": place, "text": text})
        row = {"context": text, "title": place.replace(" ", "_"), "answerable": True}
        asked = f"When was the village of {place} founded?"
        year = {"text": str(1700 + i), "answer_start": text.index(str(1700 + i))}
        rows.append({**row, "id": f"a{i}", "source": "squad_dev_v1.1", "question": asked, "answers": [year]})
        source = "squad_dev_v2.0_unanswerable"
        rows.append({**row, "id": f"u{i}", "source": source, "question": "Who burnt the mill down?", "answers": []})
    rows.append({**rows[0], "id": "x", "source": "squadshifts_reddit", "context": "Something a user wrote."})
    _write(folder / "general_text.jsonl.gz", paragraphs)
    _write(folder / "train.jsonl.gz", rows)
    _write(folder / "validation.jsonl.gz", rows[:4])
    return folder
