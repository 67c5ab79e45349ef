"""People's labels from the dataset's folder to the verdict, and back from the record of it."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from advisor.audit.check import Check
from advisor.data.dataset import Example
from advisor.data.files import HUMAN_LABELS_FILE
from advisor.decision.record import RecheckOutcome
from advisor.evidence.prediction_powered import METHOD, MIN_LABELS
from advisor.evidence.records import read_records
from advisor.metrics.human import CORRECT
from advisor.metrics.registry import METRICS
from advisor.results.answer import Answer
from advisor.results.comparison import Comparison, Severity, Verdict
from advisor.results.score import Score, ScoringResources
from lm.fake import FakeLM
from service.run.finished.recheck import recheck_file
from service.store.data_directory import DECISION_FILE, RECORDS_FILE

if TYPE_CHECKING:
    from conftest import Workplace


def label_all(workplace: "Workplace", made: Comparison, n_questions: int, metric: str = CORRECT) -> None:
    """People call an answer right where it is the reference, on so many questions of each slice."""
    text = (workplace.directory.comparison(made.id) / RECORDS_FILE).read_text(encoding="utf-8")
    seen: dict[str, set[str]] = {}
    lines = []
    for row in read_records(text.split("\n")):
        of_slice = seen.setdefault(row.slice, set())
        if len(of_slice) < n_questions or row.example_id in of_slice:
            of_slice.add(row.example_id)
            label = row.answer.text in row.references
            lines.append({"question_id": row.example_id, "metric": metric, "answer": row.answer.text, "label": label})
    (workplace.folder / HUMAN_LABELS_FILE).write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_people_decide_once_they_labelled_enough_and_nobody_is_asked_again(workplace: "Workplace") -> None:
    card = workplace.folder / "dataset.toml"
    card.write_text(card.read_text().replace('["exact_match",', f'["{CORRECT}", "exact_match",'))
    unlabelled = workplace.run()
    assert unlabelled.recommendation.verdict is Verdict.INVALID_COMPARISON
    (finding,) = [one for one in unlabelled.findings if one.check == Check.HUMAN_LABELS]
    assert finding.items == tuple(f"{arm}: 0 labels, {MIN_LABELS} more needed" for arm in ("base", "few-shot"))
    arm = unlabelled.arms[0].metric(CORRECT)
    assert arm is not None
    assert (arm.interval, arm.n, arm.n_unscored) == (None, 0, 99)

    calls = workplace.n_calls
    label_all(workplace, unlabelled, 25)
    decided = workplace.run()
    assert decided.id != unlabelled.id
    assert workplace.n_calls == calls
    assert (decided.recommendation.verdict, decided.recommendation.arm) == (Verdict.WINNER, "few-shot")
    (finding,) = [one for one in decided.findings if one.check == Check.HUMAN_LABELS]
    assert finding.severity is Severity.NOTE
    (difference,) = decided.differences
    assert difference.interval.method == METHOD
    arm = decided.arms[1].metric(CORRECT)
    assert arm is not None
    assert arm.n + arm.n_unscored == 99
    record = workplace.directory.comparison(decided.id) / DECISION_FILE
    assert recheck_file(record, lambda *_: "scripted", today=date.today()).outcome is RecheckOutcome.HOLDS


def test_a_judge_that_favours_an_arm_gains_it_nothing_once_people_labelled(
    workplace: "Workplace", monkeypatch: pytest.MonkeyPatch
) -> None:
    def flattering(examples: Sequence[Example], answers: Sequence[Answer], resources: ScoringResources) -> list[Score]:
        return [Score(float(answer.text == "c0")) for answer in answers]  # what base always says

    judged = METRICS["answer_relevancy"]
    monkeypatch.setitem(
        METRICS.own,
        judged.name,  # type: ignore[arg-type]
        replace(judged, score=flattering, applies=lambda _: True),
    )
    card = workplace.folder / "dataset.toml"
    card.write_text(card.read_text().replace('["exact_match",', f'["{judged.name}", "exact_match",'))
    compose = workplace.compose

    def composing(*parts: Any) -> Any:
        composition = compose(*parts)
        composition.judge = FakeLM(lambda _: "", name="another")
        return composition

    workplace.compose = composing  # type: ignore[method-assign]
    settings = replace(workplace.settings, judge="another")
    uncorrected = workplace.run(settings)
    assert uncorrected.recommendation.verdict is Verdict.INVALID_COMPARISON
    label_all(workplace, uncorrected, 25, judged.name)
    decided = workplace.run(settings)
    assert (decided.recommendation.verdict, decided.recommendation.arm) == (Verdict.WINNER, "few-shot")
    for arm in decided.arms:
        summary = arm.metric(judged.name)
        assert summary is not None
        assert summary.interval is not None
        assert summary.interval.method == METHOD
