from dataclasses import replace

import pytest

from advisor.data.dataset import DatasetCard, Task
from advisor.money.catalogue import load_catalogue
from advisor.money.hosted_price import hosted_prices
from advisor.money.prices import load_prices
from advisor.report.pictures.price_picture import price_figure, price_table
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

PRICES = load_prices()
CATALOGUE = load_catalogue(PRICES)


def arm(kind: str, usage: Usage, role: ArmRole = ArmRole.CANDIDATE, *, tuned: bool = False) -> ArmSummary:
    summary = MetricSummary("exact_match", None, Interval(0.5, 0.4, 0.6), 100, 40, 0)
    build = BuildUsage(input_tokens=9000) if tuned else BuildUsage()
    cost = CostEstimate(0.0, 2e-6, None, 0.0, 0.0, "")
    return ArmSummary(kind, role, kind, (summary,), usage, 1.0, build, None, cost, 100, 0)


COMPARISON = Comparison(
    id="x", created_at="", card=DatasetCard("x", Task.QUESTION_ANSWERING, "en", "", (), "", ""), dataset_hash="",
    n_documents=0, split_sizes={}, slice_sizes={}, model="smollm2",
    arms=(
        arm("base", Usage(100, 10)), arm("rag", Usage(1000, 10, 20)), arm("fine-tuned", Usage(100, 10), tuned=True),
        arm("oracle-context", Usage(900, 10), ArmRole.REFERENCE),
    ),
    differences=(),
    recommendation=Recommendation(Verdict.WINNER, "rag", "", (), "exact_match", 0.02, 0.5, {}, {}, None, None),
    findings=(), settings={"embedder": "minilm"}, hashes={}, versions={}, prices_as_of="", prices_source="", wall_s=0.0,
)  # fmt: skip


def test_measured_tokens_are_priced_at_every_priced_model() -> None:
    found = {(price.arm, price.priced_as): price for price in hosted_prices(COMPARISON, CATALOGUE, PRICES)}
    assert {arm for arm, _ in found} == {"base", "rag"}
    assert {model for _, model in found} == set(PRICES.models)
    price = PRICES.models["gpt-4o-mini"]
    by_hand = (100 * price.usd_per_million_input_tokens + 10 * price.usd_per_million_output_tokens) / 1000
    assert found["base", "gpt-4o-mini"].usd_per_1000_queries == pytest.approx(by_hand)
    assert (found["base", "gpt-4o-mini"].as_of, found["base", "gpt-4o-mini"].source) == (price.as_of, price.source)


def test_what_was_cached_here_is_priced_whole_elsewhere() -> None:
    arms = tuple(
        replace(one, usage_per_question=replace(one.usage_per_question, cached_tokens=90)) for one in COMPARISON.arms
    )
    cached = hosted_prices(replace(COMPARISON, arms=arms), CATALOGUE, PRICES)
    assert cached == hosted_prices(COMPARISON, CATALOGUE, PRICES)


def test_a_hosted_embedder_is_paid_too_and_a_local_one_is_not() -> None:
    hosted = replace(COMPARISON, settings={"embedder": "openai:text-embedding-3-small"})
    local, paid = (
        {p.arm: p.usd_per_1000_queries for p in hosted_prices(c, CATALOGUE, PRICES) if p.priced_as == "gpt-5-mini"}
        for c in (COMPARISON, hosted)
    )
    assert paid["base"] == local["base"]
    assert paid["rag"] - local["rag"] == pytest.approx(20 * 0.02 / 1000)
    unpriced = hosted_prices(replace(COMPARISON, settings={"embedder": "openai:other"}), CATALOGUE, PRICES)
    assert {p.arm for p in unpriced} == {"base"}


def test_the_table_says_that_quality_there_is_not_known_and_leaves_tuned_arms_without_a_quote() -> None:
    table = price_table(COMPARISON, hosted_prices(COMPARISON, CATALOGUE, PRICES))
    assert [column.split()[0] for column in table.columns] == ["Model", "base", "rag", "fine-tuned"]
    cells = {line.cells[0].text: [cell.text for cell in line.cells[1:]] for line in table.rows}
    assert list(cells)[:2] == ["exact_match (points)", "smollm2"]
    assert {"GPT-4o mini", "GPT-5 mini"} <= cells.keys()
    assert {row[2] for name, row in cells.items() if name not in list(cells)[:2]} == {"–"}
    assert cells["smollm2"][0] == "under a cent"
    assert "not known until it is compared" in table.note
    assert "Prices read 2026-09-07 to" in table.note


def test_the_picture_names_arms_and_models_and_draws_quality_of_the_measured_alone() -> None:
    figure = price_figure(COMPARISON, hosted_prices(COMPARISON, CATALOGUE, PRICES))
    assert figure is not None
    for text in ("base", "rag", "fine-tuned", "GPT-6 Luna", "Claude Haiku 5.5", "price only, quality not measured"):
        assert text in figure.svg
    assert "oracle-context" not in figure.svg
    assert "GPT-6 Astra" not in figure.svg


def test_without_hosted_prices_the_measured_arms_are_drawn_and_without_scores_nothing() -> None:
    assert price_figure(COMPARISON, ()) is not None
    unscored = tuple(replace(one, metrics=()) for one in COMPARISON.arms)
    assert price_figure(replace(COMPARISON, arms=unscored), ()) is None
    unpriced = tuple(replace(one, cost=None) for one in COMPARISON.arms)
    assert price_figure(replace(COMPARISON, arms=unpriced), ()) is None
