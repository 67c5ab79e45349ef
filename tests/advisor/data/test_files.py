"""Every bad input is named with file, line and remedy, and the bundled datasets keep their promises."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from advisor.data.dataset import Dataset, Slice, Split, Task
from advisor.data.files import Problem, load_dataset, read_dataset
from advisor.data.leaks import find_duplicates, find_leaks
from advisor.errors import DatasetError

BUNDLED = Path(__file__).parents[3] / "datasets"
BUNDLED_NAMES = sorted(folder.name for folder in BUNDLED.iterdir() if folder.is_dir())

CARD = 'name = "n"\ntask = "question-answering"\nlanguage = "en"\nlicence = "CC0-1.0"\ndescription = "d"\n'
DOCUMENT = {"id": "d1", "title": "A sheet", "text": "The tank holds 2 litres."}


def question(number: int = 1, **changes: Any) -> dict[str, Any]:
    row = {
        "id": f"q{number}",
        "question": f"How large is tank {number}?",
        "answers": ["2 litres"],
        "document_ids": ["d1"],
        "group": f"g{number}",
        "split": "test",
    }
    return {key: value for key, value in (row | changes).items() if value is not ...}


def lines(*rows: Any) -> bytes:
    return b"".join(json.dumps(row, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n" for row in rows)


def write(
    folder: Path,
    questions: bytes | None = None,
    documents: bytes | None = None,
    card: str | bytes | None = None,
) -> Path:
    (folder / "documents.jsonl").write_bytes(lines(DOCUMENT) if documents is None else documents)
    (folder / "questions.jsonl").write_bytes(lines(question()) if questions is None else questions)
    if card is not None:
        (folder / "dataset.toml").write_bytes(card.encode() if isinstance(card, str) else card)
    return folder


def refusal(folder: Path, **options: Any) -> str:
    with pytest.raises(DatasetError) as caught:
        load_dataset(folder, **options)
    return str(caught.value)


def test_a_folder_without_card_takes_the_task_it_is_given(tmp_path: Path) -> None:
    dataset = load_dataset(write(tmp_path), task=Task.CLASSIFICATION)
    assert dataset.card.name == tmp_path.name
    assert dataset.card.task is Task.CLASSIFICATION
    assert dataset.card.metrics == ("accuracy", "macro_f1")


def test_the_task_of_a_card_wins(tmp_path: Path) -> None:
    dataset = load_dataset(write(tmp_path, card=CARD), task=Task.CLASSIFICATION)
    assert dataset.card.task is Task.QUESTION_ANSWERING


def test_labels_of_the_instruction_come_from_training_and_never_from_test(tmp_path: Path) -> None:
    rows = [question(1, answers=["refund"], split="train"), question(2, answers=["secret"], split="test")]
    instruction = load_dataset(write(tmp_path, lines(*rows)), task=Task.CLASSIFICATION).card.instruction
    assert "refund" in instruction
    assert "secret" not in instruction
    assert "{labels}" not in instruction


def test_a_missing_folder_is_refused_by_name(tmp_path: Path) -> None:
    assert f"{tmp_path / 'nowhere'}: there is no such folder" in refusal(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["documents.jsonl", "questions.jsonl"])
def test_a_missing_file_is_refused_by_name(tmp_path: Path, name: str) -> None:
    (write(tmp_path) / name).unlink()
    message = refusal(tmp_path)
    assert f"{name}: the file is missing from {tmp_path}; add it" in message
    assert "1 problem:" in message


def test_a_file_without_questions_is_refused_by_name(tmp_path: Path) -> None:
    (write(tmp_path) / "questions.jsonl").write_bytes(b"\n \n")
    assert "questions.jsonl: the file holds no question; add one JSON object a line" in refusal(tmp_path)


def test_a_dataset_may_have_no_documents(tmp_path: Path) -> None:
    rows = [question(i, document_ids=[]) for i in range(9)]
    assert load_dataset(write(tmp_path, lines(*rows), b"")).documents == ()


def test_what_was_said_before_a_question_is_read_and_asked_with_it(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "Oak?"}, {"role": "assistant", "content": "40 kg"}]
    dataset = load_dataset(write(tmp_path, lines(*(question(i, history=turns) for i in range(9)))))
    first = dataset.examples[0]
    assert first.asked == f"{first.question}\n\nSaid before in this conversation:\nUser: Oak?\nAssistant: 40 kg"
    plain = load_dataset(write(tmp_path, lines(*(question(i, history=[]) for i in range(9)))))
    assert plain.examples[0].asked == first.question
    assert dataset.content_hash != plain.content_hash


@pytest.mark.parametrize("history", ["Oak?", [{"role": "system", "content": "x"}], [{"role": "user"}]])
def test_a_history_that_is_no_list_of_turns_is_refused_by_line(tmp_path: Path, history: object) -> None:
    assert 'questions.jsonl:1: "history" must be a list' in refusal(
        write(tmp_path, lines(question(1, history=history)))
    )


def test_null_in_an_optional_field_is_as_if_it_were_left_out(tmp_path: Path) -> None:
    nothing = dict.fromkeys(("document_ids", "group", "split", "answerable", "meta", "metadata"))
    document = DOCUMENT | dict.fromkeys(("title", "metadata", "meta"))
    with_nulls = write(tmp_path, lines(*(question(i, **nothing) for i in range(9))), lines(document))
    loaded = load_dataset(with_nulls)
    left_out = dict.fromkeys(nothing, ...)
    write(tmp_path, lines(*(question(i, **left_out) for i in range(9))), lines(DOCUMENT | {"title": ""}))
    assert loaded == load_dataset(tmp_path)


def test_whole_numbers_that_name_something_are_read(tmp_path: Path) -> None:
    rows = [question(1, id=1, document_ids=[5], group=3), question(2, id=2, document_ids=5)]
    dataset = load_dataset(write(tmp_path, lines(*rows), lines(DOCUMENT | {"id": 5})))
    assert [(e.id, e.document_ids, e.group) for e in dataset.examples] == [("1", ("5",), "3"), ("2", ("5",), "g2")]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"messages": [{"role": "user", "content": "Why?"}]}, "chat messages"),
        ({"conversations": [{"from": "human", "value": "Why?"}]}, "ShareGPT"),
        ({"instruction": "Say why.", "input": "", "output": "x"}, "Alpaca"),
        ({"prompt": "Why?", "completion": "x"}, "Alpaca instructions or the like"),
        ({"user_input": "Why?", "reference": "x"}, "ragas"),
        ({"_id": "1", "text": "Why?"}, "BEIR"),
        ({"title": "T", "paragraphs": []}, "SQuAD"),
        (question(1, answers={"text": ["x"], "answer_start": [0]}), "SQuAD"),
        ({"input": "Why?", "expected_output": "x"}, "Alpaca instructions or the like"),
    ],
)
def test_another_tools_format_is_told_once_with_its_fields(tmp_path: Path, row: dict[str, Any], told: str) -> None:
    problems: list[Problem] = []
    read_dataset(write(tmp_path, lines(*[row] * 5)), problems)
    (problem,) = problems
    assert told in str(problem)
    assert "answer" in problem.message
    assert "tuningfork import" in problem.message
    assert problem.line == 1


def test_a_row_of_ours_may_have_any_other_field(tmp_path: Path) -> None:
    more = {"messages": [], "prompt": "p", "completion": "c", "_id": 3, "source": "x", "document_id": "d1"}
    document = lines(DOCUMENT | {"messages": [], "paragraphs": []})
    assert load_dataset(write(tmp_path, lines(question(1, **more)), document)).unread_fields == ()


def test_fields_that_look_like_ours_are_counted(tmp_path: Path) -> None:
    more = {"doc_id": "d1", "is_impossible": True, "Splitt": "test", "level": 3, "empty": None, "fold": None}
    rows = [question(i, document_ids=..., split=..., **more) for i in range(3)]
    unread = load_dataset(write(tmp_path, lines(*rows))).unread_fields
    assert {(field.name, field.meant, field.n_rows) for field in unread} == {
        ("doc_id", "document_ids", 3), ("is_impossible", "answerable", 3), ("Splitt", "split", 3),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (question(2, id=...), 'questions.jsonl:2: the field "id" is missing; add it'),
        (question(2, question=...), 'questions.jsonl:2: the field "question" is missing; add it'),
        (question(2, question=None), 'questions.jsonl:2: the field "question" is missing; add it'),
        (question(2, answers=...), 'questions.jsonl:2: the field "answers" is missing; add a list'),
        (question(2, answers=None), 'questions.jsonl:2: the field "answers" is missing; add a list'),
        (question(2, id=7.5), 'questions.jsonl:2: "id" is a float; write it as text in quotes'),
        (question(2, id=True), 'questions.jsonl:2: "id" is a bool; write it as text in quotes'),
        (question(2, question=["a"]), 'questions.jsonl:2: "question" is a list; write it as text in quotes'),
        (question(2, question="  "), 'questions.jsonl:2: "question" is empty; fill it in or remove the line'),
        (question(2, answers=[7]), 'questions.jsonl:2: "answers" must be a list of texts'),
        (question(2, answers={"a": 1}), 'questions.jsonl:2: "answers" must be a list of texts'),
        (question(2, answers=[]), 'questions.jsonl:2: an empty answer; give one, or say "answerable": false'),
        (question(2, answers=["a", " "]), 'questions.jsonl:2: an empty answer; give one, or say "answerable": false'),
        (question(2, answers=""), 'questions.jsonl:2: an empty answer; give one, or say "answerable": false'),
        (question(2, answerable="no"), 'questions.jsonl:2: "answerable" must be true or false'),
        (question(2, meta={"answerable": 0}), 'questions.jsonl:2: "answerable" must be true or false'),
        (question(2, document_ids=[1.5]), 'questions.jsonl:2: "document_ids" must be a list of texts'),
        (question(2, document_ids=["d9"]), 'questions.jsonl:2: the document id "d9" is not in documents.jsonl; fix'),
        (
            question(2, document_ids=["D1 "]),
            'questions.jsonl:2: the document id "D1 " is not in documents.jsonl; did you mean "d1"?',
        ),
        (question(2, group=[7]), 'questions.jsonl:2: "group" is a list; write it as text in quotes'),
        (question(2, group=""), 'questions.jsonl:2: "group" is empty'),
        (question(2, split="dev"), 'questions.jsonl:2: the split "dev" is unknown; say train, validation or test'),
        (question(2, split=["test"]), "questions.jsonl:2: the split \"['test']\" is unknown"),
        (question(2, split=...), "questions.jsonl:2: no split, though other lines have one; say train"),
        (question(1), 'questions.jsonl:2: the id "q1" is already on line 1'),
        (question(2, question="a\0b"), 'questions.jsonl:2: "question" holds a NUL character; remove it'),
        (question(2, answers=["a\0"]), 'questions.jsonl:2: "answers" holds a NUL character; remove it'),
        ([1], "questions.jsonl:2: a JSON list, not an object; write {...}"),
        ("text", "questions.jsonl:2: a JSON str, not an object; write {...}"),
        (None, "questions.jsonl:2: a JSON NoneType, not an object; write {...}"),
    ],
)
def test_a_bad_question_is_named_with_line_and_remedy(tmp_path: Path, row: object, expected: str) -> None:
    message = refusal(write(tmp_path, lines(question(1), row)))
    assert f"  {expected}" in message
    assert "1 problem:" in message


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"text": "t"}, 'documents.jsonl:2: the field "id" is missing; add it'),
        ({"id": "d2"}, 'documents.jsonl:2: the field "text" is missing; add it'),
        ({"id": "d2", "text": 5}, 'documents.jsonl:2: "text" is a int; write it as text in quotes'),
        ({"id": "d2", "text": "t", "title": 5}, 'documents.jsonl:2: "title" is a int; write it as text in quotes'),
        ({"id": "d1", "text": "t"}, 'documents.jsonl:2: the id "d1" is already on line 1'),
        ({"id": "d2", "text": "t", "metadata": [1]}, 'documents.jsonl:2: "metadata" must be a JSON object'),
        ({"id": "d2", "text": "t", "metadata": {"a": ["\0"]}}, 'documents.jsonl:2: "metadata" holds a NUL character'),
    ],
)
def test_a_bad_document_is_named_with_line_and_remedy(tmp_path: Path, row: object, expected: str) -> None:
    message = refusal(write(tmp_path, documents=lines(DOCUMENT, row)))
    assert f"  {expected}" in message
    assert "1 problem:" in message


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b'{"id": "q2", "question": "\xff"}', "broken UTF-8 at byte 27; save the file as UTF-8"),
        (b'{"id": "q2",', "not a JSON object: Expecting property name"),
        (b'{"id": "q2"} {"id": "q3"}', "not a JSON object: Extra data; one whole object belongs on one line"),
        (b'{"id": "a\x00b"}', "not a JSON object: Invalid control character"),
        (b'{"id": ' + b"[" * 100_000, "not a JSON object: nested too deeply"),
        (b'{"id": ' + b"1" * 5_000 + b"}", "not a JSON object: a number has thousands of digits"),
    ],
)
def test_an_unreadable_line_is_named_and_the_others_are_still_checked(
    tmp_path: Path, raw: bytes, expected: str
) -> None:
    message = refusal(write(tmp_path, lines(question(1)) + raw + b"\n" + lines(question(3, question=...))))
    assert f"questions.jsonl:2: {expected}" in message
    assert 'questions.jsonl:3: the field "question" is missing' in message


@pytest.mark.parametrize("field", ["id", "question", "answers", "group", "document_ids"])
def test_half_a_character_is_refused_wherever_it_stands(tmp_path: Path, field: str) -> None:
    row = json.dumps(question(2, **{field: "\ud800"})).encode() + b"\n"
    message = refusal(write(tmp_path, lines(question(1)) + row))
    assert f'questions.jsonl:2: "{field}" holds half a character (a lone surrogate); write it again' in message


def test_deeply_nested_metadata_is_read(tmp_path: Path) -> None:
    nested = '{"id": "d1", "text": "t", "metadata": {"a": ' + "[" * 500 + "]" * 500 + "}}\n"
    assert load_dataset(write(tmp_path, documents=nested.encode())).documents[0].id == "d1"


@pytest.mark.parametrize("row", [{"answerable": False}, {"meta": {"answerable": False}}])
@pytest.mark.parametrize("answers", [[], ["kept out"], ...])
def test_a_question_says_itself_that_nothing_answers_it(tmp_path: Path, row: dict[str, Any], answers: Any) -> None:
    dataset = load_dataset(write(tmp_path, lines(question(1, answers=answers, document_ids=..., **row))))
    assert dataset.examples[0].answers == ()
    assert dataset.slice_of(dataset.examples[0]) is Slice.UNANSWERABLE


def test_a_single_text_stands_for_a_list_of_one(tmp_path: Path) -> None:
    example = load_dataset(write(tmp_path, lines(question(1, answers="2 l", document_ids="d1")))).examples[0]
    assert example.answers == ("2 l",)
    assert example.document_ids == ("d1",)


def test_a_question_without_group_is_its_own(tmp_path: Path) -> None:
    assert load_dataset(write(tmp_path, lines(question(1, group=...)))).examples[0].group == "q1"


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_byte_order_mark_and_windows_lines_change_nothing(tmp_path: Path, end: bytes) -> None:
    bom = b"\xef\xbb\xbf"
    plain = load_dataset(write(tmp_path, lines(question(1), question(2)), card=CARD))
    write(
        tmp_path,
        bom + lines(question(1), question(2)).replace(b"\n", end),
        bom + lines(DOCUMENT).replace(b"\n", end),
        bom + CARD.encode().replace(b"\n", end),
    )
    assert load_dataset(tmp_path) == plain


def test_other_scripts_survive_to_the_byte(tmp_path: Path) -> None:
    texts = ["ရေတိုင်ကီ ဘယ်လောက်ဆံ့သလဲ", "ما سعة الخزان؟", "🧑‍🔧 how big is 🛁?"]
    rows = [question(i, question=text, answers=[text[::-1]]) for i, text in enumerate(texts)]
    dataset = load_dataset(write(tmp_path, lines(*rows), lines(DOCUMENT | {"text": "".join(texts)})))
    assert [example.question for example in dataset.examples] == texts
    assert [example.answers[0] for example in dataset.examples] == [text[::-1] for text in texts]
    assert dataset.documents[0].text == "".join(texts)
    assert len(dataset.content_hash) == 64


def test_all_problems_are_found_in_one_pass(tmp_path: Path) -> None:
    message = refusal(
        write(
            tmp_path,
            lines(question(1, answers=[]), question(2, split="dev")),
            lines({"id": "d1"}, DOCUMENT | {"id": "d2"}),
            CARD.replace("language", "langage"),
        )
    )
    assert "5 problems:" in message
    for expected in (
        'documents.jsonl:1: the field "text" is missing',
        "questions.jsonl:1: an empty answer",
        'questions.jsonl:2: the split "dev" is unknown',
        'dataset.toml: the key "langage" is unknown',
        'dataset.toml: the key "language" is missing',
    ):
        assert expected in message


def test_a_bad_document_does_not_accuse_the_questions_on_it(tmp_path: Path) -> None:
    assert "1 problem:" in refusal(write(tmp_path, documents=lines({"id": "d1"}, DOCUMENT | {"id": "d2"})))


def test_more_than_twenty_problems_are_summarised(tmp_path: Path) -> None:
    folder = write(tmp_path, lines(question(0), *(question(i, question="") for i in range(1, 24))))
    message = refusal(folder)
    assert "23 problems:" in message
    assert "questions.jsonl:21:" in message
    assert "questions.jsonl:22:" not in message
    assert f"and 3 more (`tuningfork validate {folder}` lists all)" in message
    problems: list[Problem] = []
    read_dataset(folder, problems)
    assert len(problems) == 23


def test_a_set_without_test_question_is_refused(tmp_path: Path) -> None:
    assert 'questions.jsonl: no question has split "test"; mark some' in refusal(
        write(tmp_path, lines(question(1, split="train")))
    )


def test_one_question_cannot_be_split(tmp_path: Path) -> None:
    assert "give at least two" in refusal(write(tmp_path, lines(question(1, split=...))))


def test_questions_without_any_split_get_one_by_seed(tmp_path: Path) -> None:
    folder = write(tmp_path, lines(*(question(i, split=...) for i in range(40))))
    assert {example.split for example in load_dataset(folder).examples} == set(Split)
    assert load_dataset(folder, seed=1) == load_dataset(folder, seed=1)
    assert load_dataset(folder, seed=1) != load_dataset(folder, seed=2)


@pytest.mark.parametrize(
    ("card", "expected"),
    [
        (CARD + 'colour = "red"\n', 'the key "colour" is unknown; known: description, instruction'),
        (CARD.replace('"n"', '" "'), 'the key "name" is missing or empty'),
        (CARD.replace("question-answering", "poetry"), 'the task "poetry" is unknown; known: question-answering'),
        (CARD + "max_output_tokens = 0\n", '"max_output_tokens" must be a whole number of at least 1'),
        (CARD + "max_output_tokens = true\n", '"max_output_tokens" must be a whole number of at least 1'),
        (CARD + "metrics = []\n", '"metrics" must be a list of metric names'),
        (CARD + "instruction = 5\n", '"instruction" must be a text'),
        (CARD + 'schema = "../schema.json"\n', '"schema" must name a file beside the card'),
        (CARD + 'schema = "absent.json"\n', "\"schema\" must name a file beside the card; 'absent.json' is not there"),
        ("name = ", "not readable TOML"),
        (b'name = "\xff"', "not readable TOML"),
        ("a = " + "[" * 5_000 + "]" * 5_000, "not readable TOML"),
    ],
)
def test_a_bad_card_is_named(tmp_path: Path, card: str | bytes, expected: str) -> None:
    message = refusal(write(tmp_path, card=card))
    assert f"dataset.toml: {expected}" in message
    assert "1 problem:" in message


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (b"{", "not readable JSON"),
        (b"\xff", "not readable JSON"),
        (b"[" * 100_000, "not readable JSON"),
        (b"[]", "a JSON Schema must be an object"),
        (b'{"type": 5}', "the schema of record.json cannot be used: 5 is not valid under any"),
    ],
)
def test_a_bad_schema_file_is_named(tmp_path: Path, schema: bytes, expected: str) -> None:
    (tmp_path / "record.json").write_bytes(schema)
    assert f"record.json: {expected}" in refusal(write(tmp_path, card=CARD + 'schema = "record.json"\n'))


def test_a_schema_is_read(tmp_path: Path) -> None:
    (tmp_path / "record.json").write_bytes(b'{"type": "object"}')
    card = CARD.replace("question-answering", "extraction") + 'schema = "record.json"\n'
    assert load_dataset(write(tmp_path, card=card)).card.schema == {"type": "object"}


@pytest.fixture(scope="module", params=BUNDLED_NAMES)
def bundled(request: pytest.FixtureRequest) -> Dataset:
    return load_dataset(BUNDLED / request.param)


def test_a_bundled_set_says_what_it_is(bundled: Dataset) -> None:
    assert bundled.card.name in BUNDLED_NAMES
    assert bundled.card.licence not in ("", "unknown")
    assert bundled.card.description
    assert bundled.card.instruction


def test_a_bundled_set_has_every_split_and_no_leak(bundled: Dataset) -> None:
    train, test = bundled.split(Split.TRAIN), bundled.split(Split.TEST)
    assert train
    assert bundled.split(Split.VALIDATION)
    assert len({bundled.cluster_of(example) for example in test}) >= 10
    assert find_leaks(train, test) == []
    assert find_leaks(train, bundled.split(Split.VALIDATION)) == []
    assert find_duplicates(bundled.examples) == []


def test_a_bundled_test_set_of_cases_shares_no_group_with_training(bundled: Dataset) -> None:
    if bundled.card.task is Task.QUESTION_ANSWERING:
        assert {bundled.slice_of(e) for e in bundled.split(Split.TEST)} == {
            Slice.SEEN_FACT,
            Slice.UNSEEN_FACT,
            Slice.UNANSWERABLE,
        }
    else:
        assert not {e.group for e in bundled.split(Split.TEST)} & bundled.trained_groups


def test_bundled_answers_stand_literally_in_a_gold_document(bundled: Dataset) -> None:
    if bundled.card.task is not Task.QUESTION_ANSWERING:
        pytest.skip("labels and records need not stand in a document")
    texts = {document.id: document.text for document in bundled.documents}
    astray = [
        example.id
        for example in bundled.examples
        if example.answerable and not any(example.answers[0] in texts[i] for i in example.document_ids)
    ]
    assert astray == []


def test_appliance_support_is_large_enough_to_compare_on() -> None:
    dataset = load_dataset(BUNDLED / "appliance-support")
    wordings = Counter(example.group for example in dataset.examples if example.answerable)
    assert len(dataset.documents) >= 60
    assert sum(n >= 2 for n in wordings.values()) >= 300
    assert sum(not example.answerable for example in dataset.examples) >= 40


def test_second_editions_hold_the_changed_answers_and_first_editions_do_not() -> None:
    folder = BUNDLED / "appliance-support"
    dataset = load_dataset(folder)
    old = {document.id: document.text for document in dataset.documents}
    new = {row["id"]: row["text"] for row in map(json.loads, (folder / "v2/documents.jsonl").read_text().splitlines())}
    changed = list(map(json.loads, (folder / "v2/answers.jsonl").read_text().splitlines()))
    groups = {example.group: example for example in dataset.examples}
    assert len({row["document_id"] for row in changed}) >= 12
    assert new.keys() <= old.keys()
    for row in changed:
        canonical = row["answers"][0]
        assert canonical in new[row["document_id"]], row["group"]
        assert canonical not in old[row["document_id"]], row["group"]
        assert not set(row["answers"]) & set(groups[row["group"]].answers), row["group"]
        assert row["document_id"] in groups[row["group"]].document_ids


def test_a_split_that_is_made_keeps_cases_whole_and_parts_the_wordings_of_facts(tmp_path: Path) -> None:
    rows = [
        question(i, id=f"q{i}{mark}", question=f"{wording} {i}?", answers=[f"label {i % 2}"], split=...)
        for i in range(40)
        for mark, wording in (("a", "How large is the tank of machine"), ("b", "Volume of number"))
    ]
    folder = write(tmp_path, lines(*rows))
    shared = {}
    for task in (Task.CLASSIFICATION, Task.QUESTION_ANSWERING):
        made = load_dataset(folder, task=task)
        shared[task] = {e.group for e in made.split(Split.TRAIN)} & {e.group for e in made.split(Split.TEST)}
    assert not shared[Task.CLASSIFICATION]
    assert shared[Task.QUESTION_ANSWERING]
