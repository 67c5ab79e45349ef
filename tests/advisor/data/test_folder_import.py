import json
import shutil
import unicodedata
from pathlib import Path
from typing import Any

import pytest

from advisor.data.dataset import Split, Task
from advisor.data.files import load_dataset
from advisor.data.folder_import import Fate, FileOutcome
from advisor.data.formats.reading import import_data
from advisor.data.question_table import split_cell
from advisor.errors import DatasetError

TABLE = (
    "question,answer,document,group,answerable\n"
    "How long is the warranty?,two years|24 months,warranty,w,\n"
    '"Which colours,\nif any?",red,faq/colours.md,c,yes\n'
    "Who owns the shop?,,,o,no\n"
    "What does a filter cost?,9 euros,faq/v1.2,f,\n"
)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "handbook"
    (folder / "faq").mkdir(parents=True)
    (folder / "warranty.txt").write_text("\ufeffThe warranty is two years.\n", encoding="utf-8")
    (folder / "faq" / "colours.md").write_text("intro\n\n## Colours we sell ##\n\nRed.\n")
    (folder / "faq" / "v1.2.md").write_text("A filter is 9 euros.\n")
    (folder / "notes.doc").write_bytes(b"%PDF")
    (folder / "questions.csv").write_text(TABLE)
    return folder


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def import_folder(source: Path, destination: Path, notes: list[str] | None = None, **options: Any) -> Path:
    told: list[str] = []
    made = import_data(source, destination, tell=told.append, **options)
    if notes is not None:
        notes += [line.removeprefix("note: ") for line in told[1:]]
    return made


def problems_of(source: Path) -> str:
    destination = source.parent / "out"
    with pytest.raises(DatasetError) as caught:
        import_folder(source, destination)
    assert not destination.exists()
    return str(caught.value)


def test_an_imported_folder_loads_with_every_question(source: Path, tmp_path: Path) -> None:
    dataset = load_dataset(import_folder(source, tmp_path / "out"))
    assert dataset.card.name == "handbook"
    assert {document.id: document.title for document in dataset.documents} == {
        "faq/colours": "Colours we sell", "faq/v1.2": "v1.2", "warranty": "warranty",
    }  # fmt: skip
    by_question = {example.question: example for example in dataset.examples}
    assert by_question["How long is the warranty?"].answers == ("two years", "24 months")
    assert by_question["Which colours,\nif any?"].document_ids == ("faq/colours",)
    assert by_question["What does a filter cost?"].document_ids == ("faq/v1.2",)
    assert not by_question["Who owns the shop?"].answerable
    assert dataset.split(Split.TEST)


def test_a_mark_of_byte_order_is_no_part_of_the_text(source: Path, tmp_path: Path) -> None:
    documents = rows(import_folder(source, tmp_path / "out") / "documents.jsonl")
    assert documents[-1]["text"] == "The warranty is two years."


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_separator_is_found_and_headings_may_be_capitals(source: Path, tmp_path: Path, delimiter: str) -> None:
    (source / "questions.csv").write_text(f"Question{delimiter} ANSWER \nWhy?{delimiter}because\n")
    (question,) = rows(import_folder(source, tmp_path / "out") / "questions.jsonl")
    assert (question["question"], question["answers"], question["id"]) == ("Why?", ["because"], "q0001")


def test_given_ids_splits_and_task_are_kept(source: Path, tmp_path: Path) -> None:
    (source / "questions.csv").write_text("id,question,answer,split\nx,Why?,a,Train\ny,How?,b,test\n")
    dataset = load_dataset(import_folder(source, tmp_path / "out", task=Task.CLASSIFICATION))
    assert [(example.id, example.split) for example in dataset.examples] == [("x", Split.TRAIN), ("y", Split.TEST)]
    assert dataset.card.task is Task.CLASSIFICATION


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ("question,reply\nWhy?,x\n", 'questions.csv:1: the column "answer" is missing'),
        ("question,answer,colour\nWhy?,x,y\n", 'questions.csv:1: the column "colour" is unknown'),
        ("question,answer,answer\nWhy?,x,y\n", 'questions.csv:1: the column "answer" stands twice'),
        ("question,answer\n,x\n", "questions.csv:2: the question is empty"),
        ("question,answer\n\n\nWhy?,\n", "questions.csv:4: the answer is empty"),
        ('question,answer\n"Why\nthen?",x\nHow?, | \n', "questions.csv:4: the answer is empty"),
        ("question,answer,document\nWhy?,x,.\n", 'questions.csv:2: the document "." is not in the folder'),
        ("question,answer,document\nWhy?,x,faq\n", 'questions.csv:2: the document "faq" is not in the folder'),
        ("question,answer\nWhy?,x,y\n", "questions.csv:2: more cells than columns"),
        ('question,answer\nWhy?,"x"y\n', "questions.csv:2: not readable CSV"),
        ("question,answer,id\nWhy?,x,q0002\nHow?,y,\n", 'questions.csv:3: the id "q0002" is already on line 2'),
        ("question,answer,split\nWhy?,x,exam\n", 'questions.csv:2: the split "exam" is unknown'),
        ("question,answer,split\nWhy?,x,test\nHow?,y,\n", "questions.csv:3: no split, though other lines have one"),
        ("question,answer\n", "the table holds no question"),
        ("", 'the column "question" is missing'),
        ("question,answer\nWhy?,a\0b\n", "questions.csv:2: a NUL character"),
    ],
)
def test_a_bad_table_is_refused_by_line(source: Path, table: str, problem: str) -> None:
    (source / "questions.csv").write_text(table)
    assert problem in problems_of(source)


@pytest.mark.parametrize(
    "table",
    [
        "sep=;\nquestion;answer\nWhy, then?;x\n",
        "SEP=\t\r\nquestion\tanswer\r\nWhy, then?\tx\r\n",
        'question,answer,,\n"Why, then?",x,,\n,,,\n',
        ";;;\n;;;\n;question;answer;\n;Why, then?;x;\n;;;\n;;;\n",
        '\n\nquestion,answer\n"Why, then?",x\n   ,\n',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_what_spreadsheets_add_is_passed_over(source: Path, tmp_path: Path, table: str, encoding: str) -> None:
    (source / "questions.csv").write_bytes(table.encode(encoding))
    (question,) = rows(import_folder(source, tmp_path / "out") / "questions.jsonl")
    assert (question["question"], question["answers"]) == ("Why, then?", ["x"])


def test_lines_are_those_of_the_file_whatever_is_passed_over(source: Path) -> None:
    (source / "questions.csv").write_text('sep=;\nquestion;answer\n;;\n"Why\nthen?";x\n;y\nHow?;z;w\n')
    found = problems_of(source)
    assert "questions.csv:6: the question is empty" in found
    assert "questions.csv:7: more cells than columns" in found


def test_a_cell_may_be_as_long_as_a_file(source: Path, tmp_path: Path) -> None:
    (source / "questions.csv").write_text(f"question,answer\nWhy?,{'long ' * 60_000}\n")
    (question,) = rows(import_folder(source, tmp_path / "out") / "questions.jsonl")
    assert len(question["answers"][0]) == 299_999


@pytest.mark.parametrize("data", [b"\xff\xfeq", b"\xfe\xff\xd8\x00"])
def test_broken_utf_16_is_told_as_such(source: Path, data: bytes) -> None:
    (source / "questions.csv").write_bytes(data)
    assert "questions.csv: broken UTF-16; save the file as UTF-8" in problems_of(source)


@pytest.mark.parametrize(
    ("cell", "answers"),
    [
        ("two years|24 months", ["two years", "24 months"]),
        ("a| |b", ["a", "b"]),
        (r"ls \| wc", ["ls | wc"]),
        (r"a\|b|c", ["a|b", "c"]),
        ("x || y", ["x || y"]),
        ('{"tags": "a|b"}', ['{"tags": "a|b"}']),
        ('{"tags": ["a|b"]}|{"tags": []}', ['{"tags": ["a|b"]}', '{"tags": []}']),
        ("`ls | wc`", ["`ls | wc`"]),
        ("P(a|b)", ["P(a|b)"]),
        (":) | :(", [":)", ":("]),
        ('5" | 12.7 cm', ['5"', "12.7 cm"]),
    ],
)
def test_a_cell_is_divided_where_the_mark_is_no_content(cell: str, answers: list[str]) -> None:
    assert split_cell(cell) == answers


def test_answers_that_were_divided_are_told(source: Path, tmp_path: Path) -> None:
    notes: list[str] = []
    import_folder(source, tmp_path / "out", notes=notes)
    assert "questions.csv:2: read as 2 accepted answers: 'two years' and '24 months'" in notes


@pytest.mark.parametrize(
    ("said", "answerable"),
    [("ja", True), ("WAHR", True), ("1", True), ("", True), ("nein", False), ("FALSCH", False), ("Faux", False)],
)
def test_yes_and_no_are_understood_as_spreadsheets_write_them(
    source: Path, tmp_path: Path, said: str, answerable: bool
) -> None:
    (source / "questions.csv").write_text(f"question,answer,answerable\nWhy?,x,{said}\n")
    (question,) = rows(import_folder(source, tmp_path / "out") / "questions.jsonl")
    assert question.get("answerable", True) is answerable


@pytest.mark.parametrize("said", ["nope", "maybe", "x", "2", "tak", "null"])
def test_another_word_than_yes_and_no_is_refused(source: Path, said: str) -> None:
    (source / "questions.csv").write_text(f"question,answer,answerable\nWhy?,x,{said}\n")
    assert f'questions.csv:2: "{said}" in the column answerable is not understood; say yes or no' in problems_of(source)


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("ru\u0308ckgabe.md", "r\u00fcckgabe"),
        ("r\u00fcckgabe.md", "ru\u0308ckgabe.md"),
        ("faq/returns.md", r"faq\returns.md"),
        ("returns.md", "./returns.md"),
        ("faq/re\u0301.md", r".\faq\ré.md"),
    ],
)
def test_a_document_is_found_as_any_system_writes_its_name(source: Path, tmp_path: Path, file: str, said: str) -> None:
    (source / file).write_text("Fourteen days.")
    (source / "questions.csv").write_text(f"question,answer,document\nWhy?,x,{said}\n", encoding="utf-8")
    (question,) = rows(import_folder(source, tmp_path / "out") / "questions.jsonl")
    assert question["document_ids"] == [unicodedata.normalize("NFC", file).removesuffix(".md")]


@pytest.mark.parametrize("said", ["Warranty", "waranty.txt", "faq/colors", "FAQ/colours"])
def test_a_name_that_is_nearly_one_of_a_document_is_suggested(source: Path, said: str) -> None:
    (source / "questions.csv").write_text(f"question,answer,document\nWhy?,x,{said}\n")
    meant = "warranty" if "w" in said.lower() else "faq/colours"
    assert f'is not in the folder; did you mean "{meant}"?' in problems_of(source)


def test_another_tools_table_is_read_by_its_columns(source: Path, tmp_path: Path) -> None:
    (source / "questions.csv").write_text("user_input,reference_contexts,reference\nWhy?,[],x\n")
    (question,) = rows(import_folder(source, tmp_path / "out") / "questions.jsonl")
    assert (question["question"], question["answers"]) == ("Why?", ["x"])


def test_everything_that_is_not_read_is_told(source: Path, tmp_path: Path) -> None:
    for folder in (".git", ".ipynb_checkpoints", "pictures", "faq/.venv/lib"):
        (source / folder).mkdir(parents=True)
    hidden = (".git/x.md", ".ipynb_checkpoints/questions.csv", "faq/.venv/lib/LICENSE.txt", "._warranty.txt")
    for name in (*hidden, "human_labels.jsonl", "pictures/logo.png", "guide.mdx", "faq/terms.DOC", "Makefile"):
        (source / name).write_bytes(b"\xff\xfe\x00")
    (source / "linked").symlink_to(source / "faq", target_is_directory=True)
    files: list[FileOutcome] = []
    documents = rows(import_folder(source, tmp_path / "out", files=files) / "documents.jsonl")
    assert [row["id"] for row in documents] == ["faq/colours", "faq/v1.2", "warranty"]
    told = {file.name: file.detail for file in files if file.fate is Fate.LEFT_OUT}
    assert told.keys() == {
        ".git", ".ipynb_checkpoints", "faq/.venv", "._warranty.txt", "linked",
        "human_labels.jsonl", "pictures/logo.png", "guide.mdx", "faq/terms.DOC", "Makefile", "notes.doc",
    }  # fmt: skip
    assert told["faq/terms.DOC"] == "old Word files are not read; save it as .docx"
    assert {file.name: file.fate for file in files if file.name not in told} == {
        "faq/colours.md": Fate.DOCUMENT,
        "faq/v1.2.md": Fate.DOCUMENT,
        "warranty.txt": Fate.DOCUMENT,
        "questions.csv": Fate.QUESTIONS,
    }


def test_a_line_of_plain_text_is_no_heading(source: Path, tmp_path: Path) -> None:
    (source / "warranty.txt").write_text("# a comment\nThe warranty\n============\n")
    documents = rows(import_folder(source, tmp_path / "out") / "documents.jsonl")
    assert documents[-1]["title"] == "warranty"


def test_a_picture_within_a_document_is_left_out_and_told(source: Path, tmp_path: Path) -> None:
    (source / "faq" / "colours.md").write_text(
        f"# Colours\n\n![a swatch](data:image/png;base64,{'iVBOR0' * 999})\n\nRed."
    )
    files: list[FileOutcome] = []
    documents = rows(import_folder(source, tmp_path / "out", files=files) / "documents.jsonl")
    assert documents[0]["text"] == "# Colours\n\na swatch\n\nRed."
    assert "faq/colours.md: document; files written as text, such as pictures, were left out of it" in map(str, files)


def test_all_problems_are_listed_together(source: Path) -> None:
    (source / "questions.csv").write_text("question,answer\n,x\nWhy?,\n")
    (source / "empty.md").write_text(" \n")
    (source / "latin.txt").write_bytes("ß\ncaf".encode() + b"\xe9")
    found = problems_of(source)
    for problem in ("csv:2", "csv:3", "empty.md: the file is empty", "latin.txt:2: broken UTF-8 at byte 7"):
        assert problem in found


def test_two_files_that_would_share_an_id_are_refused(source: Path) -> None:
    (source / "warranty.md").write_text("Other.")
    assert "warranty.txt: would have the same id as warranty.md" in problems_of(source)


def test_a_document_that_cannot_be_read_is_told_and_the_rest_is_imported(source: Path, tmp_path: Path) -> None:
    (source / "empty.md").write_text(" \n")
    (source / "latin.txt").write_bytes("ß\ncaf".encode() + b"\xe9")
    files: list[FileOutcome] = []
    documents = rows(import_folder(source, tmp_path / "out", files=files) / "documents.jsonl")
    assert [row["id"] for row in documents] == ["faq/colours", "faq/v1.2", "warranty"]
    assert [str(file) for file in files if file.fate is Fate.FAILED] == [
        "empty.md: not read; the file is empty; fill it or take it out of the folder",
        "latin.txt:2: not read; broken UTF-8 at byte 7; save the file as UTF-8",
    ]
    (source / "questions.csv").write_text("question,answer,document\nWhy?,x,latin.txt\n")
    shutil.rmtree(tmp_path / "out")
    assert 'questions.csv:2: the document "latin" could not be read: broken UTF-8' in problems_of(source)


def test_a_table_without_questions_is_a_document(source: Path, tmp_path: Path) -> None:
    (source / "prices.csv").write_text("model;price\nA1;100\nB2;200\n")
    documents = rows(import_folder(source, tmp_path / "out") / "documents.jsonl")
    assert documents[2]["text"] == "| model | price |\n|---|---|\n| A1 | 100 |\n| B2 | 200 |"
    assert documents[2]["metadata"] == {"file": "prices.csv"}


def test_exactly_one_table_is_needed(source: Path) -> None:
    (source / "more.csv").write_text(TABLE)
    assert "found: more.csv, questions.csv" in problems_of(source)
    (source / "more.csv").unlink()
    (source / "questions.csv").unlink()
    assert "found: none" in problems_of(source)


def test_a_folder_without_texts_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "q.csv").write_text("question,answer\nWhy?,x\n")
    assert "no document is below the folder; add some (.md, .txt" in problems_of(tmp_path / "bare")


def test_a_missing_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="there is no such file or folder"):
        import_folder(tmp_path / "nothing", tmp_path / "out")


def test_nothing_of_the_users_is_overwritten(source: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    for destination in (tmp_path / "full", source / "questions.csv"):
        with pytest.raises(DatasetError, match="choose another folder, nothing was written"):
            import_folder(source, destination)
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine.txt"]
