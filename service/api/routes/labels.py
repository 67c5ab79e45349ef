"""What people say of the answers of a finished comparison, one answer at a time."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, Field, StringConstraints
from sqlalchemy import Engine

from advisor.evidence.prediction_powered import MIN_LABELS
from advisor.results.plain_data import to_plain
from service.api.auth import Context, Principal, require
from service.api.errors import Problem
from service.contract.schemas import ID_PATTERN
from service.contract.scope import Scope
from service.store.comparisons.comparison_store import find_comparison
from service.store.label_store import (
    cast_label,
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


@dataclass(frozen=True, slots=True)
class _Finished:
    """A finished comparison whose answers people look at."""

    engine: Engine
    id: str
    loaded: LoadedResults
    candidates: list[str]


def _finished(comparison_id: ComparisonId, context: Context, request: Request) -> _Finished:
    stored = find_comparison(context.engine, comparison_id)
    results: LoadedComparisons = request.app.state.results
    try:
        loaded = results.find(context.engine, comparison_id, stored.finished_at or 0.0)
    except NotFinishedError:
        raise Problem(409, "No report yet", f"{comparison_id} is {stored.state}; wait until it has succeeded") from None
    return _Finished(context.engine, comparison_id, loaded, list(stored.arms))


# Who may not call learns nothing of the comparison: routes name the principal before it.
Finished = Annotated[_Finished, Depends(_finished)]
Reader = Annotated[Principal, Depends(require(Scope.READ))]
Runner = Annotated[Principal, Depends(require(Scope.RUN))]
AskedVoter = Annotated[str, Query(max_length=40, pattern=r"^[\x21-\x7e]*$", description=_VOTER)]


@router.post("/{comparison_id}/labels", status_code=201)
def label(body: LabelRequest, principal: Runner, of: Finished) -> LabelQueue:
    """Label an answer, and get the next."""
    voter = f"{principal.id}/{body.voter}"
    cast_label(
        of.engine,
        of.id,
        of.loaded,
        of.candidates,
        example_id=body.example_id,
        answer=body.answer,
        good=body.good,
        voter=voter,
    )
    return _labels(of, voter)


@router.get("/{comparison_id}/labels")
def queue(principal: Reader, of: Finished, voter: AskedVoter = "") -> LabelQueue:
    """The next answer to label, and how far the comparison is labelled."""
    return _labels(of, f"{principal.id}/{voter}")


@router.post("/{comparison_id}/pairs", status_code=201)
def vote_on_pair(body: PairVoteRequest, principal: Runner, of: Finished) -> PairQueue:
    """Say which of two answers is better, and get the next pair."""
    voter = f"{principal.id}/{body.voter}"
    cast_pair(of.engine, of.id, of.loaded, of.candidates, example_id=body.example_id, better=body.better, voter=voter)
    return _pairs(of, voter)


@router.get("/{comparison_id}/pairs")
def pair_queue(principal: Reader, of: Finished, voter: AskedVoter = "") -> PairQueue:
    """The next two answers to one question, for a blind vote between them."""
    return _pairs(of, f"{principal.id}/{voter}")


@router.get("/{comparison_id}/labels.jsonl", dependencies=[Depends(require(Scope.READ))], response_class=Response)
def export(of: Finished) -> Response:
    """All labels as `human_labels.jsonl` of a dataset's folder."""
    text = labels_file(of.loaded, of.candidates, read_labels(of.engine, of.id))
    text += preferences_file(pair_labels(of.loaded, read_votes(of.engine, of.id)))
    return Response(text.encode("utf-8", "backslashreplace"), media_type="application/x-ndjson")


def _labels(of: _Finished, voter: str) -> LabelQueue:
    rows = read_labels(of.engine, of.id)
    answer = to_plain(next_answer(of.loaded, of.candidates, rows, of.id, voter))
    progress = to_plain(label_progress(of.loaded, of.candidates, rows))
    return LabelQueue.model_validate({"next": answer, "n_needed": MIN_LABELS, **progress})


def _pairs(of: _Finished, voter: str) -> PairQueue:
    votes = read_votes(of.engine, of.id)
    pair = next_pair(of.loaded, of.candidates, votes, of.id, voter)
    shown = None
    if pair is not None:
        answers = {"first": pair.first.answer, "second": pair.second.answer}
        shown = PairView.model_validate(to_plain(pair.first) | answers)
    return PairQueue(next=shown, n_votes=len(votes), n_voters=len({vote.voter for vote in votes}))
