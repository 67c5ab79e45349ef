"""Measured quality against price, and what the same tokens would cost at models that were not measured."""

from collections.abc import Sequence
from typing import Any

from advisor.money.hosted_price import HostedPrice
from advisor.report.arms import arm_name, shown_arms
from advisor.report.pictures.figure import Figure
from advisor.report.pictures.svg import (
    BAND,
    INK,
    MUTED,
    SECOND,
    error_bar,
    has_points,
    label_text,
    picture,
    place_labels,
)
from advisor.report.table import Table, row
from advisor.results.comparison import ArmRole, ArmSummary, Comparison, Interval
from advisor.results.quantities import MISSING, exact_usd, scale_of, usd

_ROW = 9.0
_MAX_DRAWN = 12
"""Models in the picture, the cheapest; the table has all."""
_TITLE = "Quality and price, measured and quoted"


def price_table(comparison: Comparison, prices: Sequence[HostedPrice]) -> Table:
    """Score and own cost of each candidate, then what its tokens would cost at each priced model, cheapest first."""
    metric = comparison.recommendation.metric
    scale = scale_of(comparison, metric)
    arms = _candidates(comparison)
    summaries = [arm.metric(metric) for arm in arms]
    scores = [scale.interval(summary.interval) if summary else MISSING for summary in summaries]
    quoted = {(price.arm, price.model): price.usd_per_1000_queries for price in prices}
    rows = [
        row(f"{metric} ({scale.unit})", *scores),
        row(comparison.model, *(usd(_own_usd(arm)) for arm in arms)),
        *(row(model, *(usd(quoted.get((arm.id, model))) for arm in arms)) for model in _cheapest_first(prices)),
    ]
    read = sorted({price.as_of for price in prices})
    dates = f" Prices read {' to '.join(dict.fromkeys((read[0], read[-1])))}." if read else ""
    return Table(
        caption="1,000 questions in US dollars: as measured, and the same tokens at priced models",
        columns=("Model", *(arm_name(comparison, arm) for arm in arms)),
        rows=tuple(rows),
        note="The score is that of the model measured. How well a priced model answers is not known until it is "
        "compared (`--model openai:NAME`), and its tokenizer counts somewhat fewer or more tokens. Tuned arms have no "
        f"price there: a hosted model would have to be tuned first.{dates}",
    )


def _cheapest_first(prices: Sequence[HostedPrice]) -> list[str]:
    dearest: dict[str, float] = {}
    for price in prices:
        dearest[price.model] = max(price.usd_per_1000_queries, dearest.get(price.model, 0.0))
    return sorted(dearest, key=lambda model: (dearest[model], model))


def price_figure(comparison: Comparison, prices: Sequence[HostedPrice]) -> Figure | None:
    """Measured arms as points; each priced model as a band from its cheapest arm's tokens to its dearest's.

    None where no arm has both a score and a cost.
    """
    metric = comparison.recommendation.metric
    scale = scale_of(comparison, metric)
    points: list[tuple[ArmSummary, float, Interval]] = []
    for arm in _candidates(comparison):
        summary, cost = arm.metric(metric), _own_usd(arm)
        if cost and summary is not None and summary.interval is not None and has_points([summary.interval]):
            points.append((arm, cost, summary.interval))
    if not points:
        return None
    models = _cheapest_first(prices)[:_MAX_DRAWN]

    def draw(plot: Any) -> None:
        plot.set_xscale("log")
        top = max(interval.high for _, _, interval in points) * scale.factor
        step = _ROW * max(top, 1e-9) / 100
        for arm, cost, interval in points:
            kind = "recommended" if arm.id == comparison.recommendation.arm else "candidate"
            error_bar(plot, interval, cost, scale.factor, kind, vertical=True)
        heights = {model: -step * (position + 2.1) for position, model in enumerate(models)}
        for model, height in heights.items():
            quoted = sorted(p.usd_per_1000_queries for p in prices if p.model == model and p.usd_per_1000_queries > 0)
            plot.plot([quoted[0], quoted[-1]], [height, height], color=SECOND, linewidth=3, solid_capstyle="butt")
            plot.plot(quoted, [height] * len(quoted), "|", color=SECOND, markersize=9, markeredgewidth=1.6)
        bottom = -step * (len(models) + 1.8) if models else 0.0
        plot.set_ylim(bottom, top * 1.12)
        if models:
            plot.axhspan(bottom, -step * 0.4, color=BAND, linewidth=0)
            plot.axhline(-step * 0.4, color=INK, linewidth=0.8)
        ticks = [tick for tick in plot.get_yticks() if 0 <= tick <= top * 1.1]
        plot.set_yticks(
            [*ticks, *heights.values()], [*(f"{tick:g}" for tick in ticks), *(label_text(model) for model in heights)]
        )
        plot.margins(x=0.15)
        plot.xaxis.set_major_formatter(lambda value, _: exact_usd(value))
        plot.tick_params(axis="x", labelrotation=20)
        plot.set_xlabel("1,000 questions, US dollars")
        if models:
            plot.annotate(
                "price only, quality not measured", (1, -step * 0.45), xycoords=("axes fraction", "data"),
                xytext=(-2, -2), textcoords="offset points", ha="right", va="top", color=MUTED, fontsize=7,
            )  # fmt: skip
        plot.set_title(label_text(f"{metric}, {scale.unit}"), loc="left", fontsize=8.5, color=MUTED)
        place_labels(plot, [(label_text(arm.id), cost, i.estimate * scale.factor) for arm, cost, i in points])

    return Figure(
        name="price-picture",
        title=_TITLE,
        description="Above, what was measured: up is better, left is cheaper. Below, what the tokens of the untuned "
        "arms would cost at models paid by the token, from the arm with the fewest tokens to the one with the most; "
        "a mark is an arm.",
        svg=picture("price-picture", _TITLE, draw, height=3.1 + 0.3 * len(models), grid="x"),
        table=price_table(comparison, prices),
    )


def _candidates(comparison: Comparison) -> list[ArmSummary]:
    return [arm for arm in shown_arms(comparison) if arm.role is ArmRole.CANDIDATE]


def _own_usd(arm: ArmSummary) -> float | None:
    return 1000 * arm.cost.serve_usd_per_query if arm.cost is not None else None
