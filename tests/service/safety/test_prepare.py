import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from advisor.data.dataset import Dataset, Split, Task
from advisor.data.files import load_dataset
from advisor.data.folder_import import Fate
from service.safety.limits import UploadLimits
from service.safety.prepare import PreparedDataset, UnfitUploadError, UploadedFile, prepare_upload
from tests.advisor.data.document_files import pdf, said
from tests.service.safety.conftest import DOCUMENT, GOOD, QUESTIONS, Prepare, zipped
from tests.service.safety.hostile_names import hostile_names


def problems_of(prepare: Callable[..., PreparedDataset], files: Mapping[str, bytes], **options: object) -> str:
    with pytest.raises(UnfitUploadError) as caught:
        prepare(files, **options)
    return "\n".join(str(problem) for problem in caught.value.problems)


def test_files_and_their_archive_are_the_same_data_set(prepare: Prepare) -> None:
    plain = prepare(GOOD, name="mine")
    packed = prepare({"mine.zip": zipped(GOOD)})
    in_a_folder = prepare({"x.zip": zipped({f"top/{name}": content for name, content in GOOD.items()})}, name="mine")
    assert plain.files == packed.files == in_a_folder.files
    assert plain.card.name == "mine"
    assert plain.split_sizes[Split.TEST] > 0


def read_again(made: PreparedDataset, folder: Path) -> Dataset:
    for name, content in made.files.items():
        (folder / name).write_bytes(content)
    return load_dataset(folder)


def test_texts_with_a_table_become_a_data_set(prepare: Prepare, tmp_path_factory: pytest.TempPathFactory) -> None:
    table = "question,answer,document\nHow long?,two years,manual/warranty\nWho?,Ann|Anna,manual/people\n"
    made = prepare(
        {
            "manual/warranty.md": b"# Warranty\nTwo years.",
            "manual/people.txt": "လူ العربية 😀 Ann".encode(),
            "questions.csv": table.encode(),
        },
        name="handbook",
        task=Task.QUESTION_ANSWERING,
    )
    read = read_again(made, tmp_path_factory.mktemp("again"))
    assert {document.id for document in read.documents} == {"manual/warranty", "manual/people"}
    assert read.documents[0].text == "လူ العربية 😀 Ann"
    assert read.examples[1].answers == ("Ann", "Anna")
    assert set(made.files) == {"dataset.toml", "documents.jsonl", "questions.jsonl"}
    (noted,) = [finding.items for finding in made.findings if finding.check == "import"]
    assert noted == ("questions.csv:3: read as 2 accepted answers: 'Ann' and 'Anna'",)


def test_a_card_beside_texts_is_used(prepare: Prepare) -> None:
    card = 'name = "own"\ntask = "question-answering"\nlanguage = "my"\nlicence = "CC0-1.0"\ndescription = "x"\n'
    files = {"a.md": b"A", "q.csv": b"question,answer\nWhat?,A\nWhy?,B\n", "dataset.toml": card.encode()}
    assert prepare(files, name="other").card.name == "own"


def test_what_is_no_part_of_a_data_set_is_left_out_and_told(prepare: Prepare) -> None:
    made = prepare({**GOOD, "README.md": b"read me"})
    assert "README.md" not in made.files
    assert [finding.items for finding in made.findings if finding.check == "left out"] == [("README.md",)]


def test_documents_of_all_formats_are_taken_and_what_became_of_every_file_is_told(
    prepare: Prepare, tmp_path_factory: pytest.TempPathFactory
) -> None:
    made = prepare(
        {
            "in.zip": zipped(
                {
                    "top/manual.pdf": pdf([said(72, 700, 10, "Two years."), said(72, 700, 10, "Page two.")]),
                    "top/a.html": b"<h1>A</h1><p>x",
                    "top/scan.pdf": pdf(["0 0 9 9 re f"]),
                    "top/logo.png": b"\x89PNG",
                    "top/prices.json": b'[{"model": "A1"}]',
                    "top/q.csv": b"question,answer,document\nHow long?,Two years,manual.pdf\nWhat?,x,a\n",
                }
            )
        }
    )
    read = read_again(made, tmp_path_factory.mktemp("again"))
    assert {document.id: document.title for document in read.documents} == {
        "manual": "manual (manual.pdf)",
        "a": "A",
        "prices": "prices",
    }
    assert read.documents[1].metadata == {"file": "manual.pdf", "pages": 2}
    assert {one.name: (one.fate, one.n_pages) for one in made.outcomes} == {
        "manual.pdf": (Fate.DOCUMENT, 2),
        "a.html": (Fate.DOCUMENT, 0),
        "prices.json": (Fate.DOCUMENT, 0),
        "scan.pdf": (Fate.FAILED, 0),
        "logo.png": (Fate.LEFT_OUT, 0),
        "q.csv": (Fate.QUESTIONS, 0),
    }
    (lost,) = [finding for finding in made.findings if finding.check == "not read"]
    assert "scan.pdf: not read; it holds no text, as scans do" in lost.items[0]


def test_labels_that_people_gave_are_kept_and_checked(prepare: Prepare) -> None:
    label = {"question_id": "q0", "metric": "faithfulness", "answer": "two", "passages": ["x"], "label": True}
    made = prepare({**GOOD, "human_labels.jsonl": json.dumps(label).encode()})
    assert "human_labels.jsonl" in made.files
    found = problems_of(prepare, {**GOOD, "human_labels.jsonl": b'{"question_id": "nope"}'})
    assert "human_labels.jsonl" in found
    assert "incoming" not in found


def test_later_editions_are_kept_with_a_dataset(prepare: Prepare) -> None:
    made = prepare({**GOOD, "v2/documents.jsonl": DOCUMENT.encode(), "v2/notes.txt": b"x"})
    assert made.files["v2/documents.jsonl"] == DOCUMENT.encode()
    assert "v2/notes.txt" not in made.files


def test_problems_name_file_and_line_and_no_folder_of_ours(prepare: Prepare) -> None:
    found = problems_of(prepare, {"documents.jsonl": DOCUMENT.encode(), "questions.jsonl": b'{"id": "q"}\n'})
    assert 'questions.jsonl:1: the field "question" is missing' in found
    found = problems_of(prepare, {"documents.jsonl": DOCUMENT.encode()})
    assert "questions.jsonl: the file is missing from the upload" in found


def test_all_problems_are_told_at_once(prepare: Prepare) -> None:
    found = problems_of(prepare, {"a.exe": b"", "../b.md": b"", "c.md": b""})
    assert "a.exe" in found
    assert "../b.md" in found


@pytest.mark.parametrize("how", ["part", "archive"])
def test_no_hostile_name_is_written(prepare: Prepare, how: str) -> None:
    for name in hostile_names():
        if how == "part":
            files = {**GOOD, name: b"x"}
        elif any("\ud800" <= character <= "\udfff" for character in name):
            continue  # no archive can hold it
        else:
            files = {"x.zip": zipped({**GOOD, name: b"x"})}
            if name.endswith("/"):
                continue  # a folder's own name is never used
        assert problems_of(prepare, files), ascii(name)


def test_one_name_in_two_writings_is_refused(prepare: Prepare) -> None:
    assert "same name" in problems_of(prepare, {**GOOD, "A.md": b"1", "a.md": b"2"})
    assert "same name" in problems_of(prepare, {"x.zip": zipped({**GOOD, "DOCUMENTS.jsonl": b"{}"})})


def test_a_file_that_is_also_a_folder_is_refused(prepare: Prepare) -> None:
    assert "both a file and a folder" in problems_of(prepare, {**GOOD, "a.md": b"1", "a.md/b.md": b"2"})
    assert "both a file and a folder" in problems_of(prepare, {**GOOD, "a.md/b.md": b"2", "A.md": b"1"})


@pytest.mark.parametrize("name", ["../../x", "a/b", "/etc", ".hidden", "x\\ny", "CON", "x" * 160, "a:b"])
def test_a_card_cannot_name_a_folder_of_ours(prepare: Prepare, name: str) -> None:
    card = f'name = "{name}"\ntask = "question-answering"\nlanguage = "en"\nlicence = "x"\ndescription = "x"\n'
    assert "cannot be used" in problems_of(prepare, {**GOOD, "dataset.toml": card.encode()})


def test_an_unknown_metric_is_refused(prepare: Prepare) -> None:
    card = 'name="a"\ntask="question-answering"\nlanguage="en"\nlicence="x"\ndescription="x"\nmetrics=["magic"]\n'
    assert "magic" in problems_of(prepare, {**GOOD, "dataset.toml": card.encode()})


def test_more_files_than_allowed_are_refused(prepare: Prepare) -> None:
    limits = UploadLimits(max_files=3)
    many = {f"{i}.md": b"x" for i in range(4)}
    assert "3 are allowed" in problems_of(prepare, many, limits=limits)
    assert "3 are allowed" in problems_of(prepare, {"x.zip": zipped(many)}, limits=limits)


def test_more_bytes_than_allowed_are_refused(prepare: Prepare) -> None:
    limits = UploadLimits(max_bytes=1000)
    assert "1000" in problems_of(prepare, {**GOOD, "a.md": b"x" * 2000}, limits=limits)
    assert "1000" in problems_of(prepare, {"x.zip": zipped({**GOOD, "a.md": b"x" * 2000})}, limits=limits)


def test_no_file_at_all_is_refused(prepare: Prepare) -> None:
    assert "no file" in problems_of(prepare, {})
    assert "no file" in problems_of(prepare, {"x.zip": zipped({})})


def test_metadata_that_would_fill_the_memory_is_refused(prepare: Prepare) -> None:
    row = json.dumps({"id": "d", "title": "", "text": "t", "metadata": {"x": [[] for _ in range(2000)]}})
    found = problems_of(
        prepare,
        {"documents.jsonl": row.encode() + b"\n", "questions.jsonl": QUESTIONS.encode()},
        limits=UploadLimits(max_containers=1000),
    )
    assert "objects and lists" in found


def test_a_file_without_end_is_read_no_further_than_allowed(tmp_path: Path) -> None:
    endless = UploadedFile("a.md", Path("/dev/zero"))
    with pytest.raises(UnfitUploadError, match="more than 100000 bytes"):
        prepare_upload([endless], tmp_path, name=None, task=None, limits=UploadLimits(max_bytes=100_000))
