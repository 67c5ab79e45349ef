"""People's verdicts on answers: they correct a judge's scores, or are the scores."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from advisor.data.dataset import Example
from advisor.data.files import HUMAN_LABELS_FILE
from advisor.data.prompt import RetrievedChunk
from advisor.errors import DatasetError
from advisor.evidence.prediction_powered import effective_labels, label_counts
from advisor.evidence.scorecard import applicable, seed_values
from advisor.metrics.human import HUMAN_METRICS, PREFERENCE, label_key
from advisor.metrics.registry import JUDGE_METRICS
from advisor.results.answer import Answer
from advisor.results.comparison import QuestionRecord
from advisor.results.score import Labels
from lm.completion import FinishReason, Usage
from lm.files import sha256


@dataclass(frozen=True, slots=True)
class HumanLabel:
    """One answer that a person has looked at.

    Attributes:
        metric: The judged metric that the person stood in for, or one of people alone.
        passages: What the answer was given from, for the metrics that look at passages.
        good: Whether the answer is good by that metric; of two answers whether it is the better, None for neither.
        other: The other answer, where two were compared.
    """

    question_id: str
    metric: str
    answer: str
    passages: tuple[str, ...]
    good: bool | None
    other: str | None = None

    def as_answer(self) -> Answer:
        """The answer as an arm would have given it, for the judge."""
        chunks = tuple(RetrievedChunk(f"label#{i}", "", "", text, 1.0) for i, text in enumerate(self.passages))
        return Answer(self.answer, Usage(), FinishReason.STOP, chunks, "")


def label_values(labels: Sequence[HumanLabel]) -> Labels:
    """Share of people who call an answer good; of compared answers, share of the pairs it won, half for neither."""
    found: dict[tuple[str, str, str], list[float]] = {}
    for label in labels:
        value = 0.5 if label.good is None else float(label.good)
        found.setdefault((label.question_id, label.metric, label.answer), []).append(value)
        if label.other is not None:
            found.setdefault((label.question_id, label.metric, label.other), []).append(1 - value)
    return {key: sum(values) / len(values) for key, values in found.items()}


def effective_label_counts(
    candidates: Mapping[str, Sequence[QuestionRecord]], metric: str, weights: Mapping[str, float]
) -> dict[str, float]:
    """Labels of each arm that has any score by a metric, as `effective_labels` counts them.

    Args:
        candidates: Records of each arm. weights: Share of production traffic of each slice.
    """
    found = {}
    for arm, records in applicable(candidates, metric).items():
        scores, labels = seed_values(records, metric), seed_values(records, label_key(metric))
        if metric in HUMAN_METRICS or not np.isnan(scores).all():
            found[arm] = effective_labels(label_counts(labels, [str(record.slice) for record in records]), weights)
    return found


def hash_human_labels(folder: Path) -> str:
    """SHA-256 of the labels of a dataset folder; "" where it has none."""
    path = folder / HUMAN_LABELS_FILE
    return sha256(path.read_bytes()) if path.is_file() else ""


def load_human_labels(folder: Path, examples: Sequence[Example]) -> tuple[HumanLabel, ...]:
    """The labels of a dataset folder; none where the file is missing.

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
            labels.append(
                HumanLabel(row["question_id"], row["metric"], row["answer"], passages, row["label"], row.get("other"))
            )
    if problems:
        raise DatasetError("\n".join([f"the labels in {path} cannot be used:", *problems[:20]]))
    return tuple(labels)


def _faults(row: Any, known: set[str]) -> Iterator[str]:
    if not isinstance(row, dict):
        yield "not a JSON object; write {…}"
        return
    if row.get("question_id") not in known:
        yield f'"question_id" is {row.get("question_id")!r}, which questions.jsonl lacks; fix the id'
    metrics = (*JUDGE_METRICS, *sorted(HUMAN_METRICS))
    if row.get("metric") not in metrics:
        yield f'"metric" is {row.get("metric")!r}; give one that a judge or people score: {", ".join(metrics)}'
    if not isinstance(row.get("answer"), str):
        yield '"answer" must be the text that was looked at'
    if row.get("metric") == PREFERENCE:
        if not isinstance(row.get("other"), str) or row["other"] == row.get("answer"):
            yield '"other" must be the text of the answer it was compared with'
        if not isinstance(row.get("label"), bool | None):
            yield '"label" must be true (better), false (worse) or null (neither), without quotes'
    elif not isinstance(row.get("label"), bool):
        yield '"label" must be true (good) or false, without quotes'
    passages = row.get("passages", [])
    if not isinstance(passages, list) or not all(isinstance(text, str) for text in passages):
        yield '"passages" must be a list of texts'
