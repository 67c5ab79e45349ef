"""Answers to validation questions held to the form of the dataset and freely, for what the form alone brings."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from sqlalchemy import Engine

from advisor.data.answer_form import keeps_form
from advisor.data.dataset import Dataset, Example, Split
from advisor.data.splitting import draw_questions
from advisor.evidence.form_gain import FORM_QUESTIONS, FormScores
from advisor.evidence.statistics import Floats
from advisor.results.answer import Answer
from advisor.results.comparison import ArmRole
from advisor.results.score import Metric, ScoringResources, score_answers
from lm.constraint import Constraint
from service.run.arm import Arm, Composition
from service.run.measuring import ArmMeasurement, answer_questions
from service.run.progress import OnProgress
from service.run.spending import Spending


def form_questions(dataset: Dataset, metric: Metric, seed: int) -> list[Example]:
    """The validation questions that are answered both ways, the same for all arms; in file order."""
    validation = [example for example in dataset.split(Split.VALIDATION) if metric.applies(example)]
    chosen = {example.id for example in draw_questions(validation, FORM_QUESTIONS, seed, whole_groups=False)}
    return [example for example in validation if example.id in chosen]


def measure_form_gains(
    measured: Sequence[ArmMeasurement],
    composition: Composition,
    dataset: Dataset,
    database: Engine,
    metric: Metric,
    resources: ScoringResources,
    seed: int,
    on_progress: OnProgress,
    spending: Spending,
) -> None:
    """Give each candidate that is held to a form its `form` scores.

    Answers are kept block by block like those to test questions. Test questions are not asked freely: what the form
    brings is a finding about the method, and no answer of production is given without it.
    """
    questions = form_questions(dataset, metric, seed)
    held = {
        one.arm.id: (one, constraint)
        for one in measured
        if one.arm.role is ArmRole.CANDIDATE
        and one.arm.generates
        and (constraint := one.arm.pipeline.generation.constraint) is not None
    }
    if not questions or not held:
        return
    arms = [arm for one, _ in held.values() for arm in (one.arm, _free(one.arm))]
    logs = answer_questions(composition, arms, questions, dataset, database, metric, on_progress, spending, "form")
    answers = [log.in_order(questions) for log in logs]
    for (one, constraint), within, free in zip(held.values(), answers[::2], answers[1::2], strict=True):
        one.n_asked_besides = 2 * len(questions)
        # Where the endpoint took no constraint both answers were free, and nothing is known of the form.
        if not any(answer.constraint_refused for answer in within):
            one.form = FormScores(
                _scores(metric, questions, within, resources),
                _scores(metric, questions, free, resources),
                tuple(dataset.cluster_of(example) for example in questions),
                _n_outside(constraint, within),
                _n_outside(constraint, free),
            )


def _free(arm: Arm) -> Arm:
    """The same arm without a constraint."""
    pipeline = arm.pipeline
    return replace(arm, pipeline=replace(pipeline, generation=replace(pipeline.generation, constraint=None)))


def _scores(
    metric: Metric, questions: Sequence[Example], answers: Sequence[Answer], resources: ScoringResources
) -> Floats:
    values = [score.value for score in score_answers(metric, questions, answers, resources)]
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _n_outside(constraint: Constraint, answers: Sequence[Answer]) -> int:
    return keeps_form(constraint, [answer.text for answer in answers]).count(False)
