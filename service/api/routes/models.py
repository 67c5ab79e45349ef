"""A look at a model before a comparison is started with it."""

from dataclasses import asdict

from fastapi import APIRouter, Depends

from service.api.auth import Allowed, Budget, require
from service.api.errors import writable
from service.contract.query_schemas import (
    BaseModelList,
    BaseModelView,
    ModelAnswerView,
    ModelTrialRequest,
    ModelTrialView,
)
from service.contract.scope import Scope
from service.run.remote_settings import checked_model
from service.safety.endpoint_guard import EndpointGuard
from service.serving.model_choice import ModelPlace, model_choices
from service.serving.model_trial import QUESTION, model_facts, try_model

router = APIRouter(prefix="/v1", tags=["comparisons"])


@router.get("/base-models", dependencies=[Depends(require(Scope.READ))])
def list_all(allowed: Allowed) -> BaseModelList:
    """Models and adapters that may be named in a comparison: their sizes, and what they lack. Nothing is loaded."""
    guard, own = EndpointGuard(), (ModelPlace.EMBEDDED, ModelPlace.FOLDER, ModelPlace.ADAPTER)
    choices = [one for one in model_choices(allowed.folder) if one.place in own or allowed.has(one.spec, guard)]
    return BaseModelList(items=[BaseModelView(**asdict(one)) for one in choices])


@router.post("/models/try", dependencies=[Depends(require(Scope.RUN))])
def try_it(body: ModelTrialRequest, allowed: Allowed, budget: Budget) -> ModelTrialView:
    """Where a model is, how large, and its answer to one fixed question. Nothing is downloaded or stored."""
    spec = checked_model("model", body.model, EndpointGuard(), allowed)
    found = ModelTrialView(model=body.model, **asdict(model_facts(spec)))
    if body.ask and found.is_ready:
        # 16 tokens at most are no sum to count, but nothing is asked for a key that has spent its limit.
        if budget is not None and not found.tunable:
            budget.check()
        trial = asdict(try_model(spec)) | {"question": QUESTION}
        found.answer = ModelAnswerView(**trial | {"text": writable(trial["text"])})
    return found
