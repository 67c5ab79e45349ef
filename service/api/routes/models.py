"""A look at a model before a comparison is started with it."""

from dataclasses import asdict

from fastapi import APIRouter, Depends

from lm.weights.embedded_model import EMBEDDED_MODEL
from service.api.auth import require
from service.api.errors import writable
from service.contract.query_schemas import ModelAnswerView, ModelTrialRequest, ModelTrialView
from service.contract.scope import Scope
from service.run.remote_settings import check_spec
from service.safety.endpoint_guard import EndpointGuard
from service.serving.model_trial import QUESTION, model_facts, try_model

router = APIRouter(prefix="/v1/models", tags=["comparisons"], dependencies=[Depends(require(Scope.RUN))])


@router.post("/try")
def try_it(body: ModelTrialRequest) -> ModelTrialView:
    """Where a model is, how large, and its answer to one fixed question. Nothing is downloaded or stored."""
    check_spec("model", body.model, (EMBEDDED_MODEL,), EndpointGuard())
    found = ModelTrialView(model=body.model, **asdict(model_facts(body.model)))
    if body.ask and found.is_ready:
        trial = asdict(try_model(body.model)) | {"question": QUESTION}
        found.answer = ModelAnswerView(**trial | {"text": writable(trial["text"])})
    return found
