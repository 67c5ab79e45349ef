"""The form that answers are held to: a dataset's labels, or its JSON schema. The same for every arm."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from advisor.data.dataset import Dataset, Example, Split, Task
from advisor.data.json_schema import parse_object, schema_check
from advisor.data.prompt import ABSTENTION
from lm.constraint import Constraint, JsonSchema, OneOf


def label_set(examples: Sequence[Example]) -> tuple[str, ...]:
    """The labels of training and validation, in the order of the alphabet; those of the test split stay unknown."""
    return tuple(sorted({e.answers[0] for e in examples if e.answers and e.split is not Split.TEST}))


def constraint_of(dataset: Dataset) -> Constraint | None:
    """What an answer to this dataset may be: one of the card's labels, or a record that its schema allows.

    The abstention is allowed beside it where any question has no answer. None for tasks whose answers are free, and
    where the card has neither labels nor a schema.
    """
    card = dataset.card
    declines = (ABSTENTION,) if any(not example.answerable for example in dataset.examples) else ()
    if card.task is Task.CLASSIFICATION and card.labels:
        return OneOf(tuple(dict.fromkeys((*card.labels, *declines))))
    if card.task is Task.EXTRACTION and card.schema is not None:
        schema = _in_order_of_references(card.schema, dataset.examples)
        return JsonSchema(json.dumps(schema, ensure_ascii=False), declines)
    return None


def keeps_form(constraint: Constraint, texts: Sequence[str]) -> list[bool]:
    """Whether each answer is what the constraint allows, word for word.

    Raises:
        EvaluationError: the schema is no valid JSON Schema.
    """
    if isinstance(constraint, OneOf):
        return [text.strip() in constraint.choices for text in texts]
    is_valid = schema_check(json.loads(constraint.schema), "the dataset")
    return [text.strip() in constraint.alternatives or is_valid(text) for text in texts]


def _in_order_of_references(schema: Mapping[str, Any], examples: Sequence[Example]) -> dict[str, Any]:
    """The schema with its fields in the order in which records are taught.

    Constrained decoding writes fields in the schema's order. An arm that learnt another would have to write against
    what it learnt, and the order of fields is no part of what is asked.
    """
    taught = next(
        (
            record
            for example in examples
            if example.split is not Split.TEST and example.answers and (record := parse_object(example.answers[0]))
        ),
        {},
    )
    fields = schema.get("properties")
    if not isinstance(fields, dict):
        return dict(schema)
    order = [*(name for name in taught if name in fields), *(name for name in fields if name not in taught)]
    return {**schema, "properties": {name: fields[name] for name in order}}
