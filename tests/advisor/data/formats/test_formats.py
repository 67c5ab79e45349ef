"""Every format: what is exported comes back, a golden file is read, and its broken twin is refused by line."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from advisor.data.dataset import Dataset, Document, Example, Split
from advisor.data.files import Problem, default_card, read_dataset
from advisor.data.folder_import import Fate, FileOutcome
from advisor.data.formats.export import export_dataset
from advisor.data.formats.reading import import_data
from advisor.data.formats.table import FORMATS
from advisor.errors import DatasetError
from lm.completion import Message, Role

CARD = replace(default_card("desks"), description="Desks.")
DOCUMENTS = (
    Document("care/oak", "Oak", "Oak weighs 40 kg.\nIt is brown."),
    Document("care/fir", "Fir", "Fir weighs 20 kg."),
)
HISTORY = (Message(Role.USER, "How heavy is oak?"), Message(Role.ASSISTANT, "40 kg"))
EXAMPLES = (
    Example("a1", "How heavy is oak?", ("40 kg", "40 kilogram"), ("care/oak",), "oak", Split.TRAIN),
    Example("a2", 'Do "oak | fir" weigh,\nmuch?', ("60 kg",), ("care/oak", "care/fir"), "all", Split.VALIDATION),
    Example("a3", "Who planted the oak?", (), (), "who", Split.TEST),
    Example("a4", "And fir?", ("20 kg",), ("care/fir",), "fir", Split.TEST, history=HISTORY),
    Example("a5", "Öl oder Wachs?", ("Öl",), ("care/oak",), "oil", Split.TEST, "smollm2"),
)  # fmt: skip
DATASET = Dataset(CARD, DOCUMENTS, EXAMPLES)
WITHOUT_HISTORY = Dataset(CARD, DOCUMENTS, tuple(one for one in EXAMPLES if not one.history))


def imported(source: Path, tmp_path: Path, **options: Any) -> tuple[Dataset, list[str]]:
    told: list[str] = []
    problems: list[Problem] = []
    dataset = read_dataset(import_data(source, tmp_path / "imported", tell=told.append, **options), problems)
    assert dataset is not None, problems
    # One question alone makes no split, which is no matter here.
    assert [problem for problem in problems if "no question has split" not in problem.message] == []
    return dataset, told


def refused(source: Path, tmp_path: Path, **options: Any) -> str:
    with pytest.raises(DatasetError) as caught:
        import_data(source, tmp_path / "imported", **options)
    assert not (tmp_path / "imported").exists()
    return str(caught.value)


@pytest.mark.parametrize("name", FORMATS)
def test_a_dataset_comes_back_from_every_format_as_it_was(name: str, tmp_path: Path) -> None:
    before = WITHOUT_HISTORY if name in ("csv", "excel") else DATASET
    export_dataset(before, name, tmp_path / "exported")
    after, told = imported(tmp_path / "exported", tmp_path)
    assert sorted(after.examples, key=lambda one: one.id) == sorted(before.examples, key=lambda one: one.id)
    assert sorted(after.documents, key=lambda one: one.id) == sorted(before.documents, key=lambda one: one.id)
    assert after.card == before.card
    assert f"{len(before.examples)} questions" in told[0]
    assert "1 unanswerable" in told[0]


@pytest.mark.parametrize("name", ["csv", "excel"])
def test_a_table_refuses_what_it_has_no_place_for(name: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no place for what was said before a4"):
        export_dataset(DATASET, name, tmp_path / "exported")


SQUAD = {
    "version": "v2.0",
    "data": [
        {
            "title": "Oak",
            "paragraphs": [
                {
                    "context": "Oak weighs 40 kg.",
                    "qas": [
                        {"id": "s1", "question": "How heavy is oak?", "is_impossible": False,
                         "answers": [{"text": "40 kg", "answer_start": 11}, {"text": "40", "answer_start": 11}]},
                        {"id": "s2", "question": "Who planted it?", "is_impossible": True, "answers": []},
                    ],
                }
            ],
        }
    ],
}  # fmt: skip
CHAT = [
    {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "How heavy is oak?"},
                  {"role": "assistant", "content": "40 kg"}]},
    {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Oak?"},
                  {"role": "assistant", "content": "40 kg"},
                  {"role": "user", "content": [{"type": "text", "text": "And fir?"}]},
                  {"role": "assistant", "content": "20 kg"}]},
]  # fmt: skip
SHAREGPT = [
    {"conversations": [{"from": "human", "value": "How heavy is oak?"}, {"from": "gpt", "value": "40 kg"},
                       {"from": "human", "value": "And fir?"}, {"from": "gpt", "value": "20 kg"}]},
    {"conversations": [{"from": "human", "value": "Is birch light?"}, {"from": "gpt", "value": "yes"}]},
]  # fmt: skip
ALPACA = [
    {"instruction": "Name the weight.", "input": "oak", "output": "40 kg"},
    {"instruction": "Is birch light?", "input": "", "output": "yes"},
]
RAGAS = [
    {"user_input": "How heavy is oak?", "reference": "40 kg", "reference_contexts": ["Oak weighs 40 kg."]},
    {
        "user_input": "Oak and fir?",
        "reference": "60 kg",
        "reference_contexts": ["Oak weighs 40 kg.", "Fir weighs 20 kg."],
    },
]
PROMPTFOO = """\
- vars:
    question: How heavy is oak?
  assert:
    - type: icontains-any
      value: [40 kg, 40 kilogram]
- vars:
    question: Is birch light?
    context: Birch is light.
  assert:
    - type: equals
      value: yes it is
    - type: llm-rubric
      value: is polite
- vars:
    question: Does it sound nice?
  assert:
    - type: llm-rubric
      value: is polite
"""


def json_lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def pretty(value: object) -> str:
    return json.dumps(value, indent=1)


OAK, FIR, BIRCH = ("How heavy is oak?", ("40 kg",)), ("And fir?", ("20 kg",)), ("Is birch light?", ("yes",))
WEIGHT, BOTH = ("Name the weight.\n\noak", ("40 kg",)), ("Oak and fir?", ("60 kg",))
POLITE, SEVERAL = ("Is birch light?", ("yes it is",)), ("How heavy is oak?", ("40 kg", "40 kilogram"))
GOLDEN: dict[str, tuple[str, str, list[tuple[str, tuple[str, ...]]], int]] = {
    "squad": ("dev.json", pretty(SQUAD), [("How heavy is oak?", ("40 kg", "40")), ("Who planted it?", ())], 1),
    "openai-chat": ("chat.jsonl", json_lines(CHAT), [OAK, FIR], 0),
    "sharegpt": ("chats.json", pretty(SHAREGPT), [FIR, BIRCH], 0),
    "alpaca": ("alpaca.json", pretty(ALPACA), [WEIGHT, BIRCH], 0),
    "ragas": ("testset.jsonl", json_lines(RAGAS), [OAK, BOTH], 2),
    "promptfoo": ("tests.yaml", PROMPTFOO, [SEVERAL, POLITE], 1),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_a_golden_file_is_read_as_its_makers_mean_it(name: str, tmp_path: Path) -> None:
    file, text, questions, n_documents = GOLDEN[name]
    (tmp_path / file).write_text(text, encoding="utf-8")
    dataset, told = imported(tmp_path / file, tmp_path)
    assert [(one.question, one.answers) for one in dataset.examples] == questions
    assert len(dataset.documents) == n_documents
    assert told[0].startswith(f"{file} is read as {FORMATS[name].label}: 2 questions")


BROKEN: list[tuple[str, str, str, str]] = [
    ("squad", '"is_impossible": true', '"is_impossible": "yes"', 'dev.json:25: "is_impossible" must be true or false'),
    ("squad", '"answers": []', '"answers": [{"txt": 1}]', 'dev.json:25: "answers" must be a list of objects'),
    ("squad", '"title": "Oak",', '"title": "Oak"', "dev.json:6: not readable JSON"),
    ("openai-chat", '"user"', '"usr"', "chat.jsonl:1: the role 'usr' is unknown"),
    ("openai-chat", "}]}\n", "}]}\n{\n", "chat.jsonl:2: not a JSON object"),
    (
        "sharegpt",
        '"human",\n    "value": "And',
        '"man",\n    "value": "And',
        "chats.json:12: the speaker 'man' is unknown",
    ),
    ("alpaca", '"output": "yes"', '"output": 1', 'alpaca.json:7: "output" must be text'),
    ("ragas", '["Oak weighs 40 kg."]}', "3}", 'testset.jsonl:1: "reference_contexts" must be a list'),
    ("promptfoo", "    context", "   context", "tests.yaml:8: not readable YAML"),
    ("promptfoo", "    question: Is", "    x: y\n    z: Is", "tests.yaml:6: which variable is the question?"),
]


@pytest.mark.parametrize(("name", "right", "broken", "message"), BROKEN)
def test_a_broken_twin_is_refused_by_line(name: str, right: str, broken: str, message: str, tmp_path: Path) -> None:
    file, text = GOLDEN[name][:2]
    assert right in text
    (tmp_path / file).write_text(text.replace(right, broken, 1), encoding="utf-8")
    assert message in refused(tmp_path / file, tmp_path)


def test_what_came_before_the_last_question_is_its_history(tmp_path: Path) -> None:
    (tmp_path / "chat.jsonl").write_text(json_lines(CHAT))
    dataset, _ = imported(tmp_path / "chat.jsonl", tmp_path)
    assert dataset.examples[1].history == (Message(Role.USER, "Oak?"), Message(Role.ASSISTANT, "40 kg"))
    assert dataset.card.instruction == "Be brief."


def test_every_row_left_out_is_counted_and_named(tmp_path: Path) -> None:
    tools = {"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": None, "tool_calls": [{}]}]}
    open_end = {"messages": [{"role": "user", "content": "x"}]}
    (tmp_path / "chat.jsonl").write_text(json_lines([*CHAT, tools, open_end, tools]))
    _, told = imported(tmp_path / "chat.jsonl", tmp_path)
    assert "3 rows are left out" in told[0]
    assert "note: left out 2 because it calls tools: chat.jsonl:3, chat.jsonl:5" in told
    assert "note: left out 1 because it does not end with a question and its answer: chat.jsonl:4" in told


def test_splits_come_from_the_names_of_files(tmp_path: Path) -> None:
    source = tmp_path / "hub"
    (source / "data").mkdir(parents=True)
    for name in ("train", "validation", "test"):
        rows = [{"question": f"Is {name} {i}?", "answer": "yes"} for i in range(2)]
        (source / "data" / f"{name}-00000-of-00001.jsonl").write_text(json_lines(rows))
    dataset, told = imported(source, tmp_path)
    assert [one.split for one in dataset.examples] == [Split.TRAIN] * 2 + [Split.VALIDATION] * 2 + [Split.TEST] * 2
    assert "split: train 2, validation 2, test 2" in told[0]


def test_a_saved_hugging_face_dataset_is_read(tmp_path: Path) -> None:
    import datasets

    def part(*ids: str) -> datasets.Dataset:
        answers = [{"text": ["40 kg"], "answer_start": [11]}, {"text": [], "answer_start": []}]
        rows = {"id": ids, "title": ["Oak"] * 2, "context": ["Oak weighs 40 kg."] * 2, "question": ["Oak?", "Who?"]}
        return datasets.Dataset.from_dict({**rows, "answers": answers})

    datasets.DatasetDict({"train": part("1", "2"), "validation": part("1v", "2v")}).save_to_disk(tmp_path / "saved")
    dataset, told = imported(tmp_path / "saved", tmp_path)
    assert [(one.id, one.answers, one.split) for one in dataset.examples] == [
        ("1", ("40 kg",), Split.TRAIN), ("2", (), Split.TRAIN), ("1v", ("40 kg",), Split.TEST), ("2v", (), Split.TEST),
    ]  # fmt: skip
    assert any("read as the test split, since no file is one" in line for line in told)


BEIR_ROWS = {
    "corpus.jsonl": json_lines([{"_id": "d1", "title": "Oak", "text": "Oak weighs 40 kg."}]),
    "queries.jsonl": json_lines(
        [{"_id": "1", "text": "Oak?", "metadata": {"answer": "40 kg"}}, {"_id": "2", "text": "Fir?"}]
    ),
    "qrels/test.tsv": "query-id\tcorpus-id\tscore\n1\td1\t1\n2\td1\t0\n",
}


def beir(folder: Path, **changed: str) -> Path:
    (folder / "qrels").mkdir(parents=True)
    for name, text in {**BEIR_ROWS, **{name.replace("__", "/"): text for name, text in changed.items()}}.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_beir_is_read_and_queries_without_answers_are_left_out(tmp_path: Path) -> None:
    dataset, told = imported(beir(tmp_path / "scifact"), tmp_path)
    assert [(one.id, one.answers, one.document_ids) for one in dataset.examples] == [("1", ("40 kg",), ("d1",))]
    assert any('because BEIR has no answers; add "answers"' in line and "queries.jsonl:2" in line for line in told)


def test_a_judgement_of_a_passage_that_is_not_there_is_refused_by_line(tmp_path: Path) -> None:
    source = beir(tmp_path / "scifact", **{"qrels__test.tsv": BEIR_ROWS["qrels/test.tsv"].replace("1\td1", "1\td9", 1)})
    assert 'queries.jsonl:1: the document "d9"' in refused(source, tmp_path)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ("question,answer\nÖl?,ja\n".encode(), ""),
        ("question;answer\nÖl?;ja\n".encode("utf-8-sig"), ""),
        ("question\tanswer\nÖl?\tja\n".encode("utf-16"), ""),
        ("question\tanswer\nÖl?\tja\n".encode("utf-16-le"), ""),
        ("question,answer\nÖl?,ja\n".encode("cp1252"), "note: fragen.csv: it is Windows-1252 text"),
        ("Frage,Antwort,Notiz\nÖl?,ja,x\n".encode(), "note: fragen.csv:1: columns left out: notiz"),
    ],
)
def test_a_table_is_read_as_programs_write_it(data: bytes, told: str, tmp_path: Path) -> None:
    (tmp_path / "fragen.csv").write_bytes(data)
    columns = {"question": "Frage", "answer": "Antwort"} if b"Frage" in data else {}
    dataset, lines = imported(tmp_path / "fragen.csv", tmp_path, columns=columns)
    assert [(one.question, one.answers) for one in dataset.examples] == [("Öl?", ("ja",))]
    assert not told or any(line.startswith(told) for line in lines)


def test_broken_utf8_is_not_taken_for_another_encoding(tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_bytes("question,answer\nÖl?,ja\nWachs\xff?,ja\n".encode().replace(b"\xc3\xbf", b"\xff"))
    assert "q.csv:3: broken UTF-8" in refused(tmp_path / "q.csv", tmp_path)


def test_an_unknown_format_names_the_fields_and_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text('{"a": 1, "b": 2}\n')
    told = refused(tmp_path / "q.jsonl", tmp_path)
    assert "q.jsonl:1: its format is not known (fields: a, b); known are SQuAD" in told
    assert "--column question=NAME" in told


def test_a_column_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    (tmp_path / "q.csv").write_text("a,b\n1,2\n")
    assert 'there is no column "c"; there are a, b' in refused(tmp_path / "q.csv", tmp_path, columns={"question": "c"})


def test_files_of_several_formats_are_refused_by_name(tmp_path: Path) -> None:
    source = tmp_path / "mixed"
    source.mkdir()
    (source / "a.jsonl").write_text(json_lines(CHAT))
    (source / "b.json").write_text(pretty(ALPACA))
    assert "a.jsonl (chat messages), b.json (Alpaca instructions or the like)" in refused(source, tmp_path)


def test_texts_and_questions_of_another_tool_make_one_dataset(tmp_path: Path) -> None:
    source = tmp_path / "both"
    source.mkdir()
    (source / "oak.md").write_text("# Oak\n\nOak weighs 40 kg.\n")
    (source / "testset.csv").write_text("user_input,reference,reference_contexts\nOak?,40 kg,\"['It is heavy.']\"\n")
    (source / "prices.csv").write_text("wood,price\noak,9\n")
    (source / "broken.json").write_text("{")
    files: list[FileOutcome] = []
    dataset, _ = imported(source, tmp_path, files=files)
    assert [(file.name, file.fate) for file in files] == [
        ("broken.json", Fate.FAILED), ("oak.md", Fate.DOCUMENT), ("prices.csv", Fate.DOCUMENT),
        ("testset.csv", Fate.QUESTIONS),
    ]  # fmt: skip
    assert [one.id for one in dataset.documents] == ["oak", "prices", "d0003"]
    assert dataset.examples[0].document_ids == ("d0003",)
