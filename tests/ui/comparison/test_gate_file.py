import json
import tomllib
from pathlib import Path

from advisor.decision.constraints import Constraints
from advisor.money.cost import Traffic
from advisor.results.answer_values import AnswerValues
from service.cli.ci.config import read_ci_config
from service.run.settings import ComparisonSettings, Constrain, TuneOn
from ui.comparison.gate_file import GateDraft, ThresholdDraft, gate_rules, gate_toml

DRAFT = GateDraft("appliance-support", False, (ThresholdDraft("rag", "exact_match", "at least", 0.6),), "main")


def test_the_request_asks_what_was_drafted() -> None:
    assert gate_rules(DRAFT) == {
        "thresholds": [{"arm": "rag", "measure": "exact_match", "at_least": 0.6}],
        "baseline": {"name": "main"},
    }


def test_the_file_is_one_that_the_command_reads(tmp_path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "tuning-fork.toml"
    path.write_text(gate_toml(DRAFT, {"model": "smollm2", "pipelines": ["base", "rag"], "limit": 50, "judge": None}))
    config = read_ci_config(path)
    assert config.settings.arms == ("base", "rag")
    assert config.settings.limit == 50
    assert config.baseline_name == "main"


def test_names_with_quotes_stay_inside_their_string() -> None:
    text = gate_toml(GateDraft('a"\n[gate]\\', True, ()), {})
    assert tomllib.loads(text)["dataset"] == 'a"\n[gate]\\'


def test_the_file_asks_for_the_same_comparison(tmp_path: Path) -> None:
    settings = ComparisonSettings(
        "appliance-support",
        arms=("base", "rag"),
        embedder="hf:other/embedder",
        overlap_tokens=16,
        tune_on=TuneOn.QUESTIONS_AND_DOCUMENTS,
        training_seeds=3,
        constrain=Constrain.OFF,
        margin=0.05,
        coverage=0.25,
        judge="openai:judge",
        traffic=Traffic(queries_per_month=5e6),
        constraints=Constraints(must_cite_sources=True, max_p95_latency_s=1.5),
        values=AnswerValues(0.02, 0.5),
    )
    file = tmp_path / "tuning-fork.toml"
    file.write_text(gate_toml(DRAFT, json.loads(json.dumps(settings.to_json()))))
    assert read_ci_config(file).settings == settings
    plain = ComparisonSettings("appliance-support").to_json()
    assert "[comparison.traffic]" not in gate_toml(DRAFT, plain)
    assert "margin" not in gate_toml(DRAFT, plain)


def test_a_limit_is_written_as_it_was_tried() -> None:
    draft = GateDraft("d", False, (ThresholdDraft("rag", "usd_per_month", "at most", 1_234_567.8901),))
    assert tomllib.loads(gate_toml(draft, {}))["gate"]["threshold"][0]["at_most"] == 1_234_567.8901
