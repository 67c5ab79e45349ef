"""Every router of the API, in the order in which OpenAPI lists them."""

from fastapi import APIRouter

from service.api.routes.advice import router as advice
from service.api.routes.answers import router as answers
from service.api.routes.baselines import router as baselines
from service.api.routes.comparisons import router as comparisons
from service.api.routes.datasets import router as datasets
from service.api.routes.decisions import router as decisions
from service.api.routes.deployments import router as deployments
from service.api.routes.events import router as events
from service.api.routes.gates import router as gates
from service.api.routes.handover import router as handover
from service.api.routes.health import router as health
from service.api.routes.keys import router as keys
from service.api.routes.labels import router as labels
from service.api.routes.models import router as models
from service.api.routes.openai import router as openai
from service.api.routes.questions import router as questions
from service.api.routes.reports import router as reports
from service.api.routes.shares import router as shares
from service.api.routes.side_runs.freshness import router as freshness_runs
from service.api.routes.side_runs.questions import router as question_runs
from service.api.routes.votes import router as votes

ROUTERS: tuple[APIRouter, ...] = (
    datasets,
    question_runs,
    comparisons,
    events,
    reports,
    decisions,
    freshness_runs,
    questions,
    gates,
    baselines,
    shares,
    votes,
    labels,
    answers,
    handover,
    models,
    openai,
    deployments,
    advice,
    keys,
    health,
)
