"""Runs in which a model writes questions from documents."""

import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from advisor.data.files import DOCUMENTS_FILE
from advisor.money.prices import load_prices
from lm.files import sha256
from lm.setting import declared_settings, read_settings
from service.api.auth import Allowed, Budget, Context
from service.api.context import ServiceContext
from service.api.errors import Problem
from service.api.paging import Offset
from service.api.routes.comparisons import IdempotencyKey, own_key, submit
from service.api.routes.side_runs.routes import Limit, Reader, Runner, SideRuns
from service.api.upload import is_form, with_form
from service.contract.schemas import (
    QUESTION_RUNS,
    QuestionRunRequest,
    QuestionRunView,
    QuestionsMade,
    SideRunList,
    StageProgress,
)
from service.contract.settings import BUILTIN_EMBEDDERS, QuestionSettings
from service.run.question_run import parts_of
from service.run.remote_settings import check_named_models, check_spec, checked_model
from service.run.spending import check_budget
from service.safety.allowed_models import AllowedModels
from service.safety.endpoint_guard import EndpointGuard
from service.safety.file_name import name_problem
from service.safety.form import SentForm
from service.safety.limits import UploadLimits
from service.safety.prepare import PreparedDocuments, prepare_documents
from service.safety.prepare_process import PreparingProcess
from service.store.comparisons.comparison_store import StoredComparison, create_comparison
from service.store.dataset_store import DatasetNotFoundError, find_dataset
from service.store.key_budget import KeyBudget
from service.store.tables import QUESTION_RUN


def _own_fields(
    stored: StoredComparison, progress: list[StageProgress], result: dict[str, Any] | None
) -> dict[str, Any]:
    steps = [step.done for step in progress if step.stage == "questions"]
    return {
        "n_kept": steps[-1] if steps else 0,
        "made": QuestionsMade.model_validate({**result, "version": stored.run_id}) if result is not None else None,
    }


def _check_models(context: ServiceContext, stored: StoredComparison, allowed: AllowedModels) -> None:
    check_named_models({name: str(stored.settings[name]) for name in ("model", "embedder")}, allowed)


_RUNS = SideRuns(QUESTION_RUNS, QUESTION_RUN, _own_fields, _check_models)
router = _RUNS.router()

_FIELDS: dict[str, Any] = {
    "files": {
        "type": "array",
        "items": {"type": "string", "format": "binary"},
        "minItems": 1,
        "description": "Documents, or one .zip of them; questions among them are left aside.",
    },
    **{name: {"type": "string"} for name in ("name", *(one.name for one in declared_settings(QuestionSettings)))},
}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": QuestionRunRequest.model_json_schema()},
            "multipart/form-data": {"schema": {"type": "object", "required": ["files"], "properties": _FIELDS}},
        },
    }
}


@dataclass(frozen=True, slots=True)
class _Sent:
    body: QuestionRunRequest
    documents: PreparedDocuments | None
    stem: str


@router.post("", status_code=202, openapi_extra=_BODY)
async def create(
    caller: Runner,
    context: Context,
    allowed: Allowed,
    budget: Budget,
    request: Request,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> QuestionRunView:
    """Queue a run: for a dataset as JSON, for files as a form. Its result is a new version of a dataset."""
    sent = await _sent(request)
    key = own_key(caller, idempotency_key)
    stored = await run_in_threadpool(_create, context, sent, key, allowed, budget)
    files = list(sent.documents.outcomes) if sent.documents is not None else []
    view = await run_in_threadpool(_RUNS.view, context, request, stored, files=files)
    response.headers["Location"] = f"{QUESTION_RUNS.path}/{view.id}"
    return view


@router.get("")
def list_all(
    caller: Reader, context: Context, request: Request, limit: Limit = 20, offset: Offset = 0
) -> SideRunList[QuestionRunView]:
    """Runs, the newest first."""
    return _RUNS.page(context, request, limit, offset)


async def _sent(request: Request) -> _Sent:
    kind = request.headers.get("content-type", "").lower()
    if kind.startswith("application/json"):
        try:
            body = QuestionRunRequest.model_validate_json(await request.body())
        except ValidationError as error:
            raise _invalid(error) from None
        if body.dataset is None:
            raise Problem(422, "No documents", "name a dataset, or send documents as multipart/form-data")
        return _Sent(body, None, "")
    if not is_form(request):
        raise Problem(
            415, "Neither JSON nor multipart", "send JSON with a dataset, or documents as multipart/form-data"
        )
    return await with_form(request, _prepared)


def _prepared(form: SentForm, process: PreparingProcess, workplace: Path, limits: UploadLimits) -> _Sent:
    try:
        body = QuestionRunRequest.model_validate({name: given[-1] for name, given in form.fields.items()})
    except ValidationError as error:
        raise _invalid(error) from None
    if body.dataset is not None:
        raise Problem(422, "Two sources", "send files, or name a dataset in JSON, not both")
    documents = process.run(partial(prepare_documents, form.files, workplace, limits=limits))
    return _Sent(body, documents, PurePosixPath(form.files[0].name).stem if len(form.files) == 1 else "")


def _invalid(error: ValidationError) -> RequestValidationError:
    return RequestValidationError([{**one, "loc": ("body", *one["loc"])} for one in error.errors()])


def _create(
    context: ServiceContext, sent: _Sent, key: str | None, allowed: AllowedModels, budget: KeyBudget | None
) -> StoredComparison:
    given = sent.body.model_dump(exclude_unset=True, exclude={"dataset", "name"})
    settings = read_settings(QuestionSettings, given)
    guard = EndpointGuard()
    model = checked_model("model", settings.model, guard, allowed)
    check_spec("embedder", settings.embedder, BUILTIN_EMBEDDERS, guard, allowed)
    check_budget(parts_of("", replace(settings, model=model)), load_prices(), budget)
    try:
        source = find_dataset(context.engine, sent.body.dataset).card.name if sent.body.dataset else sent.stem
    except DatasetNotFoundError as error:
        raise Problem(422, "No such dataset", str(error)) from error
    name = sent.body.name or f"{source or 'documents'}-questions"
    if problem := name_problem(name) or ("it holds a slash" if "/" in name else ""):
        raise Problem(422, "Invalid request", f"the name {ascii(name)} cannot be used: {problem}; give another name")
    content = sent.documents.content if sent.documents is not None else None
    stored, is_new = create_comparison(
        context.engine,
        comparison_id=QUESTION_RUN + secrets.token_hex(8),
        name=name,
        dataset=sent.body.dataset or "",
        settings=asdict(settings) | {"model": model},
        idempotency_key=key,
        request=_request(sent.body, content),
        max_queued=context.settings.max_queued,
        files={DOCUMENTS_FILE: content} if content is not None else {},
        made_by=budget.key_id if budget is not None else None,
    )
    if is_new:
        submit(context, stored.id)
    return stored


def _request(body: QuestionRunRequest, content: bytes | None) -> Mapping[str, Any]:
    return {
        "questions": body.sent(),
        "documents": None if content is None else sha256(content),
    }
