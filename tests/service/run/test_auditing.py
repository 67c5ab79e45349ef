import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from advisor.audit.check import Check
from advisor.audit.general_questions import GENERAL_QUESTIONS
from advisor.data.dataset import Dataset
from advisor.data.files import HUMAN_LABELS_FILE, load_dataset
from advisor.data.prompt import QuestionOnly
from advisor.metrics.registry import metric
from advisor.results.answer import Pipeline
from advisor.results.comparison import ArmRole, AuditFinding, Comparison, Verdict
from lm.completion import Completion, GenerationConfig, Messages
from lm.constraint import OneOf
from lm.fake import FakeLM
from service.run.arm import Arm, IndexFacts
from service.run.auditing import audit_run, read_labels
from service.run.measuring import ArmMeasurement

if TYPE_CHECKING:
    from conftest import Workplace

CHANGES: dict[Check, Callable[[Arm], Arm]] = {
    Check.UNEQUAL_PROMPT: lambda arm: replace(
        arm, pipeline=replace(arm.pipeline, prompt_builder=replace(arm.pipeline.prompt_builder, instruction="Guess."))
    ),
    Check.UNEQUAL_DECODING: lambda arm: replace(
        arm, pipeline=replace(arm.pipeline, generation=replace(arm.pipeline.generation, temperature=1.0))
    ),
    Check.UNEQUAL_BASE: lambda arm: replace(
        arm, pipeline=replace(arm.pipeline, model=FakeLM(lambda _: "c1", name="another"))
    ),
    Check.OTHER_DOCUMENTS: lambda arm: replace(arm, index=IndexFacts("of other documents", 0)),
    Check.NO_PASSAGES: lambda arm: replace(arm, retrieves=True),
}


def run_with(workplace: "Workplace", change: Callable[[Arm], Arm]) -> Comparison:
    """A comparison whose few-shot arm is built differently."""
    compose = workplace.compose

    def composing(*parts: object) -> object:
        composition = compose(*parts)
        build = composition.arm
        composition.arm = lambda kind, dataset: (
            change(build(kind, dataset)) if kind == "few-shot" else build(kind, dataset)
        )
        return composition

    workplace.compose = composing
    return workplace.run()


@pytest.mark.parametrize("check", CHANGES)
def test_a_run_with_an_arm_built_unequally_is_invalid_and_says_why(workplace: "Workplace", check: Check) -> None:
    comparison = run_with(workplace, CHANGES[check])
    assert comparison.recommendation.verdict is Verdict.INVALID_COMPARISON
    assert check in {finding.check for finding in comparison.findings}


def test_a_fair_run_has_no_such_finding_and_equal_hashes(workplace: "Workplace") -> None:
    comparison = workplace.run()
    assert not {finding.check for finding in comparison.findings} & set(CHANGES)
    for trait in ("instruction", "decoding", "base"):
        assert comparison.hashes[f"{trait} base"] == comparison.hashes[f"{trait} few-shot"]


def audited(
    workplace: "Workplace", dataset: Dataset, arms: list[Arm], *judged: str, judge: str = ""
) -> list[AuditFinding]:
    composition = workplace.compose(workplace.settings, workplace.directory, lambda _: None)
    composition.model = FakeLM(knows, name="base")
    composition.judge = FakeLM(lambda _: "{}", name=judge) if judge else None
    measured = [ArmMeasurement(arm, [], [], 0.0) for arm in arms]
    labels = read_labels(workplace.settings)
    return audit_run(measured, composition, dataset, workplace.settings, [metric(name) for name in judged], labels)


def knows(prompt: Messages) -> str:
    answers = {example.question: example.answers[0] for example in GENERAL_QUESTIONS}
    return answers.get(prompt[-1].content.split("Question: ")[-1], "")


def tuned(answer: Callable[[Messages], str]) -> Arm:
    model = FakeLM(answer, name="tuned")
    model.base = FakeLM(knows, name="base")  # type: ignore[attr-defined]
    pipeline = Pipeline("fine-tuned", model, QuestionOnly(""), GenerationConfig())
    return Arm(pipeline, ArmRole.CANDIDATE, "", tuned=True, device="cpu")


def test_general_questions_are_asked_before_and_after_tuning(workplace: "Workplace") -> None:
    dataset = load_dataset(workplace.folder)
    assert audited(workplace, dataset, [tuned(knows)]) == []
    (finding,) = audited(workplace, dataset, [tuned(lambda _: "billing")])
    assert finding.check == Check.OFF_DOMAIN
    assert "0% of 30 general questions right, 100% before tuning" in finding.items[0]


def test_a_deciding_judge_without_labels_or_of_the_same_family_blocks(workplace: "Workplace") -> None:
    dataset = load_dataset(workplace.folder)
    findings = audited(workplace, dataset, [], "faithfulness", judge="base-large")
    assert {(finding.check, finding.severity) for finding in findings} == {
        (Check.JUDGE_FAMILY, "block"),
        (Check.HUMAN_LABELS, "block"),
        (Check.JUDGE_UNCALIBRATED, "note"),
    }
    other = audited(workplace, dataset, [], "exact_match", "faithfulness", judge="another")
    assert [(finding.check, finding.severity) for finding in other] == [(Check.JUDGE_UNCALIBRATED, "note")]
    assert audited(workplace, dataset, [], "exact_match", judge="") == []


@pytest.mark.slow
def test_a_judge_that_cannot_grade_the_labelled_answers_is_not_believed(workplace: "Workplace") -> None:
    dataset = load_dataset(workplace.folder)
    row = {"question_id": dataset.examples[0].id, "metric": "faithfulness", "answer": "c1", "passages": ["It is c1."]}
    labels = [json.dumps(row | {"label": i % 2 == 0}) for i in range(4)]
    Path(workplace.folder / HUMAN_LABELS_FILE).write_text("\n".join(labels), encoding="utf-8")
    (finding,) = audited(workplace, dataset, [], "exact_match", "faithfulness", judge="another")
    assert finding.items == ("faithfulness: kappa none on 4 labelled answers, 4 of them not graded",)


def test_references_that_do_not_fit_are_counted_in_tokens_of_the_local_model(workplace: "Workplace") -> None:
    dataset = load_dataset(workplace.folder)
    short = replace(dataset, card=replace(dataset.card, max_output_tokens=2))
    (finding,) = audited(workplace, short, [tuned(knows)])
    assert finding.check == Check.OUTPUT_ROOM
    assert "9 of 159 questions" in finding.message  # the abstention has three words
    assert audited(workplace, short, [replace(tuned(knows), device=None)]) == []


def test_general_questions_are_asked_freely(workplace: "Workplace") -> None:
    dataset = load_dataset(workplace.folder)
    arm = tuned(knows)
    held = replace(arm.pipeline.generation, constraint=OneOf(("billing",)))
    seen: list[GenerationConfig] = []

    class Watched(FakeLM):
        def generate(self, prompts: Sequence[Messages], config: GenerationConfig) -> list[Completion]:
            seen.append(config)
            return super().generate(prompts, config)

    model = Watched(knows, name="tuned")
    model.base = FakeLM(knows, name="base")  # type: ignore[attr-defined]
    audited(workplace, dataset, [replace(arm, pipeline=replace(arm.pipeline, model=model, generation=held))])
    assert [config.constraint for config in seen] == [None]
