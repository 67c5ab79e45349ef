"""`results.jsonl`: one line a question record, so that single answers survive an interrupted run."""

import json
import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from advisor.data.dataset import Slice
from advisor.errors import EvaluationError
from advisor.evidence.failure import current_name
from advisor.evidence.scorecard import judged_values, no_answer_of_seed
from advisor.evidence.scored_answers import ScoredAnswers
from advisor.metrics.abstention import declines
from advisor.metrics.human import HUMAN_METRICS, label_key
from advisor.results.comparison import QuestionRecord
from advisor.results.plain_data import from_json, from_plain, to_json, to_plain
from advisor.results.score import Labels


def record_line(record: QuestionRecord) -> str:
    """The record as one line of JSON, without a line end."""
    return to_json(to_plain(record))


def read_record(line: str, where: str = "results.jsonl") -> QuestionRecord:
    """The record that `record_line` wrote; equal to it field by field.

    Raises:
        EvaluationError: the line is damaged; the message starts with `where`.
    """
    try:
        record = from_plain(QuestionRecord, from_json(line))
        return replace(record, failure=current_name(record.failure)) if record.failure else record
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


def read_scored_answers(results: bytes, metric: str, *, labels: Labels | None = None) -> dict[str, ScoredAnswers]:
    """Of each arm of a file: what `scored_answers` makes of its records, read several times as fast.

    Args:
        results: Content of the file, as `record_line` wrote its lines.
        labels: What people have said since, in place of what the file says of the same answers.

    Raises:
        EvaluationError: a line is damaged; the message names file and line.
    """
    arms: dict[str, _GrowingAnswers] = {}
    for number, line in enumerate(results.split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            row = from_json(line, exact_integers=False)
            arm = row["arm"]
            if arm not in arms:
                arms[arm] = _GrowingAnswers(row, metric, labels or {})
            arms[arm].add(row)
        except (LookupError, TypeError, ValueError, AttributeError):
            read_record(line.decode("utf-8", "replace"), f"results.jsonl, line {number}")  # says what is wrong
            raise
    return {arm: growing.columns() for arm, growing in arms.items()}


class _GrowingAnswers:
    """The columns of one arm while its lines are read."""

    def __init__(self, first: dict[str, Any], metric: str, said: Labels) -> None:
        self._metric = metric
        self._said = said
        deployed = first.get("training_seed")
        others = [other["training_seed"] for other in first.get("other_seeds", ())]
        self._seeds = [None] if deployed is None else sorted([deployed, *others])
        self._values: list[list[float]] = [[] for _ in self._seeds]
        self._labels: list[list[float]] = [[] for _ in self._seeds]
        self._declined: list[list[bool]] = [[] for _ in self._seeds]
        self._applies: list[bool] = []
        self._slices: list[Slice] = []
        self._groups: list[str] = []
        self._clusters: list[str] = []

    def add(self, row: dict[str, Any]) -> None:
        references = row["references"]
        for i, (seed, declined) in enumerate(zip(self._seeds, self._declined, strict=True)):
            one = _of_seed(row, seed)
            for name, column in ((self._metric, self._values[i]), (label_key(self._metric), self._labels[i])):
                score = one["scores"].get(name)
                value = score["value"] if score is not None else None
                column.append(math.nan if value is None else value)
            text = one["answer"]["text"]
            if (since := self._said.get((row["example_id"], self._metric, text))) is not None:
                self._labels[i][-1] = since
            declined.append(declines(text, references))
        self._applies.append(self._metric in row["scores"] or self._metric in HUMAN_METRICS)
        self._slices.append(_SLICES[row["slice"]])
        self._groups.append(row["group"])
        self._clusters.append(row["cluster"])

    def columns(self) -> ScoredAnswers:
        labels = np.array(self._labels, dtype=np.float64)
        return ScoredAnswers(
            judged_values(np.array(self._values, dtype=np.float64), labels, self._metric),
            np.array(self._declined, dtype=np.float64),
            labels,
            np.array(self._applies, dtype=np.bool_),
            tuple(self._slices),
            tuple(self._groups),
            tuple(self._clusters),
        )


def _of_seed(row: dict[str, Any], seed: int | None) -> dict[str, Any]:
    """The part of a row with the answer of one training seed."""
    if row.get("training_seed") == seed:
        return row
    for other in row.get("other_seeds", ()):
        if other["training_seed"] == seed:
            found: dict[str, Any] = other
            return found
    raise EvaluationError(no_answer_of_seed(row["arm"], seed, row["example_id"]))


_SLICES = {str(part): part for part in Slice}
_REMEDY = "Delete the line and run the comparison again: only the missing answer is computed again."
