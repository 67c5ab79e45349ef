"""A small dataset of real documents, for runs of the real program."""

import json
from pathlib import Path

import pytest

BUNDLED = Path(__file__).resolve().parents[2] / "datasets" / "appliance-support"
N_DOCUMENTS = 12
N_QUESTIONS = {"train": 12, "validation": 4, "test": 24}


@pytest.fixture(scope="session")
def kettles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dozen documents and 40 questions on them."""
    folder = tmp_path_factory.mktemp("data") / "kettles"
    folder.mkdir()
    documents = (BUNDLED / "documents.jsonl").read_text(encoding="utf-8").splitlines()[:N_DOCUMENTS]
    kept = {json.loads(line)["id"] for line in documents}
    questions = []
    left = dict(N_QUESTIONS)
    for line in (BUNDLED / "questions.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if set(row.get("document_ids", ())) <= kept and left[row["split"]]:
            left[row["split"]] -= 1
            questions.append(line)
    assert not any(left.values())
    (folder / "documents.jsonl").write_text("\n".join(documents) + "\n", encoding="utf-8")
    (folder / "questions.jsonl").write_text("\n".join(questions) + "\n", encoding="utf-8")
    card = (BUNDLED / "dataset.toml").read_text(encoding="utf-8")
    # A random model never ends an answer by itself.
    (folder / "dataset.toml").write_text(
        card.replace("max_output_tokens = 24", "max_output_tokens = 8"), encoding="utf-8"
    )
    return folder
