from dataclasses import replace
from pathlib import Path

import pytest

from advisor.data.prompt import ABSTENTION, question_turn
from finetune.errors import TrainingError
from finetune.rows import build_rows, build_text_rows, question_messages, rows_hash
from lm.completion import Message, Role
from lm.local.huggingface import HuggingFaceModel, load_huggingface_model
from tests.finetune.conftest import TEMPLATE, WORDS, example, write_base


def words(ids: tuple[int, ...]) -> str:
    return " ".join(WORDS[i] for i in ids)


def test_row_is_the_answering_prompt_then_answer_and_end_token(model: HuggingFaceModel) -> None:
    rows, report = build_rows([example(0)], question_messages(""), model, 64)
    row = rows[0]
    assert list(row.token_ids[: row.n_prompt_tokens]) == model.encode([question_turn("", example(0).question)])
    assert words(row.token_ids[row.n_prompt_tokens :]) == "red <end>"
    assert (report.n_rows, report.n_answer_tokens, report.n_tokens) == (1, 2, len(row.token_ids))


def test_instruction_is_part_of_the_prompt(model: HuggingFaceModel) -> None:
    rows, _ = build_rows([example(0)], question_messages("the colour"), model, 64)
    assert words(rows[0].token_ids).startswith("<bos> <user> the colour Question: Which")


def test_unanswerable_question_teaches_the_abstention(model: HuggingFaceModel) -> None:
    rows, _ = build_rows([example(0, answer="")], question_messages(""), model, 64)
    assert words(rows[0].token_ids[rows[0].n_prompt_tokens :]) == f"{ABSTENTION} <end>"


def test_only_the_canonical_answer_is_trained(model: HuggingFaceModel) -> None:
    several = replace(example(0), answers=("teal", "red", "blue"))
    rows, _ = build_rows([several], question_messages(""), model, 64)
    assert [words(row.token_ids[row.n_prompt_tokens :]) for row in rows] == ["teal <end>"]


def test_rows_come_from_any_prompt(model: HuggingFaceModel) -> None:
    rows, _ = build_rows([example(0)], lambda e: [Message(Role.USER, "the colour of oak")], model, 64)
    assert words(rows[0].token_ids) == "<bos> <user> the colour of oak <end> <assistant> red <end>"


def test_too_long_rows_are_left_out_and_named(model: HuggingFaceModel) -> None:
    long = replace(example(1), question="the " * 30)
    rows, report = build_rows([example(0), long, example(2)], question_messages(""), model, 20)
    assert [row.example_id for row in rows] == ["alder-0", "cedar-0"]
    assert (report.n_examples, report.n_rows, report.n_too_long) == (3, 2, 1)
    assert report.too_long_ids == ("birch-0",)
    assert report.longest_row_tokens > 20


def test_text_behind_the_end_token_is_not_trained(tmp_path: Path) -> None:
    template = TEMPLATE.replace("<end> {%", "<end> of {%")
    model = load_huggingface_model(write_base(tmp_path, template=template), device="cpu")
    rows, _ = build_rows([example(0)], question_messages(""), model, 64)
    assert words(rows[0].token_ids[rows[0].n_prompt_tokens :]) == "red <end>"


def test_template_that_leaves_its_generation_prompt_is_refused_by_name(tmp_path: Path) -> None:
    template = TEMPLATE.replace("<assistant> {% endif", "<assistant> I {% endif")
    model = load_huggingface_model(write_base(tmp_path, template=template), name="odd", device="cpu")
    with pytest.raises(TrainingError, match="chat template of 'odd' does not continue.*'alder-0'"):
        build_rows([example(0)], question_messages(""), model, 64)


def test_template_that_ends_no_turn_is_refused_by_name(tmp_path: Path) -> None:
    model = load_huggingface_model(write_base(tmp_path, template=TEMPLATE.replace(" <end>", "")), device="cpu")
    with pytest.raises(TrainingError, match="none of the model's end tokens"):
        build_rows([example(0)], question_messages(""), model, 64)


def test_hash_follows_tokens_and_order(model: HuggingFaceModel) -> None:
    rows, _ = build_rows([example(0), example(1)], question_messages(""), model, 64)
    assert rows_hash(rows) == rows_hash(list(rows))
    assert rows_hash(rows) != rows_hash(rows[::-1])
    assert rows_hash(rows) != rows_hash([replace(rows[0], n_prompt_tokens=3), rows[1]])


def test_a_text_is_read_whole_and_without_a_template(model: HuggingFaceModel) -> None:
    rows, report = build_text_rows(["the colour of oak is red", "oak"], model, 64)
    assert [words(row.token_ids) for row in rows] == ["the colour of oak is red"]
    assert (rows[0].n_prompt_tokens, rows[0].n_answer_tokens) == (1, 5)
    assert (report.n_examples, report.n_rows, report.n_too_long) == (2, 1, 0)


def test_too_long_texts_are_left_out_and_counted(model: HuggingFaceModel) -> None:
    rows, report = build_text_rows(["the " * 30, "the oak"], model, 20)
    assert [row.example_id for row in rows] == ["text 2"]
    assert report.too_long_ids == ("text 1",)
