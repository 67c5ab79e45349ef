"""What an answer may look like, if decoding is held to a form: labels, or JSON by a schema."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OneOf:
    """The answer is one of these texts, word for word.

    Attributes:
        choices: Labels, an abstention among them where the dataset has unanswerable questions.
    """

    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class JsonSchema:
    """The answer is JSON that a schema allows.

    Attributes:
        schema: The schema as JSON text.
        alternatives: Texts that are allowed instead, such as an abstention.
    """

    schema: str
    alternatives: tuple[str, ...] = ()


Constraint = OneOf | JsonSchema
