"""Labels of people on the answers of a finished comparison, and which answer to look at next.

The questions come in an order drawn by chance, the same for everyone: labels correct a judge only where they are a
random sample. An answer that several arms gave is asked for once. Every fifth question is put before everyone, for the
agreement between people; the others go to whoever comes first.
"""

import hashlib
import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from sqlalchemy import Engine, delete, insert, select
from sqlalchemy.exc import IntegrityError

from advisor.audit.judge import GOOD_SCORE, kappa_interval
from advisor.evidence.human_labels import HumanLabel
from advisor.metrics.human import CORRECT
from advisor.metrics.registry import JUDGE_METRICS
from advisor.results.comparison import Interval
from advisor.results.plain_data import from_json
from lm.errors import ConfigError
from service.store.comparisons.comparison_store import find_comparison
from service.store.database import writing
from service.store.reports.loaded_results import LoadedResults
from service.store.tables import labels

SHARED_QUESTIONS = 5
"""One question in so many is put before everyone."""


@dataclass(frozen=True, slots=True)
class LabelledAnswer:
    """An answer to a test question that candidates gave, and whose it is.

    Attributes:
        score: By the deciding metric; None is unscored.
        passages: That the answer was given from, of the first arm that gave it.
    """

    example_id: str
    question: str
    references: tuple[str, ...]
    answer: str
    arms: tuple[str, ...]
    score: float | None
    passages: tuple[str, ...]

    @property
    def key(self) -> tuple[str, str]:
        """Question and answer."""
        return self.example_id, self.answer


@dataclass(frozen=True, slots=True)
class LabelRow:
    """What one person said of an answer; `good` None where it was left out."""

    example_id: str
    answer: str
    good: bool | None
    voter: str


@dataclass(frozen=True, slots=True)
class LabelProgress:
    """How far a comparison is labelled.

    Attributes:
        metric: What the labels are by: the judge's metric that decides, else `human_correct`.
        n_by_arm: Labelled answers of each candidate.
        with_metric: Kappa of people and the deciding metric; between_people: of pairs of people on the same answers.
    """

    metric: str
    n_by_arm: Mapping[str, int] = field(hash=False)
    n_voters: int
    n_with_metric: int
    with_metric: Interval | None
    n_between_people: int
    between_people: Interval | None


def label_metric(loaded: LoadedResults) -> str:
    """By which metric people label a comparison."""
    return loaded.metric if loaded.metric in JUDGE_METRICS else CORRECT


def next_answer(
    loaded: LoadedResults, candidates: Sequence[str], rows: Sequence[LabelRow], comparison_id: str, voter: str
) -> LabelledAnswer | None:
    """The first answer, in the order drawn by chance, that this person has not seen and that needs a look."""
    own = {(row.example_id, row.answer) for row in rows if row.voter == voter}
    others = {(row.example_id, row.answer) for row in rows if row.voter != voter}
    for example_id in sorted(loaded.lines_of, key=lambda one: place(comparison_id, one)):
        is_shared = place(comparison_id, example_id) % SHARED_QUESTIONS == 0
        for answer in answers_to(loaded, candidates, example_id):
            if answer.key not in own and (is_shared or answer.key not in others):
                return answer
    return None


def answers_to(loaded: LoadedResults, candidates: Sequence[str], example_id: str) -> list[LabelledAnswer]:
    """The answers of candidates to one question, each once, in an order that tells nothing of the arms."""
    found: dict[str, LabelledAnswer] = {}
    for number in loaded.lines_of.get(example_id, ()):
        row: dict[str, Any] = from_json(loaded.lines[number], exact_integers=False)
        if row["arm"] not in candidates:
            continue
        text = row["answer"]["text"]
        known = found.get(text)
        score = row["scores"].get(loaded.metric)
        passages = tuple(chunk["text"] for chunk in row["answer"]["retrieved"] if chunk["used"])
        found[text] = LabelledAnswer(
            example_id,
            row["question"],
            tuple(row["references"]),
            text,
            (*(known.arms if known else ()), row["arm"]),
            known.score if known and known.score is not None else score and score["value"],
            known.passages if known and known.passages else passages,
        )
    return sorted(found.values(), key=lambda one: _hash(one.answer))


def cast_label(
    engine: Engine,
    comparison_id: str,
    loaded: LoadedResults,
    candidates: Sequence[str],
    *,
    example_id: str,
    answer: str,
    good: bool | None,
    voter: str,
) -> None:
    """Store a label; the same person's earlier one on the same answer is replaced.

    Raises:
        ConfigError: no candidate gave this answer to this question.
        ComparisonNotFoundError: the comparison was deleted meanwhile.
    """
    if all(one.answer != answer for one in answers_to(loaded, candidates, example_id)):
        raise ConfigError(
            f"no candidate of {comparison_id} gave this answer to the question {example_id!r}; "
            "label an answer that the queue has shown, word for word"
        )
    shown = {"comparison_id": comparison_id, "example_id": example_id, "answer_hash": _hash(answer), "voter": voter}
    try:
        _write(engine, shown, answer, good)
    except IntegrityError:
        # The same person labelled twice at once, or the comparison was deleted in between: the second look sees it.
        find_comparison(engine, comparison_id)
        _write(engine, shown, answer, good)


def _write(engine: Engine, shown: Mapping[str, str], answer: str, good: bool | None) -> None:
    with writing(engine) as connection:
        connection.execute(delete(labels).where(*(labels.c[name] == value for name, value in shown.items())))
        row = {"id": secrets.token_hex(16), "answer": answer, "good": good, "created_at": time.time(), **shown}
        connection.execute(insert(labels).values(row))


def read_labels(engine: Engine, comparison_id: str) -> list[LabelRow]:
    """All labels on a comparison, oldest first."""
    wanted = (
        select(labels.c.example_id, labels.c.answer, labels.c.good, labels.c.voter)
        .where(labels.c.comparison_id == comparison_id)
        .order_by(labels.c.created_at, labels.c.id)
    )
    with engine.connect() as connection:
        return [LabelRow(*row) for row in connection.execute(wanted)]


def human_labels(loaded: LoadedResults, rows: Sequence[LabelRow]) -> list[HumanLabel]:
    """The labels that were given, by the metric that they are by."""
    metric = label_metric(loaded)
    return [HumanLabel(row.example_id, metric, row.answer, (), row.good) for row in rows if row.good is not None]


def label_progress(loaded: LoadedResults, candidates: Sequence[str], rows: Sequence[LabelRow]) -> LabelProgress:
    """How many answers of each arm are labelled, and how far people agree with the metric and each other."""
    given = [row for row in rows if row.good is not None]
    asked = {row.example_id for row in given}
    answers = {one.key: one for example_id in asked for one in answers_to(loaded, candidates, example_id)}
    n_by_arm = dict.fromkeys(candidates, 0)
    for key in {(row.example_id, row.answer) for row in given} & answers.keys():
        for arm in answers[key].arms:
            n_by_arm[arm] += 1
    scores = [
        (row.good is True, answers[row.example_id, row.answer].score)
        for row in given
        if (row.example_id, row.answer) in answers
    ]
    with_metric = [(good, score >= GOOD_SCORE) for good, score in scores if score is not None]
    by_answer: dict[tuple[str, str], list[bool]] = {}
    for row in given:
        by_answer.setdefault((row.example_id, row.answer), []).append(row.good is True)
    between = [pair for said in by_answer.values() for pair in combinations(said, 2)]
    return LabelProgress(
        label_metric(loaded),
        n_by_arm,
        len({row.voter for row in rows}),
        len(with_metric),
        kappa_interval(with_metric),
        len(between),
        kappa_interval(between),
    )


def labels_file(loaded: LoadedResults, candidates: Sequence[str], rows: Sequence[LabelRow]) -> str:
    """Content of `human_labels.jsonl`: a line a label that was given."""
    asked = {row.example_id for row in rows}
    passages = {one.key: one.passages for example_id in asked for one in answers_to(loaded, candidates, example_id)}
    lines = [
        {
            "question_id": row.example_id,
            "metric": label_metric(loaded),
            "answer": row.answer,
            "passages": list(passages.get((row.example_id, row.answer), ())),
            "label": row.good,
        }
        for row in rows
        if row.good is not None
    ]
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


def place(comparison_id: str, example_id: str) -> int:
    """A number drawn by chance for a question, the same for everyone."""
    return int(_hash(f"{comparison_id}\n{example_id}"), 16)
