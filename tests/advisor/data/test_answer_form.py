import json
from dataclasses import replace
from pathlib import Path

import pytest

from advisor.data.answer_form import constraint_of, keeps_form, label_set
from advisor.data.dataset import Dataset, DatasetCard, Example, Split, Task
from advisor.data.files import load_dataset
from advisor.data.prompt import ABSTENTION
from advisor.errors import EvaluationError
from lm.constraint import JsonSchema, OneOf

BUNDLED = Path(__file__).parents[3] / "datasets"
SCHEMA = {"type": "object", "properties": {"b": {"type": "integer"}, "a": {"type": "string"}}}


def example(number: int, *answers: str, split: Split = Split.TRAIN) -> Example:
    return Example(f"q{number}", f"Question {number}?", answers, (), f"g{number}", split)


def dataset(task: Task, *examples: Example, labels: tuple[str, ...] = (), schema: object = None) -> Dataset:
    card = DatasetCard("x", task, "en", "MIT", ("accuracy",), "", "Answer.", schema=schema, labels=labels)  # type: ignore[arg-type]
    return Dataset(card, (), examples)


def test_labels_are_those_of_training_and_validation() -> None:
    examples = [
        example(1, "spam", "junk"),
        example(2, "ham", split=Split.VALIDATION),
        example(3, "secret", split=Split.TEST),
        example(4, "ham"),
        example(5),
    ]
    assert label_set(examples) == ("ham", "spam")


def test_a_classification_set_is_held_to_the_labels_that_its_instruction_lists() -> None:
    triage = load_dataset(BUNDLED / "ticket-triage")
    form = constraint_of(triage)
    assert isinstance(form, OneOf)
    assert ", ".join(form.choices) in triage.card.instruction


def test_labels_stay_when_questions_are_left_out() -> None:
    triage = load_dataset(BUNDLED / "ticket-triage")
    assert constraint_of(replace(triage, examples=triage.split(Split.TEST)[:3])) == constraint_of(triage)


@pytest.mark.parametrize("split", list(Split))
def test_an_abstention_is_allowed_where_any_split_has_a_question_without_answer(split: Split) -> None:
    answered = dataset(Task.CLASSIFICATION, example(1, "a"), labels=("a", "b"))
    assert constraint_of(answered) == OneOf(("a", "b"))
    with_unanswerable = replace(answered, examples=(*answered.examples, example(2, split=split)))
    assert constraint_of(with_unanswerable) == OneOf(("a", "b", ABSTENTION))


def test_a_label_that_is_the_abstention_is_listed_once() -> None:
    own = dataset(Task.CLASSIFICATION, example(1, "a"), example(2), labels=("a", ABSTENTION))
    assert constraint_of(own) == OneOf(("a", ABSTENTION))


def test_an_extraction_set_is_held_to_its_schema_and_may_abstain() -> None:
    record = example(1, '{"a": "x", "b": 1}')
    assert constraint_of(dataset(Task.EXTRACTION, record)) is None
    form = constraint_of(dataset(Task.EXTRACTION, record, schema=SCHEMA))
    assert isinstance(form, JsonSchema)
    assert (json.loads(form.schema), form.alternatives) == (SCHEMA, ())
    form = constraint_of(dataset(Task.EXTRACTION, record, example(2), schema=SCHEMA))
    assert isinstance(form, JsonSchema)
    assert form.alternatives == (ABSTENTION,)


def test_fields_are_written_in_the_order_in_which_they_are_taught() -> None:
    def order(*examples: Example) -> list[str]:
        form = constraint_of(dataset(Task.EXTRACTION, *examples, schema=SCHEMA))
        assert isinstance(form, JsonSchema)
        return list(json.loads(form.schema)["properties"])

    taught = example(2, '{"a": "x", "b": 1}')
    assert order(example(1, '{"c": 1}', split=Split.TEST), taught) == ["a", "b"]
    assert order(example(1, '{"a": "x"}', split=Split.TEST)) == ["b", "a"]
    assert order(example(1, "no record"), example(2, '{"a": "x"}')) == ["a", "b"]


@pytest.mark.parametrize("task", [Task.QUESTION_ANSWERING, Task.GENERATION])
def test_free_text_is_held_to_nothing(task: Task) -> None:
    assert constraint_of(dataset(task, example(1, "a"), labels=("a",), schema=SCHEMA)) is None


def test_an_answer_keeps_the_form_word_for_word() -> None:
    assert keeps_form(OneOf(("a", "b")), ["a", " b\n", "A", "a.", ""]) == [True, True, False, False, False]
    closed = JsonSchema(json.dumps(SCHEMA | {"additionalProperties": False}), (ABSTENTION,))
    assert keeps_form(closed, ['{"b": 1}', '{"b": "1"}', '{"c": 1}', "x", ABSTENTION]) == [True, *[False] * 3, True]


def test_a_schema_that_is_none_is_named() -> None:
    with pytest.raises(EvaluationError, match="the schema of the dataset cannot be used"):
        keeps_form(JsonSchema('{"type": 5}'), ["{}"])
