"""A look at a model before a comparison is started with it."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends

from advisor.money.cost import estimate_answer_cost
from advisor.money.prices import load_prices, priced_name
from lm.completion import Usage
from service.api.auth import Allowed, Budget, require
from service.api.errors import writable
from service.api.served import get_served
from service.contract.query_schemas import (
    BaseModelList,
    BaseModelView,
    ModelAnswerView,
    ModelTrialRequest,
    ModelTrialView,
)
from service.contract.scope import Scope
from service.run.remote_settings import checked_model
from service.run.settings import ComparisonSettings
from service.run.spending import check_budget
from service.safety.endpoint_guard import EndpointGuard
from service.serving.model_choice import ModelPlace, model_choices
from service.serving.model_trial import QUESTION, ModelTrial, ask_model, model_facts, try_model
from service.serving.pipelines import ServedPipelines

router = APIRouter(prefix="/v1", tags=["comparisons"])


@router.get("/base-models", dependencies=[Depends(require(Scope.READ))])
def list_all(allowed: Allowed) -> BaseModelList:
    """Models and adapters that may be named in a comparison: their sizes, and what they lack. Nothing is loaded."""
    guard, own = EndpointGuard(), (ModelPlace.EMBEDDED, ModelPlace.FOLDER, ModelPlace.ADAPTER)
    choices = [one for one in model_choices(allowed.folder) if one.place in own or allowed.has(one.spec, guard)]
    return BaseModelList(items=[BaseModelView(**asdict(one)) for one in choices])


@router.post("/models/try", dependencies=[Depends(require(Scope.RUN))])
def try_it(
    body: ModelTrialRequest, allowed: Allowed, budget: Budget, served: Annotated[ServedPipelines, Depends(get_served)]
) -> ModelTrialView:
    """Where a model is, how large, and its answer to one fixed question. Nothing is downloaded or stored."""

    def ask_apart(spec: str) -> ModelTrial:
        with served.apart() as arms:
            return arms.try_model(spec)

    spec = checked_model("model", body.model, EndpointGuard(), allowed)
    found = ModelTrialView(model=body.model, **asdict(model_facts(spec)))
    if body.ask and found.is_ready:
        prices, payer = load_prices(), budget if not found.tunable else None
        check_budget(ComparisonSettings("", model=spec, arms=("base",)), prices, payer)
        tried = try_model(spec, ask_apart if found.tunable else ask_model)
        if payer is not None:
            usage = Usage(tried.input_tokens, tried.output_tokens)
            paid = estimate_answer_cost(usage, prices, model=priced_name(spec), embedder="", device=None)
            payer.spend(paid or 0.0)
        trial = asdict(tried) | {"question": QUESTION}
        found.answer = ModelAnswerView(**trial | {"text": writable(trial["text"])})
    return found
