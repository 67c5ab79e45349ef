import re
from dataclasses import replace
from pathlib import Path

import pytest

from advisor.data.dataset import DatasetCard, Task
from advisor.money.catalogue import CatalogueModel, Openness, find_model, load_catalogue, price_quality
from advisor.money.prices import load_prices
from advisor.results.answer import BuildUsage
from advisor.results.comparison import (
    ArmRole,
    ArmSummary,
    Comparison,
    CostEstimate,
    Interval,
    MetricSummary,
    Recommendation,
    Verdict,
)
from lm.completion import Usage
from lm.errors import ConfigError

PRICES = load_prices()
SHIPPED = load_catalogue(PRICES)
ROW = """
[[model]]
name = "A"
family = "F"
weights = "yes"
as_of = "2026-01-31"
sources = ["https://example.org/a"]
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "catalogue.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_family_of_the_scope_is_there_with_source_and_date() -> None:
    families = {"Llama", "Mistral", "Falcon", "OLMo", "Phi", "Gemma", "Qwen", "SmolLM"}
    assert families <= {model.family for model in SHIPPED}
    for model in SHIPPED:
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", model.as_of)
        assert model.sources


def test_every_hosted_model_of_the_price_list_is_there_with_its_dated_price() -> None:
    hosted = {model.priced_as: model for model in SHIPPED if model.priced_as}
    assert set(hosted) == set(PRICES.models)
    for name, model in hosted.items():
        assert model.price == PRICES.models[name]
        assert model.weights is not Openness.NO or model.licence == "proprietary"


def test_open_means_weights_data_and_code() -> None:
    assert {model.family for model in SHIPPED if model.fully_open} == {"OLMo"}
    half = CatalogueModel("A", "F", "2026-01-31", ("https://a.b/c",), weights=Openness.YES, data=Openness.YES)
    assert not half.fully_open
    assert replace(half, code=Openness.YES).fully_open


def test_what_is_left_out_is_unknown(tmp_path: Path) -> None:
    (model,) = load_catalogue(PRICES, written(tmp_path, ROW))
    assert (model.licence, model.data, model.code, model.parameters, model.price) == ("", None, None, None, None)


@pytest.mark.parametrize(
    ("text", "line", "complaint"),
    [
        (ROW.replace('"yes"', '"sure"'), 5, "weights is 'sure'; give yes, partly or no"),
        (ROW.replace('family = "F"\n', ""), 2, "family is missing"),
        (ROW.replace("2026-01-31", "lately"), 6, "as_of is 'lately'"),
        (ROW.replace("https://example.org/a", "example.org"), 7, "sources is ['example.org']"),
        (ROW.replace('["https://example.org/a"]', "[]"), 7, "sources is []"),
        (ROW + "parameters = 0\n", 8, "parameters is 0; give a whole number"),
        (ROW + "parameters = 1.5e9\n", 8, "parameters is 1500000000.0; give a whole number"),
        (ROW + 'context_tokens = "128k"\n', 8, "context_tokens is '128k'"),
        (ROW + 'license = "MIT"\n', 8, "unknown key 'license'"),
        (ROW + 'licence = ""\n', 8, "licence is ''"),
        (ROW + 'hub_id = "a b"\n', 8, "hub_id is 'a b'; give org/name"),
        (ROW + 'priced_as = "gpt-0"\n', 8, "priced_as is 'gpt-0', which the price list lacks"),
        (ROW + ROW, 10, "'A' is there twice"),
        (ROW + ROW.replace('"A"', '"B"').replace('"yes"', "3"), 12, "weights is 3"),
    ],
)
def test_a_malformed_row_is_named_by_its_line(tmp_path: Path, text: str, line: int, complaint: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError, match=re.escape(f"{path}, line {line}: {complaint}")):
        load_catalogue(PRICES, path)


def test_all_malformed_rows_are_reported_at_once(tmp_path: Path) -> None:
    text = ROW.replace('"yes"', '"sure"') + ROW.replace('"A"', '"B"').replace("2026-01-31", "soon")
    with pytest.raises(ConfigError) as caught:
        load_catalogue(PRICES, written(tmp_path, text))
    assert len(str(caught.value).splitlines()) == 2


@pytest.mark.parametrize("text", ["", "model = 3", "[[model", "[model]\nname = 'A'"])
def test_a_file_that_is_no_catalogue_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(ConfigError, match=re.escape(str(path))):
        load_catalogue(PRICES, path)


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("hf:Qwen/Qwen3-0.6B", "Qwen3 0.6B"),
        ("qwen/qwen3-0.6b", "Qwen3 0.6B"),
        ("openai:gpt-4o-mini", "GPT-4o mini"),
        ("openai:gpt-5-mini@http://localhost:8000/v1", "GPT-5 mini"),
        ("smollm2", "SmolLM2 135M Instruct"),
        ("hf:org/unknown", None),
        ("", None),
    ],
)
def test_a_compared_model_is_found_by_its_spec(spec: str, name: str | None) -> None:
    found = find_model(SHIPPED, spec)
    assert (found.name if found else None) == name


def arm(kind: str, score: float | None, usd: float | None, role: ArmRole = ArmRole.CANDIDATE) -> ArmSummary:
    interval = None if score is None else Interval(score, score - 0.1, score + 0.1)
    cost = None if usd is None else CostEstimate(0.0, usd, None, 0.0, 0.0, "")
    return ArmSummary(
        kind, role, kind, (MetricSummary("exact_match", None, interval, 100, 40, 0),), Usage(), 1.0, BuildUsage(),
        None, cost, 100, 0,
    )  # fmt: skip


def compared(model: str, *arms: ArmSummary) -> Comparison:
    return Comparison(
        id=f"x-{model}", created_at="", card=DatasetCard("x", Task.QUESTION_ANSWERING, "en", "", (), "", ""),
        dataset_hash="", n_documents=0, split_sizes={}, slice_sizes={}, model=model, arms=arms, differences=(),
        recommendation=Recommendation(Verdict.WINNER, "rag", "", (), "exact_match", 0.02, 0.5, {}, {}, None, None),
        findings=(), settings={}, hashes={}, versions={}, prices_as_of="", prices_source="", wall_s=0.0,
    )  # fmt: skip


def test_measured_points_come_from_cheap_to_dear_with_what_the_catalogue_knows() -> None:
    points = price_quality(
        [
            compared("openai:gpt-4o-mini", arm("rag", 0.8, 0.002), arm("base", 0.3, 0.0005)),
            compared("hf:Qwen/Qwen3-0.6B", arm("rag", 0.7, 0.001), arm("raft", 0.6, None), arm("hybrid", None, 0.1),
                     arm("oracle-context", 0.9, 0.0, ArmRole.REFERENCE)),
        ],
        SHIPPED,
    )  # fmt: skip
    assert [(p.model.split("/")[-1], p.arm, p.usd_per_1000_queries) for p in points] == [
        ("openai:gpt-4o-mini", "base", 0.5),
        ("Qwen3-0.6B", "rag", 1.0),
        ("openai:gpt-4o-mini", "rag", 2.0),
        ("Qwen3-0.6B", "raft", None),
    ]
    assert points[1].parameters == 600_000_000
    assert points[1].licence == "Apache 2.0"
    assert [p.is_recommended for p in points] == [False, True, True, False]
    assert points[1].score == Interval(0.7, 0.7 - 0.1, 0.7 + 0.1)
