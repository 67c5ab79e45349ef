"""`results.jsonl`: one line a question record, so that single answers survive an interrupted run."""

import json
from collections.abc import Iterable

from advisor.comparison import QuestionRecord
from advisor.errors import EvaluationError
from advisor.report.plain_data import from_plain, to_json, to_plain


def record_line(record: QuestionRecord) -> str:
    """The record as one line of JSON, without a line end."""
    return to_json(to_plain(record))


def read_record(line: str, where: str = "results.jsonl") -> QuestionRecord:
    """The record that `record_line` wrote; equal to it field by field.

    Raises:
        EvaluationError: the line is damaged; the message starts with `where`.
    """
    try:
        return from_plain(QuestionRecord, json.loads(line))
    except json.JSONDecodeError as error:
        cut_off = error.pos >= len(line.rstrip()) - 1 or error.msg.startswith("Unterminated")
        found = "the line is cut off, as after an interrupted write" if cut_off else f"not JSON ({error.msg})"
        raise EvaluationError(f"{where}: {found}. {_REMEDY}") from error
    except EvaluationError as error:
        raise EvaluationError(f"{where}: {error} {_REMEDY}") from error


def read_records(lines: Iterable[str], source: str = "results.jsonl") -> list[QuestionRecord]:
    """All records of a file, in order; empty lines are skipped.

    Args:
        lines: As an open file yields them. Text must be split at line feeds alone: answers may hold other separators.
        source: Name of the file, for messages.

    Raises:
        EvaluationError: a line is damaged; the message names file and line.
    """
    return [read_record(line, f"{source}, line {number}") for number, line in enumerate(lines, 1) if line.strip()]


_REMEDY = "Delete the line and run the comparison again: only the missing answer is computed anew."
