import json
from pathlib import Path

import pytest

from advisor.data.dataset import Dataset, DatasetCard, Document, Example, Slice, Split, Task
from advisor.data.files import load_dataset
from advisor.data.revision import Revision, load_revision
from advisor.errors import DatasetError

BUNDLED = Path(__file__).resolve().parents[3] / "datasets"


@pytest.fixture
def dataset() -> Dataset:
    card = DatasetCard("tiny", Task.QUESTION_ANSWERING, "en", "CC0-1.0", ("exact_match",), "", "")
    return Dataset(
        card,
        (Document("fees", "Fees", "It costs €5."), Document("hours", "Hours", "Open until 6.")),
        (
            Example("fee-1", "What is the fee?", ("€5",), ("fees",), "fee", Split.TRAIN),
            Example("fee-2", "How much is it?", ("€5",), ("fees",), "fee", Split.TEST),
            Example("close-1", "When do you close?", ("at 6",), ("hours",), "close", Split.TEST),
            Example("dogs-1", "Are dogs welcome?", (), (), "dogs", Split.TEST),
        ),
    )


def write(folder: Path, facts: list[object], documents: list[object] | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    documents = [{"id": "fees", "title": "Fees", "text": "It costs €7."}] if documents is None else documents
    for name, rows in (("documents.jsonl", documents), ("answers.jsonl", facts)):
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


FEE = {"group": "fee", "answers": ["€7"], "document_id": "fees"}


def read(dataset: Dataset, folder: Path, facts: list[object], documents: list[object] | None = None) -> Revision:
    return load_revision(write(folder, facts, documents), dataset)


def test_changed_documents_and_answers_take_the_place_of_the_old(dataset: Dataset, tmp_path: Path) -> None:
    after = read(dataset, tmp_path, [FEE]).apply(dataset)
    assert [d.text for d in after.documents] == ["It costs €7.", "Open until 6."]
    assert [e.answers for e in after.examples] == [("€7",), ("€7",), ("at 6",), ()]
    assert [e.split for e in after.examples] == [e.split for e in dataset.examples]
    assert after.content_hash != dataset.content_hash


def test_new_documents_are_added_and_may_answer_what_nothing_did(dataset: Dataset, tmp_path: Path) -> None:
    dogs = {"id": "pets", "text": "Dogs are welcome."}
    fact = {"group": "dogs", "answers": ["yes"], "document_id": "pets"}
    after = read(dataset, tmp_path, [fact], [dogs]).apply(dataset)
    assert [d.id for d in after.documents] == ["fees", "hours", "pets"]
    assert (after.examples[3].answers, after.examples[3].document_ids) == (("yes",), ("pets",))


def test_a_fact_can_be_gone(dataset: Dataset, tmp_path: Path) -> None:
    after = read(dataset, tmp_path, [{"group": "fee", "answerable": False}]).apply(dataset)
    assert after.examples[1].document_ids == ()
    assert after.slice_of(after.examples[1]) is Slice.UNANSWERABLE


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ([{**FEE, "group": "toll"}], 'answers.jsonl:1: no question has the group "toll"'),
        ([FEE, FEE], 'answers.jsonl:2: the group "fee" is in the file twice'),
        ([{**FEE, "answers": [" €5. "]}], 'answers.jsonl:1: the answers of "fee" are what they were'),
        ([{**FEE, "document_id": "tolls"}], 'answers.jsonl:1: the document "tolls" is in neither edition'),
        ([{"group": "fee", "answers": ["€7"]}], 'answers.jsonl:1: the field "document_id" is missing'),
        ([{"group": "fee", "answers": []}], "answers.jsonl:1: an empty answer"),
        ([{"answers": ["€7"], "document_id": "fees"}], 'answers.jsonl:1: the field "group" is missing'),
        (["fee"], "answers.jsonl:1: a JSON str, not an object"),
        ([], "answers.jsonl names no changed fact"),
    ],
)
def test_wrong_facts_are_named_by_line(dataset: Dataset, tmp_path: Path, facts: list[object], message: str) -> None:
    with pytest.raises(DatasetError, match="cannot be used|names no") as caught:
        read(dataset, tmp_path, facts)
    assert message in str(caught.value)


def test_all_problems_are_told_at_once(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="2 problems") as caught:
        read(dataset, tmp_path, [{**FEE, "group": "toll"}], [{"id": "fees", "text": ""}])
    assert 'documents.jsonl:1: "text" is empty' in str(caught.value)


def test_a_missing_folder_says_what_belongs_there(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"there is no such folder.*documents.jsonl and answers.jsonl.*--v2"):
        load_revision(tmp_path / "none", dataset)


def test_the_hash_follows_the_content(dataset: Dataset, tmp_path: Path) -> None:
    first = read(dataset, tmp_path, [FEE]).content_hash
    assert first == read(dataset, tmp_path / "copy", [FEE]).content_hash
    assert first != read(dataset, tmp_path / "other", [{**FEE, "answers": ["€8"]}]).content_hash


def test_the_bundled_later_editions_are_usable() -> None:
    folder = BUNDLED / "appliance-support"
    dataset = load_dataset(folder)
    revision = load_revision(folder / "v2", dataset)
    after = revision.apply(dataset)
    changed = [e for e, new in zip(dataset.examples, after.examples, strict=True) if e != new]
    assert {e.group for e in changed} == set(revision.facts)
    assert {Split.TRAIN, Split.TEST} <= {e.split for e in changed}
