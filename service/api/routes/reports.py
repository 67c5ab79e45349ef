"""Reports and per-question results of a comparison."""

from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import Response, StreamingResponse

from advisor.data.dataset import Dataset
from advisor.data.splitting import limit_dataset
from advisor.report.formats import REPORT_FILES
from service.api.auth import Context, require
from service.api.context import ServiceContext
from service.api.errors import Problem
from service.api.paging import Offset, Whole
from service.contract.comparison_state import ComparisonState
from service.contract.schemas import ID_PATTERN, ResultItem, ResultPage
from service.contract.scope import Scope
from service.store.comparisons.comparison_progress import FollowedComparisons
from service.store.comparisons.comparison_store import StoredComparison, find_comparison
from service.store.data_directory import DECISION_FILE, RECORDS_FILE
from service.store.dataset_store import read_version
from service.store.reports.loaded_results import LoadedComparisons
from service.store.reports.results import (
    ResultFilter,
    finished_results,
    results_csv,
    running_results,
)
from service.store.reports.stored_reports import read_report_files

router = APIRouter(prefix="/v1/comparisons", tags=["reports"], dependencies=[Depends(require(Scope.READ))])
ComparisonId = Annotated[str, Path(pattern=ID_PATTERN)]

# The page needs neither scripts nor anything from elsewhere; what is quoted in it is kept from both.
_PAGE_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def _documented(media_type: str) -> dict[int | str, dict[str, object]]:
    kind = "object" if media_type == "application/json" else "string"
    return {200: {"content": {media_type: {"schema": {"type": kind}}}}}


@router.get("/{comparison_id}/report.json", response_class=Response, responses=_documented("application/json"))
def report_json(comparison_id: ComparisonId, context: Context) -> Response:
    """Everything the comparison found, for programs. Numbers are unrounded; null means not measured."""
    return Response(_file(context, comparison_id, REPORT_FILES["json"]), media_type="application/json")


@router.get("/{comparison_id}/report.md", response_class=Response, responses=_documented("text/markdown"))
def report_markdown(comparison_id: ComparisonId, context: Context) -> Response:
    """The report as Markdown, fit to be the comment on a pull request."""
    return Response(_file(context, comparison_id, REPORT_FILES["md"]), media_type="text/markdown")


@router.get("/{comparison_id}/report.html", response_class=Response, responses=_documented("text/html"))
def report_html(comparison_id: ComparisonId, context: Context) -> Response:
    """The report as one page that needs nothing else."""
    content = _file(context, comparison_id, REPORT_FILES["html"])
    return Response(content, media_type="text/html", headers={"Content-Security-Policy": _PAGE_POLICY})


@router.get("/{comparison_id}/report.xml", response_class=Response, responses=_documented("application/xml"))
def report_junit(comparison_id: ComparisonId, context: Context) -> Response:
    """The report as JUnit XML."""
    return Response(_file(context, comparison_id, REPORT_FILES["xml"]), media_type="application/xml")


@router.get("/{comparison_id}/decision.json", response_class=Response, responses=_documented("application/json"))
def decision(comparison_id: ComparisonId, context: Context) -> Response:
    """The decision on file: what was recommended, on what evidence, and until when."""
    return Response(_file(context, comparison_id, DECISION_FILE), media_type="application/json")


@router.get("/{comparison_id}/results.jsonl", response_class=Response, responses=_documented("application/x-ndjson"))
def results_jsonl(comparison_id: ComparisonId, context: Context) -> Response:
    """Every answer with its scores, one JSON object a line."""
    return Response(_file(context, comparison_id, RECORDS_FILE), media_type="application/x-ndjson")


@router.get("/{comparison_id}/results.csv", response_class=StreamingResponse, responses=_documented("text/csv"))
def results_table(comparison_id: ComparisonId, context: Context) -> StreamingResponse:
    """The same as a table. Texts that a spreadsheet would take for a formula begin with a single quote."""
    content = _file(context, comparison_id, RECORDS_FILE)
    return StreamingResponse(_in_pieces(results_csv(content)), media_type="text/csv")


@router.get("/{comparison_id}/results")
def results(
    comparison_id: ComparisonId,
    context: Context,
    request: Request,
    arm: Annotated[str | None, Query(max_length=64)] = None,
    failure: Annotated[str | None, Query(max_length=64, description="Only answers with this kind of failure.")] = None,
    example_id: Annotated[str | None, Query(max_length=512, description="Only answers to this question.")] = None,
    contains: Annotated[str | None, Query(max_length=200, description="In question or answer.")] = None,
    limit: Annotated[Whole, Query(ge=1, le=500)] = 100,
    offset: Offset = 0,
) -> ResultPage:
    """Answers, a page at a time. Of a comparison that is not finished: those that are there, unscored."""
    stored = find_comparison(context.engine, comparison_id)
    wanted = ResultFilter(arm, failure, example_id, contains)
    complete = stored.state is ComparisonState.SUCCEEDED
    if complete:
        kept: LoadedComparisons = request.app.state.results
        loaded = kept.find(context.engine, comparison_id, stored.finished_at or 0.0)
        page = finished_results(loaded, wanted, limit=limit, offset=offset)
    else:
        followed: FollowedComparisons = request.app.state.followed
        stages = followed.find(context.engine, comparison_id).answer_stages
        dataset = _limited(context, stored)
        page = running_results(context.engine, stages, dataset, wanted, limit=limit, offset=offset)
    items = [ResultItem.model_validate(row) for row in page.rows]
    return ResultPage(items=items, total=page.total, complete=complete, arms=page.arms, failures=page.failures)


def _limited(context: ServiceContext, stored: StoredComparison) -> Dataset:
    settings = stored.settings
    return limit_dataset(
        read_version(context.engine, context.directory, stored.dataset),
        limit=settings.get("limit"),
        train_limit=settings.get("train_limit"),
        coverage=settings.get("coverage", 0.5),
        seed=settings.get("seed", 0),
    )


def _file(context: ServiceContext, comparison_id: str, name: str) -> bytes:
    stored = find_comparison(context.engine, comparison_id)
    content = read_report_files(context.engine, comparison_id, name).get(name)
    if content is None:
        if stored.state is ComparisonState.SUCCEEDED:
            raise Problem(404, "No such report", f"{comparison_id} has no {name}; resume it or compare again")
        detail = f"{comparison_id} is {stored.state} and has no report yet; wait with GET /v1/comparisons/ID?wait_s=60"
        if stored.state.is_final:
            detail = f"{comparison_id} is {stored.state} and has no report; resume it to get one"
        raise Problem(409, "No report yet", detail)
    return content


def _in_pieces(lines: Iterator[str]) -> Iterator[bytes]:
    piece: list[str] = []
    for line in lines:
        piece.append(line)
        if len(piece) >= 200:
            yield "".join(piece).encode("utf-8", "backslashreplace")
            piece.clear()
    yield "".join(piece).encode("utf-8", "backslashreplace")
