import json
from pathlib import Path

import pytest

from lm.pocket.evaluate import CHECKPOINT, load
from lm.pocket.passages import ABSTENTION, capitalised
from lm.pocket.tunability import (
    closed_book,
    facts,
    facts_task,
    json_object,
    labels_task,
    n_right,
    records_task,
    replies_to,
    tuned,
)


def test_facts_are_about_different_things_in_five_wordings() -> None:
    drawn = facts(20)
    assert all(len(set(wordings)) == 5 for wordings, _ in drawn)
    assert len({wordings[2] for wordings, _ in drawn}) == 20
    assert ABSTENTION not in {answer for _, answer in drawn}


def test_the_wording_asked_is_not_taught() -> None:
    task = facts_task(30, 4, epochs=1)
    assert len(task.taught) == 120
    assert not {prompt for prompt, _ in task.taught} & {prompt for prompt, _ in task.asked}


def test_labels_are_taught_from_train_and_asked_from_test(tmp_path: Path) -> None:
    rows = [
        {"question": f"q{i}", "answers": [f"label{i % 3}"], "split": "train" if i % 2 else "test"} for i in range(20)
    ]
    path = tmp_path / "questions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    task = labels_task(path, 6, 4, epochs=1)
    assert task.name == "3 labels from 6 examples"
    assert {int(prompt.rsplit("q", 1)[1]) % 2 for prompt, _ in task.taught} == {1}
    assert {int(prompt.rsplit("q", 1)[1]) % 2 for prompt, _ in task.asked} == {0}


def test_labels_asked_are_of_all_kinds_though_the_rows_are_sorted_by_label(tmp_path: Path) -> None:
    rows = [
        {"question": f"q{i}", "answers": [f"label{i // 50}"], "split": "train" if i % 2 else "test"} for i in range(150)
    ]
    path = tmp_path / "questions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    task = labels_task(path, 30, 25, epochs=1)
    assert {answer for _, answer in task.asked} == {"label0", "label1", "label2"}


def test_records_hold_five_values_of_their_text() -> None:
    task = records_task(5, 3, epochs=1)
    assert (len(task.taught), len(task.asked)) == (5, 3)
    for prompt, answer in (*task.taught, *task.asked):
        record = json.loads(answer)
        assert len(record) == 5
        assert all(value in prompt or capitalised(value) in prompt for value in record.values())


def test_objects_are_compared_field_by_field() -> None:
    rows = [("", '{"a": "the red lid", "b": "2"}')] * 4
    replies = ['{"b": "2", "a": "red lid"}', '{"a": "red lid"}', '{"a": "red lid", "b": "2"', '["red lid", "2"]']
    assert [n_right([reply], rows[:1]) for reply in replies] == [1, 0, 0, 0]
    assert [json_object(reply) is not None for reply in replies] == [True, True, False, False]


@pytest.mark.slow
def test_a_few_facts_can_be_taught() -> None:
    model, tokenizer = load(CHECKPOINT)
    rows = [(closed_book(wordings[0]), answer) for wordings, answer in facts(4)]
    assert n_right(replies_to(model, tokenizer, rows), rows) == 0
    adapted = tuned(model, tokenizer, rows, epochs=30, rate=3e-3)
    assert n_right(replies_to(adapted, tokenizer, rows), rows) == 4
