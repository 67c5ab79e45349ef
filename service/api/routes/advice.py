"""What needs no comparison: the questionnaire, what its answers speak for, and the catalogue of models."""

import math

from fastapi import APIRouter, Depends

from advisor.advice.prior import PriorRecommendation
from advisor.advice.questionnaire import check_answers, load_questionnaire, prior
from advisor.money.catalogue import load_catalogue, price_quality
from advisor.money.prices import load_prices
from advisor.results.plain_data import to_plain
from advisor.results.quantities import POINTS, scale_of
from service.api.auth import Context, require
from service.contract.comparison_state import ComparisonState
from service.contract.schemas import (
    AdviceRequest,
    CatalogueView,
    PricedQualityView,
    QuestionnaireView,
    QuestionView,
)
from service.contract.scope import Scope
from service.store.comparisons.comparison_store import list_comparisons
from service.store.reports.stored_reports import readable_report

router = APIRouter(prefix="/v1", tags=["advice"], dependencies=[Depends(require(Scope.READ))])
_COMPARISONS_SHOWN = 50


@router.get("/questionnaire")
def questionnaire() -> QuestionnaireView:
    """The questions to answer before tuning anything. None is compulsory."""
    questions = [
        QuestionView(
            **to_plain(question)
            | {"maximum": question.maximum if math.isfinite(question.maximum) else None, "expects": question.expects()}
        )
        for question in load_questionnaire().questions
    ]
    return QuestionnaireView(questions=questions)


@router.post("/advise")
def advise(body: AdviceRequest) -> PriorRecommendation:
    """What the answers speak for. Nothing is run; a measured comparison confirms or overrules it."""
    return prior(check_answers(body.answers))


@router.get("/catalogue")
def catalogue(context: Context) -> CatalogueView:
    """Models worth comparing, and what the last comparisons of this service measured of any model."""
    models = load_catalogue(load_prices())
    stored, _ = list_comparisons(context.engine, state=ComparisonState.SUCCEEDED, limit=_COMPARISONS_SHOWN)
    reports = {one.id: readable_report(context.engine, one.id) for one in stored}
    measured = [
        PricedQualityView.model_validate(
            to_plain(point)
            | {
                "comparison_id": comparison_id,
                "score": point.score.estimate,
                "score_low": point.score.low,
                "score_high": point.score.high,
                "is_share": scale_of(comparison, point.metric) == POINTS,
                "usd_per_1000_queries_low": point.usd_interval.low if point.usd_interval else None,
                "usd_per_1000_queries_high": point.usd_interval.high if point.usd_interval else None,
            }
        )
        for comparison_id, comparison in reports.items()
        if comparison is not None
        for point in price_quality([comparison], models)
    ]
    return CatalogueView(models=list(models), measured=measured)
