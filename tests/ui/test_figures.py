"""What the pictures of a decision show, read out of what is drawn."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from advisor.data.dataset import DatasetCard, Task
from advisor.results.answer import BuildUsage
from advisor.results.comparison import (
    ArmRole,
    ArmSummary,
    Comparison,
    CostEstimate,
    FlipMap,
    Interval,
    MetricSummary,
    Recommendation,
    Verdict,
)
from advisor.results.quantities import POINTS
from lm.completion import Usage
from service.contract.schemas import PricedQualityView
from ui.figures import COLOURS, Figure, cost_curves, decision_map, frontier, price_quality

KINDS = ("base", "few-shot", "rag", "hybrid")
SPREAD = Interval(0.002, 0.001, 0.004)
COST = CostEstimate(0.0, 0.002, None, 0.0, 20.0, "", SPREAD, Interval(20.0, 10.0, 40.0), 1.0)
QUALITY = Interval(0.5, 0.4, 0.6)


def arm(kind: str, score: Interval | None = QUALITY, cost: CostEstimate | None = COST) -> ArmSummary:
    return ArmSummary(
        kind, ArmRole.CANDIDATE, kind, (MetricSummary("exact_match", None, score, 90, 40, 2),), Usage(), 1.0,
        BuildUsage(), None, cost, 100, 0,
    )  # fmt: skip


def comparison(*arms: ArmSummary) -> Comparison:
    return Comparison(
        id="x", created_at="", card=DatasetCard("x", Task.QUESTION_ANSWERING, "en", "", (), "", ""),
        dataset_hash="", n_documents=0, split_sizes={}, slice_sizes={}, model="smollm2", arms=arms, differences=(),
        recommendation=Recommendation(Verdict.WINNER, "rag", "", (), "exact_match", 0.02, 0.5, {}, {}, None, None),
        findings=(), settings={}, hashes={}, versions={}, prices_as_of="", prices_source="", wall_s=0.0,
    )  # fmt: skip


def parts(figure: Figure | None) -> list[dict[str, Any]]:
    """The layers of a picture."""
    assert figure is not None
    return list(figure.chart.to_dict()["layer"])


def colours(figure: Figure | None) -> dict[str, str]:
    """The colour of each series."""
    scale = next(one["encoding"]["color"]["scale"] for one in parts(figure) if "color" in one["encoding"])
    return dict(zip(scale["domain"], scale["range"], strict=True))


def test_the_frontier_draws_intervals_and_says_which_arms_it_leaves_out() -> None:
    figure = frontier(comparison(arm("base"), arm("few-shot", None), arm("rag", cost=None), arm("raft", None, None)))
    assert figure is not None
    assert figure.table.to_dict("records") == [
        {
            "arm": "base",
            "price of 1,000 questions (USD)": 2.0,
            "price, low": 1.0,
            "price, high": 4.0,
            "exact_match (points)": 50.0,
            "quality, low": 40.0,
            "quality, high": 60.0,
            "questions": 90,
            "unscored": 2,
            "best for its price": "yes",
        }
    ]
    assert "Not drawn: rag (no price), few-shot (no score), raft (no score and no price)." in figure.caption
    whole = frontier(comparison(arm("base")))
    assert whole is not None
    assert "Not drawn" not in whole.caption


def test_no_line_reaches_beyond_the_frontier_s_axis() -> None:
    figure = frontier(comparison(arm("base", Interval(0.5, 0.4, 0.99)), arm("rag")))
    scales = [one["encoding"]["y"].get("scale") for one in parts(figure)]
    (domain,) = {tuple(scale["domain"]) for scale in scales if scale is not None}
    assert domain[0] <= 40.0
    assert domain[1] > 99.0


def test_names_of_arms_that_are_alike_are_not_printed_over_each_other() -> None:
    figure = frontier(comparison(*(arm(kind) for kind in KINDS)))
    assert figure is not None
    names = next(one for one in parts(figure) if one["mark"]["type"] == "text")
    data = figure.chart.to_dict()["datasets"]
    heights = sorted(row["name at"] for row in data[names["data"]["name"]])
    assert all(after - before >= 0.06 * 20 - 1e-9 for before, after in pairwise(heights))


def test_cost_curves_draw_the_spread_of_serving() -> None:
    arms = (arm("base"), arm("rag", cost=replace(COST, serve_interval=None)), arm("raft", cost=None))
    figure = cost_curves(comparison(*arms), 1000.0)
    assert figure is not None
    assert [one["mark"]["type"] for one in parts(figure)] == ["area", "line", "rule"]
    # Bands would make a legend that they share with the lines as pale as themselves.
    assert [one["encoding"]["color"]["legend"] is None for one in parts(figure)[:2]] == [True, False]
    assert figure.chart.to_dict()["resolve"]["scale"] == {"color": "independent", "strokeDash": "independent"}
    ends = figure.table.groupby("arm").last()
    assert list(ends.loc["base", ["cost, low", "monthly cost (USD)", "cost, high"]]) == pytest.approx(
        [11.0, 21.0, 41.0]
    )
    assert ends.loc["rag", "cost, low"] == ends.loc["rag", "cost, high"] == pytest.approx(21.0)
    assert "No spread is known of rag." in figure.caption
    assert "Not drawn: raft (no price)." in figure.caption


def test_an_arm_has_one_colour_in_every_picture() -> None:
    arms = [arm("base", None), *(arm(kind) for kind in KINDS[1:])]
    flip_map = FlipMap("queries_per_month", (10.0, 1000.0), 10.0, "coverage", (0.5,), 0.5, (("hybrid", None),))
    compared = comparison(*arms)
    quality, mapped = colours(frontier(compared)), colours(decision_map(flip_map, compared))
    volume = colours(cost_curves(comparison(arm("base", cost=None), *arms[1:]), 10.0))
    assert set(quality) == set(volume) == set(KINDS[1:])
    assert quality == volume
    assert mapped["hybrid"] == quality["hybrid"]
    assert mapped["no verdict"] not in quality.values()


def test_the_map_tells_its_axes_with_their_units() -> None:
    flip_map = FlipMap(
        "usd_per_million_input_tokens", (0.0, 2.5), 2.5, "coverage", (0.25, 0.5), 0.5, (("rag", "rag"), ("base", None))
    )
    figure = decision_map(flip_map, comparison(*(arm(kind) for kind in KINDS)))
    table = figure.table
    assert "(B base, R rag, – no verdict)" in figure.caption
    assert list(table["Price of a million input tokens"]) == ["$0", "$2.50"] * 2
    assert list(table["Share covered by training"]) == ["25 %", "25 %", "50 %", "50 %"]
    assert list(table["you are here"]) == [False, False, False, True]


def test_an_arm_keeps_its_colour_among_measured_models() -> None:
    rows = [
        PricedQualityView(
            comparison_id="c",
            dataset="d",
            metric="exact_match",
            model="smollm2",
            catalogue_name="",
            arm=kind,
            score=0.5,
            score_low=0.4,
            score_high=0.6,
            is_share=True,
            n=40,
            n_unscored=0,
            usd_per_1000_queries=1.0,
            usd_per_1000_queries_low=None,
            usd_per_1000_queries_high=None,
            is_recommended=False,
        )  # fmt: skip
        for kind in ("raft", "rag", "base")
    ]
    assert colours(price_quality(rows, POINTS)) == {"raft": COLOURS[5], "rag": COLOURS[2], "base": COLOURS[0]}
