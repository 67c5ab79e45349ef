"""Money is tokens and seconds times prices, and can be worked out again for other prices without a run."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from advisor.evidence.arm_use import NO_SPREAD, ArmUse, JudgeUse
from advisor.money.cost import Traffic, estimate_answer_cost, estimate_cost
from advisor.money.prices import EmbedderPrice, MachinePrice, ModelPrice, PriceList
from advisor.results.answer import BuildUsage
from advisor.results.comparison import CostEstimate, Interval
from lm.completion import Usage
from lm.errors import ConfigError

DATED = ("2026-11-20", "a list")


def make_prices(factor: float = 1.0) -> PriceList:
    return PriceList(
        *DATED,
        machines={"cpu": MachinePrice(0.36 * factor, "a machine", *DATED)},
        models={"m": ModelPrice(1.0 * factor, 4.0 * factor, *DATED, 8.0 * factor)},
        embedders={"e": EmbedderPrice(0.1 * factor, *DATED)},
        storage_usd_per_gb_month=0.08 * factor,
    )


def spread(mean: float, half: float = 0.0) -> Interval:
    return Interval(mean, mean - half, mean + half, method="clustered bootstrap")


LOCAL = ArmUse("smollm2", "minilm", "cpu", spread(400), spread(10), spread(20), spread(0.5, 0.1), n_questions=100)
HOSTED = replace(LOCAL, model="m", embedder="e", device=None, input_tokens=spread(400, 50), output_tokens=spread(10, 1))
TRAFFIC = Traffic(queries_per_month=1_000, refreshes_per_month=2.0, amortisation_months=10.0)


def cost(use: ArmUse, traffic: Traffic = TRAFFIC, *, prices: PriceList | None = None) -> CostEstimate:
    estimate = estimate_cost(use, prices or make_prices(), traffic, accuracy=0.5)
    assert estimate is not None
    return estimate


def test_an_own_machine_costs_its_seconds() -> None:
    built = cost(replace(LOCAL, index=BuildUsage(wall_s=100), training=BuildUsage(wall_s=1_000)))
    assert built.serve_usd_per_query == pytest.approx(0.5 * 1e-4)
    assert (built.index_usd, built.training_usd) == (pytest.approx(0.01), pytest.approx(0.1))
    assert built.usd_per_correct_answer == pytest.approx(1e-4)
    assert built.refresh_usd_per_month == pytest.approx(0.22)
    assert built.fixed_usd_per_month == pytest.approx(0.231)
    assert built.monthly_usd == pytest.approx(0.231 + 0.05)
    assert built.basis == "a machine at 0.36 USD/h, fully used at 2.0 questions/s"


def test_a_hosted_model_costs_its_tokens_and_those_of_tuning() -> None:
    tuned = cost(
        replace(HOSTED, training=BuildUsage(input_tokens=50_000), index=BuildUsage(wall_s=9, embedding_tokens=10**6))
    )
    assert tuned.serve_usd_per_query == pytest.approx((400 * 1 + 10 * 4 + 20 * 0.1) / 1e6)
    assert (tuned.index_usd, tuned.training_usd) == (pytest.approx(0.1), pytest.approx(0.4))
    assert tuned.basis == "m by the token, prices of 2026-11-20"


def test_one_answer_costs_what_a_question_of_the_arm_does() -> None:
    usage = Usage(400, 10, 20, 0.5)
    local = estimate_answer_cost(usage, make_prices(), model="smollm2", embedder="minilm", device="cpu")
    hosted = estimate_answer_cost(usage, make_prices(), model="m", embedder="e", device=None)
    assert local == pytest.approx(cost(LOCAL).serve_usd_per_query)
    assert hosted == pytest.approx(cost(HOSTED).serve_usd_per_query)
    assert estimate_answer_cost(usage, make_prices(), model="unknown", embedder="e", device=None) is None


CACHING = replace(
    make_prices(), models={"m": replace(make_prices().models["m"], usd_per_million_cached_input_tokens=0.25)}
)
CACHED = replace(HOSTED, cached_tokens=spread(300, 20))


def test_cached_tokens_cost_less_only_where_the_provider_says_so() -> None:
    assert cost(CACHED).serve_usd_per_query == cost(HOSTED).serve_usd_per_query
    assert cost(CACHED).basis == "m by the token, prices of 2026-11-20"
    apart = cost(CACHED, prices=CACHING)
    assert apart.serve_usd_per_query == pytest.approx((100 * 1 + 300 * 0.25 + 10 * 4 + 20 * 0.1) / 1e6)
    assert apart.basis == "m by the token, 75% of the input at the price of cached tokens, prices of 2026-11-20"
    assert apart.serve_interval is not None
    assert apart.serve_interval.low == pytest.approx((30 * 1 + 280 * 0.25 + 9 * 4 + 20 * 0.1) / 1e6)
    assert apart.serve_interval.high == pytest.approx((170 * 1 + 320 * 0.25 + 11 * 4 + 20 * 0.1) / 1e6)
    assert cost(HOSTED, prices=CACHING).serve_usd_per_query == cost(HOSTED).serve_usd_per_query


def test_a_local_model_is_never_priced_by_its_cache() -> None:
    assert cost(replace(LOCAL, cached_tokens=spread(300)), prices=CACHING) == cost(LOCAL, prices=CACHING)


def test_one_answer_and_a_judge_have_their_cached_tokens_priced_apart_too() -> None:
    usage = Usage(400, 10, 20, 0.5, 300)
    one = estimate_answer_cost(usage, CACHING, model="m", embedder="e", device=None)
    assert one == pytest.approx(cost(CACHED, prices=CACHING).serve_usd_per_query)
    judge = JudgeUse("m", None, Usage(1_000, 0, 0, 0.0, 400))
    without = cost(CACHED, prices=CACHING).evaluation_usd
    judged = cost(replace(CACHED, judge=judge), prices=CACHING).evaluation_usd
    assert judged is not None and without is not None
    assert judged - without == pytest.approx((600 + 400 * 0.25) / 1e6)


def test_another_price_of_input_moves_that_of_its_cached_part_with_it() -> None:
    price = CACHING.models["m"].at_input_price(2.0)
    assert (price.usd_per_million_input_tokens, price.usd_per_million_cached_input_tokens) == (2.0, 0.5)
    assert make_prices().models["m"].at_input_price(2.0).usd_per_million_cached_input_tokens is None
    free = replace(price, usd_per_million_input_tokens=0.0, usd_per_million_cached_input_tokens=0.0)
    assert free.at_input_price(3.0).usd_per_million_cached_input_tokens == 3.0


def test_adapters_may_be_trained_anew_at_another_pace_than_documents_change() -> None:
    use = replace(LOCAL, index=BuildUsage(wall_s=100), training=BuildUsage(wall_s=1_000))
    seldom = replace(TRAFFIC, retrainings_per_month=0.5)
    assert cost(use, seldom).refresh_usd_per_month == pytest.approx(2 * 0.01 + 0.5 * 0.1)
    assert cost(use, replace(seldom, retrainings_per_month=0.0)).refresh_usd_per_month == pytest.approx(0.02)


def test_an_index_is_stored_by_the_gigabyte() -> None:
    assert cost(replace(LOCAL, index_bytes=5 * 10**9)).fixed_usd_per_month == pytest.approx(0.4)


def test_a_merged_adapter_answers_faster_by_the_stated_factor() -> None:
    tuned = replace(LOCAL, adapter_slowdown=1.25)
    assert cost(tuned).serve_usd_per_query == pytest.approx(5e-5)
    assert cost(tuned).merged_serve_usd_per_query == pytest.approx(4e-5)
    assert cost(tuned, replace(TRAFFIC, merge_adapter=True)).serve_usd_per_query == pytest.approx(4e-5)
    assert cost(LOCAL, replace(TRAFFIC, merge_adapter=True)).merged_serve_usd_per_query is None


def test_evaluation_and_judge_are_apart_from_serving() -> None:
    judged = replace(HOSTED, judge=JudgeUse("m", None, Usage(1_000_000, 500_000)))
    assert cost(judged).monthly_usd == cost(HOSTED).monthly_usd
    assert cost(judged).evaluation_usd == pytest.approx(100 * cost(HOSTED).serve_usd_per_query + 1 + 2)
    local_judge = replace(LOCAL, judge=JudgeUse("smollm2", "cpu", Usage(latency_s=3_600)))
    assert cost(local_judge).evaluation_usd == pytest.approx(100 * 5e-5 + 0.36)
    assert cost(replace(HOSTED, judge=JudgeUse("unlisted", None, Usage(1, 1)))).evaluation_usd is None


def test_intervals_are_carried_through() -> None:
    interval = cost(HOSTED).serve_interval
    assert interval is not None
    assert interval.low == pytest.approx((350 + 9 * 4 + 2) / 1e6)
    assert interval.high == pytest.approx((450 + 11 * 4 + 2) / 1e6)
    monthly = cost(HOSTED).monthly_interval
    assert monthly is not None
    assert monthly.high == pytest.approx(interval.high * 1_000)
    assert cost(replace(LOCAL, seconds=Interval(0.5, 0.5, 0.5, method=NO_SPREAD))).serve_interval is None


@pytest.mark.parametrize(
    "use",
    [
        replace(LOCAL, device="cuda"),
        replace(LOCAL, seconds=None),
        replace(HOSTED, model="unlisted"),
    ],
)
def test_what_has_no_price_has_no_cost(use: ArmUse) -> None:
    assert estimate_cost(use, make_prices(), TRAFFIC) is None


def test_a_hosted_embedder_without_a_price_leaves_unknown_what_it_read_for() -> None:
    unpriced = replace(LOCAL, embedder="openai:other@http://h/v1")
    assert estimate_cost(unpriced, make_prices(), TRAFFIC) is None
    unread = replace(unpriced, embedding_tokens=spread(0))
    assert cost(unread) == cost(replace(LOCAL, embedding_tokens=spread(0)))
    assert estimate_cost(replace(unread, index=BuildUsage(embedding_tokens=1)), make_prices(), TRAFFIC) is None
    declared = replace(unpriced, embedder="openai:e@http://h/v1")
    assert cost(declared).serve_usd_per_query == pytest.approx(0.5 * 1e-4 + 20 * 0.1 / 1e6)


def test_hosted_tuning_without_a_price_has_no_cost() -> None:
    prices = replace(make_prices(), models={"m": ModelPrice(1.0, 4.0, *DATED)})
    assert estimate_cost(HOSTED, prices, TRAFFIC) is not None
    assert estimate_cost(replace(HOSTED, training=BuildUsage(input_tokens=1)), prices, TRAFFIC) is None


def test_an_arm_that_is_never_right_has_no_cost_per_correct_answer() -> None:
    estimate = estimate_cost(LOCAL, make_prices(), TRAFFIC, accuracy=0.0)
    assert estimate is not None
    assert estimate.usd_per_correct_answer is None


@given(st.sampled_from([1e-6, 0.5, 3.0, 1e6]), st.sampled_from([LOCAL, HOSTED]), st.floats(0, 1e7))
def test_dearer_money_scales_every_amount(factor: float, use: ArmUse, volume: float) -> None:
    use = replace(use, index=BuildUsage(wall_s=10, embedding_tokens=1000), training=BuildUsage(60, input_tokens=10**5))
    traffic = replace(TRAFFIC, queries_per_month=volume)
    one, scaled = cost(use, traffic), cost(use, traffic, prices=make_prices(factor))
    for name in ("build_usd", "serve_usd_per_query", "refresh_usd_per_month", "monthly_usd", "evaluation_usd"):
        assert getattr(scaled, name) == pytest.approx(factor * getattr(one, name))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"queries_per_month": -1.0}, "queries_per_month is -1.0"),
        ({"queries_per_month": float("inf")}, "queries_per_month is inf"),
        ({"refreshes_per_month": float("nan")}, "refreshes_per_month is nan"),
        ({"retrainings_per_month": -0.5}, "retrainings_per_month is -0.5"),
        ({"amortisation_months": 0.0}, "amortisation_months is 0.0"),
    ],
)
def test_impossible_traffic_is_refused_by_name(change: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Traffic(**change)  # type: ignore[arg-type]
