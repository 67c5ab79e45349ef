"""Every router of the API, in the order in which OpenAPI lists them."""

from fastapi import APIRouter

from service.api.routes.advice import router as advice
from service.api.routes.comparisons import router as comparisons
from service.api.routes.datasets import router as datasets
from service.api.routes.events import router as events
from service.api.routes.health import router as health
from service.api.routes.keys import router as keys
from service.api.routes.reports import router as reports

ROUTERS: tuple[APIRouter, ...] = (datasets, comparisons, events, reports, advice, keys, health)
