"""One comparison on several models: a local one, a merged tuned copy of it, and an endpoint over real HTTP."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from advisor.audit.check import Check
from advisor.report.sections.models import model_tables
from advisor.results.comparison import ArmRole, Comparison
from lm.model_identity import model_identity
from service.run.composition import LocalComposition
from service.run.finished.asking import open_arm, read_finished
from service.run.finished.base_model import is_measured_model, models_identity
from service.run.settings import ComparisonSettings
from service.run.workflow import run_comparison
from tests.service.serving.hosted_endpoint import HostedEndpoint

pytestmark = pytest.mark.slow

SIX = ("base", "rag", "copy=base@{copy}", "copy-rag=rag@{copy}", "base@{hosted}", "rag@{hosted}")
IDS = ("base", "rag", "copy", "copy-rag", "base-big", "rag-big")


def say(request: Any) -> str:
    """Right where passages are given, and of the even numbers otherwise too."""
    text = request["messages"][-1]["content"]
    number = "".join(filter(str.isdigit, text.rpartition("number")[2]))
    return f"c{number}" if number and ("Thing" in text or int(number) % 2 == 0) else "no idea"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[HostedEndpoint]:
    endpoint = HostedEndpoint()
    endpoint.say = say
    yield endpoint
    endpoint.stop()


def merged_copy(folder: Path, copy: Path) -> Path:
    """A model as it is after its weights were tuned, with a chat template of its own."""
    import torch
    import transformers

    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        model.model.layers[0].mlp.up_proj.weight.mul_(1.5)
    model.save_pretrained(copy)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = "You are tuned. " + tokenizer.chat_template
    tokenizer.save_pretrained(copy)
    return copy


@pytest.fixture(scope="module")
def finished(
    workplace_class: Any, tiny_reader_folder: Path, endpoint: HostedEndpoint, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Any, ComparisonSettings, Comparison]:
    workplace = workplace_class(tmp_path_factory.mktemp("several"))
    copy = merged_copy(tiny_reader_folder, tmp_path_factory.mktemp("merged") / "copy")
    arms = tuple(arm.format(copy=f"hf:{copy}", hosted=f"openai:big@{endpoint.url}") for arm in SIX)
    settings = replace(workplace.settings, model=f"hf:{tiny_reader_folder}", arms=arms, limit=30).resolved()
    identity = models_identity(settings, model_identity)
    return workplace, settings, run_comparison(settings, workplace.directory, LocalComposition, identity)


def test_all_models_answer_the_same_questions(finished: Any) -> None:
    _, settings, comparison = finished
    candidates = [arm for arm in comparison.arms if arm.role is ArmRole.CANDIDATE]
    assert tuple(arm.id for arm in candidates) == IDS == settings.arm_ids
    assert [arm.kind for arm in candidates] == ["base", "rag"] * 3
    assert len({arm.model for arm in candidates}) == 3
    assert len({arm.n_questions for arm in candidates}) == 1
    assert all(arm.latency is not None for arm in candidates)
    assert len(comparison.differences) == 15


def test_prompts_are_of_each_model_s_own_template(finished: Any) -> None:
    comparison = finished[2]
    tokens = {arm.id: arm.usage_per_question.input_tokens for arm in comparison.arms}
    assert tokens["copy"] > tokens["base"]
    assert tokens["base-big"] == 20


def test_the_audit_says_what_mixes_model_and_method(finished: Any) -> None:
    comparison = finished[2]
    found = {finding.check: finding for finding in comparison.findings}
    assert Check.UNEQUAL_BASE not in found
    items = found[Check.MIXED_MODELS].items
    assert any(item.startswith("method, on ") and item.endswith(": base and rag") for item in items)
    assert "model, of rag: rag, copy-rag and rag-big" in items
    assert "mixed: base and copy-rag" in items


def test_reports_show_models_by_methods(finished: Any) -> None:
    workplace, _, comparison = finished
    scores, of_method, of_model = model_tables(comparison)
    assert scores.columns[:3] == ("Model", "base", "rag")
    assert [row.cells[2].detail for row in scores.rows[:3]] == ["", "copy-rag", "rag-big"]
    assert [row.cells[0].text for row in of_method.rows] == [
        "base minus rag",
        "copy minus copy-rag",
        "base-big minus rag-big",
    ]
    assert len(of_model.rows) == 6
    for name in ("report.md", "report.html"):
        assert "Models by methods" in (workplace.directory.comparison(comparison.id) / name).read_text("utf-8")


def test_every_arm_is_asked_afterwards_on_its_own_model(finished: Any, endpoint: HostedEndpoint) -> None:
    workplace, _, comparison = finished
    stored = read_finished(workplace.directory, comparison.id)
    for arm in ("rag-big", "copy"):
        with open_arm(workplace.directory, stored, arm) as pipeline:
            answer = pipeline.answer(["Which colour has number 33?"])[0]
        assert (answer.text == "c33") == (arm == "rag-big")
    assert [bool(arm.model) for arm in stored.settings.arm_specs] == [False, False, True, True, True, True]


def test_each_model_is_told_from_another_in_its_place(finished: Any, tiny_model_folder: Path) -> None:
    workplace, settings, comparison = finished
    identity = read_finished(workplace.directory, comparison.id).model_identity
    assert all(is_measured_model(settings, identity, model) for model in settings.models)
    other = replace(settings, model=f"hf:{tiny_model_folder}")
    assert not is_measured_model(other, identity)
    assert is_measured_model(other, identity, settings.models[1])
