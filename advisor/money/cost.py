"""Money of an arm as a function of what it was measured to use, a price list and the traffic; nothing is run again."""

from dataclasses import dataclass
from typing import Annotated

from advisor.evidence.arm_use import NO_SPREAD, ArmUse, JudgeUse
from advisor.money.prices import ModelPrice, PriceList
from advisor.results.answer import BuildUsage
from advisor.results.comparison import CostEstimate, Interval
from lm.completion import Usage
from lm.setting import Setting, check_settings

SECONDS_PER_HOUR = 3600.0
HOURS_PER_MONTH = 730.0
BYTES_PER_GB = 1e9


@dataclass(frozen=True, slots=True)
class Traffic:
    """Expected production traffic."""

    queries_per_month: Annotated[float, Setting("Expected questions per month.", ge=0, le=1e15)] = 10_000
    refreshes_per_month: Annotated[
        float, Setting("How often per month changed documents require a new index.", ge=0, le=1e15)
    ] = 1.0
    amortisation_months: Annotated[
        float, Setting("Months over which the first build's cost is spread.", gt=0, le=1200)
    ] = 12.0
    retrainings_per_month: Annotated[
        float | None,
        Setting("How often per month tuned arms are retrained.", ge=0, le=1e15, unset="as often as documents change"),
    ] = None
    merge_adapter: Annotated[bool, Setting("Cost tuned arms with the adapter merged into the weights.")] = False

    def __post_init__(self) -> None:
        check_settings(self)


def estimate_cost(
    use: ArmUse, prices: PriceList, traffic: Traffic, *, accuracy: float | None = None
) -> CostEstimate | None:
    """Cost of one arm, or None when the list has no price for what it runs on.

    Intervals put all measured quantities at their low ends, then all at their high ends, as if they erred together:
    somewhat wide, never too short on that account.

    Args:
        accuracy: Traffic-weighted score in [0, 1], for the cost per correct answer.
    """
    per_query = _serve(use, prices, merged=traffic.merge_adapter)
    build = _build(use, prices)
    if per_query is None or build is None:
        return None
    index_usd, training_usd = build
    retrainings = traffic.refreshes_per_month
    if traffic.retrainings_per_month is not None:
        retrainings = traffic.retrainings_per_month
    # Choosing among seeds was part of the search; whoever trains again later trains once.
    refresh_usd = index_usd * traffic.refreshes_per_month + training_usd / use.n_trainings * retrainings
    storage_usd = use.index_bytes / BYTES_PER_GB * prices.storage_usd_per_gb_month
    hosted = prices.models.get(use.model) if use.device is None else None
    deployment_usd = HOURS_PER_MONTH * (hosted.usd_per_hour or 0.0) if hosted is not None else 0.0
    fixed_usd = deployment_usd + (index_usd + training_usd) / traffic.amortisation_months + refresh_usd + storage_usd
    monthly = _linear([(per_query, traffic.queries_per_month)], fixed_usd)
    merged = _serve(use, prices, merged=True) if use.adapter_slowdown is not None else None
    return CostEstimate(
        build_usd=index_usd + training_usd,
        serve_usd_per_query=per_query.estimate,
        usd_per_correct_answer=per_query.estimate / accuracy if accuracy else None,
        refresh_usd_per_month=refresh_usd,
        monthly_usd=monthly.estimate,
        basis=_basis(use, prices),
        serve_interval=_measured(per_query),
        monthly_interval=_measured(monthly),
        fixed_usd_per_month=fixed_usd,
        index_usd=index_usd,
        training_usd=training_usd,
        evaluation_usd=_evaluation(use, prices),
        merged_serve_usd_per_query=merged.estimate if merged else None,
    )


def estimate_answer_cost(
    usage: Usage, prices: PriceList, *, model: str, embedder: str, device: str | None
) -> float | None:
    """USD of one answer by the same rule as an arm's `serve_usd_per_query`, or None without a price.

    Args:
        usage: What the answer took; `latency_s` is its share of the machine's time.
        model: The name the endpoint knows; embedder: as settings name it.
        device: "cpu" or "cuda" where we run the model, None for a hosted one.
    """
    use = ArmUse(
        model=model,
        embedder=embedder,
        device=device,
        input_tokens=_known(usage.input_tokens),
        output_tokens=_known(usage.output_tokens),
        embedding_tokens=_known(usage.embedding_tokens),
        seconds=_known(usage.latency_s),
        cached_tokens=_known(usage.cached_tokens),
    )
    cost = _serve(use, prices, merged=False)
    return cost.estimate if cost else None


def _known(value: float) -> Interval:
    return Interval(value, value, value)


def _serve(use: ArmUse, prices: PriceList, *, merged: bool) -> Interval | None:
    """USD of one question: machine time or tokens, and the query's embedding."""
    parts: list[tuple[Interval, float]]
    if use.outside is not None and use.outside.usd_per_question is not None:
        return _linear([(use.outside.usd_per_question, 1.0)], 0.0)
    if use.outside is not None and not use.outside.tokens_known:
        return None
    if use.device is not None:
        machine = prices.machines.get(use.device)
        if machine is None or use.seconds is None:
            return None
        faster = use.adapter_slowdown if merged and use.adapter_slowdown is not None else 1.0
        parts = [(use.seconds, machine.usd_per_hour / SECONDS_PER_HOUR / faster)]
    else:
        hosted = prices.models.get(use.model)
        if hosted is None:
            return None
        parts = [
            (_fresh(use, hosted), hosted.usd_per_million_input_tokens / 1e6),
            (use.output_tokens, hosted.usd_per_million_output_tokens / 1e6),
        ]
        if hosted.usd_per_million_cached_input_tokens is not None:
            parts.append((use.cached_tokens, hosted.usd_per_million_cached_input_tokens / 1e6))
    each_usd = prices.embedding_usd(use.embedder, 1.0)
    if each_usd is None and use.embedding_tokens.high:
        return None
    return _linear([*parts, (use.embedding_tokens, each_usd or 0.0)], 0.0)


def _fresh(use: ArmUse, price: ModelPrice) -> Interval:
    """Tokens that cost the price of input: the whole prompt, but for a cached part that the provider prices apart.

    The ends are those furthest apart, as if prompts and their cached parts erred against each other.
    """
    whole, cached = use.input_tokens, use.cached_tokens
    if price.usd_per_million_cached_input_tokens is None or not cached.high:
        return whole
    low, high = max(0.0, whole.low - cached.high), max(0.0, whole.high - cached.low)
    return Interval(whole.estimate - cached.estimate, low, high, method=whole.method)


def _build(use: ArmUse, prices: PriceList) -> tuple[float, float] | None:
    """USD of index and of training, once; None where embedding or tuning has no price, or nobody knows the cost."""
    if use.outside is not None:
        return (0.0, use.outside.build_usd) if use.outside.build_usd is not None else None
    embedding_usd = prices.embedding_usd(use.embedder, use.index.embedding_tokens)
    if embedding_usd is None:
        return None
    index_usd = _machine_time(use.device, use.index, prices) + embedding_usd
    if use.device is not None:
        return index_usd, _machine_time(use.device, use.training, prices)
    if not use.training.input_tokens:
        return index_usd, 0.0
    hosted = prices.models.get(use.model)
    if hosted is None or hosted.usd_per_million_training_tokens is None:
        return None
    return index_usd, use.training.input_tokens * hosted.usd_per_million_training_tokens / 1e6


def _machine_time(device: str | None, build: BuildUsage, prices: PriceList) -> float:
    machine = prices.machines.get(device) if device is not None else None
    return machine.usd_per_hour / SECONDS_PER_HOUR * build.wall_s if machine else 0.0


def _evaluation(use: ArmUse, prices: PriceList) -> float | None:
    """USD of this comparison's own questions to the arm, and of the judge; production pays neither."""
    asked = _serve(use, prices, merged=False)
    judged = _judging(use.judge, prices) if use.judge else 0.0
    if asked is None or judged is None:
        return None
    return asked.estimate * use.n_questions + judged


def _judging(judge: JudgeUse, prices: PriceList) -> float | None:
    if judge.device is not None:
        machine = prices.machines.get(judge.device)
        return machine.usd_per_hour / SECONDS_PER_HOUR * judge.usage.latency_s if machine else None
    hosted = prices.models.get(judge.model)
    if hosted is None:
        return None
    usage = judge.usage
    usd = usage.input_tokens * hosted.usd_per_million_input_tokens
    usd += usage.output_tokens * hosted.usd_per_million_output_tokens
    if (cached_usd := hosted.usd_per_million_cached_input_tokens) is not None:
        usd += usage.cached_tokens * (cached_usd - hosted.usd_per_million_input_tokens)
    return usd / 1e6


def _linear(parts: list[tuple[Interval, float]], constant: float) -> Interval:
    """Quantities times factors of at least 0, summed; a part that adds nothing does not need a spread."""
    estimate = sum(quantity.estimate * factor for quantity, factor in parts) + constant
    low = sum(quantity.low * factor for quantity, factor in parts) + constant
    high = sum(quantity.high * factor for quantity, factor in parts) + constant
    unknown = any(quantity.method == NO_SPREAD and quantity.estimate * factor for quantity, factor in parts)
    return Interval(estimate, low, high, method=NO_SPREAD if unknown else "measured tokens and seconds")


def _measured(interval: Interval) -> Interval | None:
    return None if interval.method == NO_SPREAD else interval


def _basis(use: ArmUse, prices: PriceList) -> str:
    if use.outside is not None and use.outside.usd_per_question is not None:
        return "a question as declared, or as its answers tell"
    if use.device is None:
        price = prices.models[use.model]
        share = use.cached_tokens.estimate / use.input_tokens.estimate if use.input_tokens.estimate else 0.0
        is_apart = share > 0 and price.usd_per_million_cached_input_tokens is not None
        cached = f"{share:.0%} of the input at the price of cached tokens, " if is_apart else ""
        return f"{use.model} by the token, {cached}prices of {price.as_of}"
    machine = prices.machines[use.device]
    rate = f"{1 / use.seconds.estimate:.1f} questions/s" if use.seconds else ""
    return f"{machine.label} at {machine.usd_per_hour} USD/h, fully used at {rate}"
