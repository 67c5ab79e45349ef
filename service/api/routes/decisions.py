"""Deciding again from stored scores: what sliders and switches of a page ask."""

import threading
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from sqlalchemy import Engine

from advisor.decision.conclusion import Conclusion
from advisor.decision.inputs import Axis, DecisionInputs
from advisor.decision.record import Recheck
from advisor.decision.what_if import StoredDecision, axis_ranges, read_stored_decision, reconsider
from advisor.evidence.human_labels import label_values
from advisor.results.score import Labels
from service.api.auth import Context, require
from service.api.errors import Problem
from service.contract.comparison_state import ComparisonState
from service.contract.schemas import (
    ID_PATTERN,
    AxisView,
    LastRecheck,
    RecheckRequest,
    WhatIfReply,
    WhatIfRequest,
)
from service.contract.scope import Scope
from service.run.finished.recheck import recheck_comparison
from service.store.comparisons.comparison_store import find_comparison
from service.store.comparisons.events import RECHECK, newest_event
from service.store.data_directory import DECISION_FILE, RECORDS_FILE, REPORT_FILE
from service.store.label_store import human_labels, read_labels
from service.store.pair_store import pair_labels
from service.store.recently_used import RecentlyUsed
from service.store.reports.loaded_results import LoadedComparisons
from service.store.reports.stored_reports import read_report_files
from service.store.vote_store import read_votes

MAX_BYTES = 256 * 2**20
"""Of decisions kept for the next slider; the one that was asked for last is kept whatever it takes."""

router = APIRouter(prefix="/v1/comparisons", tags=["comparisons"], dependencies=[Depends(require(Scope.READ))])


class StoredDecisions:
    """The decisions asked for last, read and resampled once; a finished comparison never changes."""

    def __init__(self) -> None:
        self._decisions: RecentlyUsed[tuple[str, float, object], StoredDecision] = RecentlyUsed(
            MAX_BYTES, lambda stored: stored.n_bytes
        )

    def find(self, engine: Engine, comparison_id: str, labels: Labels | None = None) -> StoredDecision:
        """The decision of a finished comparison, or what it would be by people's labels.

        Raises:
            ComparisonNotFoundError: there is no such comparison.
            Problem: it has no report yet.
        """
        found = find_comparison(engine, comparison_id)
        said = frozenset(labels.items()) if labels is not None else None
        # A comparison that was finished again is another one.
        key = (comparison_id, found.finished_at or 0.0, said)
        return self._decisions.find(key, lambda: self._read(engine, comparison_id, found.state, labels))

    def _read(self, engine: Engine, comparison_id: str, state: str, labels: Labels | None) -> StoredDecision:
        stored = _read(engine, comparison_id, state, labels)
        if labels is None:
            # Who opens the page reads it before the first slider is moved.
            threading.Thread(target=stored.prepare, name=f"prepare {comparison_id}", daemon=True).start()
        return stored


@router.post("/{comparison_id}/decision")
def decide_again(
    comparison_id: Annotated[str, Path(pattern=ID_PATTERN)], body: WhatIfRequest, context: Context, request: Request
) -> WhatIfReply:
    """What the decision would be at another volume, other prices, with other constraints. Nothing is run or stored."""
    decisions: StoredDecisions = request.app.state.decisions
    labels = None
    if body.labels:
        found = find_comparison(context.engine, comparison_id)
        if found.state is not ComparisonState.SUCCEEDED:
            raise _no_report(comparison_id, found.state)
        results: LoadedComparisons = request.app.state.results
        loaded = results.find(context.engine, comparison_id, found.finished_at or 0.0)
        said = human_labels(loaded, read_labels(context.engine, comparison_id))
        labels = label_values([*said, *pair_labels(loaded, read_votes(context.engine, comparison_id))])
    stored = decisions.find(context.engine, comparison_id, labels)
    return _reply(stored, reconsider(stored, _inputs(stored, body), parts=body.parts))


@router.post("/{comparison_id}/recheck")
def recheck(comparison_id: Annotated[str, Path(pattern=ID_PATTERN)], body: RecheckRequest, context: Context) -> Recheck:
    """Whether the decision still holds today. Decides again from stored scores; no model is asked."""
    stored = find_comparison(context.engine, comparison_id)
    if stored.state is not ComparisonState.SUCCEEDED:
        raise _no_report(comparison_id, stored.state)
    declared = body.model_dump(include={"queries_per_month", "refreshes_per_month"}, exclude_none=True)
    return recheck_comparison(
        context.engine,
        context.directory,
        stored,
        datetime.now(UTC).date(),
        traffic=lambda recorded: replace(recorded, **declared),
        coverage=body.coverage,
        margin=body.margin,
    )


@router.get("/{comparison_id}/recheck")
def last_recheck(comparison_id: Annotated[str, Path(pattern=ID_PATTERN)], context: Context) -> LastRecheck:
    """What the service found when it last rechecked the decision by itself, as `serve --recheck-every` has it do."""
    find_comparison(context.engine, comparison_id)
    event = newest_event(context.engine, comparison_id, RECHECK)
    if event is None:
        return LastRecheck()
    return LastRecheck.model_validate({"checked_at": event.created_at, "found": event.data})


def _inputs(stored: StoredDecision, body: WhatIfRequest) -> DecisionInputs:
    inputs = stored.record.inputs
    declared = body.model_dump(
        include={"queries_per_month", "refreshes_per_month", "retrainings_per_month", "merge_adapter"},
        exclude_none=True,
    )
    inputs = replace(
        inputs,
        traffic=replace(inputs.traffic, **declared),
        coverage=inputs.coverage if body.coverage is None else body.coverage,
        margin=inputs.margin if body.margin is None else body.margin,
        values=inputs.values if body.values is None else body.values,
        constraints=inputs.constraints if body.constraints is None else body.constraints,
    )
    for axis in (Axis.INPUT_PRICE, Axis.OUTPUT_PRICE, Axis.MACHINE_PRICE):
        value = getattr(body, axis.value)
        if value is not None:
            inputs = stored.measured.moved(inputs, axis, value)
    return inputs


def _reply(stored: StoredDecision, conclusion: Conclusion) -> WhatIfReply:
    return WhatIfReply(
        recommendation=conclusion.recommendation,
        quality=dict(conclusion.scores),
        costs=dict(conclusion.costs),
        break_evens=list(conclusion.break_evens),
        net_values=list(conclusion.net_values),
        constraints=list(conclusion.constraints),
        flips=list(conclusion.flips),
        flip_map=conclusion.flip_map,
        axes=[
            AxisView(axis=r.axis, current=r.current, low=r.low, high=r.high, by_decades=r.by_decades)
            for r in axis_ranges(stored)
        ],
    )


def _read(engine: Engine, comparison_id: str, state: str, labels: Labels | None) -> StoredDecision:
    names = (REPORT_FILE, DECISION_FILE, RECORDS_FILE)
    content = read_report_files(engine, comparison_id, *names)
    if set(content) != set(names):
        raise _no_report(comparison_id, state)
    report, decision = content[REPORT_FILE].decode("utf-8"), content[DECISION_FILE].decode("utf-8")
    return read_stored_decision(report, decision, content[RECORDS_FILE], labels)


def _no_report(comparison_id: str, state: str) -> Problem:
    told = f"{comparison_id} is {state}, and its decision is made last; wait until it has succeeded"
    return Problem(409, "No report yet", told)
