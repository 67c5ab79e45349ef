"""People's verdicts on answers, which a judge must agree with before its scores may decide anything."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from advisor.data.dataset import Example
from advisor.data.prompt import RetrievedChunk
from advisor.errors import DatasetError
from advisor.metrics.registry import JUDGE_METRICS
from advisor.results.answer import Answer
from lm.completion import FinishReason, Usage
from lm.files import sha256

HUMAN_LABELS_FILE = "human_labels.jsonl"


@dataclass(frozen=True, slots=True)
class HumanLabel:
    """One answer that a person has looked at.

    Attributes:
        metric: The judged metric that the person stood in for.
        passages: What the answer was given from, for the metrics that look at passages.
        good: Whether the answer is good by that metric.
    """

    question_id: str
    metric: str
    answer: str
    passages: tuple[str, ...]
    good: bool

    def as_answer(self) -> Answer:
        """The answer as an arm would have given it, for the judge."""
        chunks = tuple(RetrievedChunk(f"label#{i}", "", "", text, 1.0) for i, text in enumerate(self.passages))
        return Answer(self.answer, Usage(), FinishReason.STOP, chunks, "")


def hash_human_labels(folder: Path) -> str:
    """SHA-256 of the labels of a data set folder; "" where it has none."""
    path = folder / HUMAN_LABELS_FILE
    return sha256(path.read_bytes()) if path.is_file() else ""


def load_human_labels(folder: Path, examples: Sequence[Example]) -> tuple[HumanLabel, ...]:
    """The labels of a data set folder; none where the file is missing.

    Raises:
        DatasetError: lists every unusable line with its remedy.
    """
    path = folder / HUMAN_LABELS_FILE
    if not path.is_file():
        return ()
    known = {example.id for example in examples}
    labels: list[HumanLabel] = []
    problems: list[str] = []
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
        except (ValueError, RecursionError) as error:
            problems.append(f"  {path.name}:{number}: not a JSON object: {error}; one whole object belongs on one line")
            continue
        faults = [f"  {path.name}:{number}: {fault}" for fault in _faults(row, known)]
        problems += faults
        if not faults:
            passages = tuple(row.get("passages", ()))
            labels.append(HumanLabel(row["question_id"], row["metric"], row["answer"], passages, row["label"]))
    if problems:
        raise DatasetError("\n".join([f"the labels in {path} cannot be used:", *problems[:20]]))
    return tuple(labels)


def _faults(row: Any, known: set[str]) -> Iterator[str]:
    if not isinstance(row, dict):
        yield "not a JSON object; write {…}"
        return
    if row.get("question_id") not in known:
        yield f'"question_id" is {row.get("question_id")!r}, which questions.jsonl lacks; mend the id'
    if row.get("metric") not in JUDGE_METRICS:
        yield f'"metric" is {row.get("metric")!r}; give one that a judge scores: {", ".join(JUDGE_METRICS)}'
    if not isinstance(row.get("answer"), str):
        yield '"answer" must be the text that was looked at'
    if not isinstance(row.get("label"), bool):
        yield '"label" must be true (good) or false, without quotes'
    passages = row.get("passages", [])
    if not isinstance(passages, list) or not all(isinstance(text, str) for text in passages):
        yield '"passages" must be a list of texts'
