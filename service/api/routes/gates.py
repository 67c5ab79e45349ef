"""Holding a finished comparison against thresholds and a baseline."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path
from pydantic import BaseModel, Field, StringConstraints

from advisor.data.dataset import Slice
from advisor.gate.gate import GateOutcome, evaluate_gate
from advisor.gate.rules import RECOMMENDED, GateRules, WhenUnclear, read_gate_rules
from service.api.auth import Context, require
from service.api.errors import Problem
from service.api.routes.baselines import BaselineName
from service.contract.schemas import ID_PATTERN
from service.contract.scope import Scope
from service.store.comparisons.baseline_store import find_baseline
from service.store.reports.stored_reports import read_stored_comparison

MAX_DIFFERENCES = 60
"""Each takes some 50 ms of resampling."""

router = APIRouter(prefix="/v1/comparisons", tags=["gate"], dependencies=[Depends(require(Scope.READ))])

Measure = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Limit = Annotated[float, Field(ge=-1e15, le=1e15, allow_inf_nan=False)]
Increase = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]


class ThresholdRequest(BaseModel, extra="forbid"):
    """A limit for one arm: one of at_least and at_most."""

    measure: Measure = Field(
        description="A metric of the dataset; p50_latency_s or p95_latency_s; usd_per_query, usd_per_month, "
        "usd_per_correct_answer or build_usd."
    )
    arm: Measure = Field(default=RECOMMENDED, description="Name of an arm, or `recommended`.")
    at_least: Limit | None = None
    at_most: Limit | None = None
    slice: Slice | None = None


class AgainstBaseline(BaseModel, extra="forbid"):
    """What must not have become worse since a stored comparison."""

    name: BaselineName
    arms: Annotated[list[Measure], Field(min_length=1, max_length=10)] = Field(
        default=[RECOMMENDED], description="`recommended` is the arm that the baseline recommends."
    )
    metrics: Annotated[list[Measure], Field(max_length=20)] = Field(
        default=[], description="The deciding metric of the baseline if empty."
    )
    slices: Annotated[list[Slice], Field(max_length=4)] = []
    minimum_effect: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)] = 0.02
    max_latency_increase: Increase | None = None
    max_cost_increase: Increase | None = None


class GateRequest(BaseModel, extra="forbid"):
    """What is asked of the comparison: thresholds, a baseline, or both."""

    thresholds: Annotated[list[ThresholdRequest], Field(max_length=100)] = []
    baseline: AgainstBaseline | None = None
    unclear: WhenUnclear = Field(
        default=WhenUnclear.PASS, description="What becomes of a check whose interval holds the limit."
    )
    resolution: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = Field(
        default=0.2, description="A breach of this size must be findable with power .8, else nothing can be said."
    )
    latency_tolerance: Increase = 0.1


@router.post("/{comparison_id}/gate")
def hold_against_gate(
    comparison_id: Annotated[str, Path(pattern=ID_PATTERN)], body: GateRequest, context: Context
) -> GateOutcome:
    """Hold a finished comparison against thresholds and a baseline. Nothing is run, and no baseline is changed."""
    rules = _rules(body)
    now = read_stored_comparison(context.engine, comparison_id)
    before = None
    if body.baseline is not None:
        name = find_baseline(context.engine, body.baseline.name)
        before = read_stored_comparison(context.engine, name.comparison_id)
    return evaluate_gate(rules, now, before)


def _rules(body: GateRequest) -> GateRules:
    raw: dict[str, Any] = body.model_dump(mode="json", exclude={"thresholds", "baseline"})
    raw["threshold"] = [threshold.model_dump(mode="json") for threshold in body.thresholds]
    if body.baseline is not None:
        raw["baseline"] = body.baseline.model_dump(mode="json", exclude={"name"})
        asked = body.baseline
        if len(asked.arms) * max(1, len(asked.metrics)) * (1 + len(asked.slices)) > MAX_DIFFERENCES:
            raise Problem(
                422, "Too many checks", f"name arms, metrics and slices that make at most {MAX_DIFFERENCES} differences"
            )
    return read_gate_rules(raw)
