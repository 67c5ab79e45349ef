"""Arms of training questions in a whole comparison on labels: measured, audited, costed, reported, asked afterwards."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from advisor.audit.check import Check
from advisor.results.comparison import ArmRole, Comparison
from lm.fake import FakeLM
from service.run.composition import LocalComposition
from service.run.finished.asking import open_arm, read_finished
from service.run.workflow import run_comparison

pytestmark = pytest.mark.slow

KINDS = ("nearest-question", "base", "classifier", "nearest-few-shot")
WORDS = {
    "billing": ("the invoice is too high", "I was charged twice", "my refund is missing"),
    "shipping": ("the parcel is late", "the courier lost it", "my address has changed"),
}
CARD = """
name = "tickets"
task = "classification"
language = "en"
licence = "CC0-1.0"
metrics = ["accuracy", "perplexity"]
instruction = "Name the queue: {labels}."
description = "Tickets."
"""


def write_tickets(folder: Path) -> None:
    rows = [
        {
            "id": f"{label}{w}-{i}",
            "question": f"Order {i}: {text}",
            "answers": [label],
            "document_ids": ["d"],
            "group": f"{label}{w}-{i}",
            "split": ("train", "validation", "test")[i % 3],
        }
        for label, texts in WORDS.items()
        for w, text in enumerate(texts)
        for i in range(30)
    ]
    (folder / "questions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "documents.jsonl").write_text('{"id": "d", "text": "Tickets go to queues."}\n')
    (folder / "dataset.toml").write_text(CARD)


@pytest.fixture(scope="module")
def finished(
    workplace_class: Any, tiny_reader_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, Comparison]:
    workplace = workplace_class(tmp_path_factory.mktemp("tickets"))
    write_tickets(workplace.folder)
    settings = replace(workplace.settings, model=f"hf:{tiny_reader_folder}", arms=KINDS, limit=40)
    return workplace, run_comparison(settings, workplace.directory, LocalComposition, "tiny")


def test_perplexity_is_told_of_arms_whose_model_tells_probabilities(finished: tuple[Any, Comparison]) -> None:
    found = {arm.kind: arm.metric("perplexity") for arm in finished[1].arms}
    for kind in ("base", "nearest-few-shot"):
        summary = found[kind]
        assert summary is not None and summary.interval is not None
        assert 1 < summary.interval.low < summary.interval.estimate < summary.interval.high
    for kind in ("nearest-question", "classifier"):
        summary = found[kind]
        assert summary is not None and summary.interval is None


def test_arms_without_a_language_model_are_right_and_take_no_tokens(finished: tuple[Any, Comparison]) -> None:
    arms = {arm.kind: arm for arm in finished[1].arms}
    assert [arm.kind for arm in finished[1].arms if arm.role is ArmRole.CANDIDATE] == list(KINDS)
    for kind in ("nearest-question", "classifier"):
        arm = arms[kind]
        overall = arm.metric("accuracy")
        assert overall is not None and overall.interval is not None
        assert overall.interval.estimate > 0.9
        assert (arm.usage_per_question.input_tokens, arm.usage_per_question.output_tokens) == (0, 0)
        assert arm.usage_per_question.embedding_tokens > 0
        assert arm.latency is not None and arm.latency.p50_s > 0
        assert arm.build_usage.wall_s > 0
        assert arm.n_outside_form == 0
        assert arm.cost is not None
    assert arms["nearest-few-shot"].usage_per_question.input_tokens > arms["base"].usage_per_question.input_tokens


def test_the_audit_does_not_compare_prompts_with_what_reads_none(finished: tuple[Any, Comparison]) -> None:
    checks = {finding.check for finding in finished[1].findings}
    assert not checks & {Check.UNEQUAL_PROMPT, Check.UNEQUAL_BASE, Check.UNEQUAL_DECODING}


def test_reports_show_every_arm(finished: tuple[Any, Comparison]) -> None:
    workplace, comparison = finished
    folder = workplace.directory.comparison(comparison.id)
    for name in ("report.md", "report.html"):
        text = (folder / name).read_text(encoding="utf-8")
        assert all(kind in text for kind in KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_arm_is_asked_afterwards(finished: tuple[Any, Comparison], kind: str) -> None:
    workplace, comparison = finished
    with open_arm(workplace.directory, read_finished(workplace.directory, comparison.id), kind) as pipeline:
        answer = pipeline.answer(["Order 77: the parcel is late"])[0]
    if kind in ("nearest-question", "classifier"):
        assert answer.text == "shipping"


def test_a_hosted_model_leaves_them_as_they_are(workplace: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tickets(workplace.folder)
    hosted = FakeLM(lambda _: "billing", name="openai:x")
    monkeypatch.setattr(LocalComposition, "model", hosted)
    settings = replace(workplace.settings, arms=("nearest-question", "classifier"), limit=20)
    comparison = run_comparison(settings, workplace.directory, LocalComposition, "hosted")
    with open_arm(workplace.directory, read_finished(workplace.directory, comparison.id), "classifier") as pipeline:
        assert pipeline.answer(["Order 77: the parcel is late"])[0].text == "shipping"
    costs = [arm.cost for arm in comparison.arms if arm.role is ArmRole.CANDIDATE]
    assert all(cost is not None for cost in costs)
    assert hosted.calls == []
