"""A comparison whose answers are held to labels: both ways on validation questions, once, and never in the bill."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from advisor.audit.check import Check
from advisor.data.answer_form import constraint_of
from advisor.data.dataset import Dataset
from advisor.data.files import load_dataset
from advisor.evidence.form_gain import FORM_QUESTIONS
from advisor.metrics.registry import metric
from advisor.results.comparison import ArmRole, Comparison
from advisor.results.json_report import read_comparison
from lm.completion import Completion, FinishReason, GenerationConfig, Messages, Usage
from lm.constraint import OneOf
from lm.fake import FakeLM
from service.run.arm import Arm
from service.run.form import form_questions
from service.run.progress import Progress
from service.run.settings import Constrain

if TYPE_CHECKING:
    from conftest import Workplace

N_CASES = 240
LABELS = ("blue", "green", "red")
CARD = """
name = "colours"
task = "classification"
language = "en"
licence = "CC0-1.0"
metrics = ["accuracy"]
instruction = "Name the colour: {labels}."
description = "Colours of things."
"""


def write_labels(folder: Path) -> None:
    rows = [
        {
            "id": f"q{i}",
            "question": f"Thing {i}?",
            "answers": [LABELS[i % 3]],
            "document_ids": ["d"],
            "group": f"g{i}",
            "split": ("test", "train", "validation")[i // 80],
        }
        for i in range(N_CASES)
    ]
    (folder / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "documents.jsonl").write_text('{"id": "d", "text": "Things have colours."}\n')
    (folder / "dataset.toml").write_text(CARD)


class LabellingLM(FakeLM):
    """Knows every third colour, says it in a sentence; held to labels it says a label."""

    takes_constraint = True

    def generate(self, prompts: Sequence[Messages], config: GenerationConfig) -> list[Completion]:
        self.calls.append(list(prompts))
        return [self._label(prompt, config) for prompt in prompts]

    def _label(self, prompt: Messages, config: GenerationConfig) -> Completion:
        number = int("".join(filter(str.isdigit, prompt[-1].content)) or 0)
        label = LABELS[number % 3] if number % 2 == 0 else "red"
        refused = config.constraint is not None and not self.takes_constraint
        held = isinstance(config.constraint, OneOf) and not refused
        tuned = self.name == "tuned"
        text = label if held or tuned else f"It is {label}, I think."
        return Completion(text, Usage(100, 5, 0, 0.01), FinishReason.STOP, constraint_refused=refused)


@pytest.fixture
def labelling(workplace: "Workplace") -> "Workplace":
    """The workplace with labels to give, and a third candidate that is tuned and answers in form by itself."""
    write_labels(workplace.folder)
    compose = workplace.compose

    def composing(settings: Any, *parts: Any) -> Any:
        composition = compose(settings, *parts)
        composition.model = LabellingLM(lambda _: "", name="prompted")
        build = composition.arm

        def arm(kind: str, dataset: Dataset) -> Arm:
            built: Arm = build("base" if kind == "fine-tuned" else kind, dataset)
            constraint = constraint_of(dataset) if settings.constrain is Constrain.AUTO else None
            generation = replace(built.pipeline.generation, constraint=constraint)
            built = replace(built, pipeline=replace(built.pipeline, generation=generation))
            if kind != "fine-tuned":
                return built
            model = LabellingLM(lambda _: "", name="tuned")
            model.base = composition.model  # type: ignore[attr-defined]
            return replace(built, tuned=True, pipeline=replace(built.pipeline, arm=kind, model=model))

        composition.arm = arm
        return composition

    workplace.compose = composing  # type: ignore[method-assign, assignment]
    workplace.settings = replace(workplace.settings, arms=("base", "fine-tuned"))
    return workplace


def test_arms_answer_validation_questions_both_ways_and_the_report_says_what_form_brings(
    labelling: "Workplace",
) -> None:
    seen: list[Progress] = []
    comparison = labelling.run(on_progress=seen.append)
    found = comparison.form_gains
    assert found is not None and found.lead is not None
    assert (found.metric, found.n_questions) == ("accuracy", FORM_QUESTIONS)
    gains = {gain.arm: gain for gain in found.gains}
    assert gains["base"].free == 0
    assert gains["base"].gain.estimate == pytest.approx(gains["base"].held)
    assert gains["base"].held > 0.5
    assert (gains["base"].n_outside_free, gains["base"].n_outside_held) == (FORM_QUESTIONS, 0)
    assert gains["fine-tuned"].gain.estimate == 0
    assert (found.lead.tuned, found.lead.prompted) == ("fine-tuned", "base")
    assert found.lead.form.estimate == pytest.approx(found.lead.free.estimate)
    assert {progress.arm for progress in seen if progress.stage == "form"} == {"base", "fine-tuned"}
    assert [arm.n_outside_form for arm in comparison.arms if arm.role is ArmRole.CANDIDATE] == [0, 0]
    folder = labelling.directory.comparison(comparison.id)
    assert "are form that constrained decoding gives for free" in (folder / "report.md").read_text()
    assert read_comparison((folder / "report.json").read_text()) == comparison


def test_answers_of_both_ways_are_kept_like_others(labelling: "Workplace") -> None:
    def n_asked() -> int:
        """Calls of the prompted model, but for the general questions of the audit."""
        models = [one.model for one in labelling.compositions]
        calls = [call for model in models if isinstance(model, FakeLM) for call in model.calls]
        return sum("Thing" in call[0][-1].content for call in calls)

    first = labelling.run()
    n_before = n_asked()
    again = labelling.run(replace(labelling.settings, margin=0.03))
    assert again.form_gains == first.form_gains
    assert n_asked() == n_before > 0


def test_asking_both_ways_is_evaluation_and_no_part_of_serving(labelling: "Workplace") -> None:
    held = labelling.run()
    off = labelling.run(replace(labelling.settings, constrain=Constrain.OFF))

    def figures(comparison: Comparison) -> tuple[float, int, float]:
        arm = comparison.arm("base")
        assert arm.cost is not None and arm.cost.evaluation_usd is not None
        asked = arm.cost.evaluation_usd / arm.cost.serve_usd_per_query
        return arm.usage_per_question.input_tokens, arm.n_questions, round(asked)

    assert figures(held) == (100, 80, 80 + 2 * FORM_QUESTIONS)
    assert figures(off) == (100, 80, 80)
    assert off.form_gains is None
    assert off.arm("base").n_outside_form == 80
    assert not [one for one in off.findings if one.check in (Check.OUTSIDE_FORM, Check.CONSTRAINT_REFUSED)]


def test_an_endpoint_that_takes_no_constraint_is_said_to_and_no_gain_is_made_up(
    labelling: "Workplace", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LabellingLM, "takes_constraint", False)
    comparison = labelling.run()
    assert comparison.form_gains is None
    (finding,) = (one for one in comparison.findings if one.check == Check.CONSTRAINT_REFUSED)
    assert "answered unconstrained were 80 of 80 by base, 80 of 80 by fine-tuned" in finding.message


def test_the_questions_are_the_same_for_the_same_seed_and_few(labelling: "Workplace") -> None:
    dataset = load_dataset(labelling.folder)
    chosen = [form_questions(dataset, metric("accuracy"), seed) for seed in (0, 0, 1)]
    assert chosen[0] == chosen[1] != chosen[2]
    assert len(chosen[0]) == FORM_QUESTIONS
    assert [e.id for e in chosen[0]] == [e.id for e in dataset.examples if e in chosen[0]]
    none = replace(dataset, examples=tuple(e for e in dataset.examples if e.split != "validation"))
    assert form_questions(none, metric("accuracy"), 0) == []
