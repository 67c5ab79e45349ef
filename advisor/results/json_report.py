"""`report.json`: everything in a comparison, for programs. Numbers are unrounded; null means not measured."""

import json
from collections.abc import Sequence

from advisor.errors import EvaluationError
from advisor.results.comparison import Comparison, QuestionRecord
from advisor.results.plain_data import from_plain, to_json, to_plain

SCHEMA_VERSION = 1
"""Raised when a key changes its meaning or goes; a new key with a default leaves it alone."""


def json_report(comparison: Comparison, records: Sequence[QuestionRecord] = ()) -> str:
    """The comparison as JSON. Records have a file of their own (`results.jsonl`) and are not repeated."""
    return to_json({"schema_version": SCHEMA_VERSION, **to_plain(comparison)}, indent=2) + "\n"


def read_comparison(text: str, source: str = "report.json") -> Comparison:
    """The comparison that `json_report` wrote; equal to it field by field.

    Args:
        text: Content of the file.
        source: Its name, for messages.

    Raises:
        EvaluationError: not JSON, of another schema version, or a value is missing or of the wrong type.
    """
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise EvaluationError(
            f"{source}, line {error.lineno}: not JSON ({error.msg}). Write the report again from its comparison."
        ) from error
    if not isinstance(content, dict) or "schema_version" not in content:
        raise EvaluationError(f"{source}: no schema_version at the top; this is not a comparison report.")
    if content["schema_version"] != SCHEMA_VERSION:
        raise EvaluationError(
            f"{source}: schema_version is {content['schema_version']!r}, and this version reads {SCHEMA_VERSION}. "
            "Read it with the version that wrote it, or run the comparison again."
        )
    try:
        return from_plain(Comparison, content)
    except EvaluationError as error:
        raise EvaluationError(f"{source}: {error} Write the report again from its comparison.") from error
