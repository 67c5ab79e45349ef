"""Two answers to a test question side by side, for people who are not told whose they are; kept as votes."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from sqlalchemy import Engine

from advisor.evidence.human_labels import HumanLabel
from advisor.metrics.human import PREFERENCE
from lm.errors import ConfigError
from service.store.label_store import SHARED_QUESTIONS, LabelledAnswer, answers_to, place
from service.store.reports.loaded_results import LoadedResults
from service.store.vote_store import Vote, cast_vote


@dataclass(frozen=True, slots=True)
class Pair:
    """Two different answers to one question, in an order drawn by chance."""

    first: LabelledAnswer
    second: LabelledAnswer


def pair_of(loaded: LoadedResults, candidates: Sequence[str], comparison_id: str, example_id: str) -> Pair | None:
    """The pair that stands for a question, the same for everyone; None where all arms answer alike."""
    answers = answers_to(loaded, candidates, example_id)
    pairs = list(combinations(answers, 2))
    if not pairs:
        return None
    drawn = place(f"{comparison_id} pair", example_id)
    first, second = pairs[drawn // 2 % len(pairs)]
    return Pair(first, second) if drawn % 2 else Pair(second, first)


def next_pair(
    loaded: LoadedResults, candidates: Sequence[str], votes: Sequence[Vote], comparison_id: str, voter: str
) -> Pair | None:
    """The first pair, in the order of the labels, that this person has not seen and that needs a look."""
    own = {vote.question for vote in votes if vote.voter == voter}
    others = {vote.question for vote in votes if vote.voter != voter}
    for example_id in sorted(loaded.lines_of, key=lambda one: place(comparison_id, one)):
        question = loaded.row_of[example_id].question
        is_shared = place(comparison_id, example_id) % SHARED_QUESTIONS == 0
        if question in own or (question in others and not is_shared):
            continue
        if (pair := pair_of(loaded, candidates, comparison_id, example_id)) is not None:
            return pair
    return None


def cast_pair(
    engine: Engine,
    comparison_id: str,
    loaded: LoadedResults,
    candidates: Sequence[str],
    *,
    example_id: str,
    better: str | None,
    voter: str,
) -> None:
    """Store which answer of the pair of a question is better, None for neither, as a vote between two of its arms.

    Raises:
        ConfigError: the question has no pair, or the answer is not of it.
        ComparisonNotFoundError: the comparison was deleted meanwhile.
    """
    pair = pair_of(loaded, candidates, comparison_id, example_id) if example_id in loaded.row_of else None
    arms = {one.answer: one.arms[0] for one in (pair.first, pair.second)} if pair is not None else {}
    if pair is None or better not in (*arms, None):
        raise ConfigError(
            f"no pair of {comparison_id} holds this answer to the question {example_id!r}; "
            "vote on a pair that the queue has shown, word for word"
        )
    cast_vote(
        engine,
        comparison_id,
        question=pair.first.question,
        arms=(pair.first.arms[0], pair.second.arms[0]),
        preferred=arms[better] if better is not None else None,
        voter=voter,
    )


def pair_labels(loaded: LoadedResults, votes: Sequence[Vote]) -> list[HumanLabel]:
    """Votes on test questions as labels by `human_preference`; votes on other questions are none."""
    example_of = {row.question: row.example_id for row in loaded.rows}
    found = []
    for vote in votes:
        example_id = example_of.get(vote.question)
        if example_id is None:
            continue
        said = {one.arms[0]: one.answer for one in answers_to(loaded, (vote.first,), example_id)}
        said |= {one.arms[0]: one.answer for one in answers_to(loaded, (vote.second,), example_id)}
        first, second = said.get(vote.first), said.get(vote.second)
        if first is None or second is None or first == second:
            continue
        good = None if vote.preferred is None else vote.preferred == vote.first
        found.append(HumanLabel(example_id, PREFERENCE, first, (), good, second))
    return found


def preferences_file(labels: Sequence[HumanLabel]) -> str:
    """Lines of `human_labels.jsonl`: one a vote."""
    lines = [
        {
            "question_id": one.question_id,
            "metric": one.metric,
            "answer": one.answer,
            "other": one.other,
            "label": one.good,
        }
        for one in labels
    ]
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
