"""What people say of the answers of a finished comparison, one answer at a time."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, Field, StringConstraints

from advisor.evidence.prediction_powered import MIN_LABELS
from advisor.results.comparison import Interval
from service.api.auth import Context, Principal, require
from service.api.errors import Problem
from service.contract.schemas import ID_PATTERN
from service.contract.scope import Scope
from service.store.comparisons.comparison_store import find_comparison
from service.store.label_store import (
    LabelledAnswer,
    cast_label,
    label_metric,
    label_progress,
    labels_file,
    next_answer,
    read_labels,
)
from service.store.pair_store import cast_pair, next_pair, pair_labels, preferences_file
from service.store.reports.loaded_results import LoadedComparisons, LoadedResults
from service.store.reports.stored_reports import NotFinishedError
from service.store.vote_store import read_votes

router = APIRouter(prefix="/v1/comparisons", tags=["labels"])

ComparisonId = Annotated[str, Path(pattern=ID_PATTERN)]
Voter = Annotated[str, StringConstraints(max_length=40, pattern=r"^[\x21-\x7e]*$")]
_VOTER = "Identifies people who share a key; a second label on the same answer replaces the first."


class LabelRequest(BaseModel, extra="forbid"):
    """Whether an answer is good by the metric of the queue."""

    example_id: Annotated[str, StringConstraints(min_length=1, max_length=1000)]
    answer: Annotated[str, StringConstraints(max_length=100_000, pattern=r"^[^\x00]*$")]
    good: bool | None = Field(description="Null leaves the answer out.")
    voter: Voter = Field(default="", description=_VOTER)


class PairVoteRequest(BaseModel, extra="forbid"):
    """Which of the two answers that were shown is better."""

    example_id: Annotated[str, StringConstraints(min_length=1, max_length=1000)]
    better: Annotated[str, StringConstraints(max_length=100_000, pattern=r"^[^\x00]*$")] | None = Field(
        description="The better answer, word for word; null for neither."
    )
    voter: Voter = Field(default="", description=_VOTER)


class PairView(BaseModel):
    """Two answers to one question; whose they are is not told."""

    example_id: str
    question: str
    references: list[str]
    first: str
    second: str


class PairQueue(BaseModel):
    """The next pair for this person, and how many votes there are."""

    next: PairView | None = Field(description="Null where this person has nothing left to compare.")
    n_votes: int
    n_voters: int


class KappaView(BaseModel):
    """Cohen's kappa, with its 95 % interval."""

    estimate: float
    low: float
    high: float


class AnswerView(BaseModel):
    """An answer to look at; whose it is is not told."""

    example_id: str
    question: str
    references: list[str]
    answer: str
    passages: list[str]


class LabelQueue(BaseModel):
    """The next answer for this person, and how far the comparison is labelled."""

    metric: str
    next: AnswerView | None = Field(description="Null where this person has nothing left to label.")
    n_by_arm: dict[str, int]
    n_needed: int = Field(description="Labelled answers of each arm from which they may decide.")
    n_voters: int
    n_with_metric: int
    with_metric: KappaView | None = Field(description="Agreement of people with the deciding metric.")
    n_between_people: int
    between_people: KappaView | None


@router.post("/{comparison_id}/labels", status_code=201)
def label(
    comparison_id: ComparisonId,
    body: LabelRequest,
    context: Context,
    request: Request,
    principal: Annotated[Principal, Depends(require(Scope.RUN))],
) -> LabelQueue:
    """Label an answer, and get the next."""
    loaded, candidates = _loaded(comparison_id, context, request)
    voter = f"{principal.id}/{body.voter}"
    cast_label(
        context.engine,
        comparison_id,
        loaded,
        candidates,
        example_id=body.example_id,
        answer=body.answer,
        good=body.good,
        voter=voter,
    )
    return _queue(comparison_id, context, loaded, candidates, voter)


@router.get("/{comparison_id}/labels")
def queue(
    comparison_id: ComparisonId,
    context: Context,
    request: Request,
    principal: Annotated[Principal, Depends(require(Scope.READ))],
    voter: Annotated[str, Query(max_length=40, pattern=r"^[\x21-\x7e]*$", description=_VOTER)] = "",
) -> LabelQueue:
    """The next answer to label, and how far the comparison is labelled."""
    loaded, candidates = _loaded(comparison_id, context, request)
    return _queue(comparison_id, context, loaded, candidates, f"{principal.id}/{voter}")


@router.post("/{comparison_id}/pairs", status_code=201)
def vote_on_pair(
    comparison_id: ComparisonId,
    body: PairVoteRequest,
    context: Context,
    request: Request,
    principal: Annotated[Principal, Depends(require(Scope.RUN))],
) -> PairQueue:
    """Say which of two answers is better, and get the next pair."""
    loaded, candidates = _loaded(comparison_id, context, request)
    voter = f"{principal.id}/{body.voter}"
    cast_pair(
        context.engine,
        comparison_id,
        loaded,
        candidates,
        example_id=body.example_id,
        better=body.better,
        voter=voter,
    )
    return _pairs(comparison_id, context, loaded, candidates, voter)


@router.get("/{comparison_id}/pairs")
def pair_queue(
    comparison_id: ComparisonId,
    context: Context,
    request: Request,
    principal: Annotated[Principal, Depends(require(Scope.READ))],
    voter: Annotated[str, Query(max_length=40, pattern=r"^[\x21-\x7e]*$", description=_VOTER)] = "",
) -> PairQueue:
    """The next two answers to one question, for a blind vote between them."""
    loaded, candidates = _loaded(comparison_id, context, request)
    return _pairs(comparison_id, context, loaded, candidates, f"{principal.id}/{voter}")


@router.get("/{comparison_id}/labels.jsonl", dependencies=[Depends(require(Scope.READ))], response_class=Response)
def export(comparison_id: ComparisonId, context: Context, request: Request) -> Response:
    """All labels as `human_labels.jsonl` of a dataset's folder."""
    loaded, candidates = _loaded(comparison_id, context, request)
    text = labels_file(loaded, candidates, read_labels(context.engine, comparison_id))
    text += preferences_file(pair_labels(loaded, read_votes(context.engine, comparison_id)))
    return Response(text.encode("utf-8", "backslashreplace"), media_type="application/x-ndjson")


def _loaded(comparison_id: str, context: Context, request: Request) -> tuple[LoadedResults, list[str]]:
    """Answers of a finished comparison, and the names of its candidates."""
    stored = find_comparison(context.engine, comparison_id)
    results: LoadedComparisons = request.app.state.results
    try:
        loaded = results.find(context.engine, comparison_id, stored.finished_at or 0.0)
    except NotFinishedError:
        raise Problem(409, "No report yet", f"{comparison_id} is {stored.state}; wait until it has succeeded") from None
    return loaded, list(stored.arms)


def _queue(
    comparison_id: str, context: Context, loaded: LoadedResults, candidates: list[str], voter: str
) -> LabelQueue:
    rows = read_labels(context.engine, comparison_id)
    progress = label_progress(loaded, candidates, rows)
    answer = next_answer(loaded, candidates, rows, comparison_id, voter)
    return LabelQueue(
        metric=label_metric(loaded),
        next=_view(answer) if answer is not None else None,
        n_by_arm=dict(progress.n_by_arm),
        n_needed=MIN_LABELS,
        n_voters=progress.n_voters,
        n_with_metric=progress.n_with_metric,
        with_metric=_kappa(progress.with_metric),
        n_between_people=progress.n_between_people,
        between_people=_kappa(progress.between_people),
    )


def _pairs(comparison_id: str, context: Context, loaded: LoadedResults, candidates: list[str], voter: str) -> PairQueue:
    votes = read_votes(context.engine, comparison_id)
    pair = next_pair(loaded, candidates, votes, comparison_id, voter)
    shown = None
    if pair is not None:
        first, second = pair.first, pair.second
        shown = PairView(
            example_id=first.example_id,
            question=first.question,
            references=list(first.references),
            first=first.answer,
            second=second.answer,
        )
    return PairQueue(next=shown, n_votes=len(votes), n_voters=len({vote.voter for vote in votes}))


def _view(one: LabelledAnswer) -> AnswerView:
    return AnswerView(
        example_id=one.example_id,
        question=one.question,
        references=list(one.references),
        answer=one.answer,
        passages=list(one.passages),
    )


def _kappa(interval: Interval | None) -> KappaView | None:
    return KappaView(estimate=interval.estimate, low=interval.low, high=interval.high) if interval else None
