"""What an estimate says, against a comparison that was run on two CPU cores with nothing else to do."""

import json
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, insert
from transformers import AutoTokenizer

from advisor.data.files import load_dataset
from advisor.results.comparison import Comparison
from advisor.results.json_report import read_comparison
from lm.weights.embedded_model import locate_embedded_model
from service.contract.schemas import Estimate
from service.run.estimate import _tokens, estimate_comparison
from service.run.speeds import Speeds, Work
from service.store.data_directory import DataDirectory
from service.store.tables import comparisons, metadata, report_files

ROOT = Path(__file__).resolve().parents[3]
DATASETS = ROOT / "datasets"
RUN = ROOT / "docs" / "runs" / "ticket-triage" / "report.json"


@pytest.fixture(scope="module")
def finished() -> Comparison:
    return read_comparison(RUN.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def estimate() -> Estimate:
    return estimated()


def estimated(**changes: object) -> Estimate:
    engine: Engine = create_engine("sqlite://")
    metadata.create_all(engine)
    settings = json.loads(RUN.read_text(encoding="utf-8"))["settings"] | changes
    settings.pop("training_curves")
    return estimate_comparison(
        engine, DataDirectory(ROOT / "nowhere"), settings, load_dataset(ROOT / "datasets" / "ticket-triage")
    )


def test_what_a_hosted_embedder_reads_is_paid_for_and_unknown_without_a_price() -> None:
    arms = ["base", "rag"]
    local, priced, unpriced = (
        {(stage.stage, stage.arm): stage.usd for stage in estimated(arms=arms, embedder=embedder).stages}
        for embedder in ("minilm", "openai:text-embedding-3-small", "openai:other")
    )
    assert [unpriced[key] for key in (("index", ""), ("answer", "rag"))] == [None, None]
    assert unpriced["answer", "base"] == priced["answer", "base"] == local["answer", "base"]
    asked, paid = local["answer", "rag"], priced["answer", "rag"]
    assert asked is not None and paid is not None and paid > asked
    assert estimated(arms=arms, embedder="openai:other").usd is None


def test_the_rule_of_thumb_is_within_a_third_of_the_recorded_run(estimate: Estimate, finished: Comparison) -> None:
    assert estimate.time_s == pytest.approx(finished.wall_s, rel=0.3)
    answering = {stage.arm: stage.time_s for stage in estimate.stages if stage.stage == "answer"}
    for arm in finished.arms:
        if arm.kind in answering:
            assert answering[arm.kind] == pytest.approx(arm.n_questions / arm.throughput_per_s, rel=0.3), arm.kind
    tuned = next(stage for stage in estimate.stages if stage.stage == "tune")
    assert tuned.input_tokens == pytest.approx(finished.arm("fine-tuned").build_usage.input_tokens, rel=0.1)


def test_an_arm_takes_what_it_took_before_and_one_that_was_not_there_takes_after_the_others(
    finished: Comparison,
) -> None:
    rule = Speeds("smollm2")
    speeds = Speeds("smollm2", "earlier", {arm.kind: arm for arm in finished.arms})
    arm = finished.arm("rag")
    usage = arm.usage_per_question
    written = usage.output_tokens
    work = Work(usage.input_tokens - usage.cached_tokens, written, usage.input_tokens, written)
    assert speeds.answer_s("rag", work) == (pytest.approx(1 / arm.throughput_per_s), True)
    assert arm.latency is not None
    assert speeds.answer_s("rag", work, alone=True) == (pytest.approx(arm.latency.p50_s), True)
    assert speeds.answer_s("raft", work)[0] == pytest.approx(rule.answer_s("raft", work)[0], rel=0.3)
    assert rule.answer_s("raft", work)[1] is False


def test_speeds_come_from_the_same_dataset_where_it_was_compared_before() -> None:
    engine = create_engine("sqlite://")
    metadata.create_all(engine)
    state = {"state": "succeeded", "cancel_requested": False, "created_at": 0.0}
    for i, name in enumerate(("ticket-triage", "appliance-support")):
        report = (ROOT / "docs" / "runs" / name / "report.json").read_bytes()
        own = json.loads(report)["settings"]
        own.pop("training_curves", None)
        row = state | {"id": f"of {name}", "name": name, "dataset": name, "finished_at": float(i)}
        with engine.begin() as connection:
            connection.execute(insert(comparisons).values(row | {"settings": json.dumps(own)}))
            connection.execute(insert(report_files).values(comparison_id=row["id"], name="report.json", content=report))
    for name, source in (
        ("ticket-triage", "of ticket-triage"),
        ("appliance-support", "of appliance-support"),
        ("claims-to-json", "of appliance-support"),
    ):
        settings = {"dataset": name, "arms": ["base"]}
        found = estimate_comparison(engine, DataDirectory(ROOT / "nowhere"), settings, load_dataset(DATASETS / name))
        assert found.basis[1].startswith(f"Speeds: as measured in the comparison {source}.")


@pytest.mark.parametrize("name", ["ticket-triage", "appliance-support", "claims-to-json"])
def test_tokens_are_counted_within_a_fifth_of_the_models_own(name: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(locate_embedded_model()[0])
    dataset = load_dataset(DATASETS / name)
    answers = [example.answers[0] for example in dataset.examples if example.answers and not dataset.card.labels]
    for texts in ([one.asked for one in dataset.examples], [one.text for one in dataset.documents], answers):
        own = sum(len(ids) for ids in tokenizer(texts, add_special_tokens=False)["input_ids"]) if texts else 0
        assert sum(map(_tokens, texts)) == pytest.approx(own, rel=0.2)
